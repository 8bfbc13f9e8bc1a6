//! Where a tile finds its lines of A or B: in panels, or in the matrix itself where packing would not pay.
use std::ops::Range;

use super::{ahead::Coming, blocking::Caches, matrix::Matrix, pack::pack, tile::LINE};
use crate::kernels::{Isa, Team};

/// Bytes after which the sets of an L1 repeat: true of every L1 with 64 sets, which is every one since Nehalem and Zen.
const SET_PERIOD: usize = 4096;

/// The heights of tiles that read the rows of A where they lie, or nothing if these are better packed. `readers` panels of B read each.
///
/// Rows whose steps lie side by side are read like a panel, a cache line of each at a time: packing them took a tenth of a
/// product with K = 384, at 64 x 64 x 64 a third. They are packed only where those of every tile compete for the same sets of L1:
/// 14 rows 4 KB apart took 4 % longer than packed ones, 12 took 2 % less, with 12 ways (Zen 5, 1024 x 1024 x 1024).
/// Steps that lie apart (a transposed A) touch a line or two each. Where a tile is about a line high, they are read from L2, each fetched
/// some steps before, unless so many of them share a set that what was fetched is gone again. What is not packed need
/// not go from the core that packed it to the one that reads it: in phases of a shared machine that seemed to take a quarter of a product
/// on two threads.
pub(crate) fn rows_in_place(
    isa: Isa,
    caches: Caches,
    rows: Matrix<'_>,
    readers: usize,
) -> Option<&'static [usize]> {
    let places = |stride: usize| {
        let bytes = size_of::<f32>() * stride;
        SET_PERIOD >> bytes.trailing_zeros().min(SET_PERIOD.trailing_zeros())
    };
    if rows.columns == 0 {
        None
    } else if rows.column_stride == 1 {
        let places = places(rows.row_stride);
        let ways = caches.l1 / SET_PERIOD;
        let heights = isa.gemm_rows_in_place();
        let fits = |height: &usize| height.div_ceil(places) <= ways;
        heights.iter().position(fits).map(|at| &heights[at..])
    } else {
        let (height, _) = isa.gemm_tile();
        let quick = readers <= 1
            || bytes_of(rows) <= caches.l1 / 2
            || (4 * height >= 3 * LINE && places(rows.column_stride) >= PLACES_OF_STEPS);
        (rows.row_stride == 1 && quick).then_some(isa.gemm_rows_in_place())
    }
}

/// Sets of L1 over which the steps of a transposed A must be spread.
const PLACES_OF_STEPS: usize = 4;

/// Whether tiles may read the columns of B, which lie side by side, where they are: a small part of L2, or read by no more than
/// two rows of tiles. `columns` is B transposed.
pub(crate) fn right_may_stay(caches: Caches, columns: Matrix<'_>, readers: usize) -> bool {
    columns.columns > 0 && (readers <= 2 || bytes_of(columns) <= caches.l2 / 4)
}

fn bytes_of(m: Matrix<'_>) -> usize {
    size_of::<f32>() * m.rows * m.columns
}

/// Rows of A or columns of B ("lines"), each of K steps.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    data: &'a [f32],
    /// Distance of the first lines of neighbouring panels, a line.
    panel: usize,
    /// Distance of lines inside of a panel.
    line: usize,
    step: usize,
    /// Whether each panel is padded to its full width.
    packed: bool,
}

impl<'a> Operand<'a> {
    /// The rows of `m` where they lie, if they are `plain`, else in panels of `width` that the team packs into `room`.
    pub(crate) fn new(
        isa: Isa,
        team: &dyn Team,
        (m, width): (Matrix<'a>, usize),
        plain: bool,
        room: &'a mut [f32],
    ) -> Operand<'a> {
        if plain {
            Operand::plain(m)
        } else {
            pack(isa, team, m, width, room);
            Operand::panels(room, width, m.columns)
        }
    }

