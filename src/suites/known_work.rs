//! Code whose counts are known, for the self-test of the counters: additions, multiply-adds of each width, loads, lines, page walks.

use super::ceilings::latency::{Chain, Pages};
use crate::kernels::Isa;
use crate::kernels::vec::{CLOCKED_CYCLES, PowerLoad, clocked, stream_read};
use crate::measure::counters::selftest::{self, Work};
use crate::measure::counters::{Controllers, Counter, Group, Known, Missing};
use crate::probe::Machine;
use crate::tensor::{Arena, Region};
use std::cell::RefCell;

/// Passes of the clocked loop, 128 cycles each: a millisecond.
const PASSES: u64 = 20_000;

/// Instructions of a pass: 128 additions, 64 others, and the two of the loop.
const INSTRUCTIONS: u64 = CLOCKED_CYCLES + CLOCKED_CYCLES / 2 + 2;

/// Values that are read to count loads: they stay in L1.
const VALUES: usize = 4096;

/// Lines that a chain goes through, one for each load, more than a second-level cache holds.
const LINES: u64 = 1 << 20;

/// Pages that a chain goes through, one for each load: a hundred times what a TLB holds.
const PAGES: u64 = 1 << 14;
const PAGE: u64 = 4096;

/// Bytes of a line, and from a line of a page to that of the next: one line further, so that they spread over the caches' sets.
const LINE: u64 = 64;
const STRIDE: u64 = PAGE + LINE;

