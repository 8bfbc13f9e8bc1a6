//! Invented runs for tests: a usual one, a large machine, one that measured nothing, one that means harm. Never shipped.

mod caches;
mod fleet;
mod frequency;
mod hostile;
mod kernels;
mod machine;
mod posttraining;
mod sizes;
mod traffic;
mod training;

use serde_json::json;

pub(in crate::report) use hostile::hostile;
use machine::machine;

use crate::record::{Better, Metric, Note, Provenance, Run, SCHEMA, Series};

/// A run on a machine of `cores` cores with `smt` threads each, trained at `threads`, with plausible numbers.
pub(super) struct Builder {
    run: Run,
    case: &'static str,
    threads: u32,
}

/// The usual run: two cores of a virtual machine, no counters.
pub(super) fn typical() -> Run {
    let mut builder = Builder::new(2, 1, 1, "autoregressive_training_small", 2);
    builder.training(5.2e3, 0.742);
    builder.ceilings(&[
        ("avx512", 158.0),
        ("avx512vl", 121.0),
        ("avx2", 120.4),
        ("scalar", 8.1),
    ]);
    builder.machine_curves();
    builder.kernels();
    builder.sizes();
    builder.fleet();
    builder.ways(2, 2);
    builder.misses();
    builder.slots();
    builder.run
}

/// Two packages of 16 cores with two threads each, where half of the CPUs may not be used, and two training cases.
pub(super) fn large() -> Run {
    let mut builder = Builder::new(32, 2, 2, "autoregressive_training", 32);
    builder.training(61e3, 0.581);
    builder.case = "autoregressive_training_small";
    builder.training(188e3, 0.443);
    builder.ceilings(&[
        ("avx512", 2900.0),
        ("avx512vl", 2210.0),
        ("avx2", 2204.0),
        ("scalar", 140.0),
    ]);
    builder.machine_curves();
    builder.ways(32, 8);
    builder.misses();
    builder.slots();
    builder.run
}

/// Reinforcement of a model, and nothing else.
pub(super) fn reinforced() -> Run {
    let mut builder = Builder::new(2, 1, 1, "rlhf_training_small", 2);
    builder.reinforcement();
    builder.run
}

/// One CPU, one thread.
pub(super) fn single() -> Run {
    let mut builder = Builder::new(1, 1, 1, "autoregressive_training_small", 1);
    builder.training(2.8e3, 0.78);
    builder.ceilings(&[("avx2", 60.0), ("scalar", 4.0)]);
    builder.run
}

/// A run that measured nothing at all.
pub(super) fn nothing() -> Run {
    let mut run = Builder::new(1, 1, 1, "none", 1).run;
    run.machine.cpus.clear();
    run.machine.caches.clear();
    run.machine.features.clear();
    run.machine.facts.clear();
    run.machine.summary.brand.clear();
    run.metrics.clear();
    run.series.clear();
    run.notes.clear();
    run.config = serde_json::Value::Null;
    run
}

/// The usual run with every number gone, each with its reason.
pub(super) fn unavailable() -> Run {
    let mut run = typical();
    for metric in &mut run.metrics {
        (metric.value, metric.low, metric.high, metric.provenance) =
            (None, None, None, Provenance::Unavailable);
        metric.how = "the run was stopped before the first step ended".to_owned();
    }
    for series in &mut run.series {
        series.y.iter_mut().for_each(|y| *y = None);
        series.provenance = Provenance::Unavailable;
        series.how = "the run was stopped before the first step ended".to_owned();
    }
    run
}

/// The same numbers each time: a multiplicative congruential sequence in 0..1.
fn noise(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as f64 / (1u64 << 24) as f64
}

impl Builder {
    fn new(cores: u32, smt: u32, packages: u32, case: &'static str, threads: u32) -> Self {
        let run = Run {
            schema: SCHEMA.to_owned(),
            id: "20261122T141503-4f2a91".to_owned(),
            started: "2026-11-22T14:15:03Z".to_owned(),
            elapsed_seconds: 93.4,
            command: ["loopos", "bench", "--suite", "training"]
                .map(str::to_owned)
                .to_vec(),
            suites: vec!["training".to_owned()],
            effort: "normal".to_owned(),
            version: "0.1.0".to_owned(),
            commit: Some("INVENTED SAMPLE".to_owned()),
            machine: machine(cores, smt, packages),
            config: json!({ "invented": "sample", "training": { "batch_size": 32, "d_model": 256 } }),
            metrics: Vec::new(),
            series: Vec::new(),
            notes: notes(),
            fleet: Vec::new(),
        };
        Self { run, case, threads }
    }

    fn metric(
        &mut self,
        name: String,
        value: Option<f64>,
        unit: &str,
        provenance: Provenance,
        how: &str,
    ) {
        let spread = value.map(|value| value.abs() * 0.006);
        self.run.metrics.push(Metric {
            name,
            value,
            low: value.zip(spread).map(|(value, spread)| value - spread),
            high: value.zip(spread).map(|(value, spread)| value + spread),
            unit: unit.to_owned(),
            better: match unit {
                "seconds" | "bytes" | "ns" | "nats" => Better::Lower,
                speed if speed.ends_with("/s") => Better::Higher,
                _ => Better::Neither,
            },
            provenance,
            how: how.to_owned(),
        });
    }

