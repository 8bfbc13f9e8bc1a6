//! Packing: operands copied into panels in the order in which the register tile reads them.
#![allow(unsafe_code, reason = "block transposes write through pointers")]

use std::{marker::PhantomData, ops::Range};

use super::matrix::Matrix;
use crate::kernels::{
    Isa, Team,
    isa::{Op, Simd},
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
    let (panels, depth) = (m.rows.div_ceil(width), m.columns);
    // Some 64 KB a task: large enough to start, small enough to share out. What lies side by side is read side by side.
    const VALUES: usize = 16_384;
    let (panels_of_task, steps_of_task) = if m.row_stride == 1 {
        let across = (LINES_AT_ONCE / width).clamp(1, panels.max(1));
        (across, (VALUES / (across * width)).max(1))
    } else {
        ((VALUES / (width * depth).max(1)).max(1), depth.max(1))
    };
    let chunks = depth.div_ceil(steps_of_task);
    let to = Panels::new(to, width, depth, panels);
    team.run(panels.div_ceil(panels_of_task) * chunks, &|task, _| {
        let (panel, step) = (
            task / chunks * panels_of_task,
            task % chunks * steps_of_task,
        );
        let panels = panel..(panel + panels_of_task).min(panels);
        let steps = step..(step + steps_of_task).min(depth);
        // SAFETY: each task has its own panels or its own steps of them.
        isa.run(unsafe { PackPanels::new(m, panels, steps, to) });
    });
}

/// Lines of which a step is copied at once where they lie side by side: 2 KB are half a page, whose lines the core fetches ahead; a
/// panel of 32 alone was read at a quarter of the speed.
pub(crate) const LINES_AT_ONCE: usize = 128;

/// Room for panels of `depth` steps, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    data: *mut f32,
    width: usize,
    depth: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: whoever packs promises to write apart from others.
unsafe impl Sync for Panels<'_> {}

impl<'a> Panels<'a> {
    /// # Panics
    /// When `to` has no room for `panels` panels.
    pub(crate) fn new(to: &'a mut [f32], width: usize, depth: usize, panels: usize) -> Panels<'a> {
        assert!(to.len() >= panels * width * depth, "no room to pack");
        Panels {
            data: to.as_mut_ptr(),
            width,
            depth,
            owner: PhantomData,
        }
    }
}

/// Packs the steps `steps` of the panels `panels`.
pub(crate) struct PackPanels<'a> {
    m: Matrix<'a>,
    panels: Range<usize>,
    steps: Range<usize>,
    to: Panels<'a>,
}

impl<'a> PackPanels<'a> {
    /// From the rows and columns of `m` of the same numbers.
    ///
    /// # Safety
    /// - `to` has room for the panels, and nobody else uses these steps of them.
    pub(crate) unsafe fn new(
        m: Matrix<'a>,
        panels: Range<usize>,
        steps: Range<usize>,
        to: Panels<'a>,
    ) -> PackPanels<'a> {
        assert!(steps.end <= m.columns && steps.end <= to.depth);
        PackPanels {
            m,
            panels,
            steps,
            to,
        }
    }
}

impl Op for PackPanels<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        if self.m.row_stride == 1 {
            match self.to.width.div_ceil(S::LANES) {
                1 => self.copy::<S, 1>(s),
                2 => self.copy::<S, 2>(s),
                3 => self.copy::<S, 3>(s),
                4 => self.copy::<S, 4>(s),
                vectors => unreachable!("a panel of {vectors} vectors"),
            }
        } else if self.m.column_stride == 1 {
            self.transpose(s);
        } else {
            self.gather();
        }
    }
}

