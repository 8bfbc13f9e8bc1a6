//! What a contest's rounds say, under the names of run.json.

use super::{Arm, Contender, Visited};
use crate::kernels::Isa;
use crate::stats::{bootstrap, compare, summary};
use crate::suites::Recorder;
use crate::suites::quantity::{GFLOPS, Quantity, SHARE_OF_PEAK, SPEEDUP_OVER_BEST_PEER};

/// The rounds of one contest on one number of threads.
pub(in crate::suites) struct Rounds<'r, 'p, W> {
    /// Names before the variant: `gemm.64x64x64.nn`.
    pub(in crate::suites) case: String,
    pub(in crate::suites) threads: usize,
    /// Floating-point operations of the task.
    pub(in crate::suites) flops: f64,
    pub(in crate::suites) arms: &'r [Arm<W>],
    pub(in crate::suites) peaks: &'r [Visited<'p>],
    /// Where the operands are.
    pub(in crate::suites) whereabouts: &'static str,
}

/// `gemm.4096x384x1536.nn.avx2.t1`.
pub(in crate::suites) fn subject(case: &str, variant: &str, threads: usize) -> String {
    format!("{case}.{variant}.t{threads}")
}

impl<W: Contender> Rounds<'_, '_, W> {
    /// What is behind each variant's numbers.
    pub(in crate::suites) fn subject(&self, variant: &str) -> String {
        subject(&self.case, variant, self.threads)
    }

    /// Speed, share of the peak, and ours over the best peer.
    pub(in crate::suites) fn record(&self, recorder: &mut Recorder) {
        for arm in self.arms {
            self.speed(recorder, arm);
            self.share(recorder, arm);
        }
        let peers = self.arms.iter().filter(|arm| arm.who.isa().is_none());
        let best = peers
            .filter_map(|arm| Some((arm, summary::median(&arm.seconds)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1));
        let Some((peer, _)) = best else { return };
        for arm in self.arms.iter().filter(|arm| arm.who.is_fair()) {
            let how = format!(
                "time of {}, the fastest peer, over ours",
                peer.who.variant()
            );
            self.against(recorder, SPEEDUP_OVER_BEST_PEER, arm, peer, &how);
        }
    }

    fn speed(&self, recorder: &mut Recorder, arm: &Arm<W>) {
        let variant = arm.who.variant();
        let speeds: Vec<f64> = arm
            .seconds
            .iter()
            .map(|seconds| self.flops / seconds / 1e9)
            .collect();
        let Some(interval) = bootstrap::median_interval(&speeds, 11) else {
            let reason = "no round was completed";
            return recorder.missing(&self.subject(&variant), GFLOPS, reason);
        };
        let how = format!(
            "{}; {}; median of {} windows in turns with all others",
            arm.who.what(),
            self.whereabouts,
            speeds.len()
        );
        recorder.measured(&self.subject(&variant), GFLOPS, interval, how);
    }

    fn share(&self, recorder: &mut Recorder, arm: &Arm<W>) {
        let of_round = |round: usize| {
            let mine = |isa: &Isa| arm.who.isa().is_none_or(|own| own == *isa);
            self.peaks
                .iter()
                .filter(|peak| mine(&peak.isa))
                .filter_map(|peak| peak.flops.get(round).copied())
                .fold(f64::NAN, f64::max)
        };
        let shares: Vec<f64> = arm
            .seconds
            .iter()
            .enumerate()
            .map(|(round, seconds)| self.flops / seconds / of_round(round))
            .collect();
        let Some(interval) = bootstrap::median_interval(&shares, 12) else {
            return;
        };
        let which = match arm.who.isa() {
            Some(_) => "the multiply-add peak of its instruction set",
            None => "the highest multiply-add peak of any instruction set",
        };
        let how = format!("its FLOP/s over {which} on the same threads in the same round, median");
        let subject = self.subject(&arm.who.variant());
        recorder.derived(&subject, SHARE_OF_PEAK, interval, how);
    }

    /// The time of `other` over that of `arm`, round by round.
    pub(in crate::suites) fn against(
        &self,
        recorder: &mut Recorder,
        quantity: Quantity,
        arm: &Arm<W>,
        other: &Arm<W>,
        how: &str,
    ) {
        if let Some(comparison) = compare::paired(&other.seconds, &arm.seconds, 13) {
            let how = format!("{how}, median over {} rounds", comparison.pairs);
            let subject = self.subject(&arm.who.variant());
            recorder.derived(&subject, quantity, comparison.speedup, how);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::peers::Hands;

    /// Ours in an instruction set, or a peer of that name.
    enum Who {
        Ours(Isa),
        Peer(&'static str),
    }

    impl Contender for Who {
        fn variant(&self) -> String {
            match self {
                Who::Ours(isa) => isa.name().to_owned(),
                Who::Peer(name) => (*name).to_owned(),
            }
        }
        fn isa(&self) -> Option<Isa> {
            match self {
                Who::Ours(isa) => Some(*isa),
                Who::Peer(_) => None,
            }
        }
        fn hands(&self) -> Option<&Hands<'_>> {
            None
        }
        fn what(&self) -> String {
            self.variant()
        }
        fn is_fair(&self) -> bool {
            self.isa().is_some()
        }
    }

    #[test]
    fn shares_and_speedups_are_of_the_same_round() {
        // The machine slows down by half in the second round; shares and ratios stay.
        let isa = Isa::best();
        let arm = |who, seconds: [f64; 2]| Arm {
            who,
            seconds: seconds.to_vec(),
        };
        let arms = [
            arm(Who::Ours(isa), [1e-6, 2e-6]),
            arm(Who::Peer("slow"), [4e-6, 8e-6]),
            arm(Who::Peer("fast"), [1.5e-6, 3e-6]),
        ];
        let clock = crate::measure::clock::Clock::best();
        let pool = std::sync::Arc::new(crate::parallel::Pool::new(&[0]).unwrap());
        let mut peak = crate::suites::ceilings::arithmetic::Peak::new(&clock, isa, pool);
        let peaks = [Visited {
            isa,
            peak: &mut peak,
            flops: vec![4e9, 2e9],
        }];
        let rounds = Rounds {
            case: "gemm.10x10x10.nn".to_owned(),
            threads: 1,
            flops: 2e3,
            arms: &arms,
            peaks: &peaks,
            whereabouts: "",
        };
        let mut recorder = Recorder::default();
        rounds.record(&mut recorder);
        let value = |variant: &str, quantity: &str| {
            recorder.value(&format!("gemm.10x10x10.nn.{variant}.t1.{quantity}"))
        };
        let close = |got: Option<f64>, wanted: f64| {
            assert!(
                got.is_some_and(|got| (got - wanted).abs() < 1e-9),
                "{got:?} for {wanted}"
            );
        };
        close(value(isa.name(), "share_of_peak"), 0.5);
        close(value(isa.name(), "gflops"), 1.5);
        close(value(isa.name(), "speedup_over_best_peer"), 1.5);
        close(value("slow", "share_of_peak"), 0.125);
        assert_eq!(value("fast", "speedup_over_best_peer"), None);
        let how = &recorder.metrics().last().unwrap().how;
        assert!(how.contains("of fast, the fastest peer"), "{how}");
    }

    #[test]
    fn names_are_those_of_the_design() {
        assert_eq!(
            subject("gemm.4096x384x1536.nn", "avx2", 1),
            "gemm.4096x384x1536.nn.avx2.t1"
        );
    }
}
