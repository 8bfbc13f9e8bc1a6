//! AVX-512 at 512 bits: 16 lanes, 32 registers, masks.
#![allow(
    unsafe_code,
    reason = "vendor intrinsics; the token is the proof that they may run"
)]

use std::arch::x86_64::*;

use super::{Op, Simd};
use crate::kernels::gemm::{Tile, multiply_edges, write_tile};

/// Proof that AVX-512 F, DQ, BW and VL may run at 512 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Avx512(());

impl Avx512 {
    /// Asks CPUID and XCR0.
    pub fn detect() -> Option<Avx512> {
        let enabled = !cfg!(miri)
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        enabled.then_some(Avx512(()))
    }

    /// The lanes that a partial vector of `len` values fills.
    #[inline(always)]
    fn mask(len: usize) -> __mmask16 {
        if len >= 16 { 0xffff } else { (1 << len) - 1 }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn enter<O: Op>(token: Avx512, op: O) -> O::Output {
    op.eval(token)
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    // 14 x 2 accumulators, two registers of B and one broadcast of A fill 31 of 32 registers. 28 independent chains hide
    // the 4 cycles of an FMA on one port (Tiger Lake) and on two (Xeon); 16 loads feed 28 FMAs.
    const TILE_ROWS: usize = 14;
    const TILE_VECTORS: usize = 2;

    #[inline(never)]
    fn run<O: Op>(self, op: O) -> O::Output {
        // SAFETY: the token proves that the features are there.
        unsafe { enter(self, op) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: token; the slice has 16 values.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> __m512 {
        // SAFETY: token; masked-off lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(Self::mask(from.len()), from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: token; the slice has 16 places.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn store_partial(self, v: __m512, to: &mut [f32]) {
        // SAFETY: token; masked-off lanes are not written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), Self::mask(to.len()), v) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn exp2_integer(self, n: __m512) -> __m512 {
        // SAFETY: token.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }
    #[inline(always)]
    fn select_le(self, x: __m512, y: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(x, y), b, a) }
    }
    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        // SAFETY: token.
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    fn max_lane(self, v: __m512) -> f32 {
        // SAFETY: token.
        unsafe { _mm512_reduce_max_ps(v) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> __m512 {
        // SAFETY: token; the caller vouches for 16 readable values.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: __m512, to: *mut f32) {
        // SAFETY: token; the caller vouches for 16 writable values.
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn stream_at(self, v: __m512, to: *mut f32) {
        // SAFETY: token; the caller vouches for 16 writable, aligned values.
        unsafe { _mm512_stream_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn transpose_at(
        self,
        rows: usize,
        from: *const f32,
        stride: usize,
        to: *mut f32,
        step: usize,
    ) {
        let mut r = [self.splat(0.0); 16];
        for (row, register) in r.iter_mut().enumerate() {
            if row < rows {
                // SAFETY: the caller vouches for `rows` rows of 16 values.
                *register = unsafe { self.load_at(from.add(row * stride)) };
            }
        }
        // SAFETY: token.
        let columns = unsafe { transpose_16x16(r) };
        for (column, register) in columns.into_iter().enumerate() {
            // SAFETY: the caller vouches for the places written.
            unsafe { self.store_at(register, to.add(column * step)) };
        }
    }
    #[inline(always)]
    unsafe fn gemm_tile(self, tile: &Tile) {
        // SAFETY: token; the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { tile_of_panels(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_strided(self, tile: &Tile) {
        if tile.a_step == 1 {
            // SAFETY: token; the caller keeps the promises of `Tile` for this ISA's tile size.
            return unsafe { tile_of_rows(self, tile) };
        }
        // SAFETY: token; the caller keeps the promises of `Tile` for this ISA's tile size, and one of the strides is 1.
        unsafe { tile_of_columns(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_edge(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size, all of which is listed.
        unsafe { multiply_edges!(self, tile, [14, 8, 4, 2, 1], [1, 2]) }
    }
}

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

/// One step of K from columns of A, side by side, and lines of B. Steps are far apart: they are fetched to L1 eight steps before, and to L2
/// a panel before.
macro_rules! columns_step {
    () => {
        concat!(
            "vmovups zmm0, [{b}]\n",
            "vmovups zmm1, [{b} + 64]\n",
            "prefetcht0 [{a} + 8*{a_step}]\n",
            "prefetcht0 [{a} + 8*{a_step} + 52]\n",
            "prefetcht0 [{b} + 8*{b_step}]\n",
            "prefetcht0 [{b} + 8*{b_step} + 64]\n",
            "prefetcht1 [{a} + 108]\n",
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
            broadcast!(in_panel!(0, 12), 28, 29),
            embedded!(in_panel!(0, 13), 30, 31),
            "add {a}, {a_step}\n",
            "add {b}, {b_step}\n",
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

/// One step of K from rows of A and lines of B. Only addresses without an index stay fused with a multiply-add. Panels of B lie one after
/// the other: 4 KB further is what is read 450 cycles later, which is how far memory is. Where few rows wait for a B from there, they take two
/// thirds of the time (16 x 384 x 16000); where B is in L2, it makes no difference.
macro_rules! rows_step {
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
            embedded!(in_rows!($step, "a12"), 28, 29),
            broadcast!(in_rows!($step, "a12", 1), 30, 31),
        )
    };
}

/// Adds `$steps` steps to the addresses of the rows of A.
macro_rules! rows_advance {
    ($bytes:literal) => {
        concat!(
            "add {a0}, ",
            $bytes,
            "\nadd {a3}, ",
            $bytes,
            "\nadd {a6}, ",
            $bytes,
            "\nadd {a9}, ",
            $bytes,
            "\nadd {a12}, ",
            $bytes,
        )
    };
}

/// Adds the steps of `$tile` to `$sums`: `$turn` does four of them, `$step` one.
macro_rules! add_steps {
    ($sums:ident, $tile:ident, $line:literal, $turn:expr, $step:expr, $($operand:tt)*) => {
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
            inout("zmm4") $sums[0][0],
            inout("zmm5") $sums[0][1],
            inout("zmm6") $sums[1][0],
            inout("zmm7") $sums[1][1],
            inout("zmm8") $sums[2][0],
            inout("zmm9") $sums[2][1],
            inout("zmm10") $sums[3][0],
            inout("zmm11") $sums[3][1],
            inout("zmm12") $sums[4][0],
            inout("zmm13") $sums[4][1],
            inout("zmm14") $sums[5][0],
            inout("zmm15") $sums[5][1],
            inout("zmm16") $sums[6][0],
            inout("zmm17") $sums[6][1],
            inout("zmm18") $sums[7][0],
            inout("zmm19") $sums[7][1],
            inout("zmm20") $sums[8][0],
            inout("zmm21") $sums[8][1],
            inout("zmm22") $sums[9][0],
            inout("zmm23") $sums[9][1],
            inout("zmm24") $sums[10][0],
            inout("zmm25") $sums[10][1],
            inout("zmm26") $sums[11][0],
            inout("zmm27") $sums[11][1],
            inout("zmm28") $sums[12][0],
            inout("zmm29") $sums[12][1],
            inout("zmm30") $sums[13][0],
            inout("zmm31") $sums[13][1],
            out("zmm0") _,
            out("zmm1") _,
            out("zmm2") _,
            options(nostack, readonly),
        )
    };
}

/// A 14 x 2 tile from panels.
///
/// Written in assembly for the half of the rows that broadcast within the multiply-add, which no compiler chooses for a value
/// used twice: 37 instructions a step instead of 44 leave 23 loads for 28 multiply-adds, within two loads a cycle. Where
/// another thread shares the core, and with it the front end, the tile was a quarter faster for it; alone, 4 %.
///
/// # Safety
/// - `tile` keeps its promises for 14 rows and 2 vectors; its lines and steps are those of panels.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
unsafe fn tile_of_panels(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    // SAFETY: reads the panels alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps!(
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
unsafe fn tile_of_rows(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    let row = |row: usize| tile.a.wrapping_add(row * tile.a_line);
    // SAFETY: reads the rows and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps!(
            sums,
            tile,
            "line",
            concat!(rows_step!(0), rows_step!(1), rows_step!(2), rows_step!(3), rows_advance!(16)),
            concat!(rows_step!(0), rows_advance!(4)),
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

/// The same from columns of A that lie side by side, and from lines of B.
///
/// # Safety
/// - `tile` keeps its promises for 14 rows and 2 vectors, and has all of them; its `a_line` is 1.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
unsafe fn tile_of_columns(s: Avx512, tile: &Tile) {
    tile.prefetch();
    let mut sums = [[_mm512_setzero_ps(); 2]; 14];
    // SAFETY: reads the columns and lines alone, four steps a turn and then one, `depth` in all; registers are declared.
    unsafe {
        add_steps!(
            sums,
            tile,
            "left_line",
            concat!(columns_step!(), columns_step!(), columns_step!(), columns_step!()),
            columns_step!(),
            left_line = in(reg) tile.ahead.line * size_of::<f32>(),
            a = inout(reg) tile.a => _,
            a_step = in(reg) tile.a_step * size_of::<f32>(),
            b = inout(reg) tile.b => _,
            b_step = in(reg) tile.b_step * size_of::<f32>(),
        );
        write_tile(s, tile, sums);
    }
}

/// Four rounds of interleaving: 32-bit pairs, 64-bit pairs, then 128-bit lanes twice.
///
/// # Safety
/// - AVX-512 F and DQ may run.
#[inline(always)]
unsafe fn transpose_16x16(r: [__m512; 16]) -> [__m512; 16] {
    let mut t = r;
    // SAFETY: the caller vouches for the features; everything below stays in registers.
    unsafe {
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut q = t;
        for i in 0..4 {
            let (a, b) = (4 * i, 4 * i + 2);
            q[4 * i] = shuffle_pairs_low(t[a], t[b]);
            q[4 * i + 1] = shuffle_pairs_high(t[a], t[b]);
            q[4 * i + 2] = shuffle_pairs_low(t[a + 1], t[b + 1]);
            q[4 * i + 3] = shuffle_pairs_high(t[a + 1], t[b + 1]);
        }
        // Now q[4 g + c] holds, in its lane l, column 4 l + c of rows 4 g .. 4 g + 3.
        let mut out = q;
        for c in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x44>(q[c], q[4 + c]);
            let high = _mm512_shuffle_f32x4::<0xee>(q[c], q[4 + c]);
            let low2 = _mm512_shuffle_f32x4::<0x44>(q[8 + c], q[12 + c]);
            let high2 = _mm512_shuffle_f32x4::<0xee>(q[8 + c], q[12 + c]);
            out[c] = _mm512_shuffle_f32x4::<0x88>(low, low2);
            out[4 + c] = _mm512_shuffle_f32x4::<0xdd>(low, low2);
            out[8 + c] = _mm512_shuffle_f32x4::<0x88>(high, high2);
            out[12 + c] = _mm512_shuffle_f32x4::<0xdd>(high, high2);
        }
        out
    }
}

/// Lower 64-bit halves of each 128-bit lane of `a` and `b`.
///
/// # Safety
/// - AVX-512 F may run.
#[inline(always)]
unsafe fn shuffle_pairs_low(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller vouches for the feature.
    unsafe { _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}

/// Upper 64-bit halves of each 128-bit lane of `a` and `b`.
///
/// # Safety
/// - AVX-512 F may run.
#[inline(always)]
unsafe fn shuffle_pairs_high(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller vouches for the feature.
    unsafe { _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}
