//! The frequency under each load on each number of active cores, in turns; and, where counters may be read, the same from cycles.

use super::{WINDOW, passes_for, window};
use crate::kernels::vec::PowerLoad;
use crate::measure::counters::tables::FIXED;
use crate::measure::counters::{Counting, Missing};
use crate::measure::{process, session};
use crate::parallel::Pool;
use crate::stats::{bootstrap::median_interval, summary};
use crate::suites::ceilings::windows::together;
use crate::suites::quantity::GHZ;
use crate::suites::{Context, SuiteError, on_threads};
use std::sync::Arc;

/// Windows of a visit: longer than any core takes to change its licence, and those that count.
const WAKING: usize = 50;
const WINDOWS: usize = 30;

/// Visits of a quick run.
const ROUNDS: usize = 4;

/// Seconds of load over which cycles are counted.
const COUNTED: f64 = 0.02;

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    let loads = PowerLoad::available();
    for threads in context.experiment.threads.clone() {
        context.say(&format!("frequency: every load {}", on_threads(threads)));
        let pool = context.pool(threads)?;
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); loads.len()];
        let rounds = context.experiment.effort.samples(ROUNDS);
        'rounds: for round in 0..rounds {
            for place in 0..loads.len() {
                if context.stopped() {
                    break 'rounds;
                }
                let arm = session::at(loads.len(), round, place);
                samples[arm].extend(visit(context, &pool, loads[arm]));
            }
        }
        for (load, samples) in loads.iter().zip(&samples) {
            record(context, *load, threads, samples);
        }
    }
    counted(context, &loads)
}

/// Hertz in every window of every thread, all of them under the load at once.
fn visit(context: &Context, pool: &Pool, load: PowerLoad) -> Vec<f64> {
    let clock = context.clock;
    let passes = passes_for(clock, WINDOW);
    let work = |_| {
        std::hint::black_box(window(clock, load, passes));
    };
    let cycles = (passes * crate::kernels::vec::CLOCKED_CYCLES) as f64;
    let windows = together(pool, clock, WAKING + WINDOWS, &work, &|_| 0.0);
    let awake = windows
        .iter()
        .flat_map(|windows| &windows[WAKING.min(windows.len().saturating_sub(1))..]);
    // Two readings of the clock lie inside: those of the window itself.
    let overhead = 2.0 * clock.overhead().0;
    awake
        .map(|window| cycles / (clock.seconds(window.start, window.end) - overhead).max(1e-9))
        .collect()
}

fn record(context: &mut Context, load: PowerLoad, threads: usize, samples: &[f64]) {
    let subject = format!("frequency.sustained.{}.t{threads}", load.name());
    // A quantile needs no more than some hundred windows.
    let thinned: Vec<f64> = samples
        .iter()
        .copied()
        .step_by(samples.len().div_ceil(600).max(1))
        .collect();
    let Some(interval) = median_interval(&thinned, threads as u64) else {
        let reason = "the user stopped before it was measured";
        context.recorder.missing(&subject, GHZ, reason);
        return;
    };
    let range = |p| summary::quantile(samples, p).unwrap_or(f64::NAN) / 1e9;
    let how = format!(
        "dependent additions beside the load, median of {} windows of 30 us {}, after 1.5 ms of the same; eight of ten between \
         {:.3} and {:.3} GHz",
        samples.len(),
        on_threads(threads),
        range(0.1),
        range(0.9)
    );
    let ghz = interval.map(|hertz| hertz / 1e9);
    context.recorder.measured(&subject, GHZ, ghz, how);
}

/// The same on one thread by the cycles that the hardware counted, where it may.
fn counted(context: &mut Context, loads: &[PowerLoad]) -> Result<(), SuiteError> {
    let pool = context.pool(1)?;
    for load in loads {
        if context.stopped() {
            return Ok(());
        }
        let subject = format!("frequency.counted.{}.t1", load.name());
        match cycles(context, &pool, *load) {
            Ok(hertz) => {
                let how = "core cycles of the program over the time it ran, by the hardware's counter: a check of the chain";
                context.recorder.reading(&subject, GHZ, hertz / 1e9, how);
            }
            Err(reason) => context.recorder.missing(&subject, GHZ, reason),
        }
    }
    Ok(())
}

fn cycles(context: &Context, pool: &Arc<Pool>, load: PowerLoad) -> Result<f64, String> {
    if !context.experiment.counters {
        return Err("hardware counters are switched off by --counters off".into());
    }
    let threads = process::threads().map_err(|error| error.to_string())?;
    let clock = context.clock;
    let mut counting = Counting::open(&FIXED, &threads);
    let passes = passes_for(clock, WINDOW);
    // The thread is woken before, and the time is taken where the work is: waking takes longer than a window.
    pool.install(|| window(clock, load, passes));
    counting.start();
    let seconds = pool.install(|| {
        let begin = clock.now();
        while clock.since(begin) < COUNTED {
            std::hint::black_box(window(clock, load, passes));
        }
        clock.since(begin)
    });
    let readings = counting.stop();
    let cycles = readings
        .into_iter()
        .find(|reading| reading.counter.name == "cycles");
    let tally = cycles.map_or(Err(Missing::NotOffered), |reading| reading.tally);
    tally
        .map(|tally| tally.value / seconds)
        .map_err(|missing| missing.to_string())
}
