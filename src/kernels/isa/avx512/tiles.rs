//! The register tiles of AVX-512 at 512 bits, in assembly.
//!
//! Half of their rows broadcast A within the multiply-add, which no compiler chooses for a value used twice: 37 instructions a step instead
//! of 44 leave 23 loads for 28 multiply-adds, within two loads a cycle. Where another thread shares the core, and with it the front end, the
//! tile was a quarter faster for it; alone, 4 %.
#![allow(unsafe_code, reason = "assembly; whoever calls has the token")]

use std::arch::x86_64::*;

use super::Avx512;
use crate::kernels::gemm::{Tile, write_tile};

/// A row of the tile whose element of A is broadcast to a register: one load and three instructions.
macro_rules! broadcast {
    ($address:expr, $left:literal, $right:literal) => {
        concat!(
            "vbroadcastss zmm2, dword ptr [",
            $address,
            "]\n",
            "vfmadd231ps zmm",
            $left,
            ", zmm0, zmm2\n",
            "vfmadd231ps zmm",
            $right,
            ", zmm1, zmm2\n",
        )
    };
}

/// A row of the tile whose element of A is broadcast by each multiply-add: two loads and two instructions.
macro_rules! embedded {
    ($address:expr, $left:literal, $right:literal) => {
        concat!(
            "vfmadd231ps zmm",
            $left,
            ", zmm0, dword ptr [",
            $address,
            "]{{1to16}}\n",
            "vfmadd231ps zmm",
            $right,
            ", zmm1, dword ptr [",
            $address,
            "]{{1to16}}\n",
        )
    };
}

/// Where row `$row` of a panel of A has its element of step `$step` of a turn.
macro_rules! in_panel {
    ($step:literal, $row:literal) => {
        concat!("{a} + 56*", $step, " + 4*", $row)
    };
}

/// One step of K from panels. B streams from L2: its lines are fetched to L1 eight steps before, which is worth 1 %.
macro_rules! panel_step {
    ($step:literal) => {
        concat!(
            "vmovups zmm0, [{b} + 128*",
            $step,
            "]\n",
            "vmovups zmm1, [{b} + 128*",
            $step,
            " + 64]\n",
            "prefetcht0 [{b} + 128*",
            $step,
            " + 1024]\n",
            "prefetcht0 [{b} + 128*",
            $step,
            " + 1088]\n",
            broadcast!(in_panel!($step, 0), 4, 5),
            embedded!(in_panel!($step, 1), 6, 7),
            broadcast!(in_panel!($step, 2), 8, 9),
            embedded!(in_panel!($step, 3), 10, 11),
            broadcast!(in_panel!($step, 4), 12, 13),
            embedded!(in_panel!($step, 5), 14, 15),
            broadcast!(in_panel!($step, 6), 16, 17),
            embedded!(in_panel!($step, 7), 18, 19),
            broadcast!(in_panel!($step, 8), 20, 21),
            embedded!(in_panel!($step, 9), 22, 23),
            broadcast!(in_panel!($step, 10), 24, 25),
            embedded!(in_panel!($step, 11), 26, 27),
            broadcast!(in_panel!($step, 12), 28, 29),
            embedded!(in_panel!($step, 13), 30, 31),
        )
    };
}

