//! A product row by row: no tiles, no blocks, no panels.

use crate::kernels::{
    Isa, Team,
    gemm::{Matrix, Store},
    isa::{Op, Simd},
    team::{Rows, for_rows},
};

/// Rows of C that a task computes.
const GRAIN: usize = 4;

/// `c = a b` or `c += a b`. Shapes: `a` m x k, `b` k x n with its rows in one piece, `c` m x n. Each row of C is loaded and stored
/// once for every row of B, as in the three loops of a textbook; the innermost is vectorised.
///
/// # Panics
/// When shapes do not fit.
pub(crate) fn multiply(
    isa: Isa,
    team: &dyn Team,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    store: Store,
) {
    let n = b.columns;
    assert_eq!((a.columns, c.len()), (b.rows, a.rows * n), "shapes");
    assert_eq!(b.column_stride, 1, "rows of B in one piece");
    for_rows(team, a.rows, GRAIN, [Rows::new(c, n)], |rows, [c]| {
        for (row, c) in rows.zip(c.chunks_exact_mut(n)) {
            if store == Store::Set {
                c.fill(0.0);
            }
            isa.run(Row { a, row, b, c });
        }
    });
}

/// One row of C: `c += sum over k of a(row, k) * row k of B`.
struct Row<'a> {
    a: Matrix<'a>,
    row: usize,
    b: Matrix<'a>,
    c: &'a mut [f32],
}

impl Op for Row<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for k in 0..self.b.rows {
            let factor = s.splat(self.a.at(self.row, k));
            let mut b = self.b.row(k).chunks_exact(S::LANES);
            let mut c = self.c.chunks_exact_mut(S::LANES);
            for (b, c) in (&mut b).zip(&mut c) {
                s.store(s.fma(factor, s.load(b), s.load(c)), c);
            }
            let (b, c) = (b.remainder(), c.into_remainder());
            s.store_partial(s.fma(factor, s.load_partial(b), s.load_partial(c)), c);
        }
    }
}

/// `m` written row by row, whatever its strides: what a row-by-row product reads.
pub(crate) fn copy_rows(team: &dyn Team, m: Matrix<'_>, to: &mut [f32]) {
    let n = m.columns;
    for_rows(team, m.rows, GRAIN, [Rows::new(to, n)], |rows, [to]| {
        for (row, to) in rows.zip(to.chunks_exact_mut(n)) {
            for (column, to) in to.iter_mut().enumerate() {
                *to = m.at(row, column);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{compute, random};

    #[test]
    fn agrees_with_the_definition_in_any_layout() {
        let (m, n, k) = (9, 37, 21);
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        compute(|compute| {
            let (isa, team) = (compute.isa, compute.team);
            for a in [Matrix::new(&a, m, k), Matrix::new(&a, k, m).transposed()] {
                let mut rows = vec![f32::NAN; k * n];
                copy_rows(team, Matrix::new(&b, n, k).transposed(), &mut rows);
                let b = Matrix::new(&rows, k, n);
                let mut c = vec![f32::NAN; m * n];
                multiply(isa, team, a, b, &mut c, Store::Set);
                multiply(isa, team, a, b, &mut c, Store::Add);
                for (place, c) in c.iter().enumerate() {
                    let (i, j) = (place / n, place % n);
                    let sum: f64 = (0..k)
                        .map(|k| f64::from(a.at(i, k)) * f64::from(b.at(k, j)))
                        .sum();
                    assert!((f64::from(*c) - 2.0 * sum).abs() < 1e-4, "{i} {j}");
                }
            }
        });
    }
}