impl PackPanels<'_> {
    /// Where step `step` of a panel belongs.
    #[inline(always)]
    fn place(&self, panel: usize, step: usize) -> *mut f32 {
        (self.to.data).wrapping_add((panel * self.to.depth + step) * self.to.width)
    }

    /// The values of one step lie side by side already: step by step along all panels.
    #[inline(always)]
    fn copy<S: Simd, const VECTORS: usize>(self, s: S) {
        let (width, stride) = (self.to.width, self.m.column_stride);
        let full =
            self.panels.start..(self.m.rows / width).clamp(self.panels.start, self.panels.end);
        // A vector may reach past its step into those after it, which are written afterwards. The last steps go value by value, and so
        // do those whose vectors would reach past the data.
        let beyond = VECTORS * S::LANES - width;
        let last = beyond.div_ceil(width).min(self.steps.len());
        let inside =
            (self.m.data.len() + stride).saturating_sub(full.end * width + beyond) / stride.max(1);
        let quick = self.steps.start..inside.clamp(self.steps.start, self.steps.end - last);
        let panel_len = self.to.depth * width;
        for step in quick.clone() {
            let mut from = self
                .m
                .data
                .as_ptr()
                .wrapping_add(step * stride + full.start * width);
            let mut to = self.place(full.start, step);
            for _ in full.clone() {
                for v in 0..VECTORS {
                    // SAFETY: the vector lies in `m`, and its place in this step and, if it reaches past, the next.
                    unsafe { s.store_at(s.load_at(from.add(v * S::LANES)), to.add(v * S::LANES)) };
                }
                (from, to) = (from.wrapping_add(width), to.wrapping_add(panel_len));
            }
        }
        let rest = (full.clone().map(|panel| (panel, quick.end)))
            .chain((full.end..self.panels.end).map(|panel| (panel, self.steps.start)));
        for (panel, start) in rest {
            let line = panel * width;
            let lines = width.min(self.m.rows - line);
            for step in start..self.steps.end {
                // SAFETY: the step's place in its panel.
                let to = unsafe { std::slice::from_raw_parts_mut(self.place(panel, step), width) };
                to[..lines].copy_from_slice(&self.m.data[step * stride + line..][..lines]);
                to[lines..].fill(0.0);
            }
        }
    }

    /// The values of one row lie side by side: block transposes, `LANES` columns at a time.
    #[inline(always)]
    fn transpose<S: Simd>(self, s: S) {
        let (width, stride) = (self.to.width, self.m.row_stride);
        for panel in self.panels.clone() {
            let first = panel * width;
            let rows = width.min(self.m.rows - first);
            let from = &self.m.data[first * stride..];
            let mut step = self.steps.start;
            // A vector may reach past its column into the next ones: columns ascend and row groups descend, so that what it
            // spoils there is written afterwards. The last columns go one by one, so nothing past the panel is touched.
            let beyond = if width.is_multiple_of(S::LANES) {
                0
            } else {
                S::LANES.div_ceil(width) + 1
            };
            let blocks_end = (self.steps.end + 1).saturating_sub(S::LANES + beyond);
            while step < blocks_end {
                for group in (0..width.div_ceil(S::LANES)).rev() {
                    let row = group * S::LANES;
                    let height = rows.saturating_sub(row).min(S::LANES);
                    let start = if height == 0 { 0 } else { row * stride + step };
                    // SAFETY: `height` rows of `LANES` values lie in `m`. The last vector written starts at step
                    // `step + LANES - 1` and ends before the last step by the choice of `blocks_end`.
                    unsafe {
                        let to = self.place(panel, step).add(row);
                        s.transpose_at(height, from.as_ptr().add(start), stride, to, width);
                    }
                }
                step += S::LANES;
            }
            for step in step..self.steps.end {
                for row in 0..width {
                    let value = if row < rows {
                        from[row * stride + step]
                    } else {
                        0.0
                    };
                    // SAFETY: a place of the panel.
                    unsafe { *self.place(panel, step).add(row) = value };
                }
            }
        }
    }

    fn gather(self) {
        let width = self.to.width;
        for panel in self.panels.clone() {
            for step in self.steps.clone() {
                for row in 0..width {
                    let line = panel * width + row;
                    let value = if line < self.m.rows {
                        self.m.at(line, step)
                    } else {
                        0.0
                    };
                    // SAFETY: a place of the panel.
                    unsafe { *self.place(panel, step).add(row) = value };
                }
            }
        }
    }
}