/// One step of K from twelve columns of A, side by side, and lines of B. Steps are far apart: they are fetched to L1 eight steps before, and
/// to L2 a panel before.
macro_rules! step_of_12_columns {
    () => {
        concat!(
            "vmovups zmm0, [{b}]\n",
            "vmovups zmm1, [{b} + 64]\n",
            "prefetcht0 [{a} + 8*{a_step}]\n",
            "prefetcht0 [{a} + 8*{a_step} + 52]\n",
            "prefetcht0 [{b} + 8*{b_step}]\n",
            "prefetcht0 [{b} + 8*{b_step} + 64]\n",
            "prefetcht1 [{a} + 108]\n",
            "add {b}, {b_step}\n",
            broadcast!(in_panel!(0, 0), 4, 5),
            embedded!(in_panel!(0, 1), 6, 7),
            broadcast!(in_panel!(0, 2), 8, 9),
            embedded!(in_panel!(0, 3), 10, 11),
            broadcast!(in_panel!(0, 4), 12, 13),
            embedded!(in_panel!(0, 5), 14, 15),
            broadcast!(in_panel!(0, 6), 16, 17),
            embedded!(in_panel!(0, 7), 18, 19),
            broadcast!(in_panel!(0, 8), 20, 21),
            embedded!(in_panel!(0, 9), 22, 23),
            broadcast!(in_panel!(0, 10), 24, 25),
            embedded!(in_panel!(0, 11), 26, 27),
        )
    };
}

/// The same with two columns more.
macro_rules! step_of_14_columns {
    () => {
        concat!(
            step_of_12_columns!(),
            broadcast!(in_panel!(0, 12), 28, 29),
            embedded!(in_panel!(0, 13), 30, 31),
        )
    };
}

/// Four steps, and one.
macro_rules! turn_of_columns {
    ($step:ident) => {
        concat!(
            $step!(),
            "add {a}, {a_step}\n",
            $step!(),
            "add {a}, {a_step}\n",
            $step!(),
            "add {a}, {a_step}\n",
            $step!(),
            "add {a}, {a_step}\n"
        )
    };
}

/// Where a row of A that is `$lines` rows below the register `$base` has its element of step `$step` of a turn.
macro_rules! in_rows {
    ($step:literal, $base:literal, $lines:literal) => {
        concat!("{", $base, "} + {line}*", $lines, " + 4*", $step)
    };
    ($step:literal, $base:literal) => {
        concat!("{", $base, "} + 4*", $step)
    };
}

/// One step of K from twelve rows of A and lines of B. Only addresses without an index stay fused with a multiply-add. Panels of B lie one after
/// the other: 4 KB further is what is read 450 cycles later, which is how far memory is. Where few rows wait for a B from there, they take two
/// thirds of the time (16 x 384 x 16000); where B is in L2, it makes no difference.
macro_rules! step_of_12_rows {
    ($step:literal) => {
        concat!(
            "vmovups zmm0, [{b}]\n",
            "vmovups zmm1, [{b} + 64]\n",
            "prefetcht0 [{b} + 4096]\n",
            "prefetcht0 [{b} + 4160]\n",
            "add {b}, {b_step}\n",
            embedded!(in_rows!($step, "a0"), 4, 5),
            broadcast!(in_rows!($step, "a0", 1), 6, 7),
            broadcast!(in_rows!($step, "a0", 2), 8, 9),
            embedded!(in_rows!($step, "a3"), 10, 11),
            broadcast!(in_rows!($step, "a3", 1), 12, 13),
            broadcast!(in_rows!($step, "a3", 2), 14, 15),
            embedded!(in_rows!($step, "a6"), 16, 17),
            broadcast!(in_rows!($step, "a6", 1), 18, 19),
            broadcast!(in_rows!($step, "a6", 2), 20, 21),
            embedded!(in_rows!($step, "a9"), 22, 23),
            broadcast!(in_rows!($step, "a9", 1), 24, 25),
            broadcast!(in_rows!($step, "a9", 2), 26, 27),
        )
    };
}

/// The same with two rows more.
macro_rules! step_of_14_rows {
    ($step:literal) => {
        concat!(
            step_of_12_rows!($step),
            embedded!(in_rows!($step, "a12"), 28, 29),
            broadcast!(in_rows!($step, "a12", 1), 30, 31),
        )
    };
}

/// Adds so many bytes to the addresses of the rows of A.
macro_rules! advance {
    ($bytes:literal, $($base:literal),*) => {
        concat!($("add {", $base, "}, ", $bytes, "\n"),*)
    };
}

