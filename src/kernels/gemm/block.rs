//! One task of a product: a block of C from packed panels.
#![allow(
    unsafe_code,
    reason = "blocks of C are addressed by pointer: several threads own parts of one matrix"
)]

use std::ops::Range;

use super::{
    epilogue::{Place, SharedEpilogue},
    source::Lines,
    tile::Tile,
};
use crate::kernels::isa::{Op, Simd};

/// Where C lies.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) data: *mut f32,
    pub(crate) row_stride: usize,
}

// SAFETY: tasks write disjoint blocks through it.
unsafe impl Sync for Target {}

/// A block of C: `rows` x `columns`, both starting at a tile's edge.
pub(crate) struct Block<'a> {
    /// The whole of A.
    pub(crate) a: Lines<'a>,
    /// The whole of B.
    pub(crate) b: Lines<'a>,
    /// K.
    pub(crate) depth: usize,
    /// Steps of K in one slice.
    pub(crate) slice: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) c: Target,
    /// Add to what C holds.
    pub(crate) add: bool,
    pub(crate) epilogue: SharedEpilogue<'a>,
}

impl Op for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        let (tile_rows, tile_columns) = (S::TILE_ROWS, S::TILE_VECTORS * S::LANES);
        let mut from = 0;
        loop {
            let depth = self.slice.min(self.depth - from);
            let steps = from..from + depth;
            let right = self
                .b
                .panels(s, tile_columns, self.columns.clone(), steps.clone());
            let last = from + depth == self.depth;
            // Rows outside, columns inside: C is written along its rows, and the block of B is read from L2 once for
            // every panel of A.
            for row in self.rows.clone().step_by(tile_rows) {
                let rows = tile_rows.min(self.rows.end - row);
                let left = self.a.panels(s, tile_rows, row..row + rows, steps.clone());
                let (a, a_line, a_step) = left.at(row, rows, from, depth);
                let packed = left.is_packed() && right.is_packed();
                for column in self.columns.clone().step_by(tile_columns) {
                    let columns = tile_columns.min(self.columns.end - column);
                    let (b, _, b_step) = right.at(column, columns, from, depth);
                    let place = Place {
                        row,
                        column,
                        rows,
                        columns,
                    };
                    if last {
                        self.epilogue.prefetch(place);
                    }
                    // SAFETY: the operands have the tile's lines of `depth` steps there, panels a full tile's, B's side by side
                    // and A's lines or steps as well; `place` lies in this task's block of C.
                    unsafe {
                        let c = self.c.data.add(row * self.c.row_stride + column);
                        let tile = Tile {
                            a,
                            a_line,
                            a_step,
                            b,
                            b_step,
                            depth,
                            c,
                            c_stride: self.c.row_stride,
                            rows: place.rows,
                            columns: place.columns,
                            add: self.add || from > 0,
                        };
                        // A little of a panel's padding costs less than a tile of an odd shape.
                        let full = (rows == tile_rows || left.is_packed() && 2 * rows > tile_rows)
                            && (columns == tile_columns
                                || right.is_packed() && columns + S::LANES > tile_columns);
                        if !full {
                            s.gemm_tile_edge(&tile);
                        } else if packed {
                            s.gemm_tile(&tile);
                        } else {
                            s.gemm_tile_strided(&tile);
                        }
                        if last {
                            self.epilogue.apply(s, place, c, self.c.row_stride);
                        }
                    }
                }
            }
            from += depth;
            if last {
                break;
            }
        }
    }
}
