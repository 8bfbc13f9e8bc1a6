//! The kernel's own counters: there on every machine, in every virtual machine.

use crate::measure::counters::event::{Counter, Event, Group, Known};
use perf_event_open_sys::bindings as perf;

const fn counter(
    name: &'static str,
    config: u32,
    unit: &'static str,
    why: &'static str,
) -> Counter {
    Counter {
        name,
        event: Event::Software(config as u64),
        unit,
        weight: 1.0,
        why,
        known: Known::Nothing,
    }
}

/// Faults, switches, migrations and processor time.
pub static SOFTWARE: Group = Group {
    name: "kernel",
    counters: &[
        counter(
            "page_faults",
            perf::PERF_COUNT_SW_PAGE_FAULTS,
            "count",
            "memory touched for the first time, or returned and touched again",
        ),
        counter(
            "context_switches",
            perf::PERF_COUNT_SW_CONTEXT_SWITCHES,
            "count",
            "threads that stopped running: waiting for each other or displaced",
        ),
        counter(
            "cpu_migrations",
            perf::PERF_COUNT_SW_CPU_MIGRATIONS,
            "count",
            "threads that lost their caches by moving to another CPU",
        ),
        counter(
            "task_clock",
            perf::PERF_COUNT_SW_TASK_CLOCK,
            "nanoseconds",
            "processor time of all threads",
        ),
    ],
};
