//! What is said of two arms: better, worse, the same, or nothing.
//!
//! A difference counts when it recurs from process to process, not when one process is sure of it: within one process everything that
//! its memory layout favours is favoured in every sample, so that a narrow interval may be narrow around the wrong value. So the
//! interval and the chance that are judged here come from whole processes, see [`super::effect`].

use super::Interval;

/// How sure a difference must be: the chance of a false alarm.
pub const ALPHA: f64 = 0.05;

/// Differences below this are no differences, unless somebody says another limit.
pub const MARGIN: f64 = 0.02;

/// What is said of a number. Faster and slower where it is a time or a speed, else better and worse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It improved: after correction for the number of tests, chance is ruled out with 95 %.
    Better,
    /// It got worse, as surely.
    Worse,
    /// The 95 % interval lies within the margin.
    Same,
    /// Neither: more runs or a quieter machine are needed.
    Inconclusive,
}

/// The verdict on a `gain` (above 1: better) with its 95 % interval, whose chance under no difference is `p_value`, corrected for
/// the number of tests; what stays within `margin` (0.02 for 2 %) is the same, however sure it is.
pub fn verdict(gain: Interval, p_value: f64, margin: f64) -> Verdict {
    let Interval {
        estimate,
        low,
        high,
    } = gain;
    if low >= 1.0 / (1.0 + margin) && high <= 1.0 + margin {
        Verdict::Same
    } else if p_value >= ALPHA {
        Verdict::Inconclusive
    } else if estimate > 1.0 {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

#[cfg(test)]
mod tests {
    use super::super::effect::of_pairs;
    use super::super::summary::median;
    use super::super::testing::Noise;
    use super::*;

    const PROCESSES: usize = 6;
    const RUNS: usize = 40;

    /// The medians of both arms in one process on a loaded machine: drift that both feel, noise of each, and one run in ten that is
    /// interrupted for long. `layout` is what this process favours.
    fn process(random: &mut Noise, slower: f64, layout: f64, noise: f64) -> (f64, f64) {
        let mut drift = 0.0;
        let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            drift = 0.9 * drift + 0.02 * random.normal();
            let mut time = |arm: f64| {
                let interrupted = if random.below(10) == 0 { 1.5 } else { 1.0 };
                (drift + arm + noise * random.normal()).exp() * interrupted
            };
            baseline.push(time(0.0));
            candidate.push(time(slower + layout));
        }
        (median(&baseline).unwrap(), median(&candidate).unwrap())
    }

    fn judge(processes: &[(f64, f64)]) -> Verdict {
        let (baseline, candidate): (Vec<f64>, Vec<f64>) = processes.iter().copied().unzip();
        // Of times, less is better.
        let effect = of_pairs(&baseline, &candidate).unwrap().inverse();
        verdict(effect.interval(1.0 - ALPHA), effect.p_value(), MARGIN)
    }

    /// Verdicts of 100 repetitions.
    fn repetitions(slower: f64, noise: f64, seed: u64) -> [usize; 4] {
        let mut random = Noise::new(seed);
        let mut verdicts = [0; 4];
        for _ in 0..100 {
            let processes: Vec<(f64, f64)> = (0..PROCESSES)
                .map(|_| {
                    let layout = 0.004 * random.normal();
                    process(&mut random, slower, layout, noise)
                })
                .collect();
            verdicts[judge(&processes) as usize] += 1;
        }
        verdicts
    }

    #[test]
    fn identical_code_is_hardly_ever_called_different() {
        for (noise, seed, most) in [(0.005, 1, 2), (0.02, 2, 5), (0.08, 3, 8)] {
            let [better, worse, ..] = repetitions(0.0, noise, seed);
            assert!(better + worse <= most, "{noise}: {better} + {worse} of 100");
        }
    }

    #[test]
    fn a_slowdown_of_three_per_cent_is_found() {
        for (noise, seed) in [(0.005, 4), (0.01, 5)] {
            let [better, worse, ..] = repetitions(1.03_f64.ln(), noise, seed);
            assert!(worse >= 90 && better == 0, "{noise}: {worse} of 100");
        }
    }

    #[test]
    fn quiet_identical_code_is_the_same_and_noise_is_inconclusive() {
        let [.., same, _] = repetitions(0.0, 0.002, 6);
        assert!(same >= 80, "{same} of 100");
        let [.., inconclusive] = repetitions(0.0, 0.15, 7);
        assert!(inconclusive >= 60, "{inconclusive} of 100");
    }

    #[test]
    fn one_sure_process_decides_nothing() {
        let mut random = Noise::new(8);
        let mut processes = vec![process(&mut random, 0.0, 0.0, 0.001); 5];
        processes.push(process(&mut random, 0.0, -0.12, 0.001));
        assert_eq!(judge(&processes), Verdict::Inconclusive);
    }
}