/// Adds the steps of `$tile` to `$sums`, each row's two in the registers listed: `$turn` does four of them, `$step` one. `$line` names the
/// operand that is the distance of the rows fetched ahead.
macro_rules! add_steps {
    ($sums:ident, $tile:ident, $line:literal, $turn:expr, $step:expr, [$($row:literal: $left:tt $right:tt),*], $($operand:tt)*) => {
        std::arch::asm!(
            "test {quads}, {quads}",
            "jz 3f",
            ".p2align 5",
            "2:",
            "prefetcht1 [{left}]",
            concat!("prefetcht1 [{left} + {", $line, "}]"),
            concat!("prefetcht1 [{left} + 2*{", $line, "}]"),
            "prefetcht1 [{right}]",
            "add {left}, 16",
            "add {right}, {right_step}",
            $turn,
            "dec {quads}",
            "jnz 2b",
            "3:",
            "test {rest}, {rest}",
            "jz 5f",
            "4:",
            $step,
            "dec {rest}",
            "jnz 4b",
            "5:",
            $($operand)*
            left = inout(reg) $tile.ahead.left => _,
            right_step = in(reg) $tile.ahead.right_step * size_of::<f32>(),
            right = inout(reg) $tile.ahead.right => _,
            quads = inout(reg) $tile.depth / 4 => _,
            rest = inout(reg) $tile.depth % 4 => _,
            $(inout($left) $sums[$row][0], inout($right) $sums[$row][1],)*
            out("zmm0") _,
            out("zmm1") _,
            out("zmm2") _,
            options(nostack, readonly),
        )
    };
}

/// [`add_steps`] for twelve rows or fourteen.
macro_rules! add_steps_of {
    (12, $sums:ident, $tile:ident, $line:literal, $turn:expr, $step:expr, $($operand:tt)*) => {
        add_steps!(
            $sums, $tile, $line, $turn, $step,
            [0: "zmm4" "zmm5", 1: "zmm6" "zmm7", 2: "zmm8" "zmm9", 3: "zmm10" "zmm11", 4: "zmm12" "zmm13", 5: "zmm14" "zmm15",
             6: "zmm16" "zmm17", 7: "zmm18" "zmm19", 8: "zmm20" "zmm21", 9: "zmm22" "zmm23", 10: "zmm24" "zmm25", 11: "zmm26" "zmm27"],
            $($operand)*
        )
    };
    (14, $sums:ident, $tile:ident, $line:literal, $turn:expr, $step:expr, $($operand:tt)*) => {
        add_steps!(
            $sums, $tile, $line, $turn, $step,
            [0: "zmm4" "zmm5", 1: "zmm6" "zmm7", 2: "zmm8" "zmm9", 3: "zmm10" "zmm11", 4: "zmm12" "zmm13", 5: "zmm14" "zmm15",
             6: "zmm16" "zmm17", 7: "zmm18" "zmm19", 8: "zmm20" "zmm21", 9: "zmm22" "zmm23", 10: "zmm24" "zmm25", 11: "zmm26" "zmm27",
             12: "zmm28" "zmm29", 13: "zmm30" "zmm31"],
            $($operand)*
        )
    };
}

/// A 14 x 2 tile from panels.
///
/// # Safety
/// - `tile` keeps its promises for 14 rows and 2 vectors; its lines and steps are those of panels.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn of_panels(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    // SAFETY: reads the panels alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps_of!(
            14,
            sums,
            tile,
            "left_line",
            concat!(panel_step!(0), panel_step!(1), panel_step!(2), panel_step!(3), "add {a}, 56*4\nadd {b}, 128*4"),
            concat!(panel_step!(0), "add {a}, 56\nadd {b}, 128"),
            left_line = in(reg) tile.ahead.line * size_of::<f32>(),
            a = inout(reg) tile.a => _,
            b = inout(reg) tile.b => _,
        );
        write_tile(s, tile, sums);
    }
}

