//! Causal multi-head attention over the rows of a micro-batch; the kernel does the work.

use crate::{
    kernels::{
        Cost,
        attention::{self, Heads, Teams},
    },
    model::Compute,
};

/// Cost of the forward pass.
pub fn forward_cost(heads: Heads) -> Cost {
    heads.forward_cost()
}

/// Cost of the backward pass.
pub fn backward_cost(heads: Heads) -> Cost {
    heads.backward_cost()
}

fn teams<'a>(compute: &Compute<'a>) -> Teams<'a> {
    if compute.switches.batched_products {
        Teams::share_heads(compute.team)
    } else {
        Teams::share_products(compute.team)
    }
}

/// Shapes: `qkv` rows x 3 d, `out` rows x d, `log_sums` sequences x heads x length.
pub fn forward(
    compute: &Compute<'_>,
    heads: Heads,
    qkv: &[f32],
    out: &mut [f32],
    log_sums: &mut [f32],
    scratch: &mut [f32],
) {
    attention::attention(
        compute.isa,
        teams(compute),
        heads,
        qkv,
        out,
        log_sums,
        scratch,
    );
}

/// Overwrites `dqkv`.
#[allow(
    clippy::too_many_arguments,
    reason = "what the forward pass kept, and two gradients"
)]
pub fn backward(
    compute: &Compute<'_>,
    heads: Heads,
    qkv: &[f32],
    log_sums: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
    scratch: &mut [f32],
) {
    attention::attention_backward(
        compute.isa,
        teams(compute),
        heads,
        qkv,
        log_sums,
        dout,
        dqkv,
        scratch,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{check_gradient, compute, random};

    #[test]
    fn gradients_agree_with_differences() {
        let heads = Heads {
            sequences: 2,
            length: 6,
            heads: 2,
            size: 5,
        };
        let (qkv, dy) = (
            random(heads.rows() * 3 * heads.width(), 1),
            random(heads.rows() * heads.width(), 2),
        );
        compute(|compute| {
            let run = |qkv: &[f32]| {
                let (mut out, mut log_sums) =
                    (vec![0.0; dy.len()], vec![0.0; heads.rows() * heads.heads]);
                let mut scratch =
                    vec![0.0; compute.team.workers() * heads.scratch_len(compute.isa)];
                forward(compute, heads, qkv, &mut out, &mut log_sums, &mut scratch);
                (out, log_sums, scratch)
            };
            let (_, log_sums, mut scratch) = run(&qkv);
            let mut dqkv = vec![f32::NAN; qkv.len()];
            backward(
                compute,
                heads,
                &qkv,
                &log_sums,
                &dy,
                &mut dqkv,
                &mut scratch,
            );
            check_gradient(&qkv, &dqkv, |qkv| {
                run(qkv)
                    .0
                    .iter()
                    .zip(&dy)
                    .map(|(y, dy)| f64::from(*y) * f64::from(*dy))
                    .sum()
            });
        });
    }
}
