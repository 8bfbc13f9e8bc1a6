//! Invented numbers of the suite of several processes.

use super::Builder;
use crate::record::{Member, Provenance};

impl Builder {
    /// Four ranks, of which the third is slow.
    pub(super) fn fleet(&mut self) {
        let machine = self.run.machine.summary.clone();
        let member = |rank: u32| Member {
            name: format!("host-{rank}, process {}", 4000 + rank),
            machine: machine.clone(),
            metrics: Vec::new(),
        };
        self.run.fleet = (0..4).map(member).collect();
        let sizes = (8..=26).step_by(2).map(|octave| f64::from(1 << octave));
        let seconds = |bytes: f64| 6.0 * 20e-6 + 1.5 * bytes / 1.1e9;
        let how = "a message of f32 added up over 4 ranks";
        let points: Vec<_> = sizes.map(|bytes| (bytes, seconds(bytes))).collect();
        self.series(
            "fleet.all_reduce.r4.t1.seconds".to_owned(),
            "seconds",
            "bytes",
            points,
            how,
        );
        let how = "fitted to the sums of all sizes";
        for (name, value, unit) in [("latency_seconds", 20e-6, "seconds"), ("gbps", 1.1, "GB/s")] {
            let name = format!("fleet.network.r4.t1.{name}");
            self.metric(name, Some(value), unit, Provenance::Derived, how);
        }
        let subject = |way: &str| format!("fleet.autoregressive_training_small.{way}.r4.t2");
        let by_rank = |values: [f64; 4]| {
            values
                .into_iter()
                .enumerate()
                .map(|(rank, y)| (rank as f64, y))
                .collect()
        };
        for (what, quantity, unit, values) in [
            ("compute", "gflops", "GFLOP/s", [261.0, 262.5, 190.0, 259.0]),
            ("memory", "gbps", "GB/s", [31.0, 30.5, 30.8, 31.2]),
            ("latency", "nanoseconds", "ns", [95.0, 96.5, 99.0, 94.2]),
        ] {
            let name = format!("fleet.host_{what}.r4.t2.by_rank.{quantity}");
            self.series(
                name,
                unit,
                "rank",
                by_rank(values),
                "the ceiling of each rank",
            );
        }
        let name = format!("{}.step_seconds", subject("alone"));
        self.metric(
            name,
            Some(1.02),
            "seconds",
            Provenance::Measured,
            "each alone",
        );
        let name = format!("{}.by_rank.step_seconds", subject("alone"));
        self.series(
            name,
            "seconds",
            "rank",
            by_rank([0.80, 0.81, 1.02, 0.80]),
            "median step alone",
        );
        for (way, waiting, efficiency) in [("weak", 0.05, 0.93), ("strong", 0.11, 0.61)] {
            let name = format!("{}.waiting.by_rank.seconds", subject(way));
            let points = by_rank([waiting + 0.2, waiting + 0.2, waiting, waiting + 0.21]);
            self.series(
                name,
                "seconds",
                "rank",
                points,
                "median of waiting for sums",
            );
            let step = 1.02 / efficiency * if way == "weak" { 1.0 } else { 0.25 };
            for (name, value, unit) in [
                ("efficiency", efficiency, "ratio"),
                ("communication_share", waiting, "ratio"),
                ("step_seconds", step, "seconds"),
                ("overlap", 0.8, "ratio"),
                ("prediction_error", -0.031, "ratio"),
            ] {
                let name = format!("{}.{name}", subject(way));
                self.metric(
                    name,
                    Some(value),
                    unit,
                    Provenance::Derived,
                    "over ranks alone",
                );
            }
            let name = format!("{}.seconds", subject(&format!("{way}_summing")));
            self.metric(
                name,
                Some(0.11),
                "seconds",
                Provenance::Derived,
                "all sums of a step",
            );
        }
    }
}
