//! The product of every linear layer: by the kernels, or by what is left of them when optimizations are off.

use super::{Compute, plain};
use crate::kernels::gemm::{self, Epilogue, Matrix, MatrixMut, Right, Store};

/// `c = a b` or `c += a b`, then `epilogue`. Shapes: `a` m x k, `b` k x n, `c` the values of m x n and n.
///
/// # Panics
/// When shapes do not fit, or the workspace is shorter than the kernel needs.
pub(super) fn product(
    compute: &Compute<'_>,
    workspace: &mut [f32],
    a: Matrix<'_>,
    b: Right<'_>,
    (c, n): (&mut [f32], usize),
    store: Store,
    epilogue: Epilogue<'_>,
) {
    let rows = c.len() / n;
    let mut kernel = |c: &mut [f32], epilogue: Epilogue<'_>| {
        let c = MatrixMut::new(c, rows, n);
        let (isa, caches, team) = (compute.isa, compute.caches, compute.team);
        gemm::multiply(isa, caches, team, workspace, a, b, c, store, epilogue);
    };
    if compute.switches.whole_products() {
        return kernel(c, epilogue);
    }
    match b {
        Right::Plain(b) if !compute.switches.blocked_products => {
            plain::multiply(compute.isa, compute.team, a, b, c, store);
        }
        _ => kernel(c, Epilogue::None),
    }
    plain::epilogue(compute, epilogue, c, n);
}
