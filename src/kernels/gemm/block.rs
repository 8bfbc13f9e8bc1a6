//! One task of a product: a block of C from packed panels.
#![allow(
    unsafe_code,
    reason = "blocks of C are addressed by pointer: several threads own parts of one matrix"
)]

use std::ops::Range;

use super::{
    ahead::{Ahead, Coming},
    epilogue::{Place, SharedEpilogue},
    heights::tile_rows,
    source::{Lines, Panels},
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
    /// Rows of a tile: as many as a panel of A has, or those that tiles read where they lie.
    pub(crate) heights: &'a [usize],
    /// The whole of A.
    pub(crate) a: Lines<'a>,
    /// Rows of A that a task packs at once, where it packs them.
    pub(crate) group: usize,
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
    pub(crate) result: Out<'a>,
}

/// What becomes of the products.
#[derive(Clone, Copy)]
pub(crate) struct Out<'a> {
    pub(crate) c: Target,
    /// Add to what C holds.
    pub(crate) add: bool,
    pub(crate) epilogue: SharedEpilogue<'a>,
}

impl Op for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        let tile_columns = S::TILE_VECTORS * S::LANES;
        let group = match self.a.ready() {
            Some(_) => self.rows.len().max(1),
            None => self.group,
        };
        let mut from = 0;
        loop {
            let depth = self.slice.min(self.depth - from);
            let steps = from..from + depth;
            let last = steps.end == self.depth;
            let (columns_after, steps_after) = if last {
                (self.after.clone(), 0..self.slice.min(self.depth))
            } else {
                let end = (steps.end + self.slice).min(self.depth);
                (self.columns.clone(), steps.end..end)
            };
            let mut coming = self.b.coming(columns_after, steps_after);
            let columns = self.columns.clone();
            let right = self
                .b
                .panels(s, tile_columns, columns.clone(), steps.clone());
            // Rows outside, columns inside: C is written along its rows, and the block of B is read from L2 once for
            // every panel of A.
            for first in self.rows.clone().step_by(group) {
                let group_at = |first: usize| first..self.rows.end.min(first + group);
                let rows = group_at(first);
                // The rows that are packed after these.
                let mut to_pack = if rows.end < self.rows.end {
                    self.a.to_pack(group_at(rows.end), steps.clone())
                } else if last {
                    Coming::nothing()
                } else {
                    let end = (steps.end + self.slice).min(self.depth);
                    self.a.to_pack(group_at(self.rows.start), steps.end..end)
                };
                let left = self
                    .a
                    .panels(s, self.heights[0], rows.clone(), steps.clone());
                let slice = Slice {
                    heights: self.heights,
                    left: &left,
                    right: &right,
                    steps: steps.clone(),
                    last,
                    out: Out {
                        add: self.result.add || from > 0,
                        ..self.result
                    },
                };
                for tile in tile_rows(self.heights, rows.len()) {
                    let tile = first + tile.start..first + tile.end;
                    let next = (tile.end < rows.end).then(|| left.ahead(tile.end, from, depth));
                    slice.tiles(s, tile, columns.clone(), next, [&mut to_pack, &mut coming]);
                }
            }
            from += depth;
            if last {
                break;
            }
        }
    }
}

/// A slice of K of a block.
struct Slice<'a> {
    heights: &'a [usize],
    left: &'a Panels<'a>,
    right: &'a Panels<'a>,
    steps: Range<usize>,
    /// Whether the products are complete with it.
    last: bool,
    out: Out<'a>,
}

impl Slice<'_> {
    /// The tiles of one panel of A. `next` is the panel after it, as [`Panels::ahead`] gives it, and `coming` what they fetch besides, the
    /// first of it first.
    #[inline(always)]
    fn tiles<S: Simd>(
        &self,
        s: S,
        rows: Range<usize>,
        columns: Range<usize>,
        next: Option<(*const f32, usize)>,
        coming: [&mut Coming; 2],
    ) {
        let [soon, later] = coming;
        let tile_columns = S::TILE_VECTORS * S::LANES;
        let (row, rows) = (rows.start, rows.len());
        let (from, depth) = (self.steps.start, self.steps.len());
        let (a, a_line, a_step) = self.left.at(row, rows, from, depth);
        let packed = [self.left.is_packed(), self.right.is_packed()];
        let Target {
            data,
            row_stride: c_stride,
        } = self.out.c;
        for (index, column) in columns.clone().step_by(tile_columns).enumerate() {
            let columns = tile_columns.min(columns.end - column);
            let (b, _, b_step) = self.right.at(column, columns, from, depth);
            let place = Place {
                row,
                column,
                rows,
                columns,
            };
            if self.last {
                self.out.epilogue.prefetch(place);
            }
            let (right, right_step) = (soon.next(depth))
                .or_else(|| later.next(depth))
                .unwrap_or((b, 0));
            let ahead = Ahead {
                left: next.map_or(a, |(from, line)| {
                    from.wrapping_add(Ahead::ROWS * index * line)
                }),
                line: next.map_or(0, |(_, line)| line),
                right,
                right_step,
            };
            // SAFETY: the operands have the tile's lines of `depth` steps there, panels a full tile's, B's side by side and A's lines
            // or steps as well; `place` lies in this task's block of C.
            unsafe {
                let c = data.add(row * c_stride + column);
                let tile = Tile {
                    a,
                    a_line,
                    a_step,
                    b,
                    b_step,
                    depth,
                    c,
                    c_stride,
                    rows,
                    columns,
                    add: self.out.add,
                    ahead,
                };
                // A little of a panel's padding costs less than a tile of an odd shape.
                let full = (self.heights.contains(&rows)
                    || packed[0] && 2 * rows > self.heights[0])
                    && (columns == tile_columns || packed[1] && columns + S::LANES > tile_columns);
                if !full {
                    s.run(EdgeTile::new(&tile));
                } else if packed == [true, true] {
                    s.run(PanelTile::new(&tile));
                } else {
                    s.run(StridedTile::new(&tile));
                }
                if self.last {
                    self.out.epilogue.apply(s, place, c, c_stride);
                }
            }
        }
    }
}
