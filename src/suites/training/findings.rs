//! What one case gave, before it becomes metrics: plain numbers, so that every formula can be tested without training.

use super::operator_clocks::OperatorHertz;
use super::operator_counts::Counted;
use super::operator_times::Entry;
use crate::kernels::Cost;
use crate::measure::counters::Reading;
use crate::measure::neighbours::Load;
use crate::measure::process::Disturbance;
use crate::measure::taken::Taken;
use crate::parallel::Worked;
use crate::stats::{Interval, bootstrap, summary};
use crate::suites::training::model_flops::Sizes;

/// One number of threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Arm {
    pub(super) threads: usize,
    /// Seconds of each measured step.
    pub(super) seconds: Vec<f64>,
    /// The run's number of each of these steps.
    pub(super) steps: Vec<usize>,
    /// Operators of each of these steps.
    pub(super) operators: Vec<Vec<Entry>>,
    /// What others took from each of these steps: seconds of CPU time, over all its threads.
    pub(super) taken: Vec<Taken>,
    /// How long its threads worked in each of these steps.
    pub(super) worked: Vec<Worked>,
    /// FLOP/s of the multiply-add peak beside each of these steps.
    pub(super) peaks: Vec<f64>,
    /// Seconds since the first step, and hertz seen by the threads there.
    pub(super) clocks: Vec<(f64, f64)>,
    /// Steps that warmed this arm up, and whether the last two agreed.
    pub(super) warm_up: (usize, bool),
}

/// Memory of the case.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// Planned bytes by role, tokens included.
    pub(super) planned: Vec<(&'static str, usize)>,
    /// Largest resident bytes, or why they are unknown.
    pub(super) peak: Result<f64, String>,
    /// Whether the peak counts from this case on, and not from the start of the process.
    pub(super) peak_is_own: bool,
    /// Resident before the trainer was made.
    pub(super) before: Option<f64>,
    /// Resident bytes after steps: step, bytes.
    pub(super) resident: Vec<(usize, f64)>,
}

/// One pass of counters over one step.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) readings: Vec<Reading>,
    /// FLOP of each operator and pass of one step on the most threads, or why they were not counted.
    pub(super) operators: Result<Vec<Counted>, String>,
    /// Lines that each level of the cache lacked in each operator and pass, or why they were not counted.
    pub(super) misses: Vec<(&'static str, Result<Vec<Counted>, String>)>,
    /// Hertz directly after each operator and pass.
    pub(super) hertz: Vec<OperatorHertz>,
    /// Quantities that nobody counts here, with the reason.
    pub(super) missing: Vec<(&'static str, String)>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            readings: Vec::new(),
            operators: Err("no step was counted".into()),
            misses: Vec::new(),
            hertz: Vec::new(),
            missing: Vec::new(),
        }
    }
}

/// All of a case.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    /// Name in the metrics.
    pub(super) case: String,
    pub(super) sizes: Sizes,
    /// `32 x 128`: sequences and tokens in each.
    pub(super) batch: (usize, usize),
    /// Instruction set that trained, and the one whose peak is compared with.
    pub(super) isas: (&'static str, &'static str),
    /// Ascending by threads.
    pub(super) arms: Vec<Arm>,
    /// Loss of every step of the run, warm-up included.
    pub(super) losses: Vec<f64>,
    /// Validation loss: step, loss.
    pub(super) validation: Vec<(usize, f64)>,
    pub(super) unigram_entropy: Option<f64>,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
    pub(super) disturbance: Option<Disturbance>,
    /// What other programs used meanwhile, the most first; `None` where they cannot be seen.
    pub(super) neighbours: Option<Vec<Load>>,
    /// Bytes a second from memory, by threads.
    pub(super) bandwidth: Vec<(usize, f64)>,
}

impl Findings {
    /// Tokens of one step.
    pub(super) fn tokens(&self) -> f64 {
        (self.batch.0 * self.batch.1) as f64
    }

