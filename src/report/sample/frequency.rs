//! Invented numbers of the suite of frequencies.

use super::Builder;
use crate::record::Provenance;

impl Builder {
    /// A matrix, courses, losses and steps.
    pub(super) fn frequency(&mut self) {
        let threads = self.threads;
        let loads = [
            ("scalar", 3.4),
            ("sse", 3.4),
            ("avx2_light", 3.4),
            ("avx2_heavy", 3.2),
            ("avx512_light", 3.2),
            ("avx512_heavy", 2.9),
        ];
        let how = "additions beside the load, windows of 30 us";
        for (load, ghz) in loads {
            for (count, share) in [(1, 1.0), (threads, 0.94)] {
                let name = format!("frequency.sustained.{load}.t{count}.ghz");
                self.metric(name, Some(ghz * share), "GHz", Provenance::Measured, how);
            }
            let points = (-20..500).map(|place| {
                let time = f64::from(place) * 6.0;
                let on = (0.0..1500.0).contains(&time);
                let dip = (0.0..18.0).contains(&time);
                let level = if on { ghz } else { 3.4 };
                (time, if dip && ghz < 3.4 { 0.4 * level } else { level })
            });
            let name = format!("frequency.switch.{load}.t1.course.ghz");
            self.series(name, "GHz", "microseconds", points.collect(), how);
            let name = format!("frequency.switch.{load}.onset.settled.t1.seconds");
            self.metric(name, Some(18e-6), "seconds", Provenance::Measured, how);
        }
        let lost = [
            ("active_cores", 0.06),
            ("licence", 0.09),
            ("power_limit", 0.0),
            ("thermal", 0.03),
            ("steal", 0.02),
            ("other_programs", 0.01),
            ("unknown", -0.005),
        ];
        for (reason, share) in lost {
            let name = format!("frequency.lost.{reason}.t{threads}.share_of_nominal");
            self.metric(name, Some(share), "ratio", Provenance::Derived, how);
        }
        let name = format!("frequency.lost.nominal.t{threads}.ghz");
        self.metric(name, Some(3.5), "GHz", Provenance::Derived, "claimed");
        for (isa, seconds, ghz) in [("avx512", 0.8, 2.9), ("avx2", 1.1, 3.2)] {
            let subject = format!("frequency.training.{isa}.t{threads}");
            for (quantity, value, unit) in [
                ("step_seconds", seconds, "seconds"),
                ("ghz", ghz, "GHz"),
                ("loss_difference", 1e-6, "nats"),
            ] {
                let name = format!("{subject}.{quantity}");
                self.metric(name, Some(value), unit, Provenance::Measured, how);
            }
        }
    }
}
