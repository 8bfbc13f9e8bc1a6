//! One number for each token: a reward or a value, the dot product of the last layer norm with a weight of its own.

use crate::{
    kernels::{
        Cost, Solo,
        gemm::{Matrix, gemv},
    },
    model::Compute,
};

/// `out[row]` is the dot product of row `row` of `hidden` (rows x d) with `weight` (d).
pub fn forward(compute: &Compute<'_>, hidden: &[f32], weight: &[f32], out: &mut [f32]) {
    let rows = Matrix::new(hidden, out.len(), weight.len());
    gemv(compute.isa, &Solo, weight, rows.transposed(), &[], out);
}

/// From the gradient of `out`, adds that of `hidden` and that of `weight`. Rows are added up in their order.
pub fn backward(
    hidden: &[f32],
    weight: &[f32],
    dout: &[f32],
    dhidden: &mut [f32],
    dweight: &mut [f32],
) {
    let d = weight.len();
    for ((hidden, dhidden), dout) in hidden
        .chunks_exact(d)
        .zip(dhidden.chunks_exact_mut(d))
        .zip(dout)
    {
        if *dout == 0.0 {
            continue;
        }
        for (place, x) in hidden.iter().enumerate() {
            dhidden[place] += dout * weight[place];
            dweight[place] += dout * x;
        }
    }
}

/// Cost of either over `rows` tokens.
pub fn cost(rows: usize, d: usize) -> Cost {
    Cost::gemm(rows, 1, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{check_gradient, compute, random};

    #[test]
    fn gradients_agree_with_differences() {
        let (rows, d) = (7, 19);
        let (hidden, weight, dout) = (random(rows * d, 1), random(d, 2), random(rows, 3));
        compute(|compute| {
            let loss = |hidden: &[f32], weight: &[f32]| {
                let mut out = vec![0.0; rows];
                forward(compute, hidden, weight, &mut out);
                out.iter()
                    .zip(&dout)
                    .map(|(x, dx)| f64::from(x * dx))
                    .sum::<f64>()
            };
            let (mut dhidden, mut dweight) = (vec![0.0; rows * d], vec![0.0; d]);
            backward(&hidden, &weight, &dout, &mut dhidden, &mut dweight);
            check_gradient(&hidden, &dhidden, |hidden| loss(hidden, &weight));
            check_gradient(&weight, &dweight, |weight| loss(&hidden, weight));
        });
    }
}