    fn series(
        &mut self,
        name: String,
        unit: &str,
        x_unit: &str,
        points: Vec<(f64, f64)>,
        how: &str,
    ) {
        self.run.series.push(Series {
            name,
            unit: unit.to_owned(),
            x_unit: x_unit.to_owned(),
            x: points.iter().map(|point| point.0).collect(),
            y: points.iter().map(|point| Some(point.1)).collect(),
            low: Vec::new(),
            high: Vec::new(),
            provenance: Provenance::Measured,
            how: how.to_owned(),
        });
    }

    fn ceilings(&mut self, peaks: &[(&str, f64)]) {
        let threads = self.threads;
        let counts: Vec<u32> = (0..)
            .map(|power| 1 << power)
            .take_while(|count| *count <= threads)
            .collect();
        for (isa, peak) in peaks {
            for count in &counts {
                let value = peak * f64::from(*count) / f64::from(threads);
                self.metric(
                    format!("ceiling.fma.{isa}.t{count}.gflops"),
                    Some(value),
                    "GFLOP/s",
                    Provenance::Measured,
                    "ten dependent chains of FMA on registers, best of 9 windows",
                );
            }
        }
        let total = peaks[0].1;
        for (level, ratio) in [("l1", 2.9), ("l2", 1.1), ("l3", 0.42), ("dram", 0.14)] {
            for count in &counts {
                let value = total * ratio * f64::from(*count) / f64::from(threads);
                self.metric(
                    format!("ceiling.bandwidth.{level}.t{count}.gbps"),
                    Some(value),
                    "GB/s",
                    Provenance::Measured,
                    "reading a buffer of half the level's size, 2 MB pages",
                );
            }
        }
    }

    fn machine_curves(&mut self) {
        let steps = || (0..=36).map(|half| 4096.0 * 2f64.powf(f64::from(half) / 2.0));
        let knee = |x: f64, sizes: [f64; 3], values: [f64; 4]| {
            let weight = |size: f64| 1.0 / (1.0 + (x / size).powi(4));
            values[3]
                + (values[0] - values[1]) * weight(sizes[0])
                + (values[1] - values[2]) * weight(sizes[1])
                + (values[2] - values[3]) * weight(sizes[2])
        };
        let sizes = [32768.0, 1048576.0, 34.6e6];
        for threads in [1, self.threads] {
            let scale = f64::from(threads);
            let points = steps()
                .map(|x| (x, knee(x, sizes, [230.0, 96.0, 33.0, 12.0]) * scale))
                .collect();
            self.series(
                format!("ceiling.bandwidth.t{threads}.staircase.gbps"),
                "GB/s",
                "bytes",
                points,
                "reading, 2 MB pages, best of 5",
            );
        }
        let points = steps()
            .map(|x| {
                (
                    x,
                    1.0 / knee(x, sizes, [1.0 / 1.5, 1.0 / 5.0, 1.0 / 25.0, 1.0 / 95.0]),
                )
            })
            .collect();
        self.series(
            "ceiling.latency.staircase.nanoseconds".to_owned(),
            "nanoseconds",
            "bytes",
            points,
            "a random cycle of pointers",
        );
        self.clocks();
        self.traffic();
        self.frequency();
    }

    fn clocks(&mut self) {
        for (isa, clock) in [("avx512", 2.9), ("avx2", 3.2), ("scalar", 3.4)] {
            let threads = self.threads;
            let points = (0..200)
                .map(|x| {
                    (
                        f64::from(x) * 0.1,
                        clock + (noise(x as usize) - 0.5) * 0.03
                            - 0.2 / (1.0 + (60.0 - f64::from(x)).exp().min(1e9)),
                    )
                })
                .collect();
            self.series(
                format!("frequency.{isa}.t{threads}.timeline.ghz"),
                "GHz",
                "seconds",
                points,
                "a chain of dependent additions against the TSC, 30 us windows",
            );
            self.metric(
                format!("frequency.{isa}.t{threads}.ghz"),
                Some(clock),
                "GHz",
                Provenance::Measured,
                "median of the windows",
            );
        }
        self.metric(
            "frequency.tsc.ghz".to_owned(),
            Some(2.5),
            "GHz",
            Provenance::Measured,
            "TSC against the monotonic clock",
        );
    }
}

fn notes() -> Vec<Note> {
    let note = |topic: &str, text: &str| Note {
        topic: topic.to_owned(),
        text: text.to_owned(),
    };
    vec![
        note(
            "advice",
            "Use 4 heads of 64 instead of 5 of 48: the register tiles fill up, about 4 % more tokens a second.",
        ),
        note(
            "advice",
            "Raise training.batch_size to 48: AdamW's traffic is spread over half as many tokens again.",
        ),
        note(
            "advice",
            "Run with transparent huge pages set to madvise or always; they are off here.",
        ),
        note(
            "machine",
            "The host took 0.2 % of the time for others while the run measured.",
        ),
        note(
            "data",
            "Trained on the source text of this program's own dependencies, 3,412,006 tokens.",
        ),
        note(
            "method",
            "Warm-up until two windows of 5 steps agreed within 1 %, then 24 steps.",
        ),
        note(
            "counters",
            "No performance counters: the virtual machine has no PMU.",
        ),
    ]
}
