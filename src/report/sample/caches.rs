//! Invented ways from CPU to CPU, misses by kernel, and slots of the pipeline.

use super::{Builder, noise};
use crate::record::Provenance;

impl Builder {
    /// A map of CPUs of which `together` share a cache.
    pub(super) fn ways(&mut self, cpus: u32, together: u32) {
        for from in 0..cpus {
            let way = |to: u32| {
                let near = from / together == to / together;
                let base = if near { 24.0 } else { 96.0 };
                (f64::from(to), base + 4.0 * noise((from + to) as usize))
            };
            let ways = (0..cpus).filter(|to| *to != from).map(way).collect();
            self.series(
                format!("memory.core_to_core.cpu{from}.nanoseconds"),
                "ns",
                "cpu",
                ways,
                "half of a round trip of a cache line",
            );
        }
    }

    /// Misses of each kernel as cachegrind would count them.
    pub(super) fn misses(&mut self) {
        let kernels = [
            ("gemm", 9.1e6, 1.3e6, 0.2e6),
            ("attention", 2.2e6, 0.4e6, 0.03e6),
            ("layernorm", 1.1e6, 0.9e6, 0.4e6),
            ("cross_entropy", 0.9e6, 0.8e6, 0.5e6),
            ("adamw", 0.8e6, 0.8e6, 0.8e6),
            ("outside_of_kernels", 0.1e6, 0.02e6, 0.01e6),
        ];
        let case = self.case;
        for (kernel, first, second, third) in kernels {
            let counts = [
                ("l1d_misses", first),
                ("l2_misses", second),
                ("l3_misses", third),
            ];
            for (count, lines) in counts {
                self.metric(
                    format!("counters.{case}.simulated.{kernel}.t1.{count}"),
                    Some(lines),
                    "count",
                    Provenance::Simulated,
                    "cachegrind, invented",
                );
            }
        }
    }

    /// The first level of the top-down method.
    pub(super) fn slots(&mut self) {
        let (case, threads) = (self.case, self.threads);
        let parts = [
            ("retiring", 0.58),
            ("bad_speculation", 0.02),
            ("front_end_bound", 0.07),
            ("back_end_bound", 0.33),
        ];
        for (part, share) in parts {
            self.metric(
                format!("counters.{case}.t{threads}.{part}"),
                Some(share),
                "ratio",
                Provenance::Derived,
                "top-down level 1, invented",
            );
        }
    }
}
