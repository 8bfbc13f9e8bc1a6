//! AVX2 and FMA: 8 lanes, 16 registers.
#![allow(
    unsafe_code,
    reason = "vendor intrinsics; the token is the proof that they may run"
)]

use std::arch::x86_64::*;

use super::{Op, Simd, ymm::ymm_vocabulary};
use crate::kernels::gemm::{Tile, multiply_edges, multiply_strided, multiply_tile};

/// Proof that AVX2 and FMA may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Avx2(());

impl Avx2 {
    /// Asks CPUID and XCR0.
    pub fn detect() -> Option<Avx2> {
        let enabled =
            !cfg!(miri) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        enabled.then_some(Avx2(()))
    }

    /// The lanes that a partial vector of `len` values fills: sign bits of a window into ones and zeros.
    #[inline(always)]
    fn mask(len: usize) -> __m256i {
        const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let start = 8 - len.min(8);
        // SAFETY: `Avx2` values exist only where AVX may run; 8 values from at most index 8 lie inside the window.
        unsafe { _mm256_loadu_si256(WINDOW[start..start + 8].as_ptr().cast()) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn enter<O: Op>(token: Avx2, op: O) -> O::Output {
    op.eval(token)
}

impl Simd for Avx2 {
    // 6 x 2 accumulators, two registers of B and one broadcast of A fill 15 of 16 registers; 12 independent chains cover
    // two FMA ports of 4 or 5 cycles.
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;

    ymm_vocabulary!();

    #[inline(always)]
    unsafe fn gemm_tile(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_tile::<Self, 6, 2>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_strided(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_strided::<Self, 6, 2>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_edge(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size, all of which is listed.
        unsafe { multiply_edges!(self, tile, [6, 4, 2, 1], [1, 2]) }
    }
}
