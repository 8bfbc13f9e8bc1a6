//! Reductions: the norm of a gradient, the gradient of a bias.

use super::map;
use crate::kernels::{
    Isa, Team,
    isa::{Op, Simd},
    team::{Rows, for_rows},
};

/// Sum, in f32 and a fixed order.
pub fn sum(isa: Isa, x: &[f32]) -> f32 {
    isa.run(Sum(x))
}

struct Sum<'a>(&'a [f32]);

impl Op for Sum<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        map::sum(
            s,
            self.0,
            #[inline(always)]
            |x| x,
        )
    }
}

/// Sum of products, in f32 and a fixed order.
///
/// # Panics
/// When lengths differ.
pub fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    isa.run(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Op for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        map::dot(s, self.a, self.b)
    }
}

/// Sum of squares: f32 within 4,096 values, f64 across them, in a fixed order.
pub fn sum_of_squares(isa: Isa, x: &[f32]) -> f64 {
    isa.run(SumOfSquares(x))
}

struct SumOfSquares<'a>(&'a [f32]);

impl Op for SumOfSquares<'_> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        let mut total = 0.0;
        for x in self.0.chunks(4096) {
            total += f64::from(map::sum(
                s,
                x,
                #[inline(always)]
                |x| s.mul(x, x),
            ));
        }
        total
    }
}

/// `out[j] += sum over i of m[i, j]` for a dense row-major matrix with as many columns as `out` has values; rows are added
/// in ascending order whatever the team.
///
/// # Panics
/// When `m` does not consist of whole rows.
pub fn add_column_sums(isa: Isa, team: &dyn Team, m: &[f32], out: &mut [f32]) {
    let columns = out.len();
    assert!(
        columns > 0 && m.len().is_multiple_of(columns),
        "{} values are no rows of {columns}",
        m.len()
    );
    for_rows(team, columns, 192, [Rows::new(out, 1)], |range, [out]| {
        isa.run(ColumnSums {
            m,
            columns,
            first: range.start,
            out,
        });
    });
}

struct ColumnSums<'a> {
    m: &'a [f32],
    columns: usize,
    first: usize,
    out: &'a mut [f32],
}

/// Vectors of columns whose sums are in registers at once.
const SUMS: usize = 12;
/// Rows that are gone through strip by strip: a strip of all rows would touch a page of memory for each.
const ROWS: usize = 64;

impl Op for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let strip = SUMS * S::LANES;
        for rows in self.m.chunks(ROWS * self.columns) {
            let mut strips = self.out.chunks_exact_mut(strip);
            let mut first = self.first;
            for out in &mut strips {
                let mut sums = [s.splat(0.0); SUMS];
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = s.load(&out[v * S::LANES..]);
                }
                for row in rows.chunks_exact(self.columns) {
                    let row = &row[first..first + strip];
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = s.add(*sum, s.load(&row[v * S::LANES..]));
                    }
                }
                for (v, sum) in sums.into_iter().enumerate() {
                    s.store(sum, &mut out[v * S::LANES..]);
                }
                first += strip;
            }
            let out = strips.into_remainder();
            if out.is_empty() {
                continue;
            }
            for row in rows.chunks_exact(self.columns) {
                map::update(
                    s,
                    &row[first..first + out.len()],
                    out,
                    #[inline(always)]
                    |x, sum| s.add(sum, x),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::{
        Solo,
        testing::{self, Random, assert_close},
    };

    #[test]
    fn squares_add_up() {
        testing::for_lengths(|isa, x, _| {
            let expected: f64 = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            let got = super::sum_of_squares(isa, x);
            assert!(
                (got - expected).abs() <= 1e-6 * expected,
                "{} {got} {expected}",
                isa.name()
            );
        });
    }

    #[test]
    fn values_and_products_add_up() {
        testing::for_lengths(|isa, x, y| {
            let exact = |f: &dyn Fn(f64, f64) -> f64| -> (f64, f64) {
                let all = x
                    .iter()
                    .zip(y)
                    .map(|(x, y)| f(f64::from(*x), f64::from(*y)));
                all.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()))
            };
            let (sum, size) = exact(&|x, _| x);
            assert_close(super::sum(isa, x), sum, size, x.len() + 1, isa.name());
            let (sum, size) = exact(&|x, y| x * y);
            assert_close(super::dot(isa, x, y), sum, size, x.len() + 1, isa.name());
        });
    }

    #[test]
    fn columns_add_up() {
        for isa in testing::isas() {
            for (rows, columns) in [(1, 1), (5, 200), (33, 129), (67, 333)] {
                let m = Random::new(1).vec(rows * columns);
                let mut out = vec![1.0; columns];
                super::add_column_sums(isa, &Solo, &m, &mut out);
                for j in 0..columns {
                    let expected = 1.0
                        + (0..rows)
                            .map(|i| f64::from(m[i * columns + j]))
                            .sum::<f64>();
                    assert_close(out[j], expected, 1.0 + rows as f64, rows + 1, "column sums");
                }
            }
        }
    }
}
