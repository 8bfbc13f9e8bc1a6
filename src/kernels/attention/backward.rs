//! The backward pass: probabilities again from the kept log sums, then five products, some panels of queries at a time.

use std::ops::Range;

use super::{
    Heads, Teams,
    column::{Column, score_gradients},
    panel::{take, transpose_out},
};
use crate::kernels::{
    Isa, Solo, Team,
    gemm::{Direct, Matrix, MatrixMut, Store, pack_right, tile_rows},
    isa::{Op, Simd},
    team::for_tasks_with_scratch,
};

/// The gradient of `qkv` from that of the output, overwriting `dqkv`.
///
/// `qkv` and `log_sums` are those of [`super::attention`]; `dout` has the shape of its output, `dqkv` that of `qkv`.
///
/// # Panics
/// When lengths do not fit.
#[allow(
    clippy::too_many_arguments,
    reason = "an attention has this many parts, and each is named"
)]
pub fn attention_backward(
    isa: Isa,
    teams: Teams<'_>,
    heads: Heads,
    qkv: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut [f32],
) {
    let (rows, width) = (heads.rows(), heads.width());
    assert_eq!(
        (qkv.len(), dqkv.len(), dout.len()),
        (3 * rows * width, 3 * rows * width, rows * width),
        "attention's lengths"
    );
    assert_eq!(log_sums.len(), rows * heads.heads, "attention's log sums");
    assert!(
        scratch.len() >= teams.workers() * heads.scratch_len(isa),
        "attention's scratch"
    );
    let gradient = Start(dqkv.as_mut_ptr());
    let gradient = &gradient;
    for_tasks_with_scratch(
        teams.across,
        heads.sequences * heads.heads,
        scratch,
        |task, scratch| {
            let (sequence, head) = (task / heads.heads, task % heads.heads);
            let one = OneHead {
                isa,
                team: teams.within,
                heads,
                qkv: heads.parts(qkv, sequence, head),
                dout: Matrix::with_stride(
                    &dout[sequence * heads.length * width + head * heads.size..],
                    heads.length,
                    heads.size,
                    width,
                ),
                log_sums: &log_sums[task * heads.length..][..heads.length],
                dqkv: [0, 1, 2].map(|part| {
                    Start((gradient.0).wrapping_add(heads.start(sequence, head, part)))
                }),
            };
            // SAFETY: each task has columns of its own.
            unsafe { one.run(scratch) }
        },
    );
}

/// Where the gradients of all heads, or one part of those of one head, start.
struct Start(*mut f32);

// SAFETY: tasks write disjoint elements through it.
unsafe impl Sync for Start {}

struct OneHead<'a> {
    isa: Isa,
    team: &'a dyn Team,
    heads: Heads,
    qkv: [Matrix<'a>; 3],
    dout: Matrix<'a>,
    log_sums: &'a [f32],
    dqkv: [Start; 3],
}

