//! The operations that are timed, the traffic of each, and their turns on one working set.

use crate::kernels::Isa;
use crate::kernels::vec::{self, Stores, Stream};
use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::stats::Interval;
use crate::suites::SuiteError;
use crate::suites::ceilings::latency::Pages;
use crate::suites::ceilings::windows::{Window, repeats_for, together, total_rate};
use crate::tensor::Region;
use std::sync::{Mutex, PoisonError};

/// Length of a window; a single pass where that takes longer.
const WINDOW: f64 = 4e-4;

/// Windows of a visit, and how many of them wake the wide units and are left out; of a set whose pass takes long, two and one.
const WINDOWS: (usize, usize) = (6, 2);
const LONG_WINDOWS: (usize, usize) = (2, 1);
const LONG: u64 = 16 << 20;

/// Five cache lines between two arrays: arrays whose addresses differ by a multiple of 4 KB get in each other's way.
const SKEW: usize = 80;

/// One operation, as people call it, with its stores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traffic {
    /// Its part of a metric's name.
    pub(super) name: &'static str,
    /// What it does; `None` only reads.
    operation: Option<Stream>,
    stores: Stores,
}

/// All of them: STREAM's four, a plain read and a plain write; those that write, with both kinds of stores.
pub(super) const ALL: [Traffic; 11] = [
    Traffic {
        name: "read",
        operation: None,
        stores: Stores::Regular,
    },
    regular("write", Stream::Write),
    regular("copy", Stream::Copy),
    regular("scale", Stream::Scale),
    regular("add", Stream::Add),
    regular("triad", Stream::Triad),
    past("write_nt", Stream::Write),
    past("copy_nt", Stream::Copy),
    past("scale_nt", Stream::Scale),
    past("add_nt", Stream::Add),
    past("triad_nt", Stream::Triad),
];

const fn regular(name: &'static str, operation: Stream) -> Traffic {
    Traffic {
        name,
        operation: Some(operation),
        stores: Stores::Regular,
    }
}

const fn past(name: &'static str, operation: Stream) -> Traffic {
    Traffic {
        name,
        operation: Some(operation),
        stores: Stores::NonTemporal,
    }
}

impl Traffic {
    /// Arrays that it works on.
    fn arrays(&self) -> usize {
        self.operation.map_or(1, |operation| operation.reads() + 1)
    }

    /// Values of each array where all together take at most `values`: whole cache lines.
    fn length(&self, values: usize) -> usize {
        (values / self.arrays()).saturating_sub(SKEW) / 16 * 16
    }

    /// Bytes that are read and written for one element of each array.
    pub(super) fn useful_bytes(&self) -> f64 {
        4.0 * self.arrays() as f64
    }

    /// The same with the lines that a regular store fetches only to overwrite them; within L1 (`in_l1`) there is nothing to fetch.
    pub(super) fn bus_bytes(&self, in_l1: bool) -> f64 {
        let fetches = self.operation.is_some() && self.stores == Stores::Regular && !in_l1;
        self.useful_bytes() + if fetches { 4.0 } else { 0.0 }
    }

    /// Goes `passes` times through the front of `memory`, of which all arrays together take at most `values`.
    fn run(&self, isa: Isa, memory: &mut [f32], values: usize, passes: usize) {
        let length = self.length(values);
        let Some(operation) = self.operation else {
            return vec::stream_read(isa, &memory[..length], passes);
        };
        let (out, rest) = memory.split_at_mut(length + SKEW);
        let input = |index: usize| match index < operation.reads() {
            true => &rest[index * (length + SKEW)..][..length],
            false => &[],
        };
        let inputs = [input(0), input(1)];
        vec::stream(
            isa,
            (operation, self.stores),
            inputs,
            &mut out[..length],
            passes,
        );
    }
}

/// The memory of each thread, filled by the thread itself so that its pages lie near it, with values that are not zero.
pub(super) struct Memory {
    threads: Vec<Mutex<Region>>,
}

impl Memory {
    /// `bytes` for each thread of `pool`.
    pub(super) fn new(pool: &Pool, bytes: u64, pages: Pages) -> Result<Self, SuiteError> {
        // Arrays end with a gap behind each.
        let values = (bytes / 4) as usize + SKEW;
        let region = |_| Ok(Mutex::new(pages.region(values)?));
        let threads: Vec<Mutex<Region>> = (0..pool.cpus().len())
            .map(region)
            .collect::<Result<_, SuiteError>>()?;
        let memory = Self { threads };
        pool.on_each(|thread| {
            let mut region = memory.of(thread);
            let values = region.iter_mut().enumerate();
            values.for_each(|(place, value)| *value = 1.0 + (place % 1021) as f32);
        });
        Ok(memory)
    }

