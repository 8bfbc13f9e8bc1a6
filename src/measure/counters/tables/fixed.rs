//! Cycles and instructions: the two generic hardware counters that mean the same on every CPU.

use crate::measure::counters::event::{Counter, Event, Group, Known};
use perf_event_open_sys::bindings as perf;

const fn counter(
    name: &'static str,
    config: u32,
    unit: &'static str,
    known: Known,
    why: &'static str,
) -> Counter {
    Counter {
        name,
        event: Event::Hardware(config as u64),
        unit,
        weight: 1.0,
        why,
        known,
    }
}

/// Cycles and instructions; a counter of their own each on Intel, two of six on AMD.
pub static FIXED: Group = Group {
    name: "cycles",
    counters: &[
        counter(
            "cycles",
            perf::PERF_COUNT_HW_CPU_CYCLES,
            "cycles",
            Known::Cycles,
            "core clock while the thread ran; over task_clock it gives the frequency",
        ),
        counter(
            "instructions",
            perf::PERF_COUNT_HW_INSTRUCTIONS,
            "count",
            Known::Instructions,
            "instructions retired; over cycles it tells how full the core was",
        ),
    ],
};