/// The counters of `groups` that contradict known work on the calling thread, whose number is `thread`. Costs some milliseconds a
/// group, and a hundred megabytes for as long.
pub(super) fn doubts(
    machine: &Machine,
    groups: &[&'static Group],
    thread: u32,
) -> Vec<(&'static Counter, Missing)> {
    // Nothing can be doubted where nothing is counted: no memory is laid out for it.
    if !selftest::any_counts(groups, thread) {
        return Vec::new();
    }
    let loads: Vec<(PowerLoad, Vec<(Known, f64)>)> = PowerLoad::available()
        .into_iter()
        .filter_map(|load| Some((load, arithmetic(load)?)))
        .collect();
    let runs: Vec<Box<dyn Fn()>> = loads.iter().map(|(load, _)| spin(*load)).collect();
    let mut works: Vec<Work<'_>> = loads
        .iter()
        .zip(&runs)
        .map(|((_, known), run)| Work { known, run })
        .collect();
    let values = values();
    let isa = Isa::best();
    let read = || stream_read(isa, &values, 16);
    let known_loads = [(Known::Loads, (16 * VALUES / isa.lanes()) as f64)];
    works.push(Work {
        known: &known_loads,
        run: &read,
    });
    let room = machine.usable_memory_bytes().unwrap_or(u64::MAX) / 4;
    let lines = chain(LINES * LINE, LINE, Pages::Large, room);
    let walk_lines = || follow(&lines, LINES);
    let known_lines = [
        (Known::LinesIntoL1, LINES as f64),
        (Known::LinesIntoL2, LINES as f64),
        (Known::Something, LINES as f64),
    ];
    works.push(Work {
        known: if lines.is_some() { &known_lines } else { &[] },
        run: &walk_lines,
    });
    let pages = chain(PAGES * STRIDE, STRIDE, Pages::Small, room);
    let walk_pages = || follow(&pages, PAGES);
    let known_walks = [(Known::Walks, PAGES as f64)];
    works.push(Work {
        known: if pages.is_some() { &known_walks } else { &[] },
        run: &walk_pages,
    });
    selftest::doubts(groups, &works, thread)
}

/// The counters of the memory controllers that contradict known work: lines from memory, which prefetchers and others only add to.
pub(super) fn doubts_of_traffic(
    machine: &Machine,
    controllers: &mut Controllers,
) -> Vec<(&'static Counter, Missing)> {
    let room = machine.usable_memory_bytes().unwrap_or(u64::MAX) / 4;
    // More than any cache keeps until the chain comes back.
    let bytes = (LINES * LINE).max(4 * machine.l3_bytes().unwrap_or(0));
    let Some(lines) = controllers
        .any()
        .then(|| chain(bytes, LINE, Pages::Large, room))
        .flatten()
    else {
        return Vec::new();
    };
    let lines = Some(lines);
    controllers.start();
    follow(&lines, LINES);
    let known = [
        (Known::BytesRead, (LINES * LINE) as f64),
        (Known::Something, 1.0),
    ];
    selftest::contradictions(&known, controllers.stop())
}

/// What a load of the clocked loop does in [`PASSES`] passes; logic is no arithmetic.
fn arithmetic(load: PowerLoad) -> Option<Vec<(Known, f64)>> {
    let others = (PASSES * CLOCKED_CYCLES / 2) as f64;
    let (width, flops) = match load {
        PowerLoad::Scalar => (Known::Flops1, 1.0),
        PowerLoad::Sse => (Known::Flops4, 4.0),
        // A multiply-add is two.
        PowerLoad::Avx2Heavy(_) => (Known::Flops8, 16.0),
        PowerLoad::Avx512Heavy(_) => (Known::Flops16, 32.0),
        PowerLoad::Avx2Light(_) | PowerLoad::Avx512Light(_) => return None,
    };
    Some(vec![
        (Known::Cycles, (PASSES * CLOCKED_CYCLES) as f64),
        (Known::Instructions, (PASSES * INSTRUCTIONS) as f64),
        (width, others * flops),
        (Known::Flops, others * flops),
    ])
}

fn spin(load: PowerLoad) -> Box<dyn Fn()> {
    Box::new(move || {
        std::hint::black_box(clocked(load, PASSES));
    })
}

/// Whole lines that are not zero.
fn values() -> Region {
    let arena = Arena::new(VALUES);
    let mut region = arena.map_or_else(|_| Region::allocated(0), |mut arena| arena.take(VALUES));
    region.fill(1.5);
    region
}

/// A chain through `bytes`, where there is `room` for it.
fn chain(bytes: u64, stride: u64, pages: Pages, room: u64) -> Option<RefCell<Chain>> {
    if bytes > room {
        return None;
    }
    let mut chain = Chain::new(bytes, pages).ok()?;
    chain.lay(bytes, stride);
    Some(RefCell::new(chain))
}

fn follow(chain: &Option<RefCell<Chain>>, loads: u64) {
    if let Some(chain) = chain {
        chain.borrow_mut().follow(loads as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::counters::tables::{FIXED, SOFTWARE};

    fn own_thread() -> u32 {
        let own = std::fs::read_link("/proc/thread-self").unwrap();
        own.file_name().unwrap().to_str().unwrap().parse().unwrap()
    }

    #[test]
    fn work_says_what_it_does() {
        for load in PowerLoad::available() {
            let Some(known) = arithmetic(load) else {
                assert!(load.name().ends_with("light"));
                continue;
            };
            assert_eq!(known[0], (Known::Cycles, 2_560_000.0));
            assert_eq!(known[1], (Known::Instructions, 3_880_000.0));
            assert!(known[2].1 >= 1_280_000.0 && known[3].1 == known[2].1);
        }
        let values = values();
        assert_eq!((values.len(), values[VALUES - 1]), (VALUES, 1.5));
    }

    #[test]
    fn chains_are_laid_where_there_is_room() {
        assert!(chain(PAGES * STRIDE, STRIDE, Pages::Small, 0).is_none());
        let small = chain(64 * STRIDE, STRIDE, Pages::Small, u64::MAX);
        follow(&small, 1_000);
        assert!(small.is_some());
        follow(&None, 1_000);
    }

    #[test]
    fn hardware_counters_that_are_here_pass_or_are_named() {
        let machine = Machine::detect();
        for (counter, missing) in doubts(&machine, &[&FIXED, &SOFTWARE], own_thread()) {
            assert!(
                matches!(missing, Missing::Unbelievable { .. }),
                "{}: {missing}",
                counter.name
            );
        }
    }
}
