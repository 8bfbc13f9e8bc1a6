//! What the rules are about: the rooms, the registries, and the places where something is allowed.

/// Each room, and the rooms that it may import. The order is that of `src/lib.rs`.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("atomic", &[]),
    ("bounded", &["units"]),
    ("json", &[]),
    ("probe", &["units"]),
    ("kernels", &["units"]),
    ("parallel", &["kernels", "units"]),
    ("tensor", &["units"]),
    ("config", &["json", "units"]),
    ("text", &["atomic", "json", "units"]),
    ("fleet", &["parallel", "units"]),
    ("model", &["kernels", "tensor", "parallel", "units"]),
    (
        "train",
        &[
            "model", "fleet", "text", "tensor", "parallel", "kernels", "record", "atomic",
            "bounded", "json", "units",
        ],
    ),
    ("measure", &["bounded", "units"]),
    ("stats", &["units"]),
    ("record", &["units"]),
    ("history", &["record", "json", "units"]),
    (
        "suites",
        &[
            "probe", "measure", "stats", "kernels", "tensor", "parallel", "model", "train", "text",
            "fleet", "config", "record", "atomic", "units",
        ],
    ),
    ("report", &["record", "stats", "atomic", "units"]),
    (
        "cli",
        &[
            "probe", "measure", "stats", "kernels", "tensor", "parallel", "model", "train", "text",
            "config", "record", "history", "suites", "report", "fleet", "atomic", "bounded",
            "json", "units",
        ],
    ),
];

/// The one file that starts other programs, by names of its own: nothing that stands in a file reaches a shell.
pub(crate) const PROGRAMS: &str = "src/cli/bench/simulation.rs";

/// Folders where each file is one of a kind and has a row in the `mod.rs` beside it, and the helpers that have none.
/// A `pub mod` line is a row: the file is used by its path.
pub(crate) const REGISTRIES: &[(&str, &[&str])] = &[
    ("src/kernels/isa", &["ymm"]),
    ("src/kernels/vec", &["accuracy", "map"]),
    ("src/model/ops", &[]),
    (
        "src/suites",
        &["contest", "known_work", "operands", "steps"],
    ),
    (
        "src/report/charts",
        &["cache_table", "ceilings", "heat", "panels"],
    ),
    ("src/report/formats", &[]),
    (
        "src/cli",
        &[
            "answer",
            "environment",
            "interrupt",
            "outcome",
            "preparation",
            "profile",
            "progress",
            "ranks",
            "runs",
            "sampling",
            "text_source",
            "trained",
            "workers",
            "written",
        ],
    ),
    ("src/measure/counters/tables", &[]),
];

/// The files that may hold unsafe code: instructions, register tiles, aligned memory, slices shared among threads, system calls.
pub(crate) const UNSAFE: &[&str] = &[
    "src/fleet/watch/timer.rs",
    "src/kernels/attention/backward.rs",
    "src/kernels/attention/column.rs",
    "src/kernels/attention/forward.rs",
    "src/kernels/attention/mod.rs",
    "src/kernels/attention/panel.rs",
    "src/kernels/gemm/batched.rs",
    "src/kernels/gemm/block.rs",
    "src/kernels/gemm/direct.rs",
    "src/kernels/gemm/epilogue.rs",
    "src/kernels/gemm/matrix.rs",
    "src/kernels/gemm/pack.rs",
    "src/kernels/gemm/source.rs",
    "src/kernels/gemm/tile.rs",
    "src/kernels/isa/avx2.rs",
    "src/kernels/isa/avx512/mod.rs",
    "src/kernels/isa/avx512/tiles.rs",
    "src/kernels/isa/avx512vl.rs",
    "src/kernels/isa/mod.rs",
    "src/kernels/isa/portable.rs",
    "src/kernels/isa/ymm.rs",
    "src/kernels/team.rs",
    "src/kernels/vec/chase.rs",
    "src/kernels/testing/guarded.rs",
    "src/kernels/vec/clocked.rs",
    "src/kernels/vec/stream.rs",
    "src/kernels/vec/stream_read.rs",
    "src/measure/clock/tsc.rs",
    "src/measure/counters/perf.rs",
    "src/measure/counters/perf/tests.rs",
    "src/measure/frequency.rs",
    "src/parallel/crew.rs",
    "src/parallel/mod.rs",
    "src/parallel/place.rs",
    "src/probe/cpuid.rs",
    "src/probe/trial.rs",
    "src/suites/peers/cblas.rs",
    "src/suites/peers/crates.rs",
    "src/suites/peers/mod.rs",
    "src/suites/peers/onednn.rs",
    "src/tensor/arena.rs",
    "src/tensor/heap.rs",
    "src/text/map.rs",
    "src/train/disk_space.rs",
];

/// Rooms and files that serde may enter: results belong to `record`, the others read or write files of their own.
pub(crate) const SERDE: &[&str] = &[
    "src/config/",
    // Values of any kind, and no type of ours.
    "src/json.rs",
    "src/record/",
    "src/text/",
    // What a checkpoint and the log beside it hold.
    "src/train/metrics_log.rs",
    "src/train/schedule.rs",
    "src/train/state.rs",
];

/// The length of a file that nobody may exceed, and of a function.
pub(crate) const FILE_LINES: usize = 600;
pub(crate) const FUNCTION_LINES: usize = 100;

/// Functions that were longer when the rule came. The list only ever gets shorter.
pub(crate) const LONG_FUNCTIONS: &[(&str, &str)] = &[];
