//! A verdict over several processes: a difference counts when it recurs, not when one process is sure of it.
//!
//! Within one process everything that its memory layout favours is favoured in every pair, so that a narrow interval may be narrow
//! around the wrong value; another process is laid out anew. Each process votes, and all but one must agree.

use super::compare::Comparison;

/// What several processes say of two arms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The second arm is faster by more than the gate.
    Faster,
    /// It is slower by more than the gate.
    Slower,
    /// They differ by less than the gate.
    Same,
    /// The processes disagree: more of them are needed.
    Undecided,
}

/// Processes that a verdict needs: of fewer, chance alone makes all but one agree too often.
pub const FEWEST: usize = 5;

/// The verdict of several processes that compared the same two arms, for changes larger than `gate` (0.01 for 1 %).
///
/// A process votes for faster or slower when its estimate lies beyond the gate and its interval does not contain "the same". All but
/// one of the processes must vote alike. [`Verdict::Same`] needs all but one of the estimates within the gate, and a median within half
/// of it; everything else, and fewer processes than [`FEWEST`], is undecided.
pub fn recurring(processes: &[Comparison], gate: f64) -> Verdict {
    if processes.len() < FEWEST {
        return Verdict::Undecided;
    }
    let beyond = gate.ln_1p();
    let votes = |verdict: Verdict| {
        let votes = processes.iter().filter(|one| vote(one, beyond) == verdict);
        votes.count() + 1 >= processes.len()
    };
    for verdict in [Verdict::Faster, Verdict::Slower] {
        if votes(verdict) {
            return verdict;
        }
    }
    let mut estimates: Vec<f64> = processes
        .iter()
        .map(|one| one.speedup.estimate.ln())
        .collect();
    estimates.sort_by(f64::total_cmp);
    let median = estimates[estimates.len() / 2];
    if votes(Verdict::Same) && median.abs() <= beyond / 2.0 {
        Verdict::Same
    } else {
        Verdict::Undecided
    }
}

fn vote(one: &Comparison, beyond: f64) -> Verdict {
    let estimate = one.speedup.estimate.ln();
    match () {
        () if estimate > beyond && one.speedup.low > 1.0 => Verdict::Faster,
        () if estimate < -beyond && one.speedup.high < 1.0 => Verdict::Slower,
        () if estimate.abs() <= beyond => Verdict::Same,
        () => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Interval;
    use super::super::testing::Noise;
    use super::*;

    const GATE: f64 = 0.01;
    const PROCESSES: usize = 6;
    const PAIRS: usize = 40;

    /// Times of both arms in one process on a loaded machine: drift that both feel, noise of each, and one run in ten that is
    /// interrupted for long. `layout` is what this process favours.
    fn process(random: &mut Noise, slower: f64, layout: f64, noise: f64) -> Comparison {
        let mut drift = 0.0;
        let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            drift = 0.9 * drift + 0.02 * random.normal();
            let mut time = |arm: f64| {
                let interrupted = if random.below(10) == 0 { 1.5 } else { 1.0 };
                (drift + arm + noise * random.normal()).exp() * interrupted
            };
            baseline.push(time(0.0));
            candidate.push(time(slower + layout));
        }
        comparison(&baseline, &candidate)
    }

    /// The median of the ratios with its 96 % interval by order statistics of 40 pairs: thousands of bootstraps would take a minute.
    fn comparison(baseline: &[f64], candidate: &[f64]) -> Comparison {
        let pairs = baseline.iter().zip(candidate);
        let mut ratios: Vec<f64> = pairs
            .map(|(baseline, candidate)| baseline / candidate)
            .collect();
        ratios.sort_by(f64::total_cmp);
        Comparison {
            speedup: Interval {
                estimate: ratios[PAIRS / 2],
                low: ratios[13],
                high: ratios[26],
            },
            pairs: PAIRS,
            p_value: f64::NAN,
        }
    }

    /// Verdicts of 100 repetitions.
    fn repetitions(slower: f64, noise: f64, seed: u64) -> [usize; 4] {
        let mut random = Noise::new(seed);
        let mut verdicts = [0; 4];
        for _ in 0..100 {
            let processes: Vec<Comparison> = (0..PROCESSES)
                .map(|_| {
                    let layout = 0.004 * random.normal();
                    process(&mut random, slower, layout, noise)
                })
                .collect();
            let place = match recurring(&processes, GATE) {
                Verdict::Faster => 0,
                Verdict::Slower => 1,
                Verdict::Same => 2,
                Verdict::Undecided => 3,
            };
            verdicts[place] += 1;
        }
        verdicts
    }

    #[test]
    fn identical_code_is_hardly_ever_called_different() {
        for (noise, seed) in [(0.005, 1), (0.02, 2), (0.08, 3)] {
            let [faster, slower, ..] = repetitions(0.0, noise, seed);
            assert!(faster + slower <= 5, "{noise}: {faster} + {slower} of 100");
        }
    }

    #[test]
    fn a_slowdown_of_three_per_cent_is_found() {
        for (noise, seed) in [(0.005, 4), (0.02, 5)] {
            let [faster, slower, ..] = repetitions(1.03_f64.ln(), noise, seed);
            assert!(slower >= 90 && faster == 0, "{noise}: {slower} of 100");
        }
    }

    #[test]
    fn quiet_identical_code_is_the_same_and_noise_is_undecided() {
        let [.., same, _] = repetitions(0.0, 0.002, 6);
        assert!(same >= 80, "{same} of 100");
        let [.., undecided] = repetitions(0.0, 0.15, 7);
        assert!(undecided >= 60, "{undecided} of 100");
    }

    #[test]
    fn one_sure_process_decides_nothing() {
        let mut random = Noise::new(8);
        let sure = process(&mut random, 0.0, -0.12, 0.001);
        assert!(sure.speedup.low > 1.1);
        assert_eq!(recurring(&[sure; 4], GATE), Verdict::Undecided);
        let mut processes = vec![process(&mut random, 0.0, 0.0, 0.001); 5];
        processes.push(sure);
        assert_eq!(recurring(&processes, GATE), Verdict::Same);
    }
}
