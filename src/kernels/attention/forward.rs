//! The forward pass: scores, softmax, weighted values, a panel of queries at a time.

use super::{
    Heads, Teams,
    column::{Column, exponentials},
    panel::{take, transpose_out},
};
use crate::kernels::{
    Isa, Solo,
    gemm::{Direct, Matrix, MatrixMut, Store, pack_right},
    isa::{Op, Simd},
    team::{Shared, for_tasks_with_scratch},
};

/// `out = softmax(causal(Q K^T / sqrt(size))) V` for every sequence and head.
///
/// Shapes: `qkv` rows x 3 width (queries, keys, values side by side, heads side by side in each), `out` rows x width,
/// `log_sums` sequences x heads x length, `scratch` [`Heads::scratch_len`] for each worker.
///
/// # Panics
/// When lengths do not fit.
pub fn attention(
    isa: Isa,
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
        scratch.len() >= teams.workers() * heads.scratch_len(isa),
        "attention's scratch"
    );
    let out = Output(out.as_mut_ptr());
    let out = &out;
    let log_sums = Shared::new(log_sums);
    let (_, lanes) = isa.gemm_tile();
    for_tasks_with_scratch(
        teams.across,
        heads.sequences * heads.heads,
        scratch,
        |task, scratch| {
            let (sequence, head) = (task / heads.heads, task % heads.heads);
            let start = sequence * heads.length;
            let [queries, keys, values] = heads.parts(qkv, sequence, head);
            for_tasks_with_scratch(
                teams.within,
                heads.length.div_ceil(lanes),
                scratch,
                |panel, scratch| {
                    let first = panel * lanes;
                    let last = (first + lanes).min(heads.length);
                    let row = task * heads.length;
                    // SAFETY: each panel of each head has rows of its own in `log_sums`, and in `out` the columns of its head in its rows.
                    let (log_sums, out) = unsafe {
                        let column = (start + first) * width + head * heads.size;
                        let out = out.0.add(column);
                        (
                            log_sums.part(row + first..row + last),
                            MatrixMut::from_raw(out, last - first, heads.size, width),
                        )
                    };
                    let mut rest = scratch;
                    let room = take(&mut rest, heads.size * lanes);
                    let queries = queries.rows(first..last).transposed();
                    isa.run(Panel {
                        queries: pack_right(isa, &Solo, queries, room).data,
                        keys: keys.rows(0..last),
                        values: values.rows(0..last),
                        scale: heads.scale(),
                        out,
                        log_sums,
                        scratch: rest,
                    });
                },
            );
        },
    );
}

/// Where the outputs of all heads start.
struct Output(*mut f32);

// SAFETY: tasks write disjoint elements through it.
unsafe impl Sync for Output {}

/// As many queries of one head as a tile has columns, the last ones of the keys and values that they see.
struct Panel<'a> {
    /// Size x columns, transposed and padded with zeros.
    queries: &'a [f32],
    keys: Matrix<'a>,
    values: Matrix<'a>,
    scale: f32,
    out: MatrixMut<'a>,
    log_sums: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Op for Panel<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let width = S::TILE_VECTORS * S::LANES;
        let (seen, size) = (self.keys.rows, self.keys.columns);
        let first = seen - self.log_sums.len();
        let mut rest = self.scratch;
        let scores = take(&mut rest, seen * width);
        let weighted = take(&mut rest, size * width);
        let factors = take(&mut rest, width);
        let mut target = MatrixMut::new(scores, seen, width);
        let queries = Matrix::new(self.queries, size, width);
        s.run(Direct::new(
            self.keys,
            queries,
            target.reborrow(),
            Store::Set,
        ));
        for at in (0..width).step_by(S::LANES) {
            let column = Column::new::<S>(&target, first, at);
            let (largest, sum) = exponentials(s, column, self.scale);
            s.store(s.div(s.splat(1.0), sum), &mut factors[at..]);
            let mut lanes = [[0.0; 16]; 2];
            s.store(largest, &mut lanes[0]);
            s.store(sum, &mut lanes[1]);
            let log_sums = self.log_sums.iter_mut().skip(at).take(S::LANES);
            for ((log_sum, largest), sum) in log_sums.zip(lanes[0]).zip(lanes[1]) {
                *log_sum = largest + sum.ln();
            }
        }
        let mut target = MatrixMut::new(weighted, size, width);
        s.run(Direct::new(
            self.values.transposed(),
            Matrix::new(scores, seen, width),
            target.reborrow(),
            Store::Set,
        ));
        transpose_out(s, weighted, Some(factors), self.out);
    }
}
