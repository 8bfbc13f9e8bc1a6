//! The forward pass: scores, softmax, weighted values.

use super::{Heads, Teams};
use crate::kernels::{
    Isa, Team,
    gemm::{
        Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, pack_right, packed_right_len,
    },
    team::{Shared, for_tasks_with_scratch},
    vec::causal_softmax,
};

/// `out = softmax(causal(Q K^T / sqrt(size))) V` for every sequence and head.
///
/// Shapes: `qkv` rows x 3 width (queries, keys, values side by side, heads side by side in each), `out` rows x width,
/// `log_sums` sequences x heads x length, `scratch` [`Heads::scratch_len`] for each worker.
///
/// # Panics
/// When lengths do not fit.
#[allow(
    clippy::too_many_arguments,
    reason = "an attention has this many parts, and each is named"
)]
pub fn attention(
    isa: Isa,
    caches: Caches,
    teams: Teams<'_>,
    heads: Heads,
    qkv: &[f32],
    out: &mut [f32],
    log_sums: &mut [f32],
    scratch: &mut [f32],
) {
    let (rows, width) = (heads.rows(), heads.width());
    assert_eq!(
        (qkv.len(), out.len()),
        (3 * rows * width, rows * width),
        "attention's lengths"
    );
    assert_eq!(log_sums.len(), rows * heads.heads, "attention's log sums");
    assert!(
        scratch.len() >= teams.across.workers() * heads.scratch_len(isa),
        "attention's scratch"
    );
    let out = Output(out.as_mut_ptr());
    let out = &out;
    let log_sums = Shared::new(log_sums);
    for_tasks_with_scratch(
        teams.across,
        heads.sequences * heads.heads,
        scratch,
        |task, scratch| {
            let (sequence, head) = (task / heads.heads, task % heads.heads);
            let first = sequence * heads.length;
            // SAFETY: each task has rows of its own in `log_sums`, and in `out` the columns of its head in its sequence.
            let (log_sums, out) = unsafe {
                (
                    log_sums.part(task * heads.length..(task + 1) * heads.length),
                    out.0.add(first * width + head * heads.size),
                )
            };
            let part = |part: usize| {
                let start = first * 3 * width + part * width + head * heads.size;
                Matrix::with_stride(&qkv[start..], heads.length, heads.size, 3 * width)
            };
            one_head(
                isa,
                caches,
                teams.within,
                heads,
                [part(0), part(1), part(2)],
                out,
                log_sums,
                scratch,
            );
        },
    );
}

/// Where the outputs of all heads start.
struct Output(*mut f32);

// SAFETY: tasks write disjoint elements through it.
unsafe impl Sync for Output {}

#[allow(
    clippy::too_many_arguments,
    reason = "an attention has this many parts, and each is named"
)]
fn one_head(
    isa: Isa,
    caches: Caches,
    team: &dyn Team,
    heads: Heads,
    [queries, keys, values]: [Matrix<'_>; 3],
    out: *mut f32,
    log_sums: &mut [f32],
    scratch: &mut [f32],
) {
    let (length, size) = (heads.length, heads.size);
    let mut rest = scratch;
    let keys = pack_right(
        isa,
        team,
        keys.transposed(),
        take(&mut rest, packed_right_len(isa, size, length)),
    );
    let values = pack_right(
        isa,
        team,
        values,
        take(&mut rest, packed_right_len(isa, length, size)),
    );
    let block = heads.block(isa);
    let scores = take(&mut rest, block * length);
    for first in (0..length).step_by(block) {
        let count = block.min(length - first);
        let visible = first + count;
        let queries = queries.rows(first..visible);
        let scores = &mut scores[..count * visible];
        let target = MatrixMut::new(scores, count, visible);
        multiply(
            isa,
            caches,
            team,
            rest,
            queries,
            Right::Packed(keys),
            target,
            Store::Set,
            Epilogue::None,
        );
        for (i, row) in scores.chunks_exact_mut(visible).enumerate() {
            log_sums[first + i] = causal_softmax(isa, row, first + i + 1, heads.scale());
        }
        // SAFETY: rows `first ..` of this head's output, which this task alone writes.
        let target = unsafe {
            MatrixMut::from_raw(out.add(first * heads.width()), count, size, heads.width())
        };
        let scores = Matrix::new(scores, count, visible);
        multiply(
            isa,
            caches,
            team,
            rest,
            scores,
            Right::Packed(values),
            target,
            Store::Set,
            Epilogue::None,
        );
    }
}

/// The next `len` values of scratch, whole cache lines at a time.
pub(super) fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (taken, left) = std::mem::take(rest).split_at_mut(len.next_multiple_of(16));
    *rest = left;
    &mut taken[..len]
}
