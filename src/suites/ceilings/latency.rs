//! How long one load takes, over working sets: a chain of loads through every cache line in random order.

use super::bandwidth::sizes;
use crate::kernels::vec;
use crate::measure::clock::Clock;
use crate::stats::bootstrap::median_interval;
use crate::suites::quantity::NANOSECONDS;
use crate::suites::{Context, Curve, SuiteError};
use crate::tensor::{Arena, ArenaError, Region};

/// Loads in one window: half a millisecond to two in memory, 25 us in L1.
const STEPS: usize = 20_000;

/// A chain that meets every cache line.
pub(in crate::suites) const LINE_BYTES: u64 = 64;

/// The smallest page of x86-64.
pub(in crate::suites) const PAGE_BYTES: u64 = 4 << 10;

/// Pages whose lines a chain through pages mixes: any first-level TLB holds them, and no prefetcher follows so many.
const GROUP_PAGES: u64 = 32;

/// Loads that bring a working set into its caches.
const MOST_WARMING: usize = 1 << 20;

/// Largest working set.
const LARGEST: u64 = 1 << 30;

/// L3 assumed where the machine does not tell.
const UNKNOWN_L3: u64 = 32 << 20;

/// Bytes of one place of the chain: of an f32.
const PLACE: u64 = 4;

/// A chain of dependent loads through a working set, laid anew for each size.
#[derive(Debug)]
pub(in crate::suites) struct Chain {
    buffer: Region,
    /// Places that the chain goes through.
    part: usize,
    /// Where it has come to.
    place: usize,
}

/// The pages under a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::suites) enum Pages {
    /// 4 KB.
    Small,
    /// 2 MB, where the system gives them.
    Large,
}

impl Pages {
    /// Memory for `values` on such pages.
    pub(in crate::suites) fn region(self, values: usize) -> Result<Region, ArenaError> {
        let mut arena = match self {
            Pages::Small => Arena::on_small_pages(values)?,
            Pages::Large => Arena::new(values)?,
        };
        Ok(arena.take(values))
    }
}

impl Chain {
    /// Memory for working sets of up to `bytes`.
    pub(in crate::suites) fn new(bytes: u64, pages: Pages) -> Result<Self, ArenaError> {
        let places = ((bytes / PLACE) as usize).next_multiple_of(16);
        Ok(Self {
            buffer: pages.region(places)?,
            part: 16,
            place: 0,
        })
    }

    /// Leads the chain through one place in every `stride` bytes of the first `bytes`, in random order, and walks it once, or as
    /// far as brings the caches into their state.
    pub(in crate::suites) fn lay(&mut self, bytes: u64, stride: u64) {
        self.part = (bytes / PLACE) as usize;
        let stride = (stride / PLACE) as usize;
        let part = &mut self.buffer[..self.part];
        vec::chase_links(part, stride, bytes);
        self.place = vec::chase(part, 0, (part.len() / stride).min(MOST_WARMING));
    }

    /// Whole pages of the memory.
    pub(in crate::suites) fn pages(&self) -> usize {
        (self.buffer.len() as u64 * PLACE / PAGE_BYTES) as usize
    }

    /// Leads the chain through every line of `bytes`, taken from these pages of [`PAGE_BYTES`] one after the other, and walks it as
    /// [`Self::lay`] does. Some pages at a time, so that hardly a load waits for a translation, whatever pages the system gave.
    pub(in crate::suites) fn lay_pages(&mut self, pages: &[usize], bytes: u64) {
        const LINES: usize = (PAGE_BYTES / LINE_BYTES) as usize;
        let lines = (bytes / LINE_BYTES) as usize;
        let place = |line: usize| {
            (pages[line / LINES] * LINES + line % LINES) * (LINE_BYTES / PLACE) as usize
        };
        self.part = self.buffer.len();
        let group = GROUP_PAGES as usize * LINES;
        vec::chase_links_through(&mut self.buffer, lines, place, group, bytes);
        self.place = vec::chase(&self.buffer, place(0), lines.min(MOST_WARMING));
    }

    /// Follows it for `steps` loads.
    pub(in crate::suites) fn follow(&mut self, steps: usize) {
        self.place = std::hint::black_box(vec::chase(&self.buffer[..self.part], self.place, steps));
    }

    /// Seconds of a load, over `steps` of them.
    pub(in crate::suites) fn window(&mut self, clock: &Clock, steps: usize) -> f64 {
        let start = clock.now();
        self.place = vec::chase(&self.buffer[..self.part], self.place, steps);
        let seconds = clock.since(start);
        std::hint::black_box(self.place);
        seconds / steps as f64
    }
}

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    context.say("ceilings: latency over working sets");
    let memory = context.machine.usable_memory_bytes().unwrap_or(LARGEST) / 4;
    let l3 = context.machine.l3_bytes().unwrap_or(UNKNOWN_L3);
    let largest = (4 * l3).min(memory).min(LARGEST);
    let mut chain = Chain::new(largest, Pages::Large)?;
    let pool = context.pool(1)?;
    let count = context.experiment.effort.samples(5);
    let mut curve = Curve::over("bytes");
    for bytes in sizes(largest, context.experiment.effort) {
        if context.stopped() {
            break;
        }
        let clock = context.clock;
        let samples: Vec<f64> = pool.install(|| {
            chain.lay(bytes, LINE_BYTES);
            let window = |_| chain.window(clock, STEPS) * 1e9;
            (0..count).map(window).collect()
        });
        if let Some(interval) = median_interval(&samples, bytes) {
            curve.push(bytes as f64, interval);
        }
    }
    record(context, curve);
    Ok(())
}

/// The curve, and each level's latency: that of the largest working set of at most half its size.
fn record(context: &mut Context, curve: Curve) {
    let sizes = [
        ("l1", context.machine.l1d_bytes()),
        ("l2", context.machine.l2_bytes()),
        ("l3", context.machine.l3_bytes()),
    ];
    for (name, size) in sizes {
        let subject = format!("ceiling.latency.{name}.t1");
        let Some(size) = size else {
            context.recorder.missing(
                &subject,
                NANOSECONDS,
                "the machine does not tell the size of the cache",
            );
            continue;
        };
        let place = curve
            .x
            .iter()
            .rposition(|bytes| *bytes <= size as f64 / 2.0);
        if let Some(place) = place {
            let how = "dependent loads through half of the cache in random order, one thread";
            context
                .recorder
                .measured(&subject, NANOSECONDS, curve.intervals[place], how);
        }
    }
    if let Some(last) = curve.intervals.last() {
        let how = "dependent loads through the largest working set in random order, one thread, translation included";
        context
            .recorder
            .measured("ceiling.latency.dram.t1", NANOSECONDS, *last, how);
    }
    let how = "one load that waits for the one before, through every cache line of the working set in random order; median of windows";
    context
        .recorder
        .curve("ceiling.latency.staircase", NANOSECONDS, curve, how);
}