/// The same from rows of A whose steps lie side by side, and from lines of B.
///
/// # Safety
/// - `tile` keeps its promises for 14 rows and 2 vectors, and has all of them; its `a_step` is 1.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn of_14_rows(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    let row = |row: usize| tile.a.wrapping_add(row * tile.a_line);
    // SAFETY: reads the rows and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps_of!(
            14,
            sums,
            tile,
            "line",
            concat!(step_of_14_rows!(0), step_of_14_rows!(1), step_of_14_rows!(2), step_of_14_rows!(3), advance!(16, "a0", "a3", "a6", "a9", "a12")),
            concat!(step_of_14_rows!(0), advance!(4, "a0", "a3", "a6", "a9", "a12")),
            a0 = inout(reg) row(0) => _,
            a3 = inout(reg) row(3) => _,
            a6 = inout(reg) row(6) => _,
            a9 = inout(reg) row(9) => _,
            a12 = inout(reg) row(12) => _,
            line = in(reg) tile.a_line * size_of::<f32>(),
            b = inout(reg) tile.b => _,
            b_step = in(reg) tile.b_step * size_of::<f32>(),
        );
        write_tile(s, tile, sums);
    }
}

/// The same 12 rows high.
///
/// # Safety
/// - `tile` keeps its promises for 12 rows and 2 vectors, and has all of them; its `a_step` is 1.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn of_12_rows(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 12];
    let row = |row: usize| tile.a.wrapping_add(row * tile.a_line);
    // SAFETY: reads the rows and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps_of!(
            12,
            sums,
            tile,
            "line",
            concat!(step_of_12_rows!(0), step_of_12_rows!(1), step_of_12_rows!(2), step_of_12_rows!(3), advance!(16, "a0", "a3", "a6", "a9")),
            concat!(step_of_12_rows!(0), advance!(4, "a0", "a3", "a6", "a9")),
            a0 = inout(reg) row(0) => _,
            a3 = inout(reg) row(3) => _,
            a6 = inout(reg) row(6) => _,
            a9 = inout(reg) row(9) => _,
            line = in(reg) tile.a_line * size_of::<f32>(),
            b = inout(reg) tile.b => _,
            b_step = in(reg) tile.b_step * size_of::<f32>(),
        );
        write_tile(s, tile, sums);
    }
}

/// The same from columns of A that lie side by side, and from lines of B.
///
/// # Safety
/// - `tile` keeps its promises for 14 rows and 2 vectors, and has all of them; its `a_line` is 1.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn of_14_columns(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    // SAFETY: reads the columns and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps_of!(
            14,
            sums,
            tile,
            "left_line",
            turn_of_columns!(step_of_14_columns),
            concat!(step_of_14_columns!(), "add {a}, {a_step}\n"),
            left_line = in(reg) tile.ahead.line * size_of::<f32>(),
            a = inout(reg) tile.a => _,
            a_step = in(reg) tile.a_step * size_of::<f32>(),
            b = inout(reg) tile.b => _,
            b_step = in(reg) tile.b_step * size_of::<f32>(),
        );
        write_tile(s, tile, sums);
    }
}

/// The same 12 columns wide.
///
/// # Safety
/// - `tile` keeps its promises for 12 rows and 2 vectors, and has all of them; its `a_line` is 1.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn of_12_columns(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 12];
    // SAFETY: reads the columns and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps_of!(
            12,
            sums,
            tile,
            "left_line",
            turn_of_columns!(step_of_12_columns),
            concat!(step_of_12_columns!(), "add {a}, {a_step}\n"),
            left_line = in(reg) tile.ahead.line * size_of::<f32>(),
            a = inout(reg) tile.a => _,
            a_step = in(reg) tile.a_step * size_of::<f32>(),
            b = inout(reg) tile.b => _,
            b_step = in(reg) tile.b_step * size_of::<f32>(),
        );
        write_tile(s, tile, sums);
    }
}
