//! What is fused into products, in passes of its own: each reads and writes the whole matrix.

use crate::{
    kernels::{
        Isa,
        gemm::{Epilogue, tiles_across},
        team::{Rows, for_rows},
        vec::{add_assign, cross_entropy, exp, gelu, gelu_backward, hadamard, scale, softmax, sum},
    },
    model::{Compute, ops::head::IGNORED},
};

/// Rows that a task takes.
const GRAIN: usize = 4;

/// Values that are set aside where a pass writes what it reads.
const ASIDE: usize = 64;

/// The epilogue of a product whose values, `c`, are there already; rows of `n`.
pub(crate) fn epilogue(compute: &Compute<'_>, epilogue: Epilogue<'_>, c: &mut [f32], n: usize) {
    let isa = compute.isa;
    match epilogue {
        Epilogue::None => {}
        Epilogue::Bias(bias) => add_bias(compute, bias, c),
        Epilogue::BiasResidual { bias, residual } => {
            add_bias(compute, bias, c);
            each_row(compute, c, n, |row, c| {
                add_assign(isa, residual.row(row), c)
            });
        }
        Epilogue::BiasGelu { bias, derivative } => {
            add_bias(compute, bias, c);
            let derivative = derivative.into_slice();
            let rows = c.len() / n;
            let data = [Rows::new(c, n), Rows::new(derivative, n)];
            for_rows(compute.team, rows, GRAIN, data, |_, [c, derivative]| {
                derivative.fill(1.0);
                gelu_backward(isa, c, derivative);
            });
            each_row(compute, c, n, |_, c| {
                in_place(c, |x, out, _| gelu(isa, x, out))
            });
        }
        Epilogue::Multiply(factor) => each_row(compute, c, n, |row, c| {
            let factor = factor.row(row);
            in_place(c, |x, out, at| {
                hadamard(isa, x, &factor[at..at + x.len()], out)
            });
        }),
        Epilogue::Rows(factors) => each_row(compute, c, n, |row, c| {
            in_place(c, |x, out, _| scale(isa, factors[row], x, out));
        }),
        Epilogue::Exp { shifts, sums } => {
            let (rows, tiles) = (c.len() / n, tiles_across(isa, n));
            let data = [Rows::new(c, n), Rows::new(sums.into_slice(), tiles)];
            for_rows(compute.team, rows, GRAIN, data, |rows, [c, sums]| {
                let each = rows
                    .zip(c.chunks_exact_mut(n))
                    .zip(sums.chunks_exact_mut(tiles));
                for ((row, c), sums) in each {
                    c.iter_mut().for_each(|x| *x -= shifts[row]);
                    in_place(c, |x, out, _| exp(isa, x, out));
                    sums.fill(0.0);
                    sums[0] = sum(isa, c);
                }
            });
        }
    }
}

fn add_bias(compute: &Compute<'_>, bias: &[f32], c: &mut [f32]) {
    each_row(compute, c, bias.len(), |_, c| {
        add_assign(compute.isa, bias, c)
    });
}

fn each_row(compute: &Compute<'_>, c: &mut [f32], n: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = c.len() / n;
    for_rows(compute.team, rows, GRAIN, [Rows::new(c, n)], |rows, [c]| {
        rows.zip(c.chunks_exact_mut(n))
            .for_each(|(row, c)| f(row, c));
    });
}

/// `f(old values, where the new ones go, their place)` for a row, some values at a time.
fn in_place(row: &mut [f32], f: impl Fn(&[f32], &mut [f32], usize)) {
    let mut aside = [0.0; ASIDE];
    for (part, values) in row.chunks_mut(ASIDE).enumerate() {
        let old = &mut aside[..values.len()];
        old.copy_from_slice(values);
        f(old, values, part * ASIDE);
    }
}

/// The losses of tokens whose `logits` are rows; then, in passes of their own, softmax, its difference from the target and the
/// scale: logits become gradients where `scale` is given.
pub(crate) fn token_losses(
    compute: &Compute<'_>,
    targets: &[u32],
    logits: &mut [f32],
    losses: &mut [f32],
    scale: Option<f32>,
) {
    let (isa, v): (Isa, usize) = (compute.isa, logits.len() / targets.len());
    let data = [Rows::new(logits, v), Rows::new(losses, 1)];
    for_rows(
        compute.team,
        targets.len(),
        GRAIN,
        data,
        |rows, [logits, losses]| {
            for ((row, logits), loss) in rows.zip(logits.chunks_exact(v)).zip(losses) {
                *loss = match targets[row] {
                    IGNORED => 0.0,
                    target => cross_entropy(isa, logits, target as usize),
                };
            }
        },
    );
    let Some(scale) = scale else { return };
    each_row(compute, logits, v, |_, logits| {
        softmax(isa, logits);
    });
    each_row(compute, logits, v, |row, logits| match targets[row] {
        IGNORED => logits.fill(0.0),
        target => logits[target as usize] -= 1.0,
    });
    each_row(compute, logits, v, |_, logits| {
        logits.iter_mut().for_each(|x| *x *= scale);
    });
}
