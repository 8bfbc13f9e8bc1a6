//! What happens to a finished tile of C while it is still in L1.
#![allow(
    unsafe_code,
    reason = "tiles of C are addressed by pointer: several threads own parts of one matrix"
)]

use super::{
    matrix::{Matrix, MatrixMut},
    tile::prefetch,
};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
    vec::{exp_lanes, gelu_lanes},
};

/// The last step of a product, fused into it. Matrices have the shape of C, `bias` one value a column.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// `C += bias`.
    Bias(&'a [f32]),
    /// `C = C + bias + residual`.
    BiasResidual {
        /// One value a column.
        bias: &'a [f32],
        /// Added element by element.
        residual: Matrix<'a>,
    },
    /// `x = C + bias; C = gelu(x); derivative = gelu'(x)`: the backward pass then needs no tanh.
    BiasGelu {
        /// One value a column.
        bias: &'a [f32],
        /// Receives the derivative.
        derivative: MatrixMut<'a>,
    },
    /// `C = C * factor`, element by element.
    Multiply(Matrix<'a>),
    /// `C = C * factor` with one factor a row.
    Rows(&'a [f32]),
    /// `C = e^(C - shift)`, and the sum of it over each row: what a softmax follows from, without a pass of its own over C.
    Exp {
        /// One value a row.
        shifts: &'a [f32],
        /// Receives the sums of each row, rows x [`tiles_across`], one a tile: their order does not depend on who computes which.
        sums: MatrixMut<'a>,
    },
}

/// Tiles side by side in `columns` columns of a product.
pub fn tiles_across(isa: Isa, columns: usize) -> usize {
    columns.div_ceil(isa.gemm_tile().1)
}

impl Epilogue<'_> {
    /// Panics unless every part has the shape `rows` x `columns`.
    pub(crate) fn check(&self, isa: Isa, rows: usize, columns: usize) {
        let shape = |m: &Matrix<'_>| {
            assert_eq!(
                (m.rows, m.columns, m.column_stride),
                (rows, columns, 1),
                "epilogue's shape"
            )
        };
        match self {
            Epilogue::None => {}
            Epilogue::Bias(bias) => assert_eq!(bias.len(), columns, "bias' length"),
            Epilogue::BiasResidual { bias, residual } => {
                assert_eq!(bias.len(), columns, "bias' length");
                shape(residual);
            }
            Epilogue::BiasGelu { bias, derivative } => {
                assert_eq!(bias.len(), columns, "bias' length");
                assert_eq!(
                    (derivative.rows, derivative.columns),
                    (rows, columns),
                    "derivative's shape"
                );
            }
            Epilogue::Multiply(factor) => shape(factor),
            Epilogue::Rows(factors) => assert_eq!(factors.len(), rows, "factors of rows"),
            Epilogue::Exp { shifts, sums } => {
                let tiles = tiles_across(isa, columns);
                assert_eq!(shifts.len(), rows, "shifts of rows");
                assert_eq!((sums.rows, sums.columns), (rows, tiles), "sums of rows");
            }
        }
    }

    /// The bias, empty without one, where there is nothing else.
    pub(crate) fn as_bias(&self) -> Option<&[f32]> {
        match self {
            Epilogue::None => Some(&[]),
            Epilogue::Bias(bias) => Some(bias),
            _ => None,
        }
    }

    /// The same, with the part that is written as a pointer that threads can share.
    pub(crate) fn shared(&mut self) -> SharedEpilogue<'_> {
        match self {
            Epilogue::None => SharedEpilogue::None,
            Epilogue::Bias(bias) => SharedEpilogue::Bias(bias),
            Epilogue::BiasResidual { bias, residual } => {
                SharedEpilogue::BiasResidual(bias, *residual)
            }
            Epilogue::BiasGelu { bias, derivative } => {
                SharedEpilogue::BiasGelu(bias, derivative.data, derivative.row_stride)
            }
            Epilogue::Multiply(factor) => SharedEpilogue::Multiply(*factor),
            Epilogue::Rows(factors) => SharedEpilogue::Rows(factors),
            Epilogue::Exp { shifts, sums } => {
                SharedEpilogue::Exp(shifts, sums.data, sums.row_stride)
            }
        }
    }
}

