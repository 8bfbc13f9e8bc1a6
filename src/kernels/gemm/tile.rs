//! The register tile: the inner loop that everything else feeds.
#![allow(
    unsafe_code,
    reason = "the inner loop works on pointers into packed panels"
)]

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::ahead::Ahead;
use crate::kernels::isa::{Op, Simd};

/// One register tile of C and the lines of A and B that it is computed from.
///
/// Promises of whoever builds one, for the tile size `TILE_ROWS` x `TILE_VECTORS * LANES` of the ISA:
/// - `1 <= rows <= TILE_ROWS` and `1 <= columns <= TILE_VECTORS * LANES`;
/// - for each of `depth` steps, `a` is valid for reads of `rows` values, `a_line` apart, and `b` of `columns` values side by
///   side, in panels of a full tile's rows and columns; steps are `a_step` and `b_step` values apart;
/// - `c` is valid for reads and writes of `rows` rows of `columns` values, `c_stride` apart, that no other thread touches.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// First value of A.
    pub a: *const f32,
    /// Distance of rows of A: 1 in a panel.
    pub a_line: usize,
    /// Distance of steps of A: `TILE_ROWS` in a panel.
    pub a_step: usize,
    /// First value of B.
    pub b: *const f32,
    /// Distance of steps of B: a row of the tile in a panel.
    pub b_step: usize,
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
    /// What later tiles read.
    pub ahead: Ahead,
}

/// [`Simd::gemm_tile`] as a function of its own, like the two below: inlined into the loops around them, they made the compiler keep
/// everything in memory, and a tile of 64 steps took a fifth longer.
pub(crate) struct PanelTile<'a>(&'a Tile);
/// [`Simd::gemm_tile_strided`].
pub(crate) struct StridedTile<'a>(&'a Tile);
/// [`Simd::gemm_tile_edge`].
pub(crate) struct EdgeTile<'a>(&'a Tile);

macro_rules! tile_op {
    ($op:ident, $method:ident) => {
        impl<'a> $op<'a> {
            /// # Safety
            /// - `tile` keeps the promises of the method.
            pub(crate) unsafe fn new(tile: &'a Tile) -> $op<'a> {
                $op(tile)
            }
        }

        impl Op for $op<'_> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                // SAFETY: whoever made it vouches for the tile.
                unsafe { s.$method(self.0) }
            }
        }
    };
}
tile_op!(PanelTile, gemm_tile);
tile_op!(StridedTile, gemm_tile_strided);
tile_op!(EdgeTile, gemm_tile_edge);

/// `tile.c (+)= a b` from full panels with `ROWS` x `VECTORS` accumulators. An ISA file names the two numbers, since stable
/// Rust does not take an associated constant as an array length.
///
/// # Safety
/// - `tile` keeps its promises for `ROWS` x `VECTORS`, and its lines and steps are those of panels.
#[inline(always)]
pub(crate) unsafe fn multiply_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
) {
    tile.prefetch();
    // SAFETY: passed on; with the strides as constants the addresses cost nothing.
    unsafe {
        let sums = products::<S, ROWS, VECTORS, 1>(s, tile, (1, ROWS, VECTORS * S::LANES));
        write_tile(s, tile, sums);
    }
}

/// The same from lines of any stride, of which those of A or the steps of A lie side by side.
///
/// # Safety
/// - `tile` keeps its promises for `ROWS` x `VECTORS`, and its lines can be read for a full tile; `a_line` or `a_step` is 1.
#[inline(always)]
pub(crate) unsafe fn multiply_strided<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
) {
    tile.prefetch();
    // SAFETY: passed on.
    unsafe {
        let sums = if tile.a_line == 1 {
            products::<S, ROWS, VECTORS, 1>(s, tile, (1, tile.a_step, tile.b_step))
        } else {
            // Four steps a turn: there are more rows than registers for their addresses.
            products::<S, ROWS, VECTORS, 4>(s, tile, (tile.a_line, 1, tile.b_step))
        };
        write_tile(s, tile, sums);
    }
}

