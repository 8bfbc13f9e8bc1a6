//! The read bandwidth of each cache level and of memory on each number of threads, and the staircase over working sets.
//!
//! Working sets: half of what a thread has of L1 and L2; half of L3, read by all threads; four times all L3 for memory, a part
//! for each thread. Loads only, as wide as the machine has, from 2 MB pages where the system gives them, of data that is not zero
//! (some CPUs have treated lines of zeros specially).

use super::windows::{Window, repeats_for, together, total_rate};
use crate::kernels::{Isa, vec};
use crate::parallel::Pool;
use crate::stats::Interval;
use crate::suites::quantity::GBPS;
use crate::suites::{Context, Curve, Effort, SuiteError};
use crate::tensor::{Arena, LINE, Region};
use crate::units::Bytes;
use std::sync::{Mutex, PoisonError};

/// Length of a window; a single pass where that takes longer.
const WINDOW: f64 = 5e-4;

/// Windows read before the first that counts: prefetchers of newer cores settle on a pattern after some ten milliseconds, and L2
/// reads a third faster then.
const WARM_UP: usize = 40;

/// Smallest working set of the staircase, and the memory that is never exceeded.
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 2 << 30;

/// L3 assumed where the machine does not tell, to get past it.
const UNKNOWN_L3: u64 = 32 << 20;

/// A level of the memory hierarchy with the working set that lives in it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::suites) struct Level {
    pub(in crate::suites) name: &'static str,
    /// Bytes that one thread reads, or why the level cannot be measured.
    pub(in crate::suites) bytes: Result<u64, String>,
    /// Whether all threads read the same bytes.
    pub(in crate::suites) shared: bool,
}

/// Sizes of the caches as one team of threads sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::suites) struct Caches {
    /// L1 of one thread: siblings share.
    pub(in crate::suites) l1: Option<u64>,
    /// L2 of one thread.
    l2: Option<u64>,
    /// One L3.
    l3: Option<u64>,
    /// All L3 that the team touches.
    pub(in crate::suites) l3_total: u64,
    /// Memory that may be used.
    pub(in crate::suites) memory: u64,
}

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    let isa = Isa::best();
    for threads in context.experiment.threads.clone() {
        if context.stopped() {
            return Ok(());
        }
        context.say(&format!("ceilings: bandwidth on {threads} threads"));
        let caches = caches(context, threads);
        for level in levels(&caches, threads) {
            record_level(context, isa, threads, &level)?;
        }
    }
    let most = context
        .experiment
        .threads
        .iter()
        .copied()
        .max()
        .unwrap_or(1);
    let mut ends = vec![1, most];
    ends.dedup();
    for threads in ends {
        if !context.stopped() {
            staircase(context, isa, threads)?;
        }
    }
    Ok(())
}

/// What the team of `threads` has of each cache.
pub(in crate::suites) fn caches(context: &Context, threads: usize) -> Caches {
    let cpus = context.cpus(threads);
    let sharers = |level| {
        let cache = context.machine.cache(level)?;
        let sharers = cpus
            .iter()
            .filter(|cpu| cache.shared_by.contains(&(**cpu as u32)))
            .count();
        Some((cache.bytes, sharers.max(1)))
    };
    let own = |level| sharers(level).map(|(bytes, sharers)| bytes / sharers as u64);
    let l3_total = sharers(3).map_or(UNKNOWN_L3, |(bytes, sharers)| {
        bytes * threads.div_ceil(sharers) as u64
    });
    let memory = context.machine.usable_memory_bytes().unwrap_or(LARGEST) / 4;
    Caches {
        l1: own(1),
        l2: own(2),
        l3: context.machine.l3_bytes(),
        l3_total,
        memory: memory.min(LARGEST),
    }
}