/// [`Epilogue`] as tiles see it.
#[derive(Clone, Copy)]
pub(crate) enum SharedEpilogue<'a> {
    None,
    Bias(&'a [f32]),
    BiasResidual(&'a [f32], Matrix<'a>),
    BiasGelu(&'a [f32], *mut f32, usize),
    Multiply(Matrix<'a>),
    Rows(&'a [f32]),
    Exp(&'a [f32], *mut f32, usize),
}

// SAFETY: the pointers name a matrix of the shape of C, or one of a value for each row of each tile, and tiles write them only where they
// own C.
unsafe impl Sync for SharedEpilogue<'_> {}

/// Where a tile lies in C.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl SharedEpilogue<'_> {
    /// Asks for what [`SharedEpilogue::apply`] will touch besides C.
    #[inline(always)]
    pub(crate) fn prefetch(self, place: Place) {
        let (start, stride) = match self {
            SharedEpilogue::None
            | SharedEpilogue::Bias(_)
            | SharedEpilogue::Rows(_)
            | SharedEpilogue::Exp(..) => return,
            SharedEpilogue::BiasResidual(_, m) | SharedEpilogue::Multiply(m) => {
                (m.data.as_ptr(), m.row_stride)
            }
            SharedEpilogue::BiasGelu(_, derivative, stride) => (derivative.cast_const(), stride),
        };
        for row in place.row..place.row + place.rows {
            prefetch(
                start.wrapping_add(row * stride + place.column),
                place.columns,
            );
        }
    }

    /// Applies it to the tile at `place`, whose first element is `c`.
    ///
    /// # Safety
    /// - `c` points to `place.rows` rows of `place.columns` values, `stride` apart, that are this thread's.
    /// - The epilogue was checked against the shape of C, and `place` lies in C.
    #[inline(always)]
    pub(crate) unsafe fn apply<S: Simd>(self, s: S, place: Place, c: *mut f32, stride: usize) {
        if !matches!(self, SharedEpilogue::None) {
            s.run(Apply {
                epilogue: self,
                place,
                c,
                stride,
            });
        }
    }
}

/// An epilogue on its tile, as a function of its own.
struct Apply<'a> {
    epilogue: SharedEpilogue<'a>,
    place: Place,
    c: *mut f32,
    stride: usize,
}

impl Op for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Apply {
            epilogue,
            place,
            c,
            stride,
        } = self;
        match epilogue {
            SharedEpilogue::None => {}
            SharedEpilogue::Bias(bias) => {
                // SAFETY: passed on.
                unsafe {
                    each(
                        s,
                        place,
                        c,
                        stride,
                        #[inline(always)]
                        |_, j, lanes, x| s.add(x, part(s, &bias[j..], lanes)),
                    )
                }
            }
            SharedEpilogue::BiasResidual(bias, residual) => {
                // SAFETY: passed on.
                unsafe {
                    each(
                        s,
                        place,
                        c,
                        stride,
                        #[inline(always)]
                        |i, j, lanes, x| {
                            let residual = &residual.data[i * residual.row_stride + j..];
                            s.add(
                                s.add(x, part(s, &bias[j..], lanes)),
                                part(s, residual, lanes),
                            )
                        },
                    )
                }
            }
            SharedEpilogue::BiasGelu(bias, derivative, derivative_stride) => {
                // SAFETY: passed on.
                unsafe {
                    each(
                        s,
                        place,
                        c,
                        stride,
                        #[inline(always)]
                        |i, j, lanes, x| {
                            let (value, slope) =
                                gelu_lanes(s, s.add(x, part(s, &bias[j..], lanes)));
                            let to = derivative.add(i * derivative_stride + j);
                            // SAFETY: the derivative has the shape of C, and this tile's places in it are this thread's.
                            store_part(s, slope, std::slice::from_raw_parts_mut(to, lanes));
                            value
                        },
                    )
                }
            }
            SharedEpilogue::Multiply(factor) => {
                // SAFETY: passed on.
                unsafe {
                    each(
                        s,
                        place,
                        c,
                        stride,
                        #[inline(always)]
                        |i, j, lanes, x| {
                            s.mul(x, part(s, &factor.data[i * factor.row_stride + j..], lanes))
                        },
                    )
                }
            }
            SharedEpilogue::Rows(factors) => {
                // SAFETY: passed on.
                unsafe {
                    each(
                        s,
                        place,
                        c,
                        stride,
                        #[inline(always)]
                        |i, _, _, x| s.mul(x, s.splat(factors[i])),
                    )
                }
            }
            SharedEpilogue::Exp(shifts, sums, sums_stride) => {
                // SAFETY: passed on; there is a sum for each row of each tile.
                unsafe { exp_tile(s, place, (c, stride), shifts, (sums, sums_stride)) }
            }
        }
    }
}

