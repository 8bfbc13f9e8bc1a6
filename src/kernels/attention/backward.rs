//! The backward pass: probabilities again from the kept log sums, then five products a block.

use super::{
    Heads, Teams,
    forward::take,
    rows::{Dot, Probabilities, ScoreGradient},
};
use crate::kernels::{
    Isa, Team,
    gemm::{
        Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, pack_right, packed_right_len,
    },
    team::for_tasks_with_scratch,
};

/// The gradient of `qkv` from that of the output, overwriting `dqkv`.
///
/// `qkv`, `out` and `log_sums` are those of [`super::attention`]; `dout` has the shape of `out`, `dqkv` that of `qkv`.
///
/// # Panics
/// When lengths do not fit.
#[allow(
    clippy::too_many_arguments,
    reason = "an attention has this many parts, and each is named"
)]
pub fn attention_backward(
    isa: Isa,
    caches: Caches,
    teams: Teams<'_>,
    heads: Heads,
    qkv: &[f32],
    out: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut [f32],
) {
    let (rows, width) = (heads.rows(), heads.width());
    assert_eq!(
        (qkv.len(), dqkv.len()),
        (3 * rows * width, 3 * rows * width),
        "attention's lengths"
    );
    assert_eq!(
        (out.len(), dout.len()),
        (rows * width, rows * width),
        "attention's lengths"
    );
    assert_eq!(log_sums.len(), rows * heads.heads, "attention's log sums");
    assert!(
        scratch.len() >= teams.across.workers() * heads.scratch_len(isa),
        "attention's scratch"
    );
    let gradient = Gradient(dqkv.as_mut_ptr());
    let gradient = &gradient;
    for_tasks_with_scratch(
        teams.across,
        heads.sequences * heads.heads,
        scratch,
        |task, scratch| {
            let (sequence, head) = (task / heads.heads, task % heads.heads);
            let first = sequence * heads.length;
            let start = |part: usize| first * 3 * width + part * width + head * heads.size;
            let part = |part: usize| {
                Matrix::with_stride(&qkv[start(part)..], heads.length, heads.size, 3 * width)
            };
            let output = |data| Matrix::with_stride(data, heads.length, heads.size, width);
            let column = first * width + head * heads.size;
            let one = OneHead {
                isa,
                caches,
                team: teams.within,
                heads,
                qkv: [part(0), part(1), part(2)],
                out: output(&out[column..]),
                dout: output(&dout[column..]),
                log_sums: &log_sums[task * heads.length..(task + 1) * heads.length],
            };
            // SAFETY: the starts of the three columns of this head in this sequence.
            let dqkv = [0, 1, 2].map(|part| unsafe { gradient.0.add(start(part)) });
            // SAFETY: each task has columns of its own.
            unsafe { one.run(dqkv, scratch) }
        },
    );
}

/// Where the gradients of all heads start.
struct Gradient(*mut f32);

// SAFETY: tasks write disjoint elements through it.
unsafe impl Sync for Gradient {}

struct OneHead<'a> {
    isa: Isa,
    caches: Caches,
    team: &'a dyn Team,
    heads: Heads,
    qkv: [Matrix<'a>; 3],
    out: Matrix<'a>,
    dout: Matrix<'a>,
    log_sums: &'a [f32],
}

impl OneHead<'_> {
    /// # Safety
    /// - The pointers start matrices of length x size with row stride 3 width that are the caller's alone.
    unsafe fn run(&self, [dq, dk, dv]: [*mut f32; 3], scratch: &mut [f32]) {
        let (isa, team) = (self.isa, self.team);
        let (length, size) = (self.heads.length, self.heads.size);
        let [queries, keys, values] = self.qkv;
        let mut rest = scratch;
        let (wide, tall) = (
            packed_right_len(isa, size, length),
            packed_right_len(isa, length, size),
        );
        let keys_across = pack_right(isa, team, keys.transposed(), take(&mut rest, wide));
        let values_across = pack_right(isa, team, values.transposed(), take(&mut rest, wide));
        let keys_down = pack_right(isa, team, keys, take(&mut rest, tall));
        let block = self.heads.block(isa);
        let p = take(&mut rest, block * length);
        let ds = take(&mut rest, block * length);
        let stride = 3 * self.heads.width();
        let mut product = |a: Matrix<'_>, b: Right<'_>, c: MatrixMut<'_>, store| {
            multiply(isa, self.caches, team, rest, a, b, c, store, Epilogue::None);
        };
        // The last block sees every key, so it sets the gradients of keys and values, and the others add to them.
        for (turn, first) in (0..length).step_by(block).rev().enumerate() {
            let count = block.min(length - first);
            let visible = first + count;
            let (p, ds) = (&mut p[..count * visible], &mut ds[..count * visible]);
            let (q, dout) = (queries.rows(first..visible), self.dout.rows(first..visible));
            product(
                q,
                Right::Packed(keys_across),
                MatrixMut::new(p, count, visible),
                Store::Set,
            );
            product(
                dout,
                Right::Packed(values_across),
                MatrixMut::new(ds, count, visible),
                Store::Set,
            );
            self.score_gradients(first, visible, p, ds);
            let (p, ds) = (
                Matrix::new(p, count, visible),
                Matrix::new(ds, count, visible),
            );
            let store = if turn == 0 { Store::Set } else { Store::Add };
            // SAFETY: rows of this head's gradients, as the caller promises.
            let (dq, dk, dv) = unsafe {
                (
                    MatrixMut::from_raw(dq.add(first * stride), count, size, stride),
                    MatrixMut::from_raw(dk, visible, size, stride),
                    MatrixMut::from_raw(dv, visible, size, stride),
                )
            };
            product(ds, Right::Packed(keys_down), dq, Store::Set);
            product(ds.transposed(), Right::Plain(q), dk, store);
            product(p.transposed(), Right::Plain(dout), dv, store);
        }
    }

    /// Scores in `p` become probabilities, the gradients of probabilities in `ds` those of scores.
    fn score_gradients(&self, first: usize, visible: usize, p: &mut [f32], ds: &mut [f32]) {
        let scale = self.heads.scale();
        for (i, (p, ds)) in p
            .chunks_exact_mut(visible)
            .zip(ds.chunks_exact_mut(visible))
            .enumerate()
        {
            let row = first + i;
            self.isa.run(Probabilities {
                x: p,
                visible: row + 1,
                scale,
                log_sum: self.log_sums[row],
            });
            // The mean of dp under p is the product of the output with its gradient.
            let mean = self.isa.run(Dot(self.out.row(row), self.dout.row(row)));
            self.isa.run(ScoreGradient {
                p,
                dp: ds,
                mean,
                scale,
            });
        }
    }
}
