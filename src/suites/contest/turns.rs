//! The arms of a contest, timed in turns with the multiply-add peak between them.

use super::{Contender, Task};
use crate::kernels::Isa;
use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::suites::ceilings::arithmetic::Peak;
use crate::suites::ceilings::windows::repeats_for;
use crate::suites::peers::rest;

/// Length of a window; a single run of the task where that takes longer.
const WINDOW: f64 = 3e-3;

/// Seconds of untimed runs before the timed ones: threads wake up, wide units come to speed, and a core forgets the power licence of
/// the arm before, which takes 680 us.
const WAKING: f64 = 7e-4;

/// Tasks above this are long beside that: none is spent on it.
const LONG: f64 = 2e-2;

/// How many times as slow an arm must be to have shorter windows.
const MUCH_SLOWER: f64 = 4.0;

/// One way to do the task, and what it took.
pub(in crate::suites) struct Arm<W> {
    pub(in crate::suites) who: W,
    /// Seconds of one task in each round.
    pub(in crate::suites) seconds: Vec<f64>,
}

impl<W> Arm<W> {
    pub(in crate::suites) fn new(who: W) -> Self {
        Self {
            who,
            seconds: Vec::new(),
        }
    }
}

/// A peak that is visited in each round, and the FLOP/s of each visit.
pub(in crate::suites) struct Visited<'p> {
    pub(in crate::suites) isa: Isa,
    pub(in crate::suites) peak: &'p mut Peak,
    pub(in crate::suites) flops: Vec<f64>,
}

/// How long a contest may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::suites) struct Budget {
    pub(in crate::suites) fewest: usize,
    pub(in crate::suites) most: usize,
    pub(in crate::suites) seconds: f64,
}

/// The variant of an arm that is not timed, and why.
pub(in crate::suites) type Wrong = (String, String);

/// Who calls and by which clock.
pub(in crate::suites) struct Turns<'a> {
    pub(in crate::suites) clock: &'a Clock,
    pub(in crate::suites) pool: &'a Pool,
}

impl Turns<'_> {
    /// Runs `f` where the contender's caller belongs.
    fn run<R: Send>(&self, who: &impl Contender, f: impl FnOnce() -> R + Send) -> R {
        match who.hands() {
            Some(hands) => hands.run(f),
            // The threads stand by, as they do while a model trains.
            None => self.pool.assemble(f),
        }
    }

    /// Has each arm do the task once, and compares: those that are right, and why the others are not.
    pub(in crate::suites) fn check<T: Task>(
        &self,
        task: &mut T,
        arms: Vec<Arm<T::Who>>,
    ) -> (Vec<Arm<T::Who>>, Vec<Wrong>)
    where
        T::Who: Send,
    {
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for arm in arms {
            let done = self.run(&arm.who, || task.work(&arm.who, 1));
            // The first of ours is held to the definition, all others to it.
            let verdict = done.and_then(|()| match right.is_empty() {
                true => task.accept(),
                false => task.compare(),
            });
            match verdict {
                Ok(()) => right.push(arm),
                Err(reason) => wrong.push((arm.who.variant(), reason)),
            }
        }
        (right, wrong)
    }

    /// Runs rounds of all arms and all peaks within `budget`; a round that the user stops is dropped.
    pub(in crate::suites) fn measure<T: Task>(
        &self,
        task: &mut T,
        arms: &mut [Arm<T::Who>],
        peaks: &mut [Visited<'_>],
        budget: Budget,
        stop: &dyn Fn() -> bool,
    ) {
        let Some(first) = arms.first() else { return };
        let (repeats, each) = self.repeats(&first.who, task);
        let plans: Vec<(usize, usize)> = arms
            .iter()
            .map(|arm| plan(repeats, each, self.window(&arm.who, task, 1, 1)))
            .collect();
        let start = self.clock.now();
        let count = arms.len() + peaks.len();
        for round in 0..budget.most {
            if round >= budget.fewest && self.clock.since(start) >= budget.seconds {
                break;
            }
            for place in 0..count {
                if stop() {
                    arms.iter_mut().for_each(|arm| arm.seconds.truncate(round));
                    peaks.iter_mut().for_each(|peak| peak.flops.truncate(round));
                    return;
                }
                let at = session::at(count, round, place);
                if self.pool.cpus().len() > 1 || place == 0 {
                    rest(self.clock);
                }
                if let Some(peak) = at.checked_sub(arms.len()).map(|at| &mut peaks[at]) {
                    peak.flops
                        .push(peak.peak.visit(self.clock).unwrap_or(f64::NAN));
                    continue;
                }
                let arm = &mut arms[at];
                let (repeats, warming) = plans[at];
                let seconds = self.window(&arm.who, task, repeats, warming);
                arm.seconds.push(seconds);
            }
        }
    }

    /// Runs in a window, and the seconds of one.
    fn repeats<T: Task>(&self, who: &T::Who, task: &mut T) -> (usize, f64) {
        let repeats = self.run(who, || {
            repeats_for(self.clock, WINDOW, |repeats| {
                // Refusals were found before.
                let _ = task.work(who, repeats);
            })
        });
        let each = self.window(who, task, repeats, 0);
        (repeats, each)
    }

    /// Seconds of one run, over `repeats` of them after `warming` that are not timed.
    fn window<T: Task>(&self, who: &T::Who, task: &mut T, repeats: usize, warming: usize) -> f64 {
        self.run(who, || {
            if task.work(who, warming).is_err() {
                return f64::NAN;
            }
            let start = self.clock.now();
            let done = task.work(who, repeats).is_ok();
            let seconds = self.clock.since(start);
            if done {
                seconds / repeats as f64
            } else {
                f64::NAN
            }
        })
    }
}

