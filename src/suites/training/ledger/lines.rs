//! The lines of the ledger: what each optimization is claimed to give, and how it is switched off.

use crate::kernels::Isa;
use crate::model::Switches;
use crate::train::Plan;

/// What the seed's document says of an optimization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Claim {
    /// So many times as fast, from and to, in its words.
    Times(f64, f64, &'static str),
    /// Nothing that a measurement of the same work could meet, and why.
    Nothing(&'static str),
}

/// How much text a line is measured on: slow paths get little.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// Two sequences.
    Narrow,
    /// Eight sequences.
    Wide,
    /// The batch of the configuration.
    Whole,
}

/// What is taken away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Off {
    /// Vector instructions.
    Simd,
    /// All threads but one.
    Threads,
    /// A part of the model's [`Switches`].
    Switch(fn(&mut Switches)),
    /// Micro-batches: the whole batch at once.
    MicroBatches,
    /// Micro-batches of several sequences: one at a time.
    NativeBatches,
    /// Keys and values of tokens that were read before; measured on generation.
    Cache,
    /// All that training has.
    Everything,
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Its part of a metric's name.
    pub(super) id: &'static str,
    pub(super) claim: Claim,
    pub(super) off: Off,
    /// The simple path in words.
    pub(super) simple: &'static str,
    pub(super) work: Work,
}

const NO_FIGURE: Claim = Claim::Nothing("the seed names this optimization without a figure");

/// The ten in the seed's order, then all of them.
pub(super) const LINES: [Line; 11] = [
    Line {
        id: "simd",
        claim: Claim::Times(1.05, 1.15, "5-15 % for AVX-512 over AVX2"),
        off: Off::Simd,
        simple: "scalar instructions in every kernel",
        work: Work::Narrow,
    },
    Line {
        id: "threads",
        claim: Claim::Times(
            2.0,
            3.0,
            "2-3x, measured there as 2.17x on 8 threads, without a backward pass",
        ),
        off: Off::Threads,
        simple: "one thread",
        work: Work::Wide,
    },
    Line {
        id: "batched_matmul",
        claim: NO_FIGURE,
        off: Off::Switch(|switches| switches.batched_products = false),
        simple: "the products of attention one by one, each computed by all threads",
        work: Work::Wide,
    },
    Line {
        id: "blocked_gemm",
        claim: NO_FIGURE,
        off: Off::Switch(|switches| switches.blocked_products = false),
        simple: "every product of a linear layer and of the head row by row through memory, with the same instructions (attention keeps its tiles)",
        work: Work::Narrow,
    },
    Line {
        id: "machine_sizes",
        claim: Claim::Nothing(
            "the seed claims 60-100x less computation, from a smaller model: that is other work, and no speed-up of this one",
        ),
        off: Off::MicroBatches,
        simple: "the whole batch at once, as large as the original had it",
        work: Work::Whole,
    },
    Line {
        id: "alignment",
        claim: NO_FIGURE,
        off: Off::Switch(|switches| switches.aligned_pages = false),
        simple: "memory that starts four bytes beside a cache line, on 4 KB pages",
        work: Work::Wide,
    },
    Line {
        id: "memory_plan",
        claim: Claim::Times(1.2, 1.3, "20-30 %, planned and not built there"),
        off: Off::Switch(|switches| switches.planned_memory = false),
        simple: "the results of every operator allocated, zeroed, when it starts",
        work: Work::Wide,
    },
    Line {
        id: "fused",
        claim: Claim::Times(1.1, 1.15, "10-15 %, planned and not built there"),
        off: Off::Switch(|switches| switches.fused_passes = false),
        simple: "bias, GELU, residual, softmax and loss in passes of their own, the logits of a micro-batch all at once",
        work: Work::Wide,
    },
    Line {
        id: "native_batch",
        claim: Claim::Times(2.0, 3.0, "an additional 2-3x, planned and not built there"),
        off: Off::NativeBatches,
        simple: "sequence by sequence",
        work: Work::Wide,
    },
    Line {
        id: "kv_cache",
        claim: Claim::Times(
            10.0,
            100.0,
            "10-100x for generation, planned and not built there",
        ),
        off: Off::Cache,
        simple: "the whole prefix read again for each token",
        work: Work::Narrow,
    },
    Line {
        id: "all",
        claim: Claim::Times(
            2.17,
            2.17,
            "350 to 760 tokens/s on 8 threads, without a backward pass",
        ),
        off: Off::Everything,
        simple: "scalar, one thread, sequence by sequence, row by row, unfused, allocated and misaligned",
        work: Work::Narrow,
    },
];

