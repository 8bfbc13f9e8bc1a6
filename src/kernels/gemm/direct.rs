//! A product whose operands lie in a near cache, by the calling thread: nothing is packed, planned or shared out.
#![allow(unsafe_code, reason = "tiles work on pointers")]

use super::{
    ahead::Ahead,
    heights::tile_rows,
    matrix::{Matrix, MatrixMut},
    multiply::Store,
    tile::{EdgeTile, StridedTile, Tile},
};
use crate::kernels::isa::{Op, Simd};

/// `c = a b` or `c += a b`. For operations that arrange their operands themselves, such as an attention, from within which it runs.
pub(crate) struct Direct<'a> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    c: MatrixMut<'a>,
    store: Store,
}

impl<'a> Direct<'a> {
    /// Shapes: `a` m x k, `b` k x n, `c` m x n.
    ///
    /// # Panics
    /// When shapes do not fit, or where neither rows nor columns of `a`, or not the columns of `b`, lie side by side.
    pub(crate) fn new(a: Matrix<'a>, b: Matrix<'a>, c: MatrixMut<'a>, store: Store) -> Direct<'a> {
        assert_eq!(
            (a.rows, a.columns, b.columns),
            (c.rows, b.rows, c.columns),
            "a product's shapes"
        );
        assert!(
            (a.row_stride == 1 || a.column_stride == 1) && b.column_stride == 1,
            "operands that tiles cannot read where they lie"
        );
        Direct { a, b, c, store }
    }
}

impl Op for Direct<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Direct { a, b, c, store } = self;
        let width = S::TILE_VECTORS * S::LANES;
        for rows in tile_rows(S::ROWS_IN_PLACE, c.rows) {
            for column in (0..c.columns).step_by(width) {
                let columns = width.min(c.columns - column);
                let left = a.data.as_ptr().wrapping_add(rows.start * a.row_stride);
                let right = b.data.as_ptr().wrapping_add(column);
                let tile = Tile {
                    a: left,
                    a_line: a.row_stride,
                    a_step: a.column_stride,
                    b: right,
                    b_step: b.row_stride,
                    depth: a.columns,
                    c: (c.data).wrapping_add(rows.start * c.row_stride + column),
                    c_stride: c.row_stride,
                    rows: rows.len(),
                    columns,
                    add: store == Store::Add,
                    ahead: Ahead {
                        left,
                        line: 0,
                        right,
                        right_step: 0,
                    },
                };
                // SAFETY: rows and columns lie in the matrices, whose shapes fit; a strided tile has one of the heights of such tiles
                // and all columns.
                unsafe {
                    if columns == width && S::ROWS_IN_PLACE.contains(&rows.len()) {
                        s.run(StridedTile::new(&tile));
                    } else {
                        s.run(EdgeTile::new(&tile));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{
        gemm::reference,
        testing::{self, Random, assert_close},
    };

    #[test]
    fn agrees_with_the_definition_and_writes_nothing_else() {
        for isa in testing::isas() {
            for (m, n, k) in [
                (1, 1, 1),
                (12, 32, 5),
                (30, 48, 9),
                (67, 70, 33),
                (26, 5, 0),
            ] {
                for (layout, store) in [(0, Store::Set), (1, Store::Set), (0, Store::Add)] {
                    let mut random = Random::new((m * n + k) as u64);
                    let (a, b) = (random.vec(m * k), random.vec(k * n));
                    let a = match layout {
                        0 => Matrix::new(&a, m, k),
                        _ => Matrix::new(&a, k, m).transposed(),
                    };
                    let b = Matrix::new(&b, k, n);
                    let stride = n + 3;
                    let before = random.vec(m * stride);
                    let mut c = before.clone();
                    let target = MatrixMut::with_stride(&mut c, m, n, stride);
                    isa.run(Direct::new(a, b, target, store));
                    for (at, (got, before)) in c.iter().zip(&before).enumerate() {
                        let (i, j) = (at / stride, at % stride);
                        if j >= n {
                            assert_eq!(got, before, "outside of C");
                            continue;
                        }
                        let (sum, size) = reference::element(a, b, i, j);
                        let old = match store {
                            Store::Set => 0.0,
                            Store::Add => f64::from(*before),
                        };
                        let label = format!("{} {m} x {n} x {k}", isa.name());
                        assert_close(*got, sum + old, size + old.abs(), k + 2, &label);
                    }
                }
            }
        }
    }
}
