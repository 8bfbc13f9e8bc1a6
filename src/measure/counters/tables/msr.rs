//! Actual and maximum performance: two registers of every x86-64 core since 2006 (SDM, volume 3B, 15.2; APM, volume 2, 17.3), which count
//! while the core is not halted. They need no counter of the PMU and no table, and check what the short windows say of the frequency.

use crate::measure::counters::event::{Counter, Event, Group, Known};

const fn counter(name: &'static str, number: u64, known: Known, why: &'static str) -> Counter {
    Counter {
        name,
        event: Event::Msr(number),
        unit: "cycles",
        weight: 1.0,
        why,
        known,
    }
}

/// Both; the kernel lets them be counted together with itself only.
pub static MSR: Group = Group {
    name: "performance registers",
    counters: &[
        counter(
            "aperf",
            1,
            Known::Cycles,
            "APERF: core clock while not halted; over task_clock it gives the frequency",
        ),
        counter(
            "mperf",
            2,
            Known::Nothing,
            "MPERF: clock of the time stamp counter while not halted",
        ),
    ],
};
