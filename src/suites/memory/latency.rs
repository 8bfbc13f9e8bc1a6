//! Latency over working sets: on both kinds of pages, of one thread alone and of all at once, each through memory of its own.

use super::{PAGES, ends};
use crate::measure::process;
use crate::parallel::Pool;
use crate::stats::bootstrap::median_interval;
use crate::suites::ceilings::bandwidth::{caches, sizes};
use crate::suites::ceilings::latency::{Chain, LINE_BYTES, Pages};
use crate::suites::ceilings::windows::together;
use crate::suites::quantity::NANOSECONDS;
use crate::suites::{Context, Curve, SuiteError, on_threads};
use std::sync::{Mutex, PoisonError};

/// Loads in one window: two milliseconds in memory, 25 us in L1.
pub(super) const STEPS: usize = 20_000;

/// Windows of a quick run on each thread.
const WINDOWS: usize = 3;

pub(super) fn staircases(context: &mut Context) -> Result<(), SuiteError> {
    for threads in ends(context) {
        for (pages, name) in PAGES {
            if context.stopped() {
                return Ok(());
            }
            staircase(context, threads, pages, name)?;
        }
    }
    Ok(())
}

fn staircase(
    context: &mut Context,
    threads: usize,
    pages: Pages,
    name: &str,
) -> Result<(), SuiteError> {
    let on = on_threads(threads);
    context.say(&format!(
        "memory: latency over working sets, {name} pages, {on}"
    ));
    let caches = caches(context, threads);
    let largest = (4 * caches.l3_total).min(caches.memory) / threads as u64 / 64 * 64;
    let subject = format!("memory.latency.{name}.t{threads}");
    let before = process::huge_pages().map_or(0.0, |pages| pages.0);
    let pool = context.pool(threads)?;
    let chains = Chains::new(&pool, largest, pages)?;
    let mut curve = Curve::over("bytes");
    let count = context.experiment.effort.samples(WINDOWS);
    for bytes in sizes(largest, context.experiment.effort) {
        if context.stopped() {
            break;
        }
        let samples = chains.nanoseconds(context, &pool, bytes, count);
        if let Some(interval) = median_interval(&samples, bytes) {
            curve.push(bytes as f64, interval);
        }
    }
    let granted = process::huge_pages().map_or(f64::INFINITY, |pages| pages.0) - before;
    if pages == Pages::Large && granted < (largest * threads as u64) as f64 / 4.0 {
        let reason = "the system gave no 2 MB pages (transparent huge pages are off or used up)";
        context.recorder.missing(&subject, NANOSECONDS, reason);
        return Ok(());
    }
    if let Some(last) = curve.intervals.last() {
        let how = format!(
            "dependent loads through four times the last cache, {on}; median of windows of all threads"
        );
        let memory = format!("memory.latency.{name}.dram.t{threads}");
        context.recorder.measured(&memory, NANOSECONDS, *last, how);
    }
    let how = format!(
        "one load that waits for the one before, through every cache line in random order, {} pages, {on}, each through its own; \
         median of windows of all threads",
        if pages == Pages::Large {
            "2 MB"
        } else {
            "4 KB"
        }
    );
    let subject = format!("{subject}.staircase");
    context.recorder.curve(&subject, NANOSECONDS, curve, how);
    Ok(())
}

/// A chain for each thread.
struct Chains {
    threads: Vec<Mutex<Chain>>,
}

impl Chains {
    fn new(pool: &Pool, bytes: u64, pages: Pages) -> Result<Self, SuiteError> {
        let chain = |_: &usize| Ok(Mutex::new(Chain::new(bytes, pages)?));
        let threads = pool.cpus().iter().map(chain);
        Ok(Self {
            threads: threads.collect::<Result<_, SuiteError>>()?,
        })
    }

    fn of(&self, thread: usize) -> std::sync::MutexGuard<'_, Chain> {
        self.threads[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds of a load in every window of every thread, all threads at once.
    fn nanoseconds(&self, context: &Context, pool: &Pool, bytes: u64, count: usize) -> Vec<f64> {
        let clock = context.clock;
        pool.on_each(|thread| self.of(thread).lay(bytes, LINE_BYTES));
        let work = |thread: usize| {
            self.of(thread).window(clock, STEPS);
        };
        let windows = together(pool, clock, count, &work, &|_| 0.0);
        let of = |window: &crate::suites::ceilings::windows::Window| {
            clock.seconds(window.start, window.end) / STEPS as f64 * 1e9
        };
        windows.iter().flatten().map(of).collect()
    }
}
