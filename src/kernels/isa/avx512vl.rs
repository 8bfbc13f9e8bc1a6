//! AVX-512VL at 256 bits: 8 lanes, but 32 registers, for CPUs where 512 bits cost frequency.
#![allow(
    unsafe_code,
    reason = "vendor intrinsics; the token is the proof that they may run"
)]

use std::arch::x86_64::*;

use super::{Op, Simd, ymm::ymm_vocabulary};
use crate::kernels::gemm::{Tile, multiply_edges, multiply_strided, multiply_tile};

/// Proof that AVX-512 F, DQ, BW and VL may run; its vectors are 256 bits wide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Avx512Vl(());

impl Avx512Vl {
    /// Asks CPUID and XCR0.
    pub fn detect() -> Option<Avx512Vl> {
        super::Avx512::detect().map(|_| Avx512Vl(()))
    }

    /// The lanes that a partial vector of `len` values fills.
    #[inline(always)]
    fn mask(len: usize) -> __m256i {
        // SAFETY: `Avx512Vl` values exist only where AVX-512 VL and DQ may run.
        unsafe { _mm256_movm_epi32(if len >= 8 { 0xff } else { (1 << len) - 1 }) }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn enter<O: Op>(token: Avx512Vl, op: O) -> O::Output {
    op.eval(token)
}

impl Simd for Avx512Vl {
    // 24 accumulators, four registers of B and one of A: 10 loads feed 24 multiply-adds, and 6 rows of A leave every row a register for its
    // address. The 14 x 2 tile of 512 bits reached 0.72 of the peak on rows that are not packed, this one 0.96 (Zen 5).
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 4;

    ymm_vocabulary!();

    #[inline(always)]
    unsafe fn gemm_tile(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_tile::<Self, 6, 4>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_strided(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_strided::<Self, 6, 4>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_edge(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size, all of which is listed.
        unsafe { multiply_edges!(self, tile, [6, 4, 2, 1], [1, 2, 3, 4]) }
    }
}
