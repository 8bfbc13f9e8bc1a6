//! What both passes do with a panel: as many queries as a tile has columns, side by side in its lanes.

use crate::kernels::{gemm::MatrixMut, isa::Simd};

/// The next `len` values of scratch, whole cache lines at a time.
pub(super) fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (taken, left) = std::mem::take(rest).split_at_mut(len.next_multiple_of(16));
    *rest = left;
    &mut taken[..len]
}

/// Writes the columns of `from` (one row of lanes for each column of `to`) as the rows of `to`, row i times `factors[i]` where there are
/// factors.
#[inline(always)]
pub(super) fn transpose_out<S: Simd>(
    s: S,
    from: &[f32],
    factors: Option<&[f32]>,
    to: MatrixMut<'_>,
) {
    let width = S::TILE_VECTORS * S::LANES;
    assert!(from.len() >= to.columns * width && to.rows <= width);
    let mut block = [0.0; 16 * 16];
    for row in (0..to.rows).step_by(S::LANES) {
        for column in (0..to.columns).step_by(S::LANES) {
            let (rows, columns) = (
                S::LANES.min(to.rows - row),
                S::LANES.min(to.columns - column),
            );
            // SAFETY: `columns` lines of lanes lie in `from`, and the block has room for a square of lanes.
            unsafe {
                let from = from.as_ptr().add(column * width + row);
                s.transpose_at(columns, from, width, block.as_mut_ptr(), S::LANES);
            }
            for (i, lanes) in block.chunks_exact(S::LANES).take(rows).enumerate() {
                let factor = factors.map_or(1.0, |factors| factors[row + i]);
                // SAFETY: this part of a row lies in `to`, which is the caller's.
                let to = unsafe {
                    let start = to.data.add((row + i) * to.row_stride + column);
                    std::slice::from_raw_parts_mut(start, columns)
                };
                let lanes = s.mul(s.load(lanes), s.splat(factor));
                if columns == S::LANES {
                    s.store(lanes, to);
                } else {
                    s.store_partial(lanes, to);
                }
            }
        }
    }
}
