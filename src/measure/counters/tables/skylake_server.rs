//! Skylake, Cascade Lake and Cooper Lake server: Intel's event list for Cascade Lake (perfmon, CLX, version 1.22). Four counters
//! with two threads a core, hence groups of four.

use super::Table;
use super::ice_lake::FLOPS;
use crate::measure::counters::event::{Counter, Group, Known, intel};

pub(super) const TABLE: Table = Table {
    name: "Skylake and Cascade Lake server",
    covers: |cpu| cpu.vendor == "GenuineIntel" && cpu.family == 6 && cpu.model == 0x55,
    // The arithmetic events have Ice Lake's encodings.
    groups: &[CACHES, FLOPS, LICENCE, TLB],
};

const fn row(
    name: &'static str,
    code: (u64, u64, u64),
    known: Known,
    why: &'static str,
) -> Counter {
    Counter {
        name,
        event: intel(code.0, code.1, code.2),
        unit: "count",
        weight: 1.0,
        why,
        known,
    }
}

const fn cycles(name: &'static str, code: (u64, u64, u64), why: &'static str) -> Counter {
    Counter {
        unit: "cycles",
        ..row(name, code, Known::Nothing, why)
    }
}

const CACHES: Group = Group {
    name: "traffic between caches",
    counters: &[
        row(
            "l1d_misses",
            (0x51, 0x01, 0),
            Known::LinesIntoL1,
            "L1D.REPLACEMENT: lines brought into L1, prefetches included; 64 bytes each",
        ),
        row(
            "l2_misses",
            (0xf1, 0x1f, 0),
            Known::LinesIntoL2,
            "L2_LINES_IN.ALL: lines brought into L2, prefetches included; 64 bytes each",
        ),
        row(
            "l3_accesses",
            (0x2e, 0x4f, 0),
            Known::Something,
            "LONGEST_LAT_CACHE.REFERENCE: lines asked of L3, not all of them",
        ),
        row(
            "l3_misses",
            (0x2e, 0x41, 0),
            Known::Nothing,
            "LONGEST_LAT_CACHE.MISS: lines that L3 lacked, its own prefetches excluded",
        ),
    ],
};

const LICENCE: Group = Group {
    name: "power licence of wide instructions",
    counters: &[
        cycles(
            "licence_0",
            (0x28, 0x07, 0),
            "CORE_POWER.LVL0_TURBO_LICENSE: full turbo; counts a core, both its threads",
        ),
        cycles(
            "licence_1",
            (0x28, 0x18, 0),
            "CORE_POWER.LVL1_TURBO_LICENSE: heavy 256-bit or light 512-bit",
        ),
        cycles(
            "licence_2",
            (0x28, 0x20, 0),
            "CORE_POWER.LVL2_TURBO_LICENSE: heavy 512-bit",
        ),
        cycles(
            "denormal_assists",
            (0xca, 0x1e, 1),
            "FP_ASSIST.ANY: cycles spent on denormal numbers",
        ),
    ],
};

const TLB: Group = Group {
    name: "address translation",
    counters: &[
        row(
            "dtlb_load_walks",
            (0x08, 0x0e, 0),
            Known::Walks,
            "DTLB_LOAD_MISSES.WALK_COMPLETED: loads whose page was in no TLB",
        ),
        row(
            "dtlb_load_walks_2m",
            (0x08, 0x04, 0),
            Known::Nothing,
            "DTLB_LOAD_MISSES.WALK_COMPLETED_2M_4M: of those, into large pages",
        ),
        row(
            "address_aliases",
            (0x07, 0x01, 0),
            Known::Nothing,
            "LD_BLOCKS_PARTIAL.ADDRESS_ALIAS: loads that looked like a store 4 KB away",
        ),
    ],
};