pub(in crate::suites) fn levels(caches: &Caches, threads: usize) -> Vec<Level> {
    let half = |cache: Option<u64>, name: &str| {
        cache
            .map(|bytes| lines(bytes / 2))
            .ok_or_else(|| format!("the machine does not tell the size of its {name} cache"))
    };
    let l3 = half(caches.l3, "third-level").and_then(|bytes| match caches.l2 {
        Some(l2) if bytes < 2 * l2 => Err(format!(
            "half of L3 ({}) would fit into two L2 ({})",
            Bytes(bytes as f64),
            Bytes(l2 as f64)
        )),
        _ => Ok(bytes),
    });
    let wanted = (4 * caches.l3_total).min(caches.memory);
    let dram = if wanted < 2 * caches.l3_total {
        Err(format!(
            "twice the third-level cache would take more than {} of memory",
            Bytes(caches.memory as f64)
        ))
    } else {
        Ok(lines(wanted / threads as u64))
    };
    vec![
        Level {
            name: "l1",
            bytes: half(caches.l1, "first-level"),
            shared: false,
        },
        Level {
            name: "l2",
            bytes: half(caches.l2, "second-level"),
            shared: false,
        },
        Level {
            name: "l3",
            bytes: l3,
            shared: true,
        },
        Level {
            name: "dram",
            bytes: dram,
            shared: false,
        },
    ]
}

/// Whole cache lines, at least one.
fn lines(bytes: u64) -> u64 {
    (bytes / 64).max(1) * 64
}

fn record_level(
    context: &mut Context,
    isa: Isa,
    threads: usize,
    level: &Level,
) -> Result<(), SuiteError> {
    let subject = format!("ceiling.bandwidth.{}.t{threads}", level.name);
    let bytes = match &level.bytes {
        Ok(bytes) => *bytes,
        Err(reason) => {
            context.recorder.missing(&subject, GBPS, reason.clone());
            return Ok(());
        }
    };
    let pool = context.pool(threads)?;
    let buffers = Buffers::new(&pool, bytes, level.shared)?;
    let count = context.experiment.effort.samples(12);
    let Some(rate) = buffers.rate(context, isa, &pool, count) else {
        return Ok(());
    };
    let whose = if level.shared { "the same" } else { "its own" };
    context.recorder.measured(
        &subject,
        GBPS,
        rate.map(|rate| rate / 1e9),
        format!(
            "{} loads, each thread {whose} {}; sum over threads of the median of {count} windows",
            isa.name(),
            Bytes(bytes as f64)
        ),
    );
    if level.name == "dram" {
        note_pages(context, bytes * threads as u64);
    }
    Ok(())
}

/// Says whether the system backed the largest buffers with large pages.
fn note_pages(context: &mut Context, bytes: u64) {
    let text = match crate::measure::process::huge_pages() {
        Ok(huge) => format!(
            "Pages: 2 MB ones hold {huge} of this process' memory while {} are read.",
            Bytes(bytes as f64)
        ),
        Err(error) => format!("Pages: whether 2 MB ones are used is unknown ({error})."),
    };
    context.recorder.note("machine", text);
}

/// Bandwidth over the working set of each thread.
fn staircase(context: &mut Context, isa: Isa, threads: usize) -> Result<(), SuiteError> {
    context.say(&format!(
        "ceilings: bandwidth over working sets on {threads} threads"
    ));
    let pool = context.pool(threads)?;
    let caches = caches(context, threads);
    let largest = (4 * caches.l3_total).min(caches.memory) / threads as u64;
    let buffers = Buffers::new(&pool, lines(largest), false)?;
    let count = context.experiment.effort.samples(6);
    let mut curve = Curve::over("bytes");
    for bytes in sizes(largest, context.experiment.effort) {
        if context.stopped() {
            break;
        }
        if let Some(rate) = buffers.part_rate(context, isa, &pool, bytes, count) {
            curve.push(bytes as f64, rate.map(|rate| rate / 1e9));
        }
    }
    let how = format!(
        "{} loads of a working set of this size on each of {threads} threads; sum over threads of medians",
        isa.name()
    );
    context.recorder.curve(
        &format!("ceiling.bandwidth.t{threads}.staircase"),
        GBPS,
        curve,
        how,
    );
    Ok(())
}

/// Working sets from 4 KiB to `largest`: doubling, and one in between unless it must be quick.
pub(in crate::suites) fn sizes(largest: u64, effort: Effort) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut size = SMALLEST;
    while size <= largest {
        sizes.push(size);
        if effort > Effort::Quick && size / 2 * 3 <= largest {
            sizes.push(lines(size / 2 * 3));
        }
        size *= 2;
    }
    sizes
}

/// What the threads read: one buffer each, or one for all.
#[derive(Debug)]
struct Buffers {
    regions: Vec<Region>,
}

