//! Packing: operands copied into panels in the order in which the register tile reads them.
#![allow(unsafe_code, reason = "block transposes write through pointers")]

use super::matrix::Matrix;
use crate::kernels::{
    Isa, Team,
    isa::{Op, Simd},
    team::Shared,
};

/// A right operand packed once and used by many products.
#[derive(Clone, Copy, Debug)]
pub struct PackedRight<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<'a> PackedRight<'a> {
    /// What [`pack_right`] wrote for a `rows` x `columns` matrix and the same ISA.
    ///
    /// # Panics
    /// When `data` is shorter than [`packed_right_len`].
    pub fn new(isa: Isa, data: &'a [f32], rows: usize, columns: usize) -> PackedRight<'a> {
        assert!(
            data.len() >= packed_right_len(isa, rows, columns),
            "packed operand is too short"
        );
        PackedRight {
            data,
            rows,
            columns,
        }
    }
}

/// Values that packing a `rows` x `columns` right operand takes.
pub fn packed_right_len(isa: Isa, rows: usize, columns: usize) -> usize {
    let (_, width) = isa.gemm_tile();
    panel_len(columns, rows, width)
}

/// Packs a right operand for later products; `to` has [`packed_right_len`] places.
pub fn pack_right<'a>(
    isa: Isa,
    team: &dyn Team,
    b: Matrix<'_>,
    to: &'a mut [f32],
) -> PackedRight<'a> {
    let (_, width) = isa.gemm_tile();
    pack(isa, team, b.transposed(), width, to);
    PackedRight {
        data: to,
        rows: b.rows,
        columns: b.columns,
    }
}

/// Values that `lines` lines of `depth` steps take in panels of `width`.
pub(crate) fn panel_len(lines: usize, depth: usize, width: usize) -> usize {
    lines.div_ceil(width) * width * depth
}

/// Packs the rows of `m` into panels of `width` rows: panel after panel, for each column of `m` the `width` values of the
/// panel's rows; rows past the end are 0.
pub(crate) fn pack(isa: Isa, team: &dyn Team, m: Matrix<'_>, width: usize, to: &mut [f32]) {
    assert!(
        to.len() >= panel_len(m.rows, m.columns, width),
        "no room to pack"
    );
    let panels = m.rows.div_ceil(width);
    let panel = width * m.columns;
    // Some 64 KB a task: large enough to start, small enough to share out.
    let group = (16_384 / panel.max(1)).max(1);
    let shared = Shared::new(to);
    team.run(panels.div_ceil(group), &|task, _| {
        for index in task * group..((task + 1) * group).min(panels) {
            // SAFETY: panels of different indices do not overlap, and each index belongs to one task.
            let to = unsafe { shared.part(index * panel..(index + 1) * panel) };
            isa.run(PackPanel {
                m,
                first: index * width,
                width,
                to,
            });
        }
    });
}

/// One panel: rows `first .. first + width` of `m`.
pub(crate) struct PackPanel<'a> {
    pub(crate) m: Matrix<'a>,
    pub(crate) first: usize,
    pub(crate) width: usize,
    /// `width` x columns of `m`.
    pub(crate) to: &'a mut [f32],
}

impl Op for PackPanel<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let rows = self.width.min(self.m.rows - self.first);
        if self.m.row_stride == 1 {
            self.copy(s, rows);
        } else if self.m.column_stride == 1 {
            self.transpose(s, rows);
        } else {
            self.gather(rows);
        }
    }
}

impl PackPanel<'_> {
    /// The values of one step lie side by side already.
    #[inline(always)]
    fn copy<S: Simd>(self, s: S, rows: usize) {
        for (column, to) in self.to.chunks_exact_mut(self.width).enumerate() {
            let start = column * self.m.column_stride + self.first;
            let from = &self.m.data[start..start + rows];
            let mut done = 0;
            while done + S::LANES <= rows {
                s.store(s.load(&from[done..]), &mut to[done..]);
                done += S::LANES;
            }
            if done < self.width {
                // Rows past the end read as 0; at most one vector holds the boundary, the vectors after it are all 0.
                s.store_partial(s.load_partial(&from[done..]), &mut to[done..]);
                if done + S::LANES < self.width {
                    to[done + S::LANES..].fill(0.0);
                }
            }
        }
    }

    /// The values of one row lie side by side: block transposes, `LANES` columns at a time.
    #[inline(always)]
    fn transpose<S: Simd>(self, s: S, rows: usize) {
        let (width, depth, stride) = (self.width, self.m.columns, self.m.row_stride);
        let from = &self.m.data[self.first * stride..];
        let mut column = 0;
        // A vector may reach past its column into the next ones: columns ascend and row groups descend, so that what it
        // spoils there is written afterwards. The last columns go one by one, so nothing past the panel is touched.
        let blocks_end = depth.saturating_sub(S::LANES + S::LANES.div_ceil(width) + 1);
        while column < blocks_end {
            for group in (0..width.div_ceil(S::LANES)).rev() {
                let row = group * S::LANES;
                let height = rows.saturating_sub(row).min(S::LANES);
                // SAFETY: `height` rows of `LANES` values lie in `m`. The last vector written starts at
                // `(column + LANES - 1) * width + row` and ends before `depth * width` by the choice of `blocks_end`.
                unsafe {
                    let start = if height == 0 {
                        from.as_ptr()
                    } else {
                        from.as_ptr().add(row * stride + column)
                    };
                    s.transpose_at(
                        height,
                        start,
                        stride,
                        self.to.as_mut_ptr().add(column * width + row),
                        width,
                    );
                }
            }
            column += S::LANES;
        }
        for (column, to) in self.to.chunks_exact_mut(width).enumerate().skip(column) {
            for (row, to) in to.iter_mut().enumerate() {
                *to = if row < rows {
                    from[row * stride + column]
                } else {
                    0.0
                };
            }
        }
    }

    fn gather(self, rows: usize) {
        for (column, to) in self.to.chunks_exact_mut(self.width).enumerate() {
            for (row, to) in to.iter_mut().enumerate() {
                *to = if row < rows {
                    self.m.at(self.first + row, column)
                } else {
                    0.0
                };
            }
        }
    }
}
