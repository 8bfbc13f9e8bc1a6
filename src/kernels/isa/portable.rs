//! Plain Rust lanes: `Portable<1>` is the scalar ISA, wider ones emulate wide registers for tests.
#![allow(unsafe_code, reason = "block loads and stores take pointers")]

use super::{Op, Simd};
use crate::kernels::gemm::{Tile, multiply_edges, multiply_strided, multiply_tile};

/// `L` lanes in an array; needs no instruction set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Portable<const L: usize>;

impl<const L: usize> Portable<L> {
    #[inline(always)]
    fn zip(a: [f32; L], b: [f32; L], f: impl Fn(f32, f32) -> f32) -> [f32; L] {
        std::array::from_fn(|lane| f(a[lane], b[lane]))
    }
}

impl<const L: usize> Simd for Portable<L> {
    type V = [f32; L];
    const LANES: usize = L;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 4;

    #[inline(never)]
    fn run<O: Op>(self, op: O) -> O::Output {
        op.eval(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; L] {
        [x; L]
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> [f32; L] {
        std::array::from_fn(|lane| from[lane])
    }
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> [f32; L] {
        std::array::from_fn(|lane| from.get(lane).copied().unwrap_or(0.0))
    }
    #[inline(always)]
    fn store(self, v: [f32; L], to: &mut [f32]) {
        to[..L].copy_from_slice(&v);
    }
    #[inline(always)]
    fn store_partial(self, v: [f32; L], to: &mut [f32]) {
        let places = to.len().min(L);
        to[..places].copy_from_slice(&v[..places]);
    }

    #[inline(always)]
    fn add(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: [f32; L], b: [f32; L], c: [f32; L]) -> [f32; L] {
        // Without an FMA instruction `mul_add` is a library call; two roundings are the honest scalar cost.
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    fn max(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        Self::zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: [f32; L]) -> [f32; L] {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn round(self, a: [f32; L]) -> [f32; L] {
        // Adding 1.5 x 2^23 rounds to an integer in the last place: plain SSE2 has no rounding instruction.
        a.map(|x| {
            let magic = 12_582_912.0_f32;
            if x.abs() < 4_194_304.0 {
                (x + magic) - magic
            } else {
                x
            }
        })
    }
    #[inline(always)]
    fn scale_exp2(self, a: [f32; L], n: [f32; L]) -> [f32; L] {
        Self::zip(a, n, |a, n| {
            f32::from_bits(a.to_bits().wrapping_add((n as i32 as u32) << 23))
        })
    }
    #[inline(always)]
    fn reciprocal(self, a: [f32; L]) -> [f32; L] {
        a.map(|a| 1.0 / a)
    }
    #[inline(always)]
    fn select_le(self, x: [f32; L], y: [f32; L], a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|lane| if x[lane] <= y[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    fn sum(self, v: [f32; L]) -> f32 {
        v.iter().sum()
    }
    #[inline(always)]
    fn max_lane(self, v: [f32; L]) -> f32 {
        v.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> [f32; L] {
        // SAFETY: the caller vouches for `LANES` readable values; an array of f32 has no stricter alignment.
        unsafe { from.cast::<[f32; L]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: [f32; L], to: *mut f32) {
        // SAFETY: the caller vouches for `LANES` writable values.
        unsafe { to.cast::<[f32; L]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn stream_at(self, v: [f32; L], to: *mut f32) {
        for (lane, value) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for `LANES` writable values; MOVNTI is part of SSE2, which every x86-64 CPU has.
            unsafe {
                core::arch::x86_64::_mm_stream_si32(to.add(lane).cast(), value.to_bits() as i32)
            }
        }
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
        for column in 0..L {
            let lanes = std::array::from_fn(|row| {
                if row < rows {
                    // SAFETY: the caller vouches for `rows` rows of `LANES` values.
                    unsafe { *from.add(row * stride + column) }
                } else {
                    0.0
                }
            });
            // SAFETY: the caller vouches for the places written.
            unsafe { self.store_at(lanes, to.add(column * step)) };
        }
    }
    #[inline(always)]
    unsafe fn gemm_tile(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_tile::<Self, 4, 4>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_strided(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size.
        unsafe { multiply_strided::<Self, 4, 4>(self, tile) }
    }
    #[inline(always)]
    unsafe fn gemm_tile_edge(self, tile: &Tile) {
        // SAFETY: the caller keeps the promises of `Tile` for this ISA's tile size, all of which is listed.
        unsafe { multiply_edges!(self, tile, [4, 2, 1], [1, 2, 3, 4]) }
    }
}