impl OneHead<'_> {
    /// # Safety
    /// - The gradients start matrices of length x size with row stride 3 width that are the caller's alone.
    unsafe fn run(&self, scratch: &mut [f32]) {
        let (length, isa) = (self.heads.length, self.isa);
        let (_, lanes) = isa.gemm_tile();
        let (queries, stride) = self.heads.chunk(isa);
        let mut rest = scratch;
        let p = take(&mut rest, length * stride);
        let ds = take(&mut rest, length * stride);
        // The last chunk sees every key, so it sets the gradients of keys and values, and the others add to them.
        for first in (0..length).step_by(queries).rev() {
            let last = (first + queries).min(length);
            let panels = (last - first).div_ceil(lanes);
            let room = [Start(p.as_mut_ptr()), Start(ds.as_mut_ptr())];
            for_tasks_with_scratch(self.team, panels, rest, |panel, scratch| {
                // SAFETY: each task has columns of its own in both.
                unsafe {
                    self.score_gradients(first + panel * lanes, panel * lanes, &room, scratch)
                };
            });
            let store = if last == length {
                Store::Set
            } else {
                Store::Add
            };
            let [p, ds] =
                [&*p, &*ds].map(|scores| Matrix::with_stride(scores, last, panels * lanes, stride));
            let tiles = tile_rows(isa.gemm_rows_in_place(), last).count();
            for_tasks_with_scratch(self.team, panels + tiles, rest, |task, scratch| {
                // SAFETY: each task has rows of its own of one gradient.
                unsafe {
                    if task < panels {
                        self.gradient_of_queries(first, task * lanes, ds, scratch);
                    } else {
                        self.gradients_of_keys(first..last, task - panels, [p, ds], store);
                    }
                }
            });
        }
    }

    /// Probabilities of the panel that starts with query `first`, and gradients of its scores, into the columns from `at` on of both `room`s;
    /// zeros for keys after its last query, as far as a tile may read.
    ///
    /// # Safety
    /// - The rooms start matrices of [`Heads::chunk`]'s stride, whose columns of this panel are the caller's alone.
    unsafe fn score_gradients(
        &self,
        first: usize,
        at: usize,
        room: &[Start; 2],
        scratch: &mut [f32],
    ) {
        let (isa, size, length) = (self.isa, self.heads.size, self.heads.length);
        let ((tallest, lanes), (_, stride)) = (isa.gemm_tile(), self.heads.chunk(isa));
        let last = (first + lanes).min(length);
        let [queries, keys, values] = self.qkv;
        let mut rest = scratch;
        let mut across = |m: Matrix<'_>| {
            let room = take(&mut rest, size * lanes);
            pack_right(isa, &Solo, m.rows(first..last).transposed(), room).data
        };
        isa.run(ScoreGradients {
            left: [keys.rows(0..last), values.rows(0..last)],
            right: [across(queries), across(self.dout)],
            // SAFETY: columns that are the caller's.
            to: room.each_ref().map(|room| unsafe {
                let rows = (last + tallest).min(length);
                MatrixMut::from_raw(room.0.add(at), rows, lanes, stride)
            }),
            first,
            log_sums: &self.log_sums[first..last],
            scale: self.heads.scale(),
        });
    }

    /// The gradient of the queries of one panel of the chunk that starts with query `first`, whose scores' gradients are the columns of
    /// `ds` from `at` on.
    ///
    /// # Safety
    /// - As of `run`, of the rows of these queries.
    unsafe fn gradient_of_queries(
        &self,
        first: usize,
        at: usize,
        ds: Matrix<'_>,
        scratch: &mut [f32],
    ) {
        let (_, lanes) = self.isa.gemm_tile();
        let first = first + at;
        let last = (first + lanes).min(self.heads.length);
        let ([_, keys, _], [dq, ..]) = (self.qkv, &self.dqkv);
        let stride = 3 * self.heads.width();
        self.isa.run(QueryGradient {
            keys: keys.rows(0..last),
            ds: ds.rows(0..last).columns(at..at + lanes),
            // SAFETY: rows that are the caller's.
            to: unsafe {
                MatrixMut::from_raw(
                    dq.0.add(first * stride),
                    last - first,
                    self.heads.size,
                    stride,
                )
            },
            scratch,
        });
    }

    /// What the `queries` of a chunk add to the gradients of the keys and values of tile `tile`.
    ///
    /// # Safety
    /// - As of `run`, of the rows of these keys and values.
    unsafe fn gradients_of_keys(
        &self,
        queries: Range<usize>,
        tile: usize,
        [p, ds]: [Matrix<'_>; 2],
        store: Store,
    ) {
        let (_, lanes) = self.isa.gemm_tile();
        let heights = self.isa.gemm_rows_in_place();
        let keys = tile_rows(heights, queries.end)
            .nth(tile)
            .unwrap_or_default();
        // Queries of panels before that of the first key see none of these.
        let first = queries.start.max(keys.start / lanes * lanes);
        let stride = 3 * self.heads.width();
        let product = |scores: Matrix<'_>, right: Matrix<'_>, to: &Start| {
            let columns = first - queries.start..queries.end - queries.start;
            self.isa.run(Direct::new(
                scores.rows(keys.clone()).columns(columns),
                right.rows(first..queries.end),
                // SAFETY: rows that are the caller's.
                unsafe {
                    let to = to.0.add(keys.start * stride);
                    MatrixMut::from_raw(to, keys.len(), self.heads.size, stride)
                },
                store,
            ));
        };
        let [_, dk, dv] = &self.dqkv;
        product(ds, self.qkv[0], dk);
        product(p, self.dout, dv);
    }
}

/// Probabilities and score gradients of one panel.
struct ScoreGradients<'a> {
    /// Keys and values that its last query sees.
    left: [Matrix<'a>; 2],
    /// Queries and gradients of the output: size x columns, transposed and padded with zeros.
    right: [&'a [f32]; 2],
    to: [MatrixMut<'a>; 2],
    first: usize,
    log_sums: &'a [f32],
    scale: f32,
}

impl Op for ScoreGradients<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let width = S::TILE_VECTORS * S::LANES;
        let mut to = self.to;
        for ((to, left), right) in to.iter_mut().zip(self.left).zip(self.right) {
            let right = Matrix::new(right, left.columns, width);
            s.run(Direct::new(
                left,
                right,
                to.first_rows(left.rows),
                Store::Set,
            ));
        }
        for at in (0..width).step_by(S::LANES) {
            let log_sums = self.log_sums.get(at..).unwrap_or_default();
            let log_sums = s.load_partial(&log_sums[..log_sums.len().min(S::LANES)]);
            let columns = to.each_ref().map(|to| Column::new::<S>(to, self.first, at));
            score_gradients(s, columns, log_sums, self.scale);
        }
    }
}

/// The gradient of the queries of one panel.
struct QueryGradient<'a> {
    keys: Matrix<'a>,
    ds: Matrix<'a>,
    to: MatrixMut<'a>,
    scratch: &'a mut [f32],
}

impl Op for QueryGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (size, width) = (self.keys.columns, self.ds.columns);
        let columns = &mut self.scratch[..size * width];
        s.run(Direct::new(
            self.keys.transposed(),
            self.ds,
            MatrixMut::new(columns, size, width),
            Store::Set,
        ));
        transpose_out(s, columns, None, self.to);
    }
}
