//! Rounds in which somebody had stopped the program: their steps took as long as it stood still, and belong to no average.

use super::findings::Arm;
use crate::units::Seconds;

/// Takes the rounds in which the program stood still out of every arm, so that the arms stay comparable; what is to be said of it, where
/// there were any. Where there is no other round, nothing is taken out.
pub(super) fn leave_out(arms: &mut [&mut Arm]) -> Option<String> {
    let rounds = arms.iter().map(|arm| arm.taken.len()).min()?;
    let halts: Vec<(usize, f64)> = arms.iter().flat_map(|arm| halts(arm)).collect();
    let (longest, seconds) = halts
        .iter()
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    let whole: Vec<usize> = (0..rounds)
        .filter(|round| halts.iter().all(|(halted, _)| halted != round))
        .collect();
    let what = format!(
        "the program stood still during {} of {rounds} rounds of steps, for {} in round {}: it was stopped by a signal, or frozen",
        rounds - whole.len(),
        Seconds(*seconds),
        longest + 1
    );
    if whole.is_empty() {
        return Some(format!(
            "{what}. There is no other round: the times hold it."
        ));
    }
    for arm in arms {
        keep(arm, &whole);
    }
    Some(format!("{what}. These rounds are left out."))
}

/// The rounds in which the program stood still, with the seconds.
fn halts(arm: &Arm) -> impl Iterator<Item = (usize, f64)> {
    let rounds = arm.taken.iter().enumerate();
    rounds.filter_map(|(round, taken)| Some((round, taken.stood_still()?)))
}

/// Keeps the steps of these rounds alone; peaks and frequencies were seen between the steps.
fn keep(arm: &mut Arm, rounds: &[usize]) {
    fn of<T: Clone>(all: &mut Vec<T>, rounds: &[usize]) {
        *all = rounds.iter().map(|round| all[*round].clone()).collect();
    }
    of(&mut arm.seconds, rounds);
    of(&mut arm.steps, rounds);
    of(&mut arm.operators, rounds);
    of(&mut arm.taken, rounds);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::training::findings::sample;

    /// Two arms of eight rounds, of which the given ones were stopped for five seconds.
    fn left_out(halted: &[(usize, usize)]) -> (Vec<Arm>, Option<String>) {
        let mut arms = sample::findings().arms;
        for (arm, round) in halted {
            let taken = &mut arms[*arm].taken[*round];
            (taken.halted, taken.seconds) = (Ok(5.0), 6.0);
            arms[*arm].seconds[*round] += 5.0;
        }
        let text = leave_out(&mut arms.iter_mut().collect::<Vec<_>>());
        (arms, text)
    }

    #[test]
    fn a_stopped_round_is_told_and_not_averaged() {
        let before = sample::findings().arms;
        let (arms, text) = left_out(&[(1, 2), (0, 5)]);
        for (arm, before) in arms.iter().zip(&before) {
            assert!(arm.seconds.iter().all(|seconds| *seconds < 3.0));
            assert_eq!(
                arm.steps[..3],
                [before.steps[0], before.steps[1], before.steps[3]]
            );
            let lengths = [
                arm.seconds.len(),
                arm.steps.len(),
                arm.operators.len(),
                arm.taken.len(),
            ];
            assert_eq!(lengths, [6; 4], "arms stay equally long");
        }
        let text = text.unwrap();
        for part in ["2 of 8 rounds", "5.00 s in round", "left out"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_was_not_stopped_stays_as_it_is() {
        let (arms, text) = left_out(&[]);
        assert_eq!(text, None);
        assert_eq!(arms[0].seconds, sample::findings().arms[0].seconds);
        let every: Vec<_> = (0..8).map(|round| (0, round)).collect();
        let (arms, text) = left_out(&every);
        assert_eq!(arms[0].seconds.len(), 8);
        assert!(text.unwrap().contains("no other round"));
    }
}
