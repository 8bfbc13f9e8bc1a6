//! Rounds in which candidates take turns, and drop out when they are behind.

use std::sync::Arc;

use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::stats::summary;
use crate::suites::steps::{self, Steps};
use crate::suites::{Case, Context, SuiteError};
use crate::train::data::Cut;
use crate::train::{Batch, Dataset, Plan};

/// Rounds that each candidate takes part in, and that the best take part in at most.
const FEWEST: usize = 2;
const MOST: usize = 8;

/// Slower than the fastest by more than this, after the fewest rounds: out.
const BEHIND: f64 = 0.08;

/// A plan to be tried.
pub(super) struct Candidate {
    /// What distinguishes it: its threads, its micro-batch, its batch.
    pub(super) value: usize,
    pub(super) plan: Plan,
    /// Seconds of a step in each round that it took part in.
    pub(super) seconds: Vec<f64>,
    pool: Arc<Pool>,
    stays: bool,
    out: bool,
}

impl Candidate {
    /// A candidate without results; one that `stays` takes part in every round.
    pub(super) fn new(value: usize, plan: Plan, pool: Arc<Pool>, stays: bool) -> Self {
        Self {
            value,
            plan,
            seconds: Vec::new(),
            pool,
            stays,
            out: false,
        }
    }

    /// Tokens a second in each round.
    pub(super) fn speeds(&self) -> Vec<f64> {
        let tokens = (self.plan.batch * self.plan.length) as f64;
        self.seconds
            .iter()
            .map(|seconds| tokens / seconds)
            .collect()
    }

    /// Their median.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        summary::median(&self.speeds())
    }
}

/// What rounds are run with.
pub(super) struct Heats<'a> {
    case: &'a Case,
    clock: &'a Clock,
}

impl<'a> Heats<'a> {
    pub(super) fn new(context: &Context<'a>, case: &'a Case) -> Self {
        Self {
            case,
            clock: context.clock,
        }
    }

    /// Rounds for about `seconds`; a round that the user stops keeps what it has.
    pub(super) fn run(
        &mut self,
        all: &mut [Candidate],
        seconds: f64,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), SuiteError> {
        let start = self.clock.now();
        let steps = Steps::new(self.clock, self.case);
        let count = all.len();
        for round in 0..MOST {
            for place in 0..count {
                let late = round > 0 && self.clock.since(start) >= seconds;
                if stop() || late {
                    return Ok(());
                }
                let candidate = &mut all[session::at(count, round, place)];
                if candidate.out {
                    continue;
                }
                let Some(batch) = self.batch(&candidate.plan) else {
                    candidate.out = true;
                    continue;
                };
                let timed = steps.time(&candidate.plan, &candidate.pool, &batch);
                let timed = timed.map_err(|source| steps::failed(self.case, source))?;
                candidate.seconds.push(timed.seconds);
            }
            if round + 1 >= FEWEST {
                drop_out(all);
            }
        }
        Ok(())
    }

    /// The first batch of the plan's size; `None` where the text does not fill one.
    fn batch(&self, plan: &Plan) -> Option<Batch> {
        let cut = Cut {
            batch: plan.batch,
            ..self.case.cut
        };
        let mut dataset = Dataset::new(Arc::clone(&self.case.tokens), cut).ok()?;
        Some(dataset.batch(0))
    }
}

/// Those that are behind take part in no more rounds.
fn drop_out(all: &mut [Candidate]) {
    let speeds = all.iter().filter_map(Candidate::tokens_per_second);
    let highest = speeds.fold(0.0, f64::max);
    for candidate in all.iter_mut().filter(|candidate| !candidate.stays) {
        let behind = |speed| speed < highest * (1.0 - BEHIND);
        candidate.out |= candidate.tokens_per_second().is_some_and(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::testing::tiny;

    #[test]
    fn who_is_behind_drops_out_unless_it_stays() {
        let pool = Arc::new(Pool::new(&[0]).unwrap());
        let plan = tiny(4, 2).plan;
        let timed = |seconds: f64, stays: bool| {
            let mut candidate = Candidate::new(1, plan, Arc::clone(&pool), stays);
            candidate.seconds = vec![seconds, seconds];
            candidate
        };
        let mut all = [
            timed(1.0, false),
            timed(1.05, false),
            timed(1.2, false),
            timed(2.0, true),
        ];
        drop_out(&mut all);
        assert_eq!(all.map(|one| one.out), [false, false, true, false]);
    }
}
