//! What a case's rounds say, under the names of run.json.

use super::Case;
use super::rounds::{Arm, Visited, Who};
use crate::kernels::Isa;
use crate::stats::{bootstrap, compare, summary};
use crate::suites::Recorder;
use crate::suites::quantity::{GFLOPS, SHARE_OF_PEAK, SPEEDUP_OVER_BEST_PEER};

/// The rounds of one case on one number of threads.
pub(super) struct Rounds<'r, 'a, 'p> {
    pub(super) case: Case,
    pub(super) threads: usize,
    pub(super) arms: &'r [Arm<'a>],
    pub(super) peaks: &'r [Visited<'p>],
    /// Where the operands are.
    pub(super) whereabouts: &'static str,
}

impl Rounds<'_, '_, '_> {
    fn subject(&self, variant: &str) -> String {
        subject(&self.case, variant, self.threads)
    }

    /// Speed, share of the peak, and ours over the best peer.
    pub(super) fn record(&self, recorder: &mut Recorder) {
        for arm in self.arms {
            self.speed(recorder, arm);
            self.share(recorder, arm);
        }
        let peers = self
            .arms
            .iter()
            .filter(|arm| matches!(arm.who, Who::Peer(_)));
        let best = peers
            .filter_map(|arm| Some((arm, summary::median(&arm.seconds)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1));
        for arm in self.arms {
            if let (Who::Ours { packed: false, .. }, Some((peer, _))) = (&arm.who, best) {
                self.against(recorder, arm, peer);
            }
        }
    }

    fn speed(&self, recorder: &mut Recorder, arm: &Arm<'_>) {
        let speeds: Vec<f64> = arm
            .seconds
            .iter()
            .map(|seconds| self.case.flops() / seconds / 1e9)
            .collect();
        let Some(interval) = bootstrap::median_interval(&speeds, 11) else {
            let reason = "no window was completed";
            return recorder.missing(&self.subject(&arm.variant()), GFLOPS, reason);
        };
        let what = match &arm.who {
            Who::Ours { packed: false, .. } if self.case.m == 1 => {
                "vector times matrix, nothing packed".to_owned()
            }
            Who::Ours { packed: false, .. } => "both operands packed within the call".to_owned(),
            Who::Ours { packed: true, .. } => "B packed before, as weights are".to_owned(),
            Who::Peer(hands) => format!("{}, {}", hands.peer().about(), hands.place()),
        };
        let how = format!(
            "{what}; {}; median of {} windows in turns with all others",
            self.whereabouts,
            speeds.len()
        );
        recorder.measured(&self.subject(&arm.variant()), GFLOPS, interval, how);
    }

    fn share(&self, recorder: &mut Recorder, arm: &Arm<'_>) {
        let own = |isa: Isa| self.peaks.iter().find(|peak| peak.isa == isa);
        let highest = |round: usize| {
            self.peaks
                .iter()
                .filter_map(|peak| peak.flops.get(round).copied())
                .fold(f64::NAN, f64::max)
        };
        let peak = |round: usize| match &arm.who {
            Who::Ours { isa, .. } => own(*isa)
                .and_then(|peak| peak.flops.get(round).copied())
                .unwrap_or(f64::NAN),
            // Peers choose their instruction set themselves.
            Who::Peer(_) => highest(round),
        };
        let shares: Vec<f64> = arm
            .seconds
            .iter()
            .enumerate()
            .map(|(round, seconds)| self.case.flops() / seconds / peak(round))
            .collect();
        let Some(interval) = bootstrap::median_interval(&shares, 12) else {
            return;
        };
        let which = match arm.who {
            Who::Ours { .. } => "the multiply-add peak of its instruction set",
            Who::Peer(_) => "the highest multiply-add peak of any instruction set",
        };
        let how = format!("its FLOP/s over {which} on the same threads in the same round, median");
        recorder.derived(&self.subject(&arm.variant()), SHARE_OF_PEAK, interval, how);
    }

    fn against(&self, recorder: &mut Recorder, ours: &Arm<'_>, peer: &Arm<'_>) {
        let Some(comparison) = compare::paired(&peer.seconds, &ours.seconds, 13) else {
            return;
        };
        let how = format!(
            "time of {}, the fastest peer, over ours, median over {} rounds",
            peer.variant(),
            comparison.pairs
        );
        let subject = self.subject(&ours.variant());
        recorder.derived(&subject, SPEEDUP_OVER_BEST_PEER, comparison.speedup, how);
    }
}

/// `gemm.4096x384x1536.nn.avx2.t1`.
pub(super) fn subject(case: &Case, variant: &str, threads: usize) -> String {
    format!("gemm.{}.{variant}.t{threads}", case.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::peers::Layout;

    #[test]
    fn names_are_those_of_the_design() {
        let case = Case {
            m: 4096,
            k: 384,
            n: 1536,
            layout: Layout::Nn,
        };
        assert_eq!(subject(&case, "avx2", 1), "gemm.4096x384x1536.nn.avx2.t1");
    }

    #[test]
    fn shares_are_of_the_peak_of_the_same_round() {
        // The machine slows down by half in the second round; the share stays.
        let case = Case {
            m: 10,
            k: 10,
            n: 10,
            layout: Layout::Nn,
        };
        let isa = Isa::best();
        let ours = Arm {
            who: Who::Ours { isa, packed: false },
            seconds: vec![1e-6, 2e-6],
        };
        let clock = crate::measure::clock::Clock::best();
        let pool = std::sync::Arc::new(crate::parallel::Pool::new(&[0]).unwrap());
        let mut peak = crate::suites::ceilings::arithmetic::Peak::new(&clock, isa, pool);
        let peaks = [Visited {
            isa,
            peak: &mut peak,
            flops: vec![4e9, 2e9],
        }];
        let rounds = Rounds {
            case,
            threads: 1,
            arms: &[ours],
            peaks: &peaks,
            whereabouts: "",
        };
        let mut recorder = Recorder::default();
        rounds.record(&mut recorder);
        let name = |quantity: &str| format!("gemm.10x10x10.nn.{}.t1.{quantity}", isa.name());
        let share = recorder.value(&name("share_of_peak")).unwrap();
        assert!((share - 0.5).abs() < 1e-12, "{share}");
        assert!((recorder.value(&name("gflops")).unwrap() - 1.5).abs() < 1e-12);
        assert_eq!(recorder.value(&name("speedup_over_best_peer")), None);
    }
}