impl Work {
    /// Sequences of a step, of a configuration with batches of `batch`.
    pub(super) fn sequences(self, batch: usize) -> usize {
        match self {
            Work::Narrow => batch.min(2),
            Work::Wide => batch.min(8),
            Work::Whole => batch,
        }
    }
}

impl Line {
    /// The program as it is, on this line's work.
    pub(super) fn full(&self, plan: &Plan) -> Plan {
        let batch = self.work.sequences(plan.batch);
        let micro_batch = match batch.is_multiple_of(plan.micro_batch) {
            true => plan.micro_batch,
            false => Plan::automatic_micro_batch(&plan.shape, batch, plan.length),
        };
        Plan {
            batch,
            micro_batch,
            ..*plan
        }
    }

    /// The program without the optimization, or why that makes no difference here.
    ///
    /// # Errors
    /// The reason.
    pub(super) fn simple(&self, plan: &Plan) -> Result<Plan, String> {
        let full = self.full(plan);
        let scalar = Isa::forced("scalar").unwrap_or(full.isa);
        let same = |what: &str| Err(format!("it is off anyway: {what}"));
        match self.off {
            Off::Simd if full.isa == scalar => same("this run trains in scalar instructions"),
            Off::Simd => Ok(Plan {
                isa: scalar,
                ..full
            }),
            Off::Threads if full.workers == 1 => same("this run has one thread"),
            Off::Threads => Ok(Plan { workers: 1, ..full }),
            Off::Switch(turn_off) => {
                let mut switches = full.switches;
                turn_off(&mut switches);
                Ok(Plan { switches, ..full })
            }
            Off::MicroBatches if full.micro_batch == full.batch => {
                same("the whole batch is one micro-batch")
            }
            Off::MicroBatches => Ok(Plan {
                micro_batch: full.batch,
                ..full
            }),
            Off::NativeBatches if full.micro_batch == 1 => {
                same("micro-batches are of one sequence")
            }
            Off::NativeBatches => Ok(Plan {
                micro_batch: 1,
                ..full
            }),
            Off::Cache => Ok(full),
            Off::Everything => Ok(Plan {
                isa: scalar,
                workers: 1,
                micro_batch: 1,
                switches: Switches {
                    batched_products: false,
                    blocked_products: false,
                    aligned_pages: false,
                    planned_memory: false,
                    fused_passes: false,
                },
                ..full
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::Caches;
    use crate::model::Shape;
    use crate::record::OPTIMIZATIONS;
    use crate::train::{Optimizer, Sharing};

    #[test]
    fn lines_are_those_of_the_record() {
        let ids = LINES.map(|line| line.id);
        assert_eq!(ids, OPTIMIZATIONS.map(|(id, _)| id));
    }

    #[test]
    fn each_line_takes_one_thing_away() {
        let plan = Plan {
            shape: Shape {
                vocab_size: 64,
                context: 16,
                d_model: 32,
                heads: 2,
                layers: 1,
                d_ff: 48,
                tied: true,
                scalar_head: false,
            },
            batch: 32,
            length: 128,
            micro_batch: 4,
            dropout: 0.0,
            recompute: false,
            by_sequences: false,
            optimizer: Optimizer::default(),
            isa: Isa::best(),
            caches: Caches::default(),
            workers: 2,
            switches: Switches::default(),
            sharing: Sharing::default(),
        };
        for line in LINES {
            let full = line.full(&plan);
            assert_eq!(full.batch, line.work.sequences(32));
            assert_eq!(full.switches, Switches::default());
            match line.simple(&plan) {
                Ok(simple) => {
                    let changed = [
                        simple.isa != full.isa,
                        simple.workers != full.workers,
                        simple.micro_batch != full.micro_batch,
                        simple.switches != full.switches,
                    ];
                    let wanted = match line.id {
                        "kv_cache" => 0..=0,
                        "all" => 3..=4,
                        _ => 1..=1,
                    };
                    let changed = changed.iter().filter(|changed| **changed).count();
                    assert!(wanted.contains(&changed), "{}: {changed}", line.id);
                    assert_eq!((simple.batch, simple.length), (full.batch, full.length));
                }
                Err(reason) => assert!(line.id == "simd" && reason.contains("scalar")),
            }
        }
        let alone = Plan {
            workers: 1,
            micro_batch: 1,
            batch: 1,
            ..plan
        };
        for id in ["threads", "machine_sizes", "native_batch"] {
            let line = LINES.iter().find(|line| line.id == id).unwrap();
            assert!(
                line.simple(&alone)
                    .is_err_and(|why| why.starts_with("it is off anyway"))
            );
        }
    }
}
