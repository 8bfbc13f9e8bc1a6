//! AVX-512 at 512 bits: 16 lanes, 32 registers, masks.
#![allow(
    unsafe_code,
    reason = "vendor intrinsics; the token is the proof that they may run"
)]

mod tiles;

use std::arch::x86_64::*;

use super::{Op, Simd};
use crate::kernels::gemm::{Tile, multiply_edges};

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
    // Twelve rows find a way each in an L1 of 48 KB, where they lie 4 KB apart.
    const ROWS_IN_PLACE: &[usize] = &[14, 12];

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
    fn scale_exp2(self, a: __m512, n: __m512) -> __m512 {
        // SAFETY: token.
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    fn reciprocal(self, a: __m512) -> __m512 {
        // Fourteen bits and a step of Newton's: a division takes the divider of a client core for 16 cycles.
        // SAFETY: token.
        unsafe {
            let x = _mm512_rcp14_ps(a);
            let error = _mm512_fnmadd_ps(a, x, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(x, error, x)
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
        unsafe { tiles::of_panels(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_strided(self, tile: &Tile) {
        // SAFETY: token; the caller keeps the promises of `Tile` for this ISA's tile size, has a full tile of one of the heights, and one
        // of the strides is 1.
        unsafe {
            match (tile.a_step, tile.rows) {
                (1, 12) => tiles::of_12_rows(self, tile),
                (1, _) => tiles::of_14_rows(self, tile),
                (_, 12) => tiles::of_12_columns(self, tile),
                _ => tiles::of_14_columns(self, tile),
            }
        }
    }
    #[inline(always)]
    unsafe fn gemm_tile_edge(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size, all of which is listed.
        unsafe { multiply_edges!(self, tile, [14, 12, 8, 4, 2, 1], [1, 2]) }
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
