//! All kernels on one working set and one number of threads, in turns.

use super::kernels::{Kernel, Rows, fill};
use crate::kernels::Isa;
use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::stats::summary;
use crate::suites::SuiteError;
use crate::suites::ceilings::arithmetic::calm_frequency;
use crate::suites::ceilings::windows::{Window, repeats_for, together};
use crate::tensor::{Arena, Region};
use std::sync::{Mutex, PoisonError};

/// Length of a window; a single pass where that takes longer.
const WINDOW: f64 = 4e-4;

/// Windows of one visit, the first of which wake the wide units (and let a core forget the licence of the arm before) and are left out.
const WINDOWS: usize = 7;
const WAKING: usize = 2;

/// Seconds of a pass from which on a visit has two windows, and the first wakes.
const LONG: f64 = 1e-2;

/// One kernel in one instruction set, and what each visit gave.
pub(super) struct Arm {
    pub(super) kernel: &'static Kernel,
    pub(super) isa: Isa,
    /// Passes in a window; 0 until it was found.
    passes: usize,
    windows: (usize, usize),
    /// Elements a second of all threads together, by round.
    pub(super) rates: Vec<f64>,
    /// Hertz of the threads on average, by round.
    pub(super) hertz: Vec<f64>,
}

impl Arm {
    pub(super) fn new(kernel: &'static Kernel, isa: Isa) -> Self {
        Self {
            kernel,
            isa,
            passes: 0,
            windows: (WINDOWS, WAKING),
            rates: Vec::new(),
            hertz: Vec::new(),
        }
    }
}

/// The memory of each thread, filled by the thread itself so that its pages lie near it.
pub(super) struct Memory {
    threads: Vec<Mutex<(Region, Rows)>>,
    values: usize,
}

impl Memory {
    /// `bytes` for each thread of `pool`.
    pub(super) fn new(pool: &Pool, bytes: u64) -> Result<Self, SuiteError> {
        let values = (bytes / 4) as usize;
        let threads: Vec<Mutex<(Region, Rows)>> = (0..pool.cpus().len())
            .map(|_| {
                let region = Arena::new(values)?.take(values);
                Ok(Mutex::new((region, Rows::new(values))))
            })
            .collect::<Result<_, SuiteError>>()?;
        Ok(Self { threads, values })
    }

    fn fill(&self, pool: &Pool) {
        pool.on_each(|thread| fill(&mut self.of(thread).0));
    }

    fn of(&self, thread: usize) -> std::sync::MutexGuard<'_, (Region, Rows)> {
        self.threads[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, arm: &Arm, thread: usize, passes: usize) {
        let (region, rows) = &mut *self.of(thread);
        for _ in 0..passes {
            arm.kernel.run(arm.isa, region, self.values, rows);
        }
    }

    /// Some windows of `arm` on all threads at once.
    fn visit(&self, arm: &mut Arm, pool: &Pool, clock: &Clock) {
        self.fill(pool);
        if arm.passes == 0 {
            arm.passes =
                pool.install(|| repeats_for(clock, WINDOW, |passes| self.work(arm, 0, passes)));
            let start = clock.now();
            pool.install(|| self.work(arm, 0, arm.passes));
            if clock.since(start) > LONG {
                arm.windows = (2, 1);
            }
        }
        let (count, waking) = arm.windows;
        let passes = arm.passes;
        let measured = &*arm;
        let visit = together(
            pool,
            clock,
            count,
            &|thread| self.work(measured, thread, passes),
            &|_| calm_frequency(clock),
        );
        let elements = (arm.kernel.length(self.values) * passes) as f64;
        arm.rates.push(rate(clock, &visit, waking) * elements);
        arm.hertz.push(frequency(&visit));
    }
}

/// Windows a second of all threads together, without the first `waking` of each.
fn rate(clock: &Clock, visit: &[Vec<Window>], waking: usize) -> f64 {
    visit
        .iter()
        .map(|windows| {
            let awake = &windows[waking.min(windows.len().saturating_sub(1))..];
            let seconds: Vec<f64> = awake
                .iter()
                .map(|window| clock.seconds(window.start, window.end))
                .collect();
            summary::median(&seconds).map_or(f64::NAN, |seconds| 1.0 / seconds)
        })
        .sum()
}

fn frequency(visit: &[Vec<Window>]) -> f64 {
    let all: Vec<f64> = visit.iter().flatten().map(|window| window.note).collect();
    summary::median(&all).unwrap_or(f64::NAN)
}

/// How long a working set may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) fewest: usize,
    pub(super) most: usize,
    pub(super) seconds: f64,
}

/// Visits every arm in turns within `budget`; a round that the user stops is dropped.
pub(super) fn measure(
    arms: &mut [Arm],
    memory: &Memory,
    pool: &Pool,
    clock: &Clock,
    budget: Budget,
    stop: &dyn Fn() -> bool,
) {
    let start = clock.now();
    for round in 0..budget.most {
        if round >= budget.fewest && clock.since(start) >= budget.seconds {
            return;
        }
        for place in 0..arms.len() {
            if stop() {
                for arm in arms {
                    arm.rates.truncate(round);
                    arm.hertz.truncate(round);
                }
                return;
            }
            let at = session::at(arms.len(), round, place);
            memory.visit(&mut arms[at], pool, clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::KERNELS;
    use super::*;

    #[test]
    fn every_arm_is_visited_in_every_round() {
        let (clock, pool) = (Clock::best(), Pool::new(&[0, 0]).unwrap());
        let memory = Memory::new(&pool, 16 << 10).unwrap();
        let mut arms: Vec<Arm> = KERNELS[..3]
            .iter()
            .map(|kernel| Arm::new(kernel, Isa::best()))
            .collect();
        let budget = Budget {
            fewest: 2,
            most: 2,
            seconds: 0.0,
        };
        measure(&mut arms, &memory, &pool, &clock, budget, &|| false);
        for arm in &arms {
            assert_eq!((arm.rates.len(), arm.hertz.len()), (2, 2));
            assert!(arm.passes >= 1 && arm.rates.iter().all(|rate| *rate > 0.0));
        }
        measure(&mut arms, &memory, &pool, &clock, budget, &|| true);
        assert!(arms.iter().all(|arm| arm.rates.is_empty()));
    }
}