    fn of(&self, thread: usize) -> std::sync::MutexGuard<'_, Region> {
        self.threads[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One operation in one instruction set on one working set.
pub(super) struct Arm {
    pub(super) traffic: &'static Traffic,
    pub(super) isa: Isa,
    /// Passes of a window; 0 until they were found.
    passes: usize,
    /// Windows of each thread, over all rounds.
    windows: Vec<Vec<Window>>,
}

impl Arm {
    pub(super) fn new(traffic: &'static Traffic, isa: Isa) -> Self {
        Self {
            traffic,
            isa,
            passes: 0,
            windows: Vec::new(),
        }
    }

    /// Elements a second of all threads together, `bytes` being the working set of each; `None` where it was never visited.
    pub(super) fn rate(&self, clock: &Clock, bytes: u64) -> Option<Interval> {
        let elements = self.traffic.length((bytes / 4) as usize) * self.passes;
        (!self.windows.is_empty())
            .then(|| total_rate(clock, &self.windows, elements as f64))
            .flatten()
    }

    fn visit(&mut self, memory: &Memory, pool: &Pool, clock: &Clock, bytes: u64) {
        let values = (bytes / 4) as usize;
        let (traffic, isa) = (self.traffic, self.isa);
        let run = |thread: usize, passes: usize| {
            traffic.run(isa, &mut memory.of(thread), values, passes);
        };
        if self.passes == 0 {
            self.passes = pool.install(|| repeats_for(clock, WINDOW, |passes| run(0, passes)));
        }
        let passes = self.passes;
        let (count, waking) = if bytes >= LONG { LONG_WINDOWS } else { WINDOWS };
        let new = together(pool, clock, count, &|thread| run(thread, passes), &|_| 0.0);
        self.windows.resize(new.len(), Vec::new());
        for (all, new) in self.windows.iter_mut().zip(new) {
            let awake = &new[waking.min(new.len().saturating_sub(1))..];
            all.extend_from_slice(awake);
        }
    }
}

/// Visits the arms in turns, `rounds` times, on a working set of `bytes` a thread; ends early when `stop` says so.
pub(super) fn visit(
    arms: &mut [Arm],
    memory: &Memory,
    (pool, clock): (&Pool, &Clock),
    bytes: u64,
    rounds: usize,
    stop: &dyn Fn() -> bool,
) {
    for round in 0..rounds {
        for place in 0..arms.len() {
            if stop() {
                return;
            }
            let arm = session::at(arms.len(), round, place);
            arms[arm].visit(memory, pool, clock, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_counted_as_stream_counts_it_and_as_the_bus_sees_it() {
        let of = |name: &str| {
            let traffic = ALL.iter().find(|traffic| traffic.name == name).unwrap();
            let bus = [false, true].map(|in_l1| traffic.bus_bytes(in_l1));
            (traffic.useful_bytes(), bus)
        };
        assert_eq!(of("read"), (4.0, [4.0, 4.0]));
        assert_eq!(of("write"), (4.0, [8.0, 4.0]));
        assert_eq!(of("copy"), (8.0, [12.0, 8.0]));
        assert_eq!(of("triad"), (12.0, [16.0, 12.0]));
        assert_eq!(of("triad_nt"), (12.0, [12.0, 12.0]));
    }

    #[test]
    fn every_operation_runs_on_any_working_set() {
        let (clock, pool) = (Clock::best(), Pool::new(&[0, 0]).unwrap());
        for pages in [Pages::Small, Pages::Large] {
            for bytes in [4096, 70_016] {
                let memory = Memory::new(&pool, bytes, pages).unwrap();
                let mut arms: Vec<Arm> = ALL
                    .iter()
                    .map(|traffic| Arm::new(traffic, Isa::best()))
                    .collect();
                assert!(arms[0].rate(&clock, bytes).is_none());
                visit(&mut arms, &memory, (&pool, &clock), bytes, 1, &|| false);
                for arm in &arms {
                    let rate = arm.rate(&clock, bytes).unwrap();
                    assert!(rate.estimate > 0.0, "{}: {rate:?}", arm.traffic.name);
                }
                // Nothing that is read was written, and what was written is finite.
                assert!(memory.of(0).iter().all(|value| value.is_finite()));
            }
        }
    }
}