/// The same for the edge of a matrix: `ROWS` rows and a partial last vector, nothing outside of which is read, so that operands
/// without padding need not be packed for their edges.
///
/// # Safety
/// - `tile` keeps its promises, has `ROWS` rows, and its columns fill at most `VECTORS` vectors and more than `VECTORS - 1`.
#[inline(always)]
pub(crate) unsafe fn multiply_edge<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    tile: &Tile,
) {
    if VECTORS == 1 && tile.columns == S::LANES && tile.a_step == 1 {
        // A whole vector, such as the last third of a head of 48.
        tile.prefetch();
        // SAFETY: passed on.
        return unsafe {
            let strides = (tile.a_line, 1, tile.b_step);
            write_tile(s, tile, products::<S, ROWS, VECTORS, 4>(s, tile, strides));
        };
    }
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let full = VECTORS - 1;
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.depth {
        prefetch(b.wrapping_add(FETCHED), VECTORS * S::LANES);
        let mut row = [s.splat(0.0); VECTORS];
        for (v, register) in row.iter_mut().take(full).enumerate() {
            // SAFETY: these vectors of the step lie in B.
            *register = unsafe { s.load_at(b.add(v * S::LANES)) };
        }
        // SAFETY: the columns left lie in B.
        row[full] = s.load_partial(unsafe {
            std::slice::from_raw_parts(b.add(full * S::LANES), tile.columns - full * S::LANES)
        });
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: each of `ROWS` rows has this step.
            let factor = s.splat(unsafe { *a.add(i * tile.a_line) });
            for (sum, register) in sums.iter_mut().zip(row) {
                *sum = s.fma(factor, register, *sum);
            }
        }
        (a, b) = (a.wrapping_add(tile.a_step), b.wrapping_add(tile.b_step));
    }
    // SAFETY: passed on.
    unsafe { write_tile(s, tile, sums) };
}

/// How far ahead of its reading an edge fetches a packed B: few rows wait for it, not for their multiply-adds.
const FETCHED: usize = 1024;

/// [`multiply_edge`] for the tile's vectors, and for its rows in pieces of the listed heights, highest first and 1 at last: few
/// shapes, because each is compiled for every operation that multiplies.
macro_rules! multiply_edges {
    ($s:expr, $tile:expr, $rows:tt, [$($vectors:literal),*]) => {
        match $tile.columns.div_ceil(Self::LANES) {
            $($vectors => multiply_edges!($s, $tile, $rows, $vectors),)*
            vectors => unreachable!("a tile of {vectors} vectors"),
        }
    };
    ($s:expr, $tile:expr, [$($rows:literal),*], $vectors:literal) => {{
        let mut done = 0;
        while done < $tile.rows {
            done += match $tile.rows - done {
                $(left if left >= $rows => {
                    let piece = $tile.piece(done, $rows);
                    $crate::kernels::gemm::multiply_edge::<Self, $rows, $vectors>($s, &piece);
                    $rows
                })*
                left => unreachable!("{left} rows left"),
            };
        }
    }};
}
pub(crate) use multiply_edges;

/// The sums of all steps, `TURN` of them in a turn of the loop.
///
/// # Safety
/// - `tile` keeps its promises for `ROWS` x `VECTORS` with these strides in place of its own.
#[inline(always)]
unsafe fn products<S: Simd, const ROWS: usize, const VECTORS: usize, const TURN: usize>(
    s: S,
    tile: &Tile,
    (a_line, a_step, b_step): (usize, usize, usize),
) -> [[S::V; VECTORS]; ROWS] {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    let mut left = tile.depth;
    // SAFETY: `depth` steps lie where the strides say.
    unsafe {
        while left >= TURN {
            for step in 0..TURN {
                add_products(s, &mut sums, a.add(step * a_step), a_line, b);
                b = b.wrapping_add(b_step);
            }
            a = a.wrapping_add(TURN * a_step);
            left -= TURN;
        }
        for _ in 0..left {
            add_products(s, &mut sums, a, a_line, b);
            (a, b) = (a.wrapping_add(a_step), b.wrapping_add(b_step));
        }
    }
    sums
}

/// One step.
///
/// # Safety
/// - `a` is valid for reads of `ROWS` values, `a_line` apart, `b` of `VECTORS * LANES` values.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    sums: &mut [[S::V; VECTORS]; ROWS],
    a: *const f32,
    a_line: usize,
    b: *const f32,
) {
    let mut row = [s.splat(0.0); VECTORS];
    for (v, register) in row.iter_mut().enumerate() {
        // SAFETY: `VECTORS` vectors lie at `b`.
        *register = unsafe { s.load_at(b.add(v * S::LANES)) };
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: `ROWS` values lie at `a`.
        let factor = s.splat(unsafe { *a.add(i * a_line) });
        for (sum, register) in sums.iter_mut().zip(row) {
            *sum = s.fma(factor, register, *sum);
        }
    }
}

impl Tile {
    /// `rows` of its rows from row `first`.
    #[inline(always)]
    pub(crate) fn piece(&self, first: usize, rows: usize) -> Tile {
        Tile {
            a: self.a.wrapping_add(first * self.a_line),
            c: self.c.wrapping_add(first * self.c_stride),
            rows,
            ..*self
        }
    }

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
    if tile.columns == VECTORS * S::LANES {
        for (i, sums) in sums.into_iter().enumerate() {
            if i >= tile.rows {
                break;
            }
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: this row of the tile lies in C.
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
pub(crate) const LINE: usize = 16;
