//! Vector times matrix: what generation of one token does, bound by the reading of the matrix.

use super::{
    matrix::Matrix,
    tile::{LINE, prefetch},
};
use crate::kernels::{
    Isa, Team,
    isa::{Op, Simd},
    team::{Rows, for_rows},
    vec::map,
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
    // Some 128 KB of columns a task; of rows, pieces of several KB, as long as a stream wants to be.
    let grain = if b.row_stride == 1 {
        (32_768 / b.rows.max(1)).clamp(16, 4096)
    } else {
        (y.len() / 8).clamp(64, 2048)
    };
    let grain = grain.next_multiple_of(64);
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
                *y += map::dot(s, self.x, &self.b.data[start..start + self.x.len()]);
            }
        } else {
            // Rows of B: slices of four, scaled, are added to the outputs, which stay in L1. Meanwhile the slices of the four rows after
            // them are fetched: each is too short for the core to find out in time how it goes on.
            let columns = self.y.len();
            let row = |k: usize| {
                let start = k * self.b.row_stride + self.first;
                &self.b.data[start..start + columns]
            };
            let mut x = self.x.chunks_exact(4);
            for (four, x) in (&mut x).enumerate() {
                let rows = [0, 1, 2, 3].map(
                    #[inline(always)]
                    |k| row(4 * four + k),
                );
                let ahead = 4 * self.b.row_stride;
                add_rows(s, [x[0], x[1], x[2], x[3]], rows, ahead, self.y);
            }
            let done = self.x.len() / 4 * 4;
            for (k, x) in x.remainder().iter().enumerate() {
                add_rows(s, [*x], [row(done + k)], 0, self.y);
            }
        }
    }
}

/// `to += sum of factors[i] * rows[i]`, in the order of `i`. What lies `ahead` values behind the rows is fetched.
#[inline(always)]
fn add_rows<S: Simd, const N: usize>(
    s: S,
    factors: [f32; N],
    rows: [&[f32]; N],
    ahead: usize,
    to: &mut [f32],
) {
    let whole = to.len() / S::LANES * S::LANES;
    let (to, rest) = to.split_at_mut(whole);
    for (at, to) in to.chunks_exact_mut(S::LANES).enumerate() {
        let mut sum = s.load(to);
        for (factor, row) in factors.iter().zip(rows) {
            if (at * S::LANES).is_multiple_of(LINE) {
                prefetch(row.as_ptr().wrapping_add(at * S::LANES + ahead), 1);
            }
            sum = s.fma(s.splat(*factor), s.load(&row[at * S::LANES..]), sum);
        }
        s.store(sum, to);
    }
    if rest.is_empty() {
        return;
    }
    let mut sum = s.load_partial(rest);
    for (factor, row) in factors.iter().zip(rows) {
        sum = s.fma(s.splat(*factor), s.load_partial(&row[whole..]), sum);
    }
    s.store_partial(sum, rest);
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
