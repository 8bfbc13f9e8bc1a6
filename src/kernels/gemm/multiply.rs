//! The product itself: checks, packing, and blocks of C shared out among the team.

use super::{
    block::{Block, Out, Target},
    blocking::{Blocking, Caches, Product},
    epilogue::Epilogue,
    gemv::gemv,
    matrix::{Matrix, MatrixMut},
    operand::{Operand, right_may_stay, rows_in_place},
    pack::{LINES_AT_ONCE, PackedRight, panel_len},
    source::Source,
};
use crate::kernels::{Isa, Team};

/// The right operand.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// To be packed by this call.
    Plain(Matrix<'a>),
    /// Packed before.
    Packed(PackedRight<'a>),
}

impl Right<'_> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Right::Plain(m) => (m.rows, m.columns),
            Right::Packed(p) => (p.rows, p.columns),
        }
    }

    fn is_packed(&self) -> bool {
        matches!(self, Right::Packed(_))
    }
}

/// What becomes of the old C.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Store {
    /// Overwritten.
    Set,
    /// Added to.
    Add,
}

/// Values of workspace that [`multiply`] needs for an `m x n x k` product; less where B comes packed.
pub fn workspace_len(isa: Isa, m: usize, n: usize, k: usize, right_is_packed: bool) -> usize {
    let (height, width) = isa.gemm_tile();
    let right = if right_is_packed {
        0
    } else {
        panel_len(n, k, width)
    };
    left_len(m, k, height) + right
}

/// Panels of A, rounded up to a cache line so that no row of a panel of B straddles two.
fn left_len(m: usize, k: usize, height: usize) -> usize {
    panel_len(m, k, height).next_multiple_of(16)
}

