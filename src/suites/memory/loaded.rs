//! Latency under load: one thread follows a chain of loads while the others read or copy, with pauses of different length.
//!
//! The curve of Intel's Memory Latency Checker: near the idle latency at first, steep where memory has no more to give. Pauses are
//! arithmetic, so that the loading threads never sleep. On a machine with one CPU nobody is left to load.

use super::latency::STEPS;
use crate::kernels::Isa;
use crate::kernels::vec::{self, Stores, Stream};
use crate::parallel::Pool;
use crate::stats::bootstrap::median_interval;
use crate::stats::{Interval, summary};
use crate::suites::ceilings::bandwidth::caches;
use crate::suites::ceilings::latency::{Chain, LINE_BYTES, Pages};
use crate::suites::quantity::NANOSECONDS;
use crate::suites::{Context, Curve, SuiteError};
use crate::tensor::Region;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Mutex, PoisonError};

/// What the others do.
const LOADS: [(&str, Load); 2] = [("read", Load::Read), ("copy_nt", Load::Copy)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Load {
    Read,
    /// With non-temporal stores: as many bytes written as read.
    Copy,
}

/// Turns of arithmetic, some 20 ns each, between two stretches of load; `None` loads nothing.
const PAUSES: [Option<usize>; 10] = [
    None,
    Some(400),
    Some(200),
    Some(100),
    Some(50),
    Some(25),
    Some(12),
    Some(6),
    Some(2),
    Some(0),
];

/// Values that a loading thread goes through between two pauses: 4 KB.
const STRETCH: usize = 1024;

/// Windows of a quick run.
const WINDOWS: usize = 4;

pub(super) fn curves(context: &mut Context) -> Result<(), SuiteError> {
    let most = context.experiment.threads.last().copied().unwrap_or(1);
    for (name, load) in LOADS {
        let subject = format!("memory.loaded.{name}.t{most}");
        if most < 2 {
            let reason = "one thread alone has nobody beside it that could load the memory";
            context.recorder.missing(&subject, NANOSECONDS, reason);
            continue;
        }
        if context.stopped() {
            return Ok(());
        }
        context.say(&format!("memory: latency while others {name}"));
        let curve = measure(context, most, load)?;
        if let (Some(idle), Some(busy)) = (curve.intervals.first(), curve.intervals.last()) {
            let (idle, busy) = (*idle, *busy);
            let how = "dependent loads through memory while the other threads do nothing";
            let quiet = format!("{subject}.idle");
            context.recorder.measured(&quiet, NANOSECONDS, idle, how);
            let how = "the same while the other threads load it without a pause";
            let full = format!("{subject}.full");
            context.recorder.measured(&full, NANOSECONDS, busy, how);
        }
        let how = format!(
            "one thread follows a chain of loads through four times the last cache, {} others {}; abscissa: what these moved meanwhile",
            most - 1,
            match load {
                Load::Read => "read, a pause behind every 4 KB",
                Load::Copy => "copy with non-temporal stores, a pause behind every 4 KB",
            }
        );
        context.recorder.curve(&subject, NANOSECONDS, curve, how);
    }
    Ok(())
}

fn measure(context: &mut Context, threads: usize, load: Load) -> Result<Curve, SuiteError> {
    let caches = caches(context, threads);
    let each = (4 * caches.l3_total).min(caches.memory) / threads as u64 / 4096 * 4096;
    let pool = context.pool(threads)?;
    let bench = Bench::new(&pool, each, load)?;
    let count = context.experiment.effort.samples(WINDOWS);
    let mut points: Vec<(f64, Interval)> = Vec::new();
    for pause in PAUSES {
        if context.stopped() {
            break;
        }
        let (latencies, rates) = bench.run(context, &pool, pause, count);
        let rate = summary::median(&rates).unwrap_or(0.0);
        points.extend(median_interval(&latencies, 31).map(|latency| (rate / 1e9, latency)));
    }
    // Pauses lie close together where memory is full: the order on the abscissa may be another.
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut curve = Curve::over("GB/s");
    points.iter().for_each(|(x, y)| curve.push(*x, *y));
    Ok(curve)
}

/// The chain of the first thread, and what the others go through.
struct Bench {
    load: Load,
    isa: Isa,
    chain: Mutex<Chain>,
    regions: Vec<Mutex<Region>>,
}

impl Bench {
    fn new(pool: &Pool, bytes: u64, load: Load) -> Result<Self, SuiteError> {
        let values = (bytes / 4) as usize;
        let chain = Mutex::new(Chain::new(bytes, Pages::Large)?);
        let region = |_: &usize| Ok(Mutex::new(Pages::Large.region(values)?));
        let regions = pool.cpus()[1..].iter().map(region);
        let regions: Vec<Mutex<Region>> = regions.collect::<Result<_, SuiteError>>()?;
        pool.on_each(|thread| match thread.checked_sub(1) {
            None => lock(&chain).lay(bytes, LINE_BYTES),
            Some(other) => lock(&regions[other]).fill(1.5),
        });
        Ok(Self {
            load,
            isa: Isa::best(),
            chain,
            regions,
        })
    }

    /// Nanoseconds of a load in each window, and bytes a second that the others moved during each.
    fn run(
        &self,
        context: &Context,
        pool: &Pool,
        pause: Option<usize>,
        count: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let clock = context.clock;
        let (done, moved) = (AtomicBool::new(false), AtomicU64::new(0));
        let start = Barrier::new(pool.cpus().len());
        let found = Mutex::new((Vec::new(), Vec::new()));
        pool.on_each(|thread| {
            start.wait();
            if let Some(other) = thread.checked_sub(1) {
                if let Some(pause) = pause {
                    self.load(&mut lock(&self.regions[other]), pause, &done, &moved);
                }
                return;
            }
            let mut chain = lock(&self.chain);
            chain.window(clock, STEPS);
            for _ in 0..count {
                let (begin, before) = (clock.now(), moved.load(Relaxed));
                let seconds = chain.window(clock, STEPS);
                let bytes = moved.load(Relaxed) - before;
                let mut found = lock(&found);
                found.0.push(seconds * 1e9);
                found.1.push(bytes as f64 / clock.since(begin));
            }
            done.store(true, Relaxed);
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the memory until `done`, and counts the bytes in `moved`.
    fn load(&self, region: &mut [f32], pause: usize, done: &AtomicBool, moved: &AtomicU64) {
        let bytes = match self.load {
            Load::Read => 4 * STRETCH,
            Load::Copy => 8 * STRETCH,
        };
        let half = region.len() / 2 / STRETCH * STRETCH;
        let (out, from) = region.split_at_mut(half);
        let places = (0..half / STRETCH).cycle().map(|stretch| stretch * STRETCH);
        let copy = (Stream::Copy, Stores::NonTemporal);
        for place in places {
            if done.load(Relaxed) {
                return;
            }
            let (from, out) = (
                &from[place..place + STRETCH],
                &mut out[place..place + STRETCH],
            );
            match self.load {
                Load::Read => vec::stream_read(self.isa, from, 1),
                Load::Copy => vec::stream(self.isa, copy, [from, &[]], out, 1),
            }
            moved.fetch_add(bytes as u64, Relaxed);
            if pause > 0 {
                std::hint::black_box(vec::fma_chain(self.isa, pause));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    fn experiment(threads: Vec<usize>) -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads,
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn one_thread_says_that_nobody_loads() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment(vec![1]);
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        curves(&mut context).unwrap();
        let metrics = context.recorder.metrics();
        assert_eq!(metrics.len(), LOADS.len());
        assert!(metrics.iter().all(|metric| metric.how.contains("nobody")));
    }

    #[test]
    fn the_others_move_bytes_only_when_they_load() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment(vec![1]);
        let context = Context::new(&machine, &experiment, &clock, &host);
        let pool = Pool::new(&[0, 0]).unwrap();
        for (_, load) in LOADS {
            let bench = Bench::new(&pool, 1 << 16, load).unwrap();
            let (latencies, rates) = bench.run(&context, &pool, None, 3);
            assert_eq!((latencies.len(), rates), (3, vec![0.0; 3]));
            let (latencies, rates) = bench.run(&context, &pool, Some(1), 3);
            assert_eq!((latencies.len(), rates.len()), (3, 3));
            assert!(latencies.iter().all(|nanoseconds| *nanoseconds > 0.0));
        }
    }
}