impl Buffers {
    /// Each buffer is filled by the thread that will read it, so that its pages lie near that thread.
    fn new(pool: &Pool, bytes: u64, shared: bool) -> Result<Self, SuiteError> {
        let values = bytes as usize / size_of::<f32>();
        let count = if shared { 1 } else { pool.cpus().len() };
        let regions: Vec<Mutex<Region>> = (0..count)
            .map(|_| Ok(Mutex::new(Arena::new(values)?.take(values))))
            .collect::<Result<_, SuiteError>>()?;
        pool.on_each(|thread| {
            if let Some(region) = regions.get(thread) {
                let mut region = region.lock().unwrap_or_else(PoisonError::into_inner);
                region
                    .iter_mut()
                    .enumerate()
                    .for_each(|(place, value)| *value = 1.0 + (place % 1021) as f32);
            }
        });
        let regions = regions
            .into_iter()
            .map(|region| region.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(Self {
            regions: regions.collect(),
        })
    }

    fn rate(&self, context: &Context, isa: Isa, pool: &Pool, count: usize) -> Option<Interval> {
        self.part_rate(context, isa, pool, self.regions[0].len() as u64 * 4, count)
    }

    /// Bytes a second of all threads together, each reading the first `bytes` of its buffer; in a buffer for all, threads begin at
    /// different places.
    fn part_rate(
        &self,
        context: &Context,
        isa: Isa,
        pool: &Pool,
        bytes: u64,
        count: usize,
    ) -> Option<Interval> {
        let values = bytes as usize / size_of::<f32>();
        let own = self.regions.len() == pool.cpus().len();
        let read = |thread: usize, passes: usize| match self.regions.get(thread) {
            Some(region) if own => vec::stream_read(isa, &region[..values], passes),
            _ => {
                let place = (values / pool.cpus().len() * thread)
                    .next_multiple_of(LINE)
                    .min(values);
                let (front, back) = self.regions[0][..values].split_at(place);
                for _ in 0..passes {
                    vec::stream_read(isa, back, 1);
                    vec::stream_read(isa, front, 1);
                }
            }
        };
        let passes = pool.install(|| repeats_for(context.clock, WINDOW, |passes| read(0, passes)));
        // A single pass is longer than a window, and memory has nothing to settle.
        if passes > 1 {
            pool.on_each(|thread| read(thread, passes * WARM_UP));
        }
        let windows: Vec<Vec<Window>> = together(
            pool,
            context.clock,
            count,
            &|thread| read(thread, passes),
            &|_| 0.0,
        );
        total_rate(context.clock, &windows, (bytes * passes as u64) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGER_LAKE: Caches = Caches {
        l1: Some(48 << 10),
        l2: Some(1_280 << 10),
        l3: Some(8 << 20),
        l3_total: 8 << 20,
        memory: 1 << 30,
    };

    fn bytes(caches: &Caches, threads: usize) -> Vec<Option<u64>> {
        levels(caches, threads)
            .into_iter()
            .map(|level| level.bytes.ok())
            .collect()
    }

    #[test]
    fn working_sets_live_in_their_level() {
        assert_eq!(
            bytes(&TIGER_LAKE, 4),
            [
                Some(24 << 10),
                Some(640 << 10),
                Some(4 << 20),
                Some(8 << 20)
            ]
        );
        assert!(levels(&TIGER_LAKE, 4)[2].shared);
    }

    #[test]
    fn a_level_that_cannot_be_measured_says_why() {
        let small = Caches {
            l3: Some(2 << 20),
            memory: 1 << 20,
            l1: None,
            ..TIGER_LAKE
        };
        let levels = levels(&small, 1);
        assert_eq!(bytes(&small, 1), [None, Some(640 << 10), None, None]);
        assert!(
            levels[0]
                .bytes
                .as_ref()
                .is_err_and(|reason| reason.contains("first-level"))
        );
        assert!(
            levels[2]
                .bytes
                .as_ref()
                .is_err_and(|reason| reason.contains("two L2"))
        );
        assert!(
            levels[3]
                .bytes
                .as_ref()
                .is_err_and(|reason| reason.contains("of memory"))
        );
    }

    #[test]
    fn the_staircase_doubles() {
        assert_eq!(
            sizes(32 << 10, Effort::Quick),
            [4 << 10, 8 << 10, 16 << 10, 32 << 10]
        );
        assert_eq!(
            sizes(16 << 10, Effort::Normal),
            [4 << 10, 6 << 10, 8 << 10, 12 << 10, 16 << 10]
        );
        assert!(sizes(100, Effort::Full).is_empty());
    }
}
