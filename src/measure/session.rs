//! The plan of a measurement: warm up until two windows agree, then run the arms interleaved, equally often, within a budget.
//!
//! Arms measured one after the other turn drift into differences (38 % between two identical workloads, in nanobench's own
//! documentation). Here each round runs every arm once. Rounds come in blocks as long as there are arms, each block a cyclic Latin square, so
//! that every arm takes every place once; blocks alternate with their mirror image in the order of Thue and Morse, which for two arms
//! is ABBA BAAB and cancels drift of the first, second and third order.

use super::clock::Clock;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Each arm runs at least so often, whatever it takes.
    pub fewest_rounds: usize,
    /// And never more often.
    pub most_rounds: usize,
    /// No round begins after so many seconds, once the fewest are done.
    pub budget_seconds: f64,
    /// When an arm is warm.
    pub warm_up: WarmUp,
}

/// When an arm is warm: its last two runs agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// Largest relative difference between two successive runs that counts as agreement.
    pub agreement: f64,
    /// Runs after which it is taken as warm in any case.
    pub most_runs: usize,
}

/// What one arm gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Seconds of each run, by round.
    pub seconds: Vec<f64>,
    /// Runs that warmed it up.
    pub warm_up_runs: usize,
    /// Whether the warm-up ended because two runs agreed.
    pub settled: bool,
}

/// Runs the arms as planned: the samples of each, equally many, in the order given. `stop` is asked before each run; if it says
/// yes, the rounds completed so far are the result and the round begun is dropped, so that arms stay comparable.
///
/// # Errors
/// The first error of an arm ends the measurement.
pub fn run_interleaved<E>(
    arms: &mut [&mut dyn FnMut() -> Result<(), E>],
    plan: &Plan,
    clock: &Clock,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<Samples>, E> {
    let mut all = Vec::with_capacity(arms.len());
    for arm in arms.iter_mut() {
        all.push(warm_up(*arm, &plan.warm_up, clock, stop)?);
    }
    let start = clock.now();
    for round in 0..plan.most_rounds {
        if round >= plan.fewest_rounds && clock.since(start) >= plan.budget_seconds {
            break;
        }
        for place in 0..arms.len() {
            if stop() {
                all.iter_mut()
                    .for_each(|samples| samples.seconds.truncate(round));
                return Ok(all);
            }
            let arm = at(arms.len(), round, place);
            let begin = clock.now();
            arms[arm]()?;
            all[arm].seconds.push(clock.since(begin));
        }
    }
    Ok(all)
}

fn warm_up<E>(
    arm: &mut dyn FnMut() -> Result<(), E>,
    plan: &WarmUp,
    clock: &Clock,
    stop: &dyn Fn() -> bool,
) -> Result<Samples, E> {
    let mut samples = Samples::default();
    let mut last = f64::INFINITY;
    while samples.warm_up_runs < plan.most_runs && !samples.settled && !stop() {
        let begin = clock.now();
        arm()?;
        let seconds = clock.since(begin);
        samples.warm_up_runs += 1;
        samples.settled = agree(last, seconds, plan.agreement);
        last = seconds;
    }
    Ok(samples)
}

/// Whether two durations differ by at most `agreement` of the longer one.
pub fn agree(one: f64, other: f64, agreement: f64) -> bool {
    one.is_finite() && other.is_finite() && (one - other).abs() <= agreement * one.max(other)
}

/// Which of `arms` runs at `place` of `round`.
pub fn at(arms: usize, round: usize, place: usize) -> usize {
    let (block, row) = (round / arms, round % arms);
    let arm = (row + place) % arms;
    let mirrored = block.count_ones() % 2 == 1;
    if mirrored { arms - 1 - arm } else { arm }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::convert::Infallible;

    const PLAN: Plan = Plan {
        fewest_rounds: 4,
        most_rounds: 8,
        budget_seconds: 0.0,
        warm_up: WarmUp {
            agreement: 0.0,
            most_runs: 1,
        },
    };

    fn orders(arms: usize, rounds: usize) -> Vec<Vec<usize>> {
        (0..rounds)
            .map(|round| (0..arms).map(|place| at(arms, round, place)).collect())
            .collect()
    }

    #[test]
    fn two_arms_run_abba_baab() {
        assert_eq!(orders(2, 4).concat(), [0, 1, 1, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn every_arm_takes_every_place_once_a_block() {
        for arms in 1..=6 {
            for block in orders(arms, arms * 4).chunks(arms) {
                for place in 0..arms {
                    let mut seen: Vec<usize> = block.iter().map(|round| round[place]).collect();
                    seen.sort_unstable();
                    assert_eq!(seen, (0..arms).collect::<Vec<_>>());
                }
                assert!(
                    block
                        .iter()
                        .all(|round| round.iter().sum::<usize>() == arms * (arms - 1) / 2)
                );
            }
        }
    }

    #[test]
    fn arms_run_equally_often_in_that_order() {
        let clock = Clock::best();
        let trace = RefCell::new(Vec::new());
        let mut first = || -> Result<(), Infallible> {
            trace.borrow_mut().push(0);
            Ok(())
        };
        let mut second = || -> Result<(), Infallible> {
            trace.borrow_mut().push(1);
            Ok(())
        };
        let Ok(samples) = run_interleaved(&mut [&mut first, &mut second], &PLAN, &clock, &|| false);
        assert_eq!(
            samples.iter().map(|s| s.seconds.len()).collect::<Vec<_>>(),
            [4, 4]
        );
        assert_eq!(trace.into_inner(), [0, 1, 0, 1, 1, 0, 1, 0, 0, 1]);
        assert!(samples.iter().all(|s| s.warm_up_runs == 1 && !s.settled));
    }

    #[test]
    fn stopping_keeps_whole_rounds() {
        let clock = Clock::best();
        let runs = Cell::new(0);
        let mut arm = || -> Result<(), Infallible> {
            runs.set(runs.get() + 1);
            Ok(())
        };
        let mut other = || -> Result<(), Infallible> {
            runs.set(runs.get() + 1);
            Ok(())
        };
        // Two runs of warm-up, two whole rounds, one run of the third.
        let Ok(samples) = run_interleaved(&mut [&mut arm, &mut other], &PLAN, &clock, &|| {
            runs.get() >= 7
        });
        assert_eq!(
            samples.iter().map(|s| s.seconds.len()).collect::<Vec<_>>(),
            [2, 2]
        );
    }

    #[test]
    fn warm_up_ends_when_two_runs_agree() {
        assert!(agree(1.0, 1.04, 0.05) && agree(1.04, 1.0, 0.05) && !agree(1.0, 1.1, 0.05));
        assert!(!agree(f64::INFINITY, 1.0, 0.5));
        let clock = Clock::best();
        let plan = Plan {
            warm_up: WarmUp {
                agreement: 1.0,
                most_runs: 50,
            },
            ..PLAN
        };
        let mut arm = || -> Result<(), Infallible> { Ok(()) };
        let Ok(samples) = run_interleaved(&mut [&mut arm], &plan, &clock, &|| false);
        assert!(samples[0].settled && samples[0].warm_up_runs == 2);
    }

    #[test]
    fn an_error_ends_it() {
        let mut arm = || Err("full disk");
        assert_eq!(
            run_interleaved(&mut [&mut arm], &PLAN, &Clock::best(), &|| false),
            Err("full disk")
        );
    }
}