/// Runs in a window of an arm that takes `own` seconds, and untimed ones before, where `repeats` of `each` seconds make a window of the
/// first arm. Arms that are about as fast have equally many, so that what a window costs is the same for all.
fn plan(repeats: usize, each: f64, own: f64) -> (usize, usize) {
    let slower = own / each;
    let repeats = match slower > MUCH_SLOWER {
        true => ((repeats as f64 / slower) as usize).max(1),
        false => repeats,
    };
    let each = if slower > MUCH_SLOWER { own } else { each };
    match each < LONG {
        true => (repeats, (WAKING / each).ceil() as usize),
        false => (repeats, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Contender;
    use super::*;
    use crate::suites::peers::Hands;

    /// Does nothing, is wrong where its name says so.
    struct Named(&'static str);

    impl Contender for Named {
        fn variant(&self) -> String {
            self.0.to_owned()
        }
        fn isa(&self) -> Option<Isa> {
            None
        }
        fn hands(&self) -> Option<&Hands<'_>> {
            None
        }
        fn what(&self) -> String {
            String::new()
        }
        fn is_fair(&self) -> bool {
            false
        }
    }

    #[derive(Default)]
    struct Nothing {
        last: &'static str,
        runs: usize,
        accepted: usize,
    }

    impl Task for Nothing {
        type Who = Named;
        fn flops(&self) -> f64 {
            1.0
        }
        fn work(&mut self, who: &Named, times: usize) -> Result<(), String> {
            self.runs += times;
            self.last = who.0;
            std::thread::sleep(std::time::Duration::from_micros(100));
            if who.0 == "refuses" {
                return Err("no".to_owned());
            }
            Ok(())
        }
        fn accept(&mut self) -> Result<(), String> {
            self.accepted += 1;
            Ok(())
        }
        fn compare(&mut self) -> Result<(), String> {
            match self.last {
                "wrong" => Err("differs".to_owned()),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn slow_arms_have_shorter_windows() {
        let each = 1.0 / 262_144.0;
        assert_eq!(plan(1000, each, 3.0 * each), (1000, 184));
        assert_eq!(plan(1000, each, 16.0 * each), (62, 12));
        assert_eq!(plan(1, 5e-3, 1.0), (1, 0));
        assert_eq!(plan(1, 3e-2, f64::NAN), (1, 0));
    }

    #[test]
    fn only_right_arms_are_timed_and_all_equally_often() {
        let (clock, pool) = (Clock::best(), Pool::new(&[0]).unwrap());
        let turns = Turns {
            clock: &clock,
            pool: &pool,
        };
        let mut task = Nothing::default();
        let arms = ["one", "wrong", "two", "refuses"].map(|name| Arm::new(Named(name)));
        let (mut arms, wrong) = turns.check(&mut task, arms.into());
        assert_eq!(task.accepted, 1);
        assert_eq!(
            wrong,
            [
                ("wrong".to_owned(), "differs".to_owned()),
                ("refuses".to_owned(), "no".to_owned())
            ]
        );
        let budget = Budget {
            fewest: 3,
            most: 3,
            seconds: 0.0,
        };
        turns.measure(&mut task, &mut arms, &mut [], budget, &|| false);
        assert!(
            arms.iter()
                .all(|arm| arm.seconds.len() == 3 && arm.seconds.iter().all(|time| *time > 0.0))
        );
        turns.measure(&mut task, &mut arms, &mut [], budget, &|| true);
        assert!(arms.iter().all(|arm| arm.seconds.is_empty()));
    }
}
