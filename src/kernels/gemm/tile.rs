//! The register tile: the inner loop that everything else feeds.
#![allow(
    unsafe_code,
    reason = "the inner loop works on pointers into packed panels"
)]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::kernels::isa::Simd;

/// One register tile of C and the panels that it is computed from.
///
/// Promises of whoever builds one, for the tile size `TILE_ROWS` x `TILE_VECTORS * LANES` of the ISA:
/// - `a` is valid for reads of `depth * TILE_ROWS` values, `b` of `depth * TILE_VECTORS * LANES` values;
/// - `c` is valid for reads and writes of `rows` rows of `columns` values, `c_stride` apart, that no other thread touches;
/// - `rows <= TILE_ROWS` and `columns <= TILE_VECTORS * LANES`.
pub struct Tile {
    /// Panel of A: for each step of K, `TILE_ROWS` values.
    pub a: *const f32,
    /// Panel of B: for each step of K, a row of the tile.
    pub b: *const f32,
    /// Steps of K.
    pub depth: usize,
    /// Top left element of C.
    pub c: *mut f32,
    /// Distance of rows of C.
    pub c_stride: usize,
    /// Rows of C to write.
    pub rows: usize,
    /// Columns of C to write.
    pub columns: usize,
    /// Add to C instead of overwriting it.
    pub add: bool,
}

/// `tile.c (+)= a b` with `ROWS` x `VECTORS` accumulators. An ISA file names the two numbers, since stable Rust does not
/// take an associated constant as an array length.
///
/// # Safety
/// - `tile` keeps its promises for `ROWS` x `VECTORS`.
#[inline(always)]
pub(crate) unsafe fn multiply_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
) {
    tile.prefetch();
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.depth {
        // SAFETY: `depth` steps of `ROWS` and `VECTORS * LANES` values lie in the panels.
        unsafe {
            let mut row = [s.splat(0.0); VECTORS];
            for (v, register) in row.iter_mut().enumerate() {
                *register = s.load_at(b.add(v * S::LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = s.splat(*a.add(i));
                for (sum, register) in sums.iter_mut().zip(row) {
                    *sum = s.fma(factor, register, *sum);
                }
            }
            a = a.add(ROWS);
            b = b.add(VECTORS * S::LANES);
        }
    }
    // SAFETY: passed on.
    unsafe { write_tile(s, tile, sums) }
}

impl Tile {
    /// Asks for C before the products: fetched after them, it would cost the whole latency of L3 or memory.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        for i in 0..self.rows {
            prefetch(self.c.wrapping_add(i * self.c_stride), self.columns);
        }
    }
}

/// Stores `sums` to C or adds them, as `tile` says.
///
/// # Safety
/// - `tile` keeps its promises for `ROWS` x `VECTORS`.
#[inline(always)]
pub(crate) unsafe fn write_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
    sums: [[S::V; VECTORS]; ROWS],
) {
    if tile.rows == ROWS && tile.columns == VECTORS * S::LANES {
        for (i, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: the whole tile lies in C.
                unsafe {
                    let to = tile.c.add(i * tile.c_stride + v * S::LANES);
                    let sum = if tile.add {
                        s.add(s.load_at(to), sum)
                    } else {
                        sum
                    };
                    s.store_at(sum, to);
                }
            }
        }
    } else {
        for (i, sums) in sums.into_iter().enumerate().take(tile.rows) {
            for (v, sum) in sums.into_iter().enumerate() {
                let lanes = tile.columns.saturating_sub(v * S::LANES).min(S::LANES);
                if lanes > 0 {
                    // SAFETY: these lanes of this row lie in C and are this thread's.
                    let to = unsafe {
                        std::slice::from_raw_parts_mut(
                            tile.c.add(i * tile.c_stride + v * S::LANES),
                            lanes,
                        )
                    };
                    let sum = if tile.add {
                        s.add(s.load_partial(to), sum)
                    } else {
                        sum
                    };
                    s.store_partial(sum, to);
                }
            }
        }
    }
}

/// Asks for the cache lines of `len` values at `from`; any address will do.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32, len: usize) {
    for offset in (0..len).step_by(LINE) {
        // SAFETY: a prefetch of any address reads nothing that the program can see, and every x86-64 CPU has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(offset).cast()) };
    }
}

/// f32 values of a cache line.
const LINE: usize = 16;
