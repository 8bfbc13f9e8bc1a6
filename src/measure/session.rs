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

/// What is compared: alternatives that do the same work.
pub trait Arms {
    /// What can go wrong in a run.
    type Error;
    /// How many arms.
    fn count(&self) -> usize;
    /// One run of `arm`: this is timed.
    ///
    /// # Errors
    /// Ends the measurement.
    fn run(&mut self, arm: usize, phase: Phase) -> Result<(), Self::Error>;
    /// What belongs between that run and the next: sampling a frequency, reading a counter. Not timed.
    fn between(&mut self, _arm: usize, _phase: Phase) {}
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// To get warm.
    WarmUp,
    /// To be counted, as part of this round.
    Round(usize),
}

/// Runs the arms as planned: the samples of each, equally many. `stop` is asked before each run; if it says yes, the rounds
/// completed so far are the result and the round begun is dropped, so that arms stay comparable.
///
/// # Errors
/// The first error of an arm ends the measurement.
pub fn run_interleaved<A: Arms>(
    arms: &mut A,
    plan: &Plan,
    clock: &Clock,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<Samples>, A::Error> {
    let count = arms.count();
    let mut all = vec![Samples::default(); count];
    for (arm, samples) in all.iter_mut().enumerate() {
        warm_up(arms, arm, samples, plan, clock, stop)?;
    }
    let start = clock.now();
    for round in 0..plan.most_rounds {
        if round >= plan.fewest_rounds && clock.since(start) >= plan.budget_seconds {
            break;
        }
        for place in 0..count {
            if stop() {
                all.iter_mut()
                    .for_each(|samples| samples.seconds.truncate(round));
                return Ok(all);
            }
            let arm = at(count, round, place);
            let seconds = timed(arms, arm, Phase::Round(round), clock)?;
            all[arm].seconds.push(seconds);
        }
    }
    Ok(all)
}

fn timed<A: Arms>(arms: &mut A, arm: usize, phase: Phase, clock: &Clock) -> Result<f64, A::Error> {
    let begin = clock.now();
    arms.run(arm, phase)?;
    let seconds = clock.since(begin);
    arms.between(arm, phase);
    Ok(seconds)
}

fn warm_up<A: Arms>(
    arms: &mut A,
    arm: usize,
    samples: &mut Samples,
    plan: &Plan,
    clock: &Clock,
    stop: &dyn Fn() -> bool,
) -> Result<(), A::Error> {
    let mut last = f64::INFINITY;
    while samples.warm_up_runs < plan.warm_up.most_runs && !samples.settled && !stop() {
        let seconds = timed(arms, arm, Phase::WarmUp, clock)?;
        samples.warm_up_runs += 1;
        samples.settled = agree(last, seconds, plan.warm_up.agreement);
        last = seconds;
    }
    Ok(())
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
    use std::cell::Cell;

    const PLAN: Plan = Plan {
        fewest_rounds: 4,
        most_rounds: 8,
        budget_seconds: 0.0,
        warm_up: WarmUp {
            agreement: 0.0,
            most_runs: 1,
        },
    };

    /// Remembers what ran; fails at a run, if asked to.
    #[derive(Default)]
    struct Traced {
        arms: usize,
        runs: Vec<(usize, Phase)>,
        between: usize,
        fail_at: Option<usize>,
    }

    impl Arms for Traced {
        type Error = &'static str;
        fn count(&self) -> usize {
            self.arms
        }
        fn run(&mut self, arm: usize, phase: Phase) -> Result<(), &'static str> {
            if self.fail_at == Some(self.runs.len()) {
                return Err("full disk");
            }
            self.runs.push((arm, phase));
            Ok(())
        }
        fn between(&mut self, arm: usize, phase: Phase) {
            assert_eq!(self.runs.last(), Some(&(arm, phase)));
            self.between += 1;
        }
    }

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
        let mut arms = Traced {
            arms: 2,
            ..Traced::default()
        };
        let samples = run_interleaved(&mut arms, &PLAN, &Clock::best(), &|| false).unwrap();
        assert_eq!(
            samples.iter().map(|s| s.seconds.len()).collect::<Vec<_>>(),
            [4, 4]
        );
        assert_eq!(
            arms.runs.iter().map(|run| run.0).collect::<Vec<_>>(),
            [0, 1, 0, 1, 1, 0, 1, 0, 0, 1]
        );
        assert_eq!(
            (arms.runs[1].1, arms.runs[9].1, arms.between),
            (Phase::WarmUp, Phase::Round(3), 10)
        );
        assert!(samples.iter().all(|s| s.warm_up_runs == 1 && !s.settled));
    }

    #[test]
    fn stopping_keeps_whole_rounds() {
        let mut arms = Traced {
            arms: 2,
            ..Traced::default()
        };
        let left = Cell::new(7u32);
        let stop = || left.replace(left.get().saturating_sub(1)) == 0;
        // Two runs of warm-up, two whole rounds, one run of the third.
        let samples = run_interleaved(&mut arms, &PLAN, &Clock::best(), &stop).unwrap();
        assert_eq!(arms.runs.len(), 7);
        assert_eq!(
            samples.iter().map(|s| s.seconds.len()).collect::<Vec<_>>(),
            [2, 2]
        );
    }

    #[test]
    fn warm_up_ends_when_two_runs_agree() {
        assert!(agree(1.0, 1.04, 0.05) && agree(1.04, 1.0, 0.05) && !agree(1.0, 1.1, 0.05));
        assert!(!agree(f64::INFINITY, 1.0, 0.5));
        let plan = Plan {
            warm_up: WarmUp {
                agreement: 1.0,
                most_runs: 50,
            },
            ..PLAN
        };
        let mut arms = Traced {
            arms: 1,
            ..Traced::default()
        };
        let samples = run_interleaved(&mut arms, &plan, &Clock::best(), &|| false).unwrap();
        assert!(samples[0].settled && samples[0].warm_up_runs == 2);
    }

    #[test]
    fn an_error_ends_it() {
        let mut arms = Traced {
            arms: 1,
            fail_at: Some(2),
            ..Traced::default()
        };
        assert_eq!(
            run_interleaved(&mut arms, &PLAN, &Clock::best(), &|| false),
            Err("full disk")
        );
    }
}