/// `c = a b` or `c += a b`, then `epilogue`.
///
/// Shapes: `a` m x k, `b` k x n, `c` m x n, any of them empty; of a packed `b` that is larger, the first k rows and n columns
/// are used. `workspace` has at least [`workspace_len`] places. The result
/// does not depend on the number of threads.
///
/// # Panics
/// When shapes do not fit or the workspace is too short.
#[allow(
    clippy::too_many_arguments,
    reason = "a product has this many parts, and each is named by its type"
)]
pub fn multiply(
    isa: Isa,
    caches: Caches,
    team: &dyn Team,
    workspace: &mut [f32],
    a: Matrix<'_>,
    b: Right<'_>,
    c: MatrixMut<'_>,
    store: Store,
    mut epilogue: Epilogue<'_>,
) {
    let (m, k, n) = (a.rows, a.columns, c.columns);
    let (right_rows, right_columns) = b.shape();
    assert!(
        right_columns >= n
            && right_rows >= k
            && (b.is_packed() || (right_rows, right_columns) == (k, n)),
        "B is {right_rows} x {right_columns} in a product of {m} x {k} x {n}"
    );
    assert_eq!(c.rows, m, "rows of C in a product of {m} x {k} x {n}");
    epilogue.check(isa, m, n);
    if m == 0 || n == 0 {
        return;
    }
    if let (1, 1, Right::Plain(b), Store::Set, Some(bias)) =
        (m, a.column_stride, b, store, epilogue.as_bias())
        && (b.row_stride == 1 || b.column_stride == 1)
        && k > 0
    {
        // Every element of B is used once: the product is a stream, and tiles would be mostly empty.
        return gemv(isa, team, a.row(0), b, bias, c.first_row());
    }
    let (height, width) = isa.gemm_tile();
    let (left, rest) = workspace.split_at_mut(left_len(m, k, height));
    let in_place = rows_in_place(isa, caches, a, n.div_ceil(width));
    let heights = in_place.unwrap_or(std::slice::from_ref(&height));
    let height = heights[0];
    let size = Product {
        m,
        n,
        k,
        cut: in_place.is_some() && a.column_stride == 1,
        packs_left: in_place.is_none(),
        packs_right: !b.is_packed(),
    };
    let blocking = Blocking::new(caches, (height, width), size, team.workers());
    let (down, across) = (m.div_ceil(blocking.rows), n.div_ceil(blocking.columns));
    let group = (LINES_AT_ONCE / height).max(1) * height;
    let share = (across, group * blocking.depth);
    let a = Source::new(isa, team, (a, height), in_place.is_some(), share, left);
    let b = match b {
        Right::Packed(packed) => Source::Ready(Operand::panels(packed.data, width, packed.rows)),
        Right::Plain(matrix) => {
            let lines = matrix.transposed();
            let plain =
                matrix.column_stride == 1 && right_may_stay(caches, lines, m.div_ceil(height));
            let right = &mut rest[..panel_len(n, k, width)];
            let share = blocking.columns * blocking.depth;
            Source::new(isa, team, (lines, width), plain, (down, share), right)
        }
    };
    let target = Target {
        data: c.data,
        row_stride: c.row_stride,
    };
    let result = Out {
        c: target,
        add: store == Store::Add,
        epilogue: epilogue.shared(),
    };
    team.run(down * across, &|task, worker| {
        // Across first: a worker's own tasks, which are neighbours, have the same rows.
        let (i, j) = (
            task / across * blocking.rows,
            task % across * blocking.columns,
        );
        let next = (task + 1) % across * blocking.columns;
        let after = if next == j || task + 1 == down * across {
            n
        } else {
            next
        };
        isa.run(Block {
            heights,
            after: after..(after + blocking.columns).min(n),
            a: a.lines(worker),
            group,
            b: b.lines(worker),
            depth: k,
            slice: blocking.depth,
            rows: i..(i + blocking.rows).min(m),
            columns: j..(j + blocking.columns).min(n),
            result,
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{
        Solo,
        gemm::{pack_right, packed_right_len, reference, tiles_across},
        testing::{self, assert_close},
    };

    /// Sizes around every tile edge of every ISA.
    const SIZES: [usize; 15] = [0, 1, 2, 3, 5, 6, 7, 13, 14, 15, 16, 17, 31, 33, 67];

    fn caches() -> Caches {
        // Small caches, so that several slices and blocks are crossed at sizes that the reference can do.
        Caches {
            l1: 4 << 10,
            l2: 16 << 10,
            l3: 64 << 10,
        }
    }

    fn check(
        isa: Isa,
        caches: Caches,
        (m, n, k): (usize, usize, usize),
        layout: usize,
        store: Store,
        packed: bool,
    ) {
        let label = format!(
            "{} {m} x {n} x {k} layout {layout} {store:?} packed {packed}",
            isa.name()
        );
        let mut random = testing::Random::new((m * 10_007 + n * 101 + k) as u64);
        let (a, b) = (random.vec(m * k), random.vec(k * n));
        let a = if layout & 1 == 0 {
            Matrix::new(&a, m, k)
        } else {
            Matrix::new(&a, k, m).transposed()
        };
        let b = if layout & 2 == 0 {
            Matrix::new(&b, k, n)
        } else {
            Matrix::new(&b, n, k).transposed()
        };
        let stride = n + 3;
        let before = random.vec(m * stride);
        let mut c = before.clone();
        let mut workspace = vec![f32::NAN; workspace_len(isa, m, n, k, packed)];
        let mut room = vec![f32::NAN; packed_right_len(isa, k, n)];
        let right = if packed {
            Right::Packed(pack_right(isa, &Solo, b, &mut room))
        } else {
            Right::Plain(b)
        };
        if m == 0 || n == 0 {
            return;
        }
        let target = MatrixMut::with_stride(&mut c, m, n, stride);
        multiply(
            isa,
            caches,
            &Solo,
            &mut workspace,
            a,
            right,
            target,
            store,
            Epilogue::None,
        );
        for i in 0..m {
            for j in 0..stride {
                let got = c[i * stride + j];
                if j >= n {
                    assert_eq!(got, before[i * stride + j], "{label}: wrote outside of C");
                    continue;
                }
                let old = if store == Store::Add {
                    before[i * stride + j]
                } else {
                    0.0
                };
                let (sum, size) = reference::element(a, b, i, j);
                assert_close(
                    got,
                    sum + f64::from(old),
                    size + f64::from(old.abs()),
                    k + 1,
                    &label,
                );
            }
        }
    }

    #[test]
    fn agrees_with_the_reference_around_every_tile_edge() {
        for isa in testing::isas() {
            for m in SIZES {
                for n in SIZES {
                    for k in [0, 1, 7, 33, 67] {
                        // In small caches operands are packed, in large ones they stay where they are.
                        let layout = (m + n + k) % 4;
                        let large = Caches::default();
                        check(isa, caches(), (m, n, k), layout, Store::Set, false);
                        check(isa, caches(), (m, n, k), 3 - layout, Store::Add, true);
                        check(isa, large, (m, n, k), 3 - layout, Store::Set, false);
                        check(isa, large, (m, n, k), layout, Store::Add, true);
                    }
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_reference_across_blocks() {
        for isa in testing::isas() {
            for (m, n, k) in [(150, 131, 300), (29, 517, 64), (400, 20, 129)] {
                for layout in 0..4 {
                    check(isa, caches(), (m, n, k), layout, Store::Set, layout == 1);
                    check(isa, caches(), (m, n, k), layout, Store::Add, layout == 2);
                    check(
                        isa,
                        Caches::default(),
                        (m, n, k),
                        layout,
                        Store::Set,
                        layout == 2,
                    );
                }
            }
        }
    }

    #[test]
    fn epilogues_do_what_they_say() {
        let (m, n, k) = (37, 45, 20);
        for isa in testing::isas() {
            let mut random = testing::Random::new(7);
            let (a, b, bias, other) = (
                random.vec(m * k),
                random.vec(k * n),
                random.vec(n),
                random.vec(m * n),
            );
            let (a, b, other) = (
                Matrix::new(&a, m, k),
                Matrix::new(&b, k, n),
                Matrix::new(&other, m, n),
            );
            let mut workspace = vec![0.0; workspace_len(isa, m, n, k, false)];
            let mut derivative = vec![0.0; m * n];
            let (factors, tiles) = (random.vec(m), tiles_across(isa, n));
            let mut sums = vec![f32::NAN; m * tiles];
            for case in 0..6 {
                let mut c = vec![0.0; m * n];
                let epilogue = match case {
                    0 => Epilogue::Bias(&bias),
                    1 => Epilogue::BiasResidual {
                        bias: &bias,
                        residual: other,
                    },
                    2 => Epilogue::BiasGelu {
                        bias: &bias,
                        derivative: MatrixMut::new(&mut derivative, m, n),
                    },
                    3 => Epilogue::Multiply(other),
                    4 => Epilogue::Rows(&factors),
                    _ => Epilogue::Exp {
                        shifts: &factors,
                        sums: MatrixMut::new(&mut sums, m, tiles),
                    },
                };
                let target = MatrixMut::new(&mut c, m, n);
                multiply(
                    isa,
                    caches(),
                    &Solo,
                    &mut workspace,
                    a,
                    Right::Plain(b),
                    target,
                    Store::Set,
                    epilogue,
                );
                for i in 0..m {
                    for j in 0..n {
                        let (x, size) = reference::element(a, b, i, j);
                        let biased = x + f64::from(bias[j]);
                        let expected = match case {
                            0 => biased,
                            1 => biased + f64::from(other.at(i, j)),
                            2 => reference::gelu(biased).0,
                            3 => x * f64::from(other.at(i, j)),
                            4 => x * f64::from(factors[i]),
                            _ => (x - f64::from(factors[i])).exp(),
                        };
                        let slope = if case == 5 { expected } else { 1.0 };
                        let scale = (size + 2.0) * slope;
                        assert_close(c[i * n + j], expected, scale, k + 20, "epilogue");
                        if case == 2 {
                            assert_close(
                                derivative[i * n + j],
                                reference::gelu(biased).1,
                                size + 2.0,
                                k + 20,
                                "slope",
                            );
                        }
                    }
                    if case == 5 {
                        let sum: f64 = c[i * n..][..n].iter().map(|x| f64::from(*x)).sum();
                        let found = sums[i * tiles..][..tiles].iter().sum();
                        assert_close(found, sum, sum, n, "sum of a row");
                    }
                }
            }
        }
    }
}
