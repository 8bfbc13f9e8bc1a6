//! Ice Lake server and Sapphire Rapids, the basics: Intel's event lists (perfmon, ICX and SPR). Ice Lake server has the client's core
//! encodings; Sapphire Rapids counts lines into L2 and page walks elsewhere, and has no licence events.

use super::Table;
use super::ice_lake::{CACHES, FLOPS, LICENCE, TLB, row};
use crate::measure::counters::event::{Group, Known, Processor};

pub(super) const ICE_LAKE: Table = Table {
    name: "Ice Lake server",
    covers: |cpu| is(cpu, &[0x6a, 0x6c]),
    groups: &[CACHES, FLOPS, LICENCE, TLB],
};

pub(super) const SAPPHIRE_RAPIDS: Table = Table {
    name: "Sapphire and Emerald Rapids",
    covers: |cpu| is(cpu, &[0x8f, 0xcf]),
    groups: &[CACHES_SAPPHIRE_RAPIDS, FLOPS, TLB_SAPPHIRE_RAPIDS],
};

fn is(cpu: &Processor, models: &[u8]) -> bool {
    cpu.vendor == "GenuineIntel" && cpu.family == 6 && models.contains(&cpu.model)
}

const CACHES_SAPPHIRE_RAPIDS: Group = Group {
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
            (0x25, 0x1f, 0),
            Known::LinesIntoL2,
            "L2_LINES_IN.ALL: lines brought into L2, prefetches included; 64 bytes each",
        ),
        row(
            "l3_misses",
            (0x2e, 0x41, 0),
            Known::Nothing,
            "LONGEST_LAT_CACHE.MISS: lines that L3 lacked, its own prefetches excluded",
        ),
    ],
};

const TLB_SAPPHIRE_RAPIDS: Group = Group {
    name: "address translation",
    counters: &[
        row(
            "dtlb_load_walks",
            (0x12, 0x0e, 0),
            Known::Walks,
            "DTLB_LOAD_MISSES.WALK_COMPLETED: loads whose page was in no TLB",
        ),
        row(
            "dtlb_store_walks",
            (0x13, 0x0e, 0),
            Known::Nothing,
            "DTLB_STORE_MISSES.WALK_COMPLETED: stores whose page was in no TLB",
        ),
    ],
};
