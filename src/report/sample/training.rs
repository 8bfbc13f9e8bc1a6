//! The invented numbers of a training case.

use super::{Builder, noise};
use crate::record::{OPTIMIZATIONS, Provenance};

impl Builder {
    /// Every metric and curve of the case, as the training suite writes them.
    pub(super) fn training(&mut self, tokens_per_second: f64, mfu: f64) {
        use Provenance::{Derived, Estimated, Measured};
        let (case, threads) = (self.case, self.threads);
        let at = |quantity: &str| format!("training.{case}.t{threads}.{quantity}");
        let step = 4096.0 / tokens_per_second;
        let how = "median of 24 steps of 32 x 128 tokens, bootstrap over steps";
        self.metric(
            at("tokens_per_second"),
            Some(tokens_per_second),
            "tokens/s",
            Measured,
            how,
        );
        self.metric(at("step_seconds"), Some(step), "seconds", Measured, how);
        self.metric(
            at("mfu"),
            Some(mfu),
            "ratio",
            Derived,
            "model FLOPs a second over the FMA peak of the same threads",
        );
        let gflops = tokens_per_second * 25.6e6 / 1e9;
        self.metric(
            at("gflops"),
            Some(gflops),
            "GFLOP/s",
            Derived,
            "model FLOPs over measured time",
        );
        self.metric(
            at("peak_rss_bytes"),
            Some(231.6e6),
            "bytes",
            Measured,
            "VmHWM of the process",
        );
        self.metric(
            at("planned_bytes"),
            Some(212.0e6),
            "bytes",
            Estimated,
            "sum of the arenas",
        );
        self.metric(
            at("loss"),
            Some(5.4312),
            "nats",
            Measured,
            "training loss of the last step",
        );
        self.metric(
            at("validation_loss"),
            Some(5.5127),
            "nats",
            Measured,
            "mean over the held-out tokens",
        );
        self.metric(
            at("unigram_entropy"),
            Some(6.8741),
            "nats",
            Derived,
            "entropy of token frequencies in the training text",
        );
        self.operators(step, gflops);
        self.ledger();
        self.losses(mfu);
        self.learning(step);
        self.memory();
        self.counters();
    }

    fn ledger(&mut self) {
        use Provenance::{Derived, Estimated, Unavailable};
        let (case, threads) = (self.case, self.threads);
        for (index, (id, _)) in OPTIMIZATIONS.iter().enumerate() {
            let at = |quantity: &str| format!("ledger.{case}.{id}.t{threads}.{quantity}");
            let factor = [7.9, 1.9, 1.02, 4.4, 0.99, 1.12, 1.31, 1.07, 1.2, 6.4, 118.0][index];
            let how = "time with the simple path over time of the whole program, invented";
            match *id {
                "machine_sizes" => {
                    let reason = "it is off anyway: the whole batch is one micro-batch";
                    self.metric(at("speedup"), None, "ratio", Unavailable, reason);
                }
                _ => self.metric(at("speedup"), Some(factor), "ratio", Derived, how),
            }
            let claim = [1.1, 2.17, 0.0, 0.0, 0.0, 0.0, 1.25, 1.12, 2.4, 31.0, 2.17][index];
            let claim = Some(claim).filter(|claim| *claim > 0.0);
            let provenance = claim.map_or(Unavailable, |_| Estimated);
            let how = "claimed by the seed, or named without a figure";
            self.metric(at("claimed"), claim, "ratio", provenance, how);
        }
    }