    /// Model arithmetic of one step.
    pub(super) fn flops(&self) -> f64 {
        self.tokens() * self.sizes.per_token()
    }

    /// Threads of the largest arm, measured or not: the one whose name the case's other numbers carry.
    pub(super) fn most_threads(&self) -> usize {
        self.arms.iter().map(|arm| arm.threads).max().unwrap_or(1)
    }

    /// The arm with one thread.
    pub(super) fn alone(&self) -> Option<&Arm> {
        self.arms
            .iter()
            .find(|arm| arm.threads == 1 && !arm.seconds.is_empty())
    }

    /// The arm with the most threads.
    pub(super) fn widest(&self) -> Option<&Arm> {
        self.arms.iter().rev().find(|arm| !arm.seconds.is_empty())
    }

    /// Bandwidth of memory for that many threads.
    pub(super) fn bandwidth(&self, threads: usize) -> Option<f64> {
        self.bandwidth
            .iter()
            .find(|(of, _)| *of == threads)
            .map(|(_, bandwidth)| *bandwidth)
    }
}

impl Arm {
    /// Seconds of a step: median with interval.
    pub(super) fn step(&self) -> Option<Interval> {
        bootstrap::median_interval(&self.seconds, 11)
    }

    /// FLOP/s of the peak: median over its visits.
    pub(super) fn peak(&self) -> Option<f64> {
        summary::median(&self.peaks)
    }

    /// Model arithmetic over peak and time, both resampled.
    pub(super) fn mfu(&self, flops: f64) -> Option<Interval> {
        bootstrap::interval_of(&[&self.seconds, &self.peaks], 12, |groups| {
            Some(flops / (summary::median(&groups[0])? * summary::median(&groups[1])?))
        })
    }

    /// Each operator and pass: median seconds of a step with interval, and the declared cost of one step.
    pub(super) fn parts(&self) -> Vec<OperatorSeconds> {
        let Some(first) = self.operators.first() else {
            return Vec::new();
        };
        let part = |entry: &Entry| {
            let seconds = |step: &Vec<Entry>| {
                step.iter()
                    .find(|other| other.operator == entry.operator && other.pass == entry.pass)
                    .map(|other| other.seconds)
            };
            let seconds: Vec<f64> = self.operators.iter().filter_map(seconds).collect();
            Some(OperatorSeconds {
                operator: entry.operator,
                pass: entry.pass,
                seconds: bootstrap::median_interval(&seconds, 13)?,
                cost: entry.cost,
                calls: entry.calls,
            })
        };
        first.iter().filter_map(part).collect()
    }
}

