//! Layer norm over the rows of a micro-batch.

use crate::{
    kernels::{
        Cost,
        team::{Parts, Rows, for_parts, for_rows},
        vec::{add_assign, layernorm, layernorm_backward},
    },
    model::{Compute, activations::PARTIAL_ROWS},
};

/// Cost of the forward pass.
pub fn forward_cost(rows: usize, d: usize) -> Cost {
    Cost::elementwise(rows * d, 8.0, 1.0, 1.0)
}

/// Cost of the backward pass.
pub fn backward_cost(rows: usize, d: usize) -> Cost {
    Cost::elementwise(rows * d, 14.0, 3.0, 1.0)
}

/// Shapes: `x`, `out` rows x d, `gain`, `bias` d, `statistics` rows x 2.
pub fn forward(
    compute: &Compute<'_>,
    x: &[f32],
    gain: &[f32],
    bias: &[f32],
    out: &mut [f32],
    statistics: &mut [f32],
) {
    let d = gain.len();
    let data = [Rows::new(out, d), Rows::new(statistics, 2)];
    for_rows(
        compute.team,
        x.len() / d,
        32,
        data,
        |range, [out, statistics]| {
            layernorm(
                compute.isa,
                &x[range.start * d..range.end * d],
                gain,
                bias,
                out,
                statistics,
            );
        },
    );
}

/// Adds to `dx`, `dgain` and `dbias`. `partial` has 2 d values for every `PARTIAL_ROWS` rows: threads sum gains and biases
/// there, and the parts are added in order.
#[allow(
    clippy::too_many_arguments,
    reason = "four inputs and three gradients, as the mathematics has them"
)]
pub fn backward(
    compute: &Compute<'_>,
    x: &[f32],
    gain: &[f32],
    statistics: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
    partial: &mut [f32],
) {
    let d = gain.len();
    let rows = x.len() / d;
    let groups = rows.div_ceil(PARTIAL_ROWS);
    let partial = &mut partial[..groups * 2 * d];
    // A group of rows is one row of a matrix with PARTIAL_ROWS times the width; the last one may be shorter.
    let dx_rows = Parts::new(dx, PARTIAL_ROWS * d);
    let partial_rows = Parts::new(partial, 2 * d);
    for_parts(
        compute.team,
        [dx_rows, partial_rows],
        |group, [dx, partial]| {
            partial.fill(0.0);
            let (dgain, dbias) = partial.split_at_mut(d);
            let from = group * PARTIAL_ROWS;
            let to = (from + PARTIAL_ROWS).min(rows);
            let (x, dy) = (&x[from * d..to * d], &dy[from * d..to * d]);
            layernorm_backward(
                compute.isa,
                x,
                gain,
                &statistics[2 * from..2 * to],
                dy,
                dx,
                dgain,
                dbias,
            );
        },
    );
    for part in partial.chunks_exact(2 * d) {
        add_assign(compute.isa, &part[..d], dgain);
        add_assign(compute.isa, &part[d..], dbias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{check_gradient, compute, random};

    #[test]
    fn gradients_agree_with_differences() {
        let (rows, d) = (70, 9);
        let (x, gain, bias, dy) = (
            random(rows * d, 1),
            random(d, 2),
            random(d, 3),
            random(rows * d, 4),
        );
        compute(|compute| {
            let loss = |x: &[f32], gain: &[f32]| {
                let (mut out, mut statistics) = (vec![0.0; rows * d], vec![0.0; 2 * rows]);
                forward(compute, x, gain, &bias, &mut out, &mut statistics);
                let loss: f64 = out
                    .iter()
                    .zip(&dy)
                    .map(|(y, dy)| f64::from(*y) * f64::from(*dy))
                    .sum();
                (loss, statistics)
            };
            let statistics = loss(&x, &gain).1;
            let (mut dx, mut dgain, mut dbias) = (vec![0.0; rows * d], vec![0.0; d], vec![0.0; d]);
            let mut partial = vec![f32::NAN; rows.div_ceil(PARTIAL_ROWS) * 2 * d];
            backward(
                compute,
                &x,
                &gain,
                &statistics,
                &dy,
                &mut dx,
                &mut dgain,
                &mut dbias,
                &mut partial,
            );
            check_gradient(&x, &dx, |x| loss(x, &gain).0);
            check_gradient(&gain, &dgain, |gain| loss(&x, gain).0);
            let expected: f32 = (0..rows).map(|row| dy[row * d + 5]).sum();
            assert!((dbias[5] - expected).abs() < 1e-4);
        });
    }
}
