//! Ice Lake, Tiger Lake and Rocket Lake client: Intel's event list for Tiger Lake (perfmon, TGL, version 1.19), whose encodings
//! equal Ice Lake's for every event that both have. Many events work on counters 0 to 3 only, hence groups of four.

use super::Table;
use crate::measure::counters::event::{Counter, Event, Group, Known, intel};

pub(super) const TABLE: Table = Table {
    name: "Ice Lake and Tiger Lake client",
    covers: |cpu| {
        cpu.vendor == "GenuineIntel"
            && cpu.family == 6
            && matches!(cpu.model, 0x7d | 0x7e | 0x8c | 0x8d | 0xa7)
    },
    groups: &[
        CACHES, LOADS, ALL_LOADS, FLOPS, LICENCE, STALLS, TLB, TOP_DOWN,
    ],
};

pub(super) const fn row(
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

const fn flop(
    name: &'static str,
    unit_mask: u64,
    (lanes, known): (f64, Known),
    why: &'static str,
) -> Counter {
    Counter {
        unit: "FLOP",
        weight: lanes,
        ..row(name, (0xc7, unit_mask, 0), known, why)
    }
}

pub(super) const CACHES: Group = Group {
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
            (0xb0, 0x80, 0),
            Known::Something,
            "OFFCORE_REQUESTS.ALL_REQUESTS: lines asked of L3",
        ),
        row(
            "l3_misses",
            (0x2e, 0x41, 0),
            Known::Nothing,
            "LONGEST_LAT_CACHE.MISS: lines that L3 lacked, its own prefetches excluded",
        ),
    ],
};

const LOADS: Group = Group {
    name: "where loads found their data",
    counters: &[
        row(
            "loads_missing_l1d",
            (0xd1, 0x08, 0),
            Known::Nothing,
            "MEM_LOAD_RETIRED.L1_MISS: demand loads only",
        ),
        row(
            "loads_missing_l2",
            (0xd1, 0x10, 0),
            Known::Nothing,
            "MEM_LOAD_RETIRED.L2_MISS: demand loads only",
        ),
        row(
            "loads_missing_l3",
            (0xd1, 0x20, 0),
            Known::Nothing,
            "MEM_LOAD_RETIRED.L3_MISS: demand loads only",
        ),
        row(
            "loads_in_flight",
            (0xd1, 0x40, 0),
            Known::Nothing,
            "MEM_LOAD_RETIRED.FB_HIT: the line was on its way already",
        ),
    ],
};

const ALL_LOADS: Group = Group {
    name: "loads, and how many misses are under way",
    counters: &[
        row(
            "loads",
            (0xd0, 0x81, 0),
            Known::Loads,
            "MEM_INST_RETIRED.ALL_LOADS",
        ),
        row(
            "l1d_misses_under_way",
            (0x48, 0x01, 0),
            Known::Something,
            "L1D_PEND_MISS.PENDING: misses of L1 under way, summed over cycles",
        ),
        cycles(
            "cycles_with_l1d_misses",
            (0x48, 0x01, 1),
            "L1D_PEND_MISS.PENDING_CYCLES: cycles with a miss under way",
        ),
        cycles(
            "cycles_bound_by_bandwidth",
            (0x60, 0x08, 4),
            "OFFCORE_REQUESTS_OUTSTANDING.ALL_DATA_RD with four or more: waiting for bandwidth",
        ),
    ],
};

/// The kernel scales the four fields of PERF_METRICS to slots; the leader must be the slots themselves.
const TOP_DOWN: Group = Group {
    name: "top-down, level 1",
    counters: &[
        slots(
            "slots",
            0x0400,
            "TOPDOWN.SLOTS: five a cycle, shared by the core's threads",
        ),
        slots(
            "slots_retiring",
            0x8000,
            "topdown-retiring: work that counted",
        ),
        slots(
            "slots_bad_speculation",
            0x8100,
            "topdown-bad-spec: work that was thrown away",
        ),
        slots(
            "slots_front_end",
            0x8200,
            "topdown-fe-bound: no instruction arrived",
        ),
        slots(
            "slots_back_end",
            0x8300,
            "topdown-be-bound: waiting for data or for a unit",
        ),
    ],
};

const fn slots(name: &'static str, code: u64, why: &'static str) -> Counter {
    Counter {
        name,
        event: Event::Raw(code),
        unit: "slots",
        weight: 1.0,
        why,
        known: Known::Nothing,
    }
}

pub(super) const FLOPS: Group = Group {
    name: "single-precision arithmetic",
    counters: &[
        flop(
            "flops_scalar",
            0x02,
            (1.0, Known::Flops1),
            "FP_ARITH_INST_RETIRED.SCALAR_SINGLE: a fused multiply-add counts twice",
        ),
        flop(
            "flops_128",
            0x08,
            (4.0, Known::Flops4),
            "FP_ARITH_INST_RETIRED.128B_PACKED_SINGLE x 4 lanes",
        ),
        flop(
            "flops_256",
            0x20,
            (8.0, Known::Flops8),
            "FP_ARITH_INST_RETIRED.256B_PACKED_SINGLE x 8 lanes",
        ),
        flop(
            "flops_512",
            0x80,
            (16.0, Known::Flops16),
            "FP_ARITH_INST_RETIRED.512B_PACKED_SINGLE x 16 lanes",
        ),
    ],
};

pub(super) const LICENCE: Group = Group {
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
        row(
            "denormal_assists",
            (0xc1, 0x02, 0),
            Known::Nothing,
            "ASSISTS.FP: denormal numbers, a hundred times slower each",
        ),
    ],
};

const STALLS: Group = Group {
    name: "cycles without progress",
    counters: &[
        cycles(
            "stalls_l1d_miss",
            (0xa3, 0x0c, 12),
            "CYCLE_ACTIVITY.STALLS_L1D_MISS: waiting for a line that L1 lacks",
        ),
        cycles(
            "stalls_l2_miss",
            (0xa3, 0x05, 5),
            "CYCLE_ACTIVITY.STALLS_L2_MISS: waiting for a line that L2 lacks",
        ),
        cycles(
            "stalls_l3_miss",
            (0xa3, 0x06, 6),
            "CYCLE_ACTIVITY.STALLS_L3_MISS: waiting for memory",
        ),
        cycles(
            "stalls_total",
            (0xa3, 0x04, 4),
            "CYCLE_ACTIVITY.STALLS_TOTAL: nothing was executed",
        ),
    ],
};

pub(super) const TLB: Group = Group {
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
            "dtlb_store_walks",
            (0x49, 0x0e, 0),
            Known::Nothing,
            "DTLB_STORE_MISSES.WALK_COMPLETED: stores whose page was in no TLB",
        ),
        row(
            "address_aliases",
            (0x07, 0x01, 0),
            Known::Nothing,
            "LD_BLOCKS_PARTIAL.ADDRESS_ALIAS: loads that looked like a store 4 KB away",
        ),
    ],
};