    fn operators(&mut self, step: f64, gflops: f64) {
        let (case, threads) = (self.case, self.threads);
        let rows = [
            ("embedding", "forward", 0.004, 0.0, 0.1),
            ("layernorm", "forward", 0.011, 0.18, 0.9),
            ("qkv", "forward", 0.066, 1.13, 38.0),
            ("attention", "forward", 0.052, 0.78, 14.0),
            ("attention_out", "forward", 0.022, 1.1, 28.0),
            ("mlp_up", "forward", 0.046, 1.14, 42.0),
            ("mlp_down", "forward", 0.047, 1.12, 41.0),
            ("head", "forward", 0.083, 1.17, 96.0),
            ("embedding", "backward", 0.006, 0.02, 0.2),
            ("layernorm", "backward", 0.019, 0.16, 0.7),
            ("qkv", "backward", 0.128, 1.08, 36.0),
            ("attention", "backward", 0.101, 0.72, 11.0),
            ("attention_out", "backward", 0.044, 1.05, 26.0),
            ("mlp_up", "backward", 0.091, 1.1, 40.0),
            ("mlp_down", "backward", 0.09, 1.11, 41.5),
            ("head", "backward", 0.163, 1.15, 88.0),
            ("clip", "optimizer", 0.002, 0.08, 0.25),
            ("adamw", "optimizer", 0.013, 0.12, 0.5),
            ("pack", "optimizer", 0.003, 0.0, 0.0),
        ];
        for (operator, pass, share, speed, intensity) in rows {
            let at =
                |quantity: &str| format!("training.{case}.{operator}.{pass}.t{threads}.{quantity}");
            self.metric(
                at("step_seconds"),
                Some(step * share),
                "seconds",
                Provenance::Measured,
                "time-stamp counter around the operator, median over steps",
            );
            self.metric(
                at("gflops"),
                Some(gflops * speed),
                "GFLOP/s",
                Provenance::Derived,
                "declared FLOPs over measured time",
            );
            self.metric(
                at("intensity"),
                Some(intensity),
                "FLOP/byte",
                Provenance::Estimated,
                "declared FLOPs over declared bytes",
            );
            self.metric(
                at("share_of_step"),
                Some(share),
                "ratio",
                Provenance::Derived,
                "time of the operator over time of the step",
            );
        }
    }

    fn losses(&mut self, mfu: f64) {
        let (case, threads) = (self.case, self.threads);
        let rows = [
            (
                "attention_below_peak",
                0.38,
                "Attention runs at 64 % of peak: heads of 48 leave part of each register tile empty. Heads of 64 would give back about half of it.",
            ),
            (
                "adamw_bandwidth",
                0.06,
                "AdamW moves 28 bytes a parameter and reaches 93 % of the DRAM bandwidth. A larger batch spreads it over more tokens.",
            ),
            (
                "parallel_loss",
                0.22,
                "Two threads are 1.86 times as fast as one: they wait for each other at 34 barriers a step and share the L3 cache.",
            ),
            (
                "elementwise",
                0.14,
                "LayerNorm and the embedding are limited by bandwidth. Fusing them into packing would save one pass over the activations.",
            ),
            (
                "stolen",
                0.07,
                "The hypervisor ran somebody else on these CPUs: 1.9 s of the 60.0 s that the threads had in 24 steps.",
            ),
            (
                "small_gemm",
                0.05,
                "The output projection is too small to fill both cores.",
            ),
        ];
        for (reason, part, how) in rows {
            let name = format!("training.{case}.lost.{reason}.t{threads}.share_of_step");
            self.metric(
                name,
                Some((1.0 - mfu) * part),
                "ratio",
                Provenance::Derived,
                how,
            );
        }
    }

    fn learning(&mut self, step: f64) {
        let (case, threads) = (self.case, self.threads);
        let at = |quantity: &str| format!("training.{case}.t{threads}.{quantity}");
        let loss = |x: f64| 5.2 + 4.0 * (-x / 22.0).exp();
        let training = (0..120)
            .map(|x| {
                (
                    f64::from(x),
                    loss(f64::from(x)) + (noise(x as usize) - 0.5) * 0.16,
                )
            })
            .collect();
        self.series(
            at("loss"),
            "nats",
            "step",
            training,
            "mean cross-entropy of the batch",
        );
        let validation = (0..=6)
            .map(|x| f64::from(x) * 20.0)
            .map(|x| (x, loss(x) + 0.09))
            .collect();
        self.series(
            at("validation_loss"),
            "nats",
            "step",
            validation,
            "mean cross-entropy of the held-out tokens",
        );
        let jitter = |x: usize| {
            1.0 + noise(x + 400) * 0.012 + if x % 29 == 13 { 0.05 * noise(x) } else { 0.0 }
        };
        let times = (0..120).map(|x| (x as f64, step * jitter(x))).collect();
        self.series(
            at("step_seconds"),
            "seconds",
            "step",
            times,
            "wall time of each step after warm-up",
        );
        self.scaling();
    }

