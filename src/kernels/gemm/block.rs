//! One task of a product: a block of C from packed panels.
#![allow(
    unsafe_code,
    reason = "blocks of C are addressed by pointer: several threads own parts of one matrix"
)]

use std::ops::Range;

use super::{
    ahead::{Ahead, Coming},
    epilogue::{Place, SharedEpilogue},
    operand::Operand,
    source::Lines,
    tile::{EdgeTile, PanelTile, StridedTile, Tile},
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
    pub(crate) a: Operand<'a>,
    /// The whole of B.
    pub(crate) b: Lines<'a>,
    /// K.
    pub(crate) depth: usize,
    /// Steps of K in one slice.
    pub(crate) slice: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// The columns of the task that the same thread is likely to take next; none if they are the same.
    pub(crate) after: Range<usize>,
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
            let last = from + depth == self.depth;
            let (columns_after, steps_after) = if last {
                (self.after.clone(), 0..self.slice.min(self.depth))
            } else {
                let end = (steps.end + self.slice).min(self.depth);
                (self.columns.clone(), steps.end..end)
            };
            let mut coming = Coming::new(
                self.b.ready(),
                tile_columns,
                columns_after,
                steps_after,
                depth,
            );
            let right = self
                .b
                .panels(s, tile_columns, self.columns.clone(), steps.clone());
            // Rows outside, columns inside: C is written along its rows, and the block of B is read from L2 once for
            // every panel of A.
            for row in self.rows.clone().step_by(tile_rows) {
                let rows = tile_rows.min(self.rows.end - row);
                let (a, a_line, a_step) = self.a.at(row, rows, from, depth);
                let packed = self.a.is_packed() && right.is_packed();
                let next = row + tile_rows;
                let next = (next < self.rows.end).then(|| self.a.ahead(next, from, depth));
                for (index, column) in self.columns.clone().step_by(tile_columns).enumerate() {
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
                            ahead: Ahead {
                                left: next.map_or(a, |(from, line)| {
                                    from.wrapping_add(Ahead::ROWS * index * line)
                                }),
                                line: next.map_or(0, |(_, line)| line),
                                right: coming.next().unwrap_or(b),
                            },
                        };
                        // A little of a panel's padding costs less than a tile of an odd shape.
                        let full = (rows == tile_rows
                            || self.a.is_packed() && 2 * rows > tile_rows)
                            && (columns == tile_columns
                                || right.is_packed() && columns + S::LANES > tile_columns);
                        if !full {
                            s.run(EdgeTile::new(&tile));
                        } else if packed {
                            s.run(PanelTile::new(&tile));
                        } else {
                            s.run(StridedTile::new(&tile));
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
