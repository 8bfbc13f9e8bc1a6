//! AMD Zen 2 to 5, after AMD's event lists as the kernel's perf tool carries them (pmu-events/arch/x86/amdzen2 to amdzen5).
//! Last-level caches are counted per core complex and system-wide only, so that lines from beyond the complex stand for L3 misses.

use super::Table;
use crate::measure::counters::event::{Counter, Group, Known, Processor, amd};

pub(super) const ZEN_2: Table = Table {
    name: "Zen 2",
    covers: |cpu| is(cpu, 0x17) && cpu.model >= 0x30,
    groups: &[FILLS_ZEN_2, L2, FLOPS_ZEN_2],
};

pub(super) const ZEN_3: Table = Table {
    name: "Zen 3",
    covers: |cpu| is(cpu, 0x19) && matches!(cpu.model, 0x00..=0x0f | 0x20..=0x5f),
    groups: &[FILLS, L2, FLOPS_ZEN_2],
};

pub(super) const ZEN_4: Table = Table {
    name: "Zen 4",
    covers: |cpu| is(cpu, 0x19),
    groups: &[FILLS, L2, FLOPS_ZEN_4, WIDTHS_ZEN_4],
};

pub(super) const ZEN_5: Table = Table {
    name: "Zen 5",
    covers: |cpu| is(cpu, 0x1a) && matches!(cpu.model, 0x00..=0x4f | 0x60..=0x7f),
    groups: &[FILLS, L2, FLOPS_ZEN_5, WIDTHS_ZEN_4],
};

fn is(cpu: &Processor, family: u8) -> bool {
    cpu.vendor == "AuthenticAMD" && cpu.family == family
}

const fn row(name: &'static str, code: (u64, u64), known: Known, why: &'static str) -> Counter {
    Counter {
        name,
        event: amd(code.0, code.1),
        unit: "count",
        weight: 1.0,
        why,
        known,
    }
}

const FILLS: Group = Group {
    name: "where lines came from",
    counters: &[
        row(
            "l1d_misses",
            (0x44, 0xff),
            Known::LinesIntoL1,
            "ls_any_fills_from_sys.all: lines brought into L1, prefetches included; 64 bytes each",
        ),
        row(
            "fills_from_complex",
            (0x44, 0x02),
            Known::Nothing,
            "ls_any_fills_from_sys.local_ccx: from L3 or a neighbour's L2",
        ),
        row(
            "fills_from_memory",
            (0x44, 0x48),
            Known::Nothing,
            "ls_any_fills_from_sys.dram_io_all: lines that L3 lacked, brought into L1",
        ),
        row(
            "dtlb_load_walks",
            (0x45, 0xf0),
            Known::Walks,
            "ls_l1_d_tlb_miss.all_l2_miss: addresses that were in no TLB",
        ),
    ],
};

const FILLS_ZEN_2: Group = Group {
    name: "where lines came from",
    counters: &[
        row(
            "l1d_demand_misses",
            (0x43, 0x5b),
            Known::Something,
            "ls_refills_from_sys: lines brought into L1 on demand, prefetches excluded",
        ),
        row(
            "fills_from_complex",
            (0x43, 0x02),
            Known::Nothing,
            "ls_refills_from_sys.ls_mabresp_lcl_cache: from L3 or a neighbour's L2, on demand",
        ),
        row(
            "fills_from_memory",
            (0x43, 0x48),
            Known::Nothing,
            "ls_refills_from_sys, both memories: lines that L3 lacked, on demand",
        ),
        row(
            "dtlb_load_walks",
            (0x45, 0xf0),
            Known::Walks,
            "ls_l1_d_tlb_miss.all_l2_miss: addresses that were in no TLB",
        ),
    ],
};

const L2: Group = Group {
    name: "second-level cache",
    counters: &[
        row(
            "l2_demand_misses",
            (0x64, 0x08),
            Known::Something,
            "l2_cache_req_stat.ls_rd_blk_c: requests of L1 that L2 lacked, its prefetches excluded",
        ),
        row(
            "l2_prefetches_from_l3",
            (0x71, 0xff),
            Known::Nothing,
            "l2_pf_miss_l2_hit_l3: prefetches into L2 that L3 served",
        ),
        row(
            "l2_prefetches_from_memory",
            (0x72, 0xff),
            Known::Nothing,
            "l2_pf_miss_l2_l3: prefetches into L2 that L3 lacked",
        ),
    ],
};

const FLOPS_ZEN_2: Group = Group {
    name: "arithmetic",
    counters: &[Counter {
        unit: "FLOP",
        ..row(
            "flops",
            (0x03, 0xff),
            Known::Flops,
            "fp_ret_sse_avx_ops.all: every precision and width; takes two counters",
        )
    }],
};

const FLOPS_ZEN_4: Group = Group {
    name: "arithmetic",
    counters: &[Counter {
        unit: "FLOP",
        ..row(
            "flops",
            (0x03, 0x1f),
            Known::Flops,
            "fp_ret_sse_avx_ops.all: every precision and width; takes two counters",
        )
    }],
};

const FLOPS_ZEN_5: Group = Group {
    name: "arithmetic",
    counters: &[Counter {
        unit: "FLOP",
        ..row(
            "flops",
            (0x03, 0x0f),
            Known::Flops,
            "fp_ret_sse_avx_ops.all: every precision and width, bfloat16 excluded; takes two counters",
        )
    }],
};

const WIDTHS_ZEN_4: Group = Group {
    name: "width of arithmetic",
    counters: &[
        row(
            "operations_scalar",
            (0x08, 0x04),
            Known::Nothing,
            "fp_ops_retired_by_width.scalar_uops_retired",
        ),
        row(
            "operations_128",
            (0x08, 0x08),
            Known::Nothing,
            "fp_ops_retired_by_width.pack_128_uops_retired",
        ),
        row(
            "operations_256",
            (0x08, 0x10),
            Known::Nothing,
            "fp_ops_retired_by_width.pack_256_uops_retired",
        ),
        row(
            "operations_512",
            (0x08, 0x20),
            Known::Nothing,
            "fp_ops_retired_by_width.pack_512_uops_retired",
        ),
    ],
};