/// One operator and pass of an arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OperatorSeconds {
    pub(super) operator: &'static str,
    pub(super) pass: &'static str,
    pub(super) seconds: Interval,
    pub(super) cost: Cost,
    pub(super) calls: u32,
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;
    use crate::measure::process::Unreadable;

    /// A case on one and two threads with round numbers: the step takes 2 s on one and 1.1 s on two, peaks are 100 and 190 GFLOP/s.
    /// The hypervisor takes 4 % of the CPUs; the kernel does not tell what programs take.
    pub(in crate::suites::training) fn findings() -> Findings {
        let sizes = Sizes {
            length: 128,
            vocab_size: 10_000,
            d_model: 256,
            d_ff: 1_024,
            layers: 2,
        };
        let arm = |threads: usize, step: f64, peak: f64| {
            let jitter = [1.0, 0.99, 1.01, 1.0, 1.02, 0.98, 1.0, 1.0];
            let entry = |operator, pass, share: f64, gflop: f64| Entry {
                operator,
                pass,
                seconds: step * share,
                cost: Cost {
                    flops: gflop * 1e9,
                    bytes_read: 2e8,
                    bytes_written: 1e8,
                },
                calls: 2,
            };
            let operators = vec![
                entry("qkv", "forward", 0.2, 3.2),
                entry("qkv", "backward", 0.3, 6.4),
                entry("attention", "forward", 0.1, 0.6),
                entry("attention", "backward", 0.1, 1.2),
                entry("head", "backward", 0.15, 62.0),
                entry("layernorm", "forward", 0.05, 0.01),
                entry("adamw", "optimizer", 0.05, 0.05),
            ];
            Arm {
                threads,
                seconds: jitter.map(|j| step * j).to_vec(),
                steps: (0..8).map(|round| 4 + 2 * round + threads).collect(),
                operators: vec![operators; 8],
                taken: vec![taken(0.04 * step * threads as f64); 8],
                worked: jitter.map(|j| worked(step * j, threads)).to_vec(),
                peaks: vec![peak; 8],
                clocks: vec![(0.0, 2.5e9), (2.0, 2.4e9)],
                warm_up: (2, true),
            }
        };
        // A tenth of a step is not shared out; of the rest, two threads stand by for a twentieth.
        fn worked(step: f64, threads: usize) -> Worked {
            let shared = 0.9 * step;
            let all = shared * threads as f64;
            Worked {
                shared,
                busy: if threads > 1 { 0.95 * all } else { all },
            }
        }
        fn taken(stolen: f64) -> Taken {
            let displaced = Err(Unreadable {
                path: "/proc/self/task/1/schedstat".into(),
                reason: "No such file or directory".into(),
            });
            Taken {
                stolen: Ok(stolen),
                displaced,
                halted: Ok(0.0),
                seconds: 1.0,
            }
        }
        Findings {
            case: "small".into(),
            sizes,
            batch: (32, 128),
            isas: ("avx512", "avx512"),
            arms: vec![arm(1, 2.0, 100e9), arm(2, 1.1, 190e9)],
            losses: vec![9.2, 9.0, 8.5],
            validation: vec![(0, 9.21), (20, 8.4)],
            unigram_entropy: Some(7.0),
            memory: Memory {
                planned: vec![("parameters", 1_000), ("tokens", 24)],
                peak: Ok(2e6),
                peak_is_own: true,
                before: Some(1e6),
                resident: vec![(0, 1.5e6)],
            },
            counters: Counters::default(),
            disturbance: Some(Disturbance {
                cpu_seconds: 60.0,
                steal_ratio: 0.01,
                foreign_ratio: 0.2,
            }),
            neighbours: Some(vec![
                Load {
                    name: "compiler".into(),
                    seconds: 9.0,
                },
                Load {
                    name: "shell".into(),
                    seconds: 0.1,
                },
            ]),
            bandwidth: vec![(1, 10e9), (2, 18e9)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_summed_up() {
        let findings = sample::findings();
        let arm = findings.widest().unwrap();
        assert_eq!((arm.threads, findings.alone().unwrap().threads), (2, 1));
        assert!((arm.step().unwrap().estimate - 1.1).abs() < 1e-12);
        let mfu = arm.mfu(findings.flops()).unwrap();
        assert!((mfu.estimate - findings.flops() / (1.1 * 190e9)).abs() < 1e-12);
        assert!(mfu.low < mfu.estimate && mfu.high > mfu.estimate);
        let parts = arm.parts();
        assert_eq!(
            (parts.len(), parts[0].operator, parts[0].calls),
            (7, "qkv", 2)
        );
        assert!((parts[0].seconds.estimate - 0.22).abs() < 1e-12);
        assert_eq!(findings.bandwidth(2), Some(18e9));
    }

    #[test]
    fn an_arm_without_steps_has_no_numbers() {
        let arm = Arm {
            threads: 2,
            ..Arm::default()
        };
        assert!(
            arm.step().is_none()
                && arm.mfu(1.0).is_none()
                && arm.parts().is_empty()
                && arm.peak().is_none()
        );
        let findings = Findings {
            arms: vec![arm],
            ..sample::findings()
        };
        assert!(findings.widest().is_none() && findings.alone().is_none());
    }
}