    fn scaling(&mut self) {
        let (case, threads) = (self.case, self.threads);
        let counts: Vec<u32> = (0..)
            .map(|power| 1 << power)
            .take_while(|count| *count <= threads)
            .collect();
        let speedup = |n: f64| 1.0 / (0.035 + 0.965 / n);
        let points = |value: fn(f64, f64) -> f64| {
            counts
                .iter()
                .map(|n| f64::from(*n))
                .map(|n| (n, value(speedup(n), n)))
                .collect()
        };
        self.series(
            format!("training.{case}.speedup"),
            "ratio",
            "threads",
            points(|s, _| s),
            "T1 over TN, both measured",
        );
        self.series(
            format!("training.{case}.thread_efficiency"),
            "ratio",
            "threads",
            points(|s, n| s / n),
            "speed-up over threads",
        );
        self.metric(
            format!("training.{case}.amdahl.serial_fraction"),
            Some(0.035),
            "ratio",
            Provenance::Derived,
            "least squares over the speed-ups",
        );
        let parts = [
            ("serial", 0.31),
            ("waiting", 0.27),
            ("frequency", 0.18),
            ("smt", -0.02),
            ("memory", 0.22),
        ];
        for n in counts.iter().filter(|n| **n > 1) {
            let lost = 1.0 - speedup(f64::from(*n)) / f64::from(*n);
            let name =
                |reason: &str| format!("training.{case}.threads.{reason}.t{n}.share_of_threads");
            for (reason, part) in parts {
                let how = "a part of what more threads lose, invented";
                self.metric(
                    name(reason),
                    Some(lost * part),
                    "ratio",
                    Provenance::Derived,
                    how,
                );
            }
            let how = "/proc/stat: Permission denied; what it took is in the other reasons";
            self.metric(name("others"), None, "ratio", Provenance::Unavailable, how);
        }
    }

    fn memory(&mut self) {
        let case = self.case;
        let rows = [
            ("parameters", 24.8e6),
            ("gradients", 24.8e6),
            ("moments", 49.6e6),
            ("activations", 86.1e6),
            ("workspace", 22.4e6),
            ("tokens", 4.3e6),
        ];
        for (role, bytes) in rows {
            self.metric(
                format!("memory.{case}.{role}.bytes"),
                Some(bytes),
                "bytes",
                Provenance::Estimated,
                "planned before the first step",
            );
        }
        let used = (0..120)
            .map(|x| (f64::from(x), 231.0e6 + if x == 0 { -3e6 } else { 0.6e6 }))
            .collect();
        self.series(
            format!("memory.{case}.rss_bytes"),
            "bytes",
            "step",
            used,
            "VmRSS after each step",
        );
    }

    fn counters(&mut self) {
        let (case, threads) = (self.case, self.threads);
        let at = |counter: &str| format!("counters.{case}.t{threads}.{counter}");
        self.metric(
            at("page_faults"),
            Some(1312.0),
            "count",
            Provenance::Measured,
            "minor faults in the measured steps, getrusage",
        );
        self.metric(
            at("context_switches"),
            Some(204.0),
            "count",
            Provenance::Measured,
            "involuntary, getrusage",
        );
        self.metric(
            at("steal_ratio"),
            Some(0.0021),
            "ratio",
            Provenance::Measured,
            "time that the host gave to others, /proc/stat",
        );
        for counter in [
            "cycles",
            "instructions",
            "l1d_misses",
            "l2_misses",
            "l3_misses",
        ] {
            self.metric(
                at(counter),
                None,
                "count",
                Provenance::Unavailable,
                "perf_event_open: no such device; the virtual machine has no performance counters",
            );
        }
    }
}
