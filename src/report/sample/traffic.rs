//! Invented numbers of the suite of memory.

use super::Builder;
use crate::record::Provenance;

impl Builder {
    /// Staircases, levels, latency under load, and two nodes.
    pub(super) fn traffic(&mut self) {
        let operations = ["read", "write", "copy", "scale", "add", "triad"];
        for (index, operation) in operations.into_iter().enumerate() {
            for past in ["", "_nt"] {
                if past.is_empty() || operation != "read" {
                    self.stream(&format!("{operation}{past}"), 1.0 - 0.1 * index as f64);
                }
            }
        }
        let threads = self.threads;
        for (pages, price) in [("2mb", 0.0), ("4kb", 30.0)] {
            let points = sizes().map(|x| (x, 1.5 + x.log2() + price * (x / 1e8)));
            self.series(
                format!("memory.latency.{pages}.t{threads}.staircase.nanoseconds"),
                "ns",
                "bytes",
                points.collect(),
                "a random cycle of lines",
            );
        }
        for (pages, latency) in [("2mb", 95.0), ("4kb", 130.0)] {
            let name = format!("memory.latency.{pages}.dram.t1.nanoseconds");
            let how = "a random cycle of lines";
            self.metric(name, Some(latency), "ns", Provenance::Measured, how);
        }
        for (load, most) in [("read", 14.0), ("copy_nt", 11.0)] {
            let points = (0..10).map(|step| {
                let share = f64::from(step) / 10.0;
                (most * share, 95.0 / (1.05 - share))
            });
            self.series(
                format!("memory.loaded.{load}.t{threads}.nanoseconds"),
                "ns",
                "GB/s",
                points.collect(),
                "one thread follows a chain while the others load",
            );
        }
        for (reader, home) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let own = reader == home;
            let pair = format!("memory.numa.n{reader}.n{home}");
            let (gbps, latency) = if own { (90.0, 95.0) } else { (40.0, 160.0) };
            for (quantity, value, unit) in [("gbps", gbps, "GB/s"), ("nanoseconds", latency, "ns")]
            {
                let how = "memory that a thread of the node touched first";
                let name = format!("{pair}.{quantity}");
                self.metric(name, Some(value), unit, Provenance::Measured, how);
            }
        }
    }

    /// One operation, `fast` as a share of reading.
    fn stream(&mut self, name: &str, fast: f64) {
        let threads = self.threads;
        let points = sizes().map(|x| (x, fast * 400.0 / (1.0 + x / 4e5)));
        self.series(
            format!("memory.{name}.2mb.t{threads}.staircase.gbps"),
            "GB/s",
            "bytes",
            points.collect(),
            "2 MB pages, all threads",
        );
        for (level, gbps) in [("l1", 380.0), ("l2", 130.0), ("l3", 40.0), ("dram", 14.0)] {
            let subject = format!("memory.{name}.{level}.avx512.t{threads}");
            let how = "sum over threads of the median of windows";
            for (quantity, factor) in [("gbps", 1.0), ("bus_gbps", 1.5)] {
                let value = Some(gbps * fast * factor);
                let name = format!("{subject}.{quantity}");
                self.metric(name, value, "GB/s", Provenance::Measured, how);
            }
        }
    }
}

fn sizes() -> impl Iterator<Item = f64> {
    (0..=16).map(|octave| 4096.0 * 2f64.powi(octave))
}
