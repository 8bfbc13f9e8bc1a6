//! Vector times matrix: what generation of one token does, bound by the reading of the matrix.

use super::matrix::Matrix;
use crate::kernels::{
    Isa, Team,
    isa::{Op, Simd},
    team::{Rows, for_rows},
};

/// `y = x B + bias` for a row-major or a transposed `b` of k x n; `bias` is empty or has n values.
///
/// Reads every element of `b` once. Results do not depend on the number of threads.
///
/// # Panics
/// When lengths do not fit.
pub fn gemv(isa: Isa, team: &dyn Team, x: &[f32], b: Matrix<'_>, bias: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (b.rows, b.columns), "gemv's lengths");
    assert!(bias.is_empty() || bias.len() == y.len(), "bias' length");
    // Some 128 KB of the matrix a task.
    let grain = (32_768 / b.rows.max(1))
        .clamp(16, 4096)
        .next_multiple_of(64);
    for_rows(team, y.len(), grain, [Rows::new(y, 1)], |range, [y]| {
        if bias.is_empty() {
            y.fill(0.0);
        } else {
            y.copy_from_slice(&bias[range.clone()]);
        }
        isa.run(Part {
            x,
            b,
            first: range.start,
            y,
        });
    });
}

/// Columns `first ..` of the product, as many as `y` has, added to `y`.
struct Part<'a> {
    x: &'a [f32],
    b: Matrix<'a>,
    first: usize,
    y: &'a mut [f32],
}

impl Op for Part<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        if self.b.row_stride == 1 {
            // Columns of B lie in memory as rows: one dot product for each output, four sums in flight.
            for (j, y) in self.y.iter_mut().enumerate() {
                let start = (self.first + j) * self.b.column_stride;
                *y += dot(s, self.x, &self.b.data[start..start + self.x.len()]);
            }
        } else {
            // Rows of B: a slice of them, scaled, is added to the outputs, which stay in L1.
            for (k, x) in self.x.iter().enumerate() {
                let start = k * self.b.row_stride + self.first;
                axpy(s, *x, &self.b.data[start..start + self.y.len()], self.y);
            }
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let (mut a4, mut b4) = (a.chunks_exact(4 * S::LANES), b.chunks_exact(4 * S::LANES));
    for (a, b) in (&mut a4).zip(&mut b4) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.fma(s.load(&a[i * S::LANES..]), s.load(&b[i * S::LANES..]), *sum);
        }
    }
    let mut total = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
    for (a, b) in a4
        .remainder()
        .chunks(S::LANES)
        .zip(b4.remainder().chunks(S::LANES))
    {
        total = s.fma(s.load_partial(a), s.load_partial(b), total);
    }
    s.sum(total)
}

#[inline(always)]
fn axpy<S: Simd>(s: S, factor: f32, from: &[f32], to: &mut [f32]) {
    let factor = s.splat(factor);
    let mut from_chunks = from.chunks_exact(S::LANES);
    let mut to_chunks = to.chunks_exact_mut(S::LANES);
    for (from, to) in (&mut from_chunks).zip(&mut to_chunks) {
        s.store(s.fma(factor, s.load(from), s.load(to)), to);
    }
    let (from, to) = (from_chunks.remainder(), to_chunks.into_remainder());
    s.store_partial(s.fma(factor, s.load_partial(from), s.load_partial(to)), to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{
        Solo,
        gemm::reference,
        testing::{self, assert_close},
    };

    #[test]
    fn agrees_with_the_reference_in_both_layouts() {
        for isa in testing::isas() {
            for (k, n) in [(1, 1), (3, 200), (67, 33), (130, 129)] {
                let mut random = testing::Random::new((k * n) as u64);
                let (x, b, bias) = (random.vec(k), random.vec(k * n), random.vec(n));
                for matrix in [Matrix::new(&b, k, n), Matrix::new(&b, n, k).transposed()] {
                    let mut y = vec![f32::NAN; n];
                    gemv(isa, &Solo, &x, matrix, &bias, &mut y);
                    for j in 0..n {
                        let (sum, size) = reference::element(Matrix::new(&x, 1, k), matrix, 0, j);
                        assert_close(y[j], sum + f64::from(bias[j]), size + 1.0, k + 1, "gemv");
                    }
                }
            }
        }
    }
}