/// `x = e^(x - shift)` for the rows of a tile, and the sum of each.
///
/// # Safety
/// - As [`SharedEpilogue::apply`] says of `place` and `c`.
/// - `sums` has a row for each of C, as many values apart as it says, with a value for each tile, which is this thread's where the tile is.
#[inline(always)]
unsafe fn exp_tile<S: Simd>(
    s: S,
    place: Place,
    (c, stride): (*mut f32, usize),
    shifts: &[f32],
    (sums, sums_stride): (*mut f32, usize),
) {
    let tile = place.column / (S::TILE_VECTORS * S::LANES);
    for i in 0..place.rows {
        let row = place.row + i;
        let shift = s.splat(shifts[row]);
        // SAFETY: the row of the tile, and its place among the sums.
        let (c, sum) = unsafe {
            let c = std::slice::from_raw_parts_mut(c.add(i * stride), place.columns);
            (c, &mut *sums.add(row * sums_stride + tile))
        };
        *sum = exp_in_place(s, c, shift);
    }
}

/// `x = e^(x - shift)` for a row of a tile, and the sum of it.
#[inline(always)]
fn exp_in_place<S: Simd>(s: S, x: &mut [f32], shift: S::V) -> f32 {
    let mut sum = s.splat(0.0);
    let mut vectors = x.chunks_exact_mut(S::LANES);
    for x in &mut vectors {
        let value = exp_lanes(s, s.sub(s.load(x), shift));
        s.store(value, x);
        sum = s.add(sum, value);
    }
    let rest = vectors.into_remainder();
    if !rest.is_empty() {
        s.store_partial(exp_lanes(s, s.sub(s.load_partial(rest), shift)), rest);
        sum = s.add(sum, s.load_partial(rest));
    }
    s.sum(sum)
}

#[inline(always)]
fn store_part<S: Simd>(s: S, v: S::V, to: &mut [f32]) {
    if to.len() == S::LANES {
        s.store(v, to);
    } else {
        s.store_partial(v, to);
    }
}

#[inline(always)]
fn part<S: Simd>(s: S, from: &[f32], lanes: usize) -> S::V {
    if lanes == S::LANES {
        s.load(from)
    } else {
        s.load_partial(&from[..lanes])
    }
}

/// `x = value(row of C, column of C, lanes, x)` for every vector of the tile.
///
/// # Safety
/// - As [`SharedEpilogue::apply`] says of `place`, `c` and `stride`.
#[inline(always)]
unsafe fn each<S: Simd>(
    s: S,
    place: Place,
    c: *mut f32,
    stride: usize,
    value: impl Fn(usize, usize, usize, S::V) -> S::V,
) {
    for i in 0..place.rows {
        let mut j = 0;
        while j < place.columns {
            let lanes = (place.columns - j).min(S::LANES);
            // SAFETY: these lanes of this row belong to the tile.
            let to = unsafe { std::slice::from_raw_parts_mut(c.add(i * stride + j), lanes) };
            if lanes == S::LANES {
                let x = s.load(to);
                s.store(value(place.row + i, place.column + j, lanes, x), to);
            } else {
                let x = s.load_partial(to);
                s.store_partial(value(place.row + i, place.column + j, lanes, x), to);
            }
            j += S::LANES;
        }
    }
}
