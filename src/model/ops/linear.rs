//! Linear layers: `y = x W + b` with what follows fused into the product.

use crate::{
    kernels::{
        Cost,
        gemm::{Epilogue, Matrix, Right, Store},
        vec::add_column_sums,
    },
    model::{Compute, product::product},
};

/// Cost of the forward pass of a layer of `k` inputs and `n` outputs.
pub fn forward_cost(rows: usize, k: usize, n: usize) -> Cost {
    Cost::gemm(rows, n, k)
}

/// Cost of the backward pass: the gradients of the input and of the weights.
pub fn backward_cost(rows: usize, k: usize, n: usize) -> Cost {
    Cost::gemm(rows, k, n) + Cost::gemm(k, n, rows)
}

/// `y = epilogue(x W)`. Shapes: `x` rows x k, `weight` k x n in panels, `y` rows x n.
pub fn forward(
    compute: &Compute<'_>,
    rows: usize,
    x: &[f32],
    weight: Right<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    workspace: &mut [f32],
) {
    let (k, n) = (x.len() / rows, y.len() / rows);
    let x = Matrix::new(x, rows, k);
    product(compute, workspace, x, weight, (y, n), Store::Set, epilogue);
}

/// `dx = epilogue(dy W^T)`. Shapes: `weight` n x k in panels, `dx` rows x k.
pub fn backward_input(
    compute: &Compute<'_>,
    rows: usize,
    dy: &[f32],
    weight: Right<'_>,
    epilogue: Epilogue<'_>,
    dx: &mut [f32],
    workspace: &mut [f32],
) {
    forward(compute, rows, dy, weight, epilogue, dx, workspace);
}

/// `dweight += x^T dy`, `dbias += column sums of dy`.
pub fn backward_parameters(
    compute: &Compute<'_>,
    rows: usize,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
    workspace: &mut [f32],
) {
    let (k, n) = (x.len() / rows, dy.len() / rows);
    let (x, dy_matrix) = (
        Matrix::new(x, rows, k).transposed(),
        Right::Plain(Matrix::new(dy, rows, n)),
    );
    let target = (&mut dweight[..k * n], n);
    product(
        compute,
        workspace,
        x,
        dy_matrix,
        target,
        Store::Add,
        Epilogue::None,
    );
    add_column_sums(compute.isa, compute.team, dy, dbias);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::gemm::workspace_len,
        model::ops::testing::{check_gradient, compute, random},
    };

    #[test]
    fn gradients_agree_with_differences() {
        let (rows, k, n) = (5, 7, 11);
        let (x, w, bias, dy) = (
            random(rows * k, 1),
            random(k * n, 2),
            random(n, 3),
            random(rows * n, 4),
        );
        compute(|compute| {
            let mut workspace = vec![0.0; workspace_len(compute.isa, 40, 40, 40, false)];
            let mut loss = |x: &[f32], w: &[f32]| {
                let mut y = vec![0.0; rows * n];
                let weight = Right::Plain(Matrix::new(w, k, n));
                forward(
                    compute,
                    rows,
                    x,
                    weight,
                    Epilogue::Bias(&bias),
                    &mut y,
                    &mut workspace,
                );
                y.iter()
                    .zip(&dy)
                    .map(|(y, dy)| f64::from(*y) * f64::from(*dy))
                    .sum::<f64>()
            };
            let mut workspace = vec![0.0; workspace_len(compute.isa, 40, 40, 40, false)];
            let (mut dx, mut dw, mut db) = (vec![0.0; rows * k], vec![0.0; k * n], vec![0.0; n]);
            let weight = Right::Plain(Matrix::new(&w, k, n).transposed());
            backward_input(
                compute,
                rows,
                &dy,
                weight,
                Epilogue::None,
                &mut dx,
                &mut workspace,
            );
            backward_parameters(compute, rows, &x, &dy, &mut dw, &mut db, &mut workspace);
            check_gradient(&x, &dx, |x| loss(x, &w));
            check_gradient(&w, &dw, |w| loss(&x, w));
            let expected: f32 = (0..rows).map(|row| dy[row * n + 2]).sum();
            assert!((db[2] - expected).abs() < 1e-5);
        });
    }
}
