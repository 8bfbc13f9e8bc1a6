//! Invented numbers of the suites about sizes.

use super::{Builder, noise};
use crate::record::Provenance;

impl Builder {
    /// Sweeps of tuning and of scaling.
    pub(super) fn sizes(&mut self) {
        let (case, threads) = (self.case, self.threads);
        let how = "interleaved rounds, invented";
        let doubling = |count: u32| (0..count).map(|power| f64::from(1 << power));
        for (name, unit, count) in [
            ("threads".to_owned(), "threads", 3),
            (format!("t{threads}.micro_batch"), "sequences", 6),
            (format!("t{threads}.shares"), "parts", 2),
            (format!("t{threads}.batch"), "sequences", 8),
        ] {
            let points = doubling(count)
                .map(|x| (x, 5_000.0 * x / (x + 1.0) + 40.0 * noise(x as usize)))
                .collect();
            let name = format!("tuning.{case}.{name}.tokens_per_second");
            self.series(name, "tokens/s", unit, points, how);
        }
        for (name, value) in [
            ("chosen.threads", f64::from(threads)),
            ("chosen.micro_batch", 4.0),
            ("chosen.shares", 2.0),
            ("advised.batch", 16.0),
        ] {
            let name = format!("tuning.{case}.{name}");
            self.metric(name, Some(value), "count", Provenance::Derived, how);
        }
        for (name, unit, count) in [
            ("d_model", "values", 4),
            ("layers", "layers", 4),
            ("length", "tokens", 6),
            ("batch", "sequences", 9),
        ] {
            let share = |x: f64| 0.8 * x / (x + 0.7) - 0.1 * noise(x as usize);
            let mfu = doubling(count).map(|x| (x, share(x))).collect();
            let speed = doubling(count).map(|x| (x, 7e3 * share(x))).collect();
            let at = |quantity: &str| format!("scaling.{case}.t{threads}.{name}.{quantity}");
            self.series(at("mfu"), "ratio", unit, mfu, how);
            self.series(at("tokens_per_second"), "tokens/s", unit, speed, how);
        }
        let cliff = format!("scaling.{case}.cliff.batch_2_to_1.t{threads}.mfu_step");
        let why = "MFU at the batch 1 over that at 2: not explained";
        self.metric(cliff, Some(0.63), "ratio", Provenance::Derived, why);
        let point = |value: &str| format!("scaling.{case}.d_model_{value}.t{threads}.mfu");
        self.metric(point("512"), Some(0.71), "ratio", Provenance::Derived, how);
        let why = "it needs 40 GiB of memory of the 16 GiB that this process can have";
        self.metric(point("1024"), None, "ratio", Provenance::Unavailable, why);
    }
}