    /// Panels of `width` lines of `depth` steps.
    pub(crate) fn panels(data: &'a [f32], width: usize, depth: usize) -> Operand<'a> {
        Operand {
            data,
            panel: depth,
            line: 1,
            step: width,
            packed: true,
        }
    }

    /// The rows of `m` as they lie in memory.
    pub(crate) fn plain(m: Matrix<'a>) -> Operand<'a> {
        Operand {
            data: m.data,
            panel: m.row_stride,
            line: m.row_stride,
            step: m.column_stride,
            packed: false,
        }
    }

    /// Whether the lines lie in panels.
    pub(crate) fn is_packed(&self) -> bool {
        self.packed
    }

    /// Where the panel that starts with `line` lies from step `from`, and the distance of its rows; those of packed panels are pieces of
    /// `depth` values. To be fetched, not read: nothing is checked.
    #[inline(always)]
    pub(crate) fn ahead(&self, line: usize, from: usize, depth: usize) -> (*const f32, usize) {
        let start = line * self.panel + from * self.step;
        let row = if self.packed { depth } else { self.line };
        (self.data.as_ptr().wrapping_add(start), row)
    }

    /// The cache lines with the steps `steps` of the lines `lines`, which start a panel: in the order of their steps, which is the order of
    /// panels.
    pub(crate) fn coming(&self, lines: Range<usize>, steps: Range<usize>) -> Coming {
        if lines.is_empty() || steps.is_empty() {
            return Coming::nothing();
        }
        let (at, _) = self.ahead(lines.start, steps.start, 0);
        if self.packed {
            let run = self.step * steps.len() / LINE;
            let panels = lines.len().div_ceil(self.step);
            Coming::runs(at, (run, LINE), (panels, self.step * self.panel))
        } else if self.line == 1 {
            let run = (steps.len(), self.step);
            Coming::runs(at, run, (lines.len().div_ceil(LINE), LINE))
        } else {
            let run = (lines.len(), self.line);
            Coming::runs(at, run, (steps.len().div_ceil(LINE), LINE))
        }
    }

    /// Pointer, distance of lines and distance of steps of the panel that starts with `line` and has `lines` of them, from step
    /// `from`.
    ///
    /// # Panics
    /// When one of its `depth` steps lies outside.
    #[inline(always)]
    pub(crate) fn at(
        &self,
        line: usize,
        lines: usize,
        from: usize,
        depth: usize,
    ) -> (*const f32, usize, usize) {
        let start = line * self.panel + from * self.step;
        let lines = if self.packed { self.step } else { lines };
        let last = start + (lines - 1) * self.line + depth.saturating_sub(1) * self.step;
        assert!(
            depth == 0 || last < self.data.len(),
            "a panel ends outside of its operand"
        );
        (self.data.as_ptr().wrapping_add(start), self.line, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing;

    fn rows_at_stride(rows: usize, stride: usize, l1: usize) -> Vec<Option<&'static [usize]>> {
        let data = vec![0.0; rows * stride];
        let rows = Matrix::with_stride(&data, rows, 16, stride);
        let caches = Caches {
            l1,
            ..Caches::default()
        };
        (testing::isas().into_iter())
            .filter(|isa| isa.gemm_rows_in_place().len() > 1)
            .map(|isa| rows_in_place(isa, caches, rows, 100))
            .collect()
    }

    #[test]
    fn rows_that_compete_for_sets_of_l1_are_packed() {
        for (stride, l1, height) in [
            (384, 32 << 10, Some(&[14, 12][..])),
            (1536, 32 << 10, Some(&[14, 12][..])),
            (16_000, 32 << 10, Some(&[14, 12][..])),
            (1024, 32 << 10, None),
            (4096, 32 << 10, None),
            (1024, 48 << 10, Some(&[12][..])),
        ] {
            for found in rows_at_stride(28, stride, l1) {
                assert_eq!(found, height, "{stride} in {l1}");
            }
        }
        // 6 rows, as the tile of AVX2 has, find a way each; 4 always do.
        let data = vec![0.0; 20 * 1024];
        let rows = Matrix::with_stride(&data, 20, 16, 1024);
        for isa in testing::isas() {
            if isa.gemm_tile().0 <= 6 {
                assert!(rows_in_place(isa, Caches::default(), rows, 100).is_some());
            }
        }
    }

    #[test]
    fn steps_that_compete_for_sets_of_l1_are_packed() {
        for isa in testing::isas() {
            let stays = |stride: usize| {
                let data = vec![0.0; 300 * stride];
                let steps = Matrix::with_stride(&data, 300, stride, stride);
                rows_in_place(isa, Caches::default(), steps.transposed(), 100)
            };
            let (height, _) = isa.gemm_tile();
            let high = (height >= 12).then_some(isa.gemm_rows_in_place());
            for stride in [384, 1152, 16_000, 256] {
                assert_eq!(stays(stride), high, "{stride}");
            }
            assert!(stays(1536).is_none() && stays(1024).is_none());
        }
    }

    #[test]
    fn nothing_stays_that_has_no_steps() {
        let empty = Matrix::new(&[], 5, 0);
        for isa in testing::isas() {
            assert!(rows_in_place(isa, Caches::default(), empty, 1).is_none());
        }
        assert!(!right_may_stay(Caches::default(), empty, 1));
    }
}
