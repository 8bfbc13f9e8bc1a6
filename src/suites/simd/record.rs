//! What the rounds of a working set say, under the names of run.json.

use super::kernels::{COPY, Kernel, READ};
use super::rounds::Arm;
use super::sets::WorkingSet;
use crate::stats::{Interval, bootstrap};
use crate::suites::Recorder;
use crate::suites::quantity::{
    BUS_GBPS, ELEMENTS_PER_CYCLE, ELEMENTS_PER_SECOND, GBPS, SHARE_OF_BANDWIDTH,
};
use crate::units::Bytes;

/// The rounds of one working set on one number of threads.
pub(super) struct Rounds<'a> {
    pub(super) set: WorkingSet,
    pub(super) threads: usize,
    /// Whether the working set lies in L1.
    pub(super) in_l1: bool,
    pub(super) arms: &'a [Arm],
}

impl Rounds<'_> {
    pub(super) fn record(&self, recorder: &mut Recorder) {
        for arm in self.arms {
            let subject = subject(arm.kernel, &self.set, arm.isa.name(), self.threads);
            let Some(rate) = bootstrap::median_interval(&arm.rates, 21) else {
                let reason = "no round was completed";
                recorder.missing(&subject, ELEMENTS_PER_SECOND, reason);
                continue;
            };
            let place = match self.set.each {
                true => format!("each thread its own {}", Bytes(self.set.bytes as f64)),
                false => format!("{} shared out", Bytes(self.set.bytes as f64)),
            };
            let how = format!(
                "{place}, again and again; sum over threads of the median of windows, median of {} rounds in turns with all others",
                arm.rates.len()
            );
            recorder.measured(&subject, ELEMENTS_PER_SECOND, rate, how);
            self.bandwidth(recorder, &subject, arm, rate);
            self.share(recorder, &subject, arm);
            self.per_cycle(recorder, &subject, arm);
        }
    }

    fn bandwidth(&self, recorder: &mut Recorder, subject: &str, arm: &Arm, rate: Interval) {
        let useful = arm.kernel.useful_bytes();
        let how =
            format!("elements a second by {useful:.0} bytes that are read and written for one");
        recorder.derived(subject, GBPS, rate.map(|rate| rate * useful / 1e9), how);
        let bus = arm.kernel.bus_bytes(self.in_l1);
        let how = if bus > useful {
            format!(
                "the same with {:.0} bytes that are fetched only to be overwritten",
                bus - useful
            )
        } else {
            "the same: nothing is fetched only to be overwritten".to_owned()
        };
        recorder.derived(subject, BUS_GBPS, rate.map(|rate| rate * bus / 1e9), how);
    }

    /// The kernel's traffic over that of the best plain read or copy of the same round.
    fn share(&self, recorder: &mut Recorder, subject: &str, arm: &Arm) {
        let ceiling = if arm.kernel.writes > 0.0 { COPY } else { READ };
        if arm.kernel.name == ceiling.name {
            return;
        }
        let traffic = |arm: &Arm, round: usize| {
            let rate = arm.rates.get(round).copied().unwrap_or(f64::NAN);
            rate * arm.kernel.bus_bytes(self.in_l1)
        };
        let best = |round: usize| {
            self.arms
                .iter()
                .filter(|other| other.kernel.name == ceiling.name)
                .map(|other| traffic(other, round))
                .fold(f64::NAN, f64::max)
        };
        let shares: Vec<f64> = (0..arm.rates.len())
            .map(|round| traffic(arm, round) / best(round))
            .collect();
        if let Some(interval) = bootstrap::median_interval(&shares, 22) {
            let how = format!(
                "its bus traffic over that of the fastest {} of the same working set, threads and round; above one, its mix of loads and stores suits the machine better",
                ceiling.name
            );
            recorder.derived(subject, SHARE_OF_BANDWIDTH, interval, how);
        }
    }

    fn per_cycle(&self, recorder: &mut Recorder, subject: &str, arm: &Arm) {
        let cycles: Vec<f64> = arm
            .rates
            .iter()
            .zip(&arm.hertz)
            .map(|(rate, hertz)| rate / hertz / self.threads as f64)
            .collect();
        if let Some(interval) = bootstrap::median_interval(&cycles, 23) {
            let how = "elements a second over the frequency between the windows and the number of threads";
            recorder.derived(subject, ELEMENTS_PER_CYCLE, interval, how);
        }
    }
}

/// `simd.gelu.256k.avx2.t1`.
pub(super) fn subject(kernel: &Kernel, set: &WorkingSet, isa: &str, threads: usize) -> String {
    format!("simd.{}.{}.{isa}.t{threads}", kernel.name, set.name)
}

#[cfg(test)]
mod tests {
    use super::super::kernels::KERNELS;
    use super::super::sets::SETS;
    use super::*;
    use crate::kernels::Isa;

    #[test]
    fn shares_compare_traffic_of_the_same_round() {
        let isa = Isa::best();
        let arm = |name: &str, rates: [f64; 2]| {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name).unwrap();
            let mut arm = Arm::new(kernel, isa);
            arm.rates = rates.to_vec();
            arm.hertz = vec![2e9; 2];
            arm
        };
        // In memory a copy moves 12 bytes an element and AdamW 32.
        let arms = [
            arm("read", [6e9, 3e9]),
            arm("copy", [2e9, 1e9]),
            arm("adamw", [0.6e9, 0.3e9]),
            arm("sum_of_squares", [3e9, 1.5e9]),
        ];
        let mut recorder = Recorder::default();
        Rounds {
            set: SETS[3],
            threads: 2,
            in_l1: false,
            arms: &arms,
        }
        .record(&mut recorder);
        let value = |kernel: &str, quantity: &str| {
            let name = format!("simd.{kernel}.512m.{}.t2.{quantity}", isa.name());
            recorder.value(&name)
        };
        let close = |got: Option<f64>, wanted: f64| {
            assert!(
                got.is_some_and(|got| (got - wanted).abs() < 1e-9),
                "{got:?} for {wanted}"
            );
        };
        close(value("adamw", "share_of_bandwidth"), 0.8);
        close(value("sum_of_squares", "share_of_bandwidth"), 0.5);
        close(value("copy", "gbps"), 12.0);
        close(value("copy", "bus_gbps"), 18.0);
        close(value("adamw", "elements_per_cycle"), 0.1125);
        assert_eq!(value("copy", "share_of_bandwidth"), None);
    }
}
