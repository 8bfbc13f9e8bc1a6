//! Loss and gradient of a chunk of tokens from exponentials that are never normalised.
//!
//! With `e = exp(logits - shift)` of a row, `s` their sum and `f = scale / s`, the gradient by the row is `f (e - s onehot)`. What the
//! backward pass makes of it is linear in the row, so that `f` goes into the smaller side of both products: into the gradient of the
//! hidden state, and into a copy of the hidden state. Over all tokens x V nothing is left but the exponential, taken while a tile of
//! logits is in L1; maximum, sum and scale took three passes through L3 or memory, 1 % of a step.
//!
//! The shift is the target's own logit, so that the sum is one at the least, and the loss its logarithm. Where a logit lies so far above
//! the target's that sums come near to what an f32 holds, the caller has to go by way of the maximum.

use super::IGNORED;
use crate::{
    kernels::{
        gemm::{Epilogue, Matrix, MatrixMut, Right, Store, tiles_across},
        team::{Rows, for_rows},
        vec,
    },
    model::{Compute, product::product},
};

/// The largest sum that is believed: 41 nats of loss. Products of it with weights and hidden states stay far from what overflows.
const LARGEST_SUM: f32 = 1e18;

/// Room for what follows from a chunk of tokens.
pub struct Exponentials<'a> {
    /// The head's matrix: V x d.
    pub matrix: &'a [f32],
    /// Receives sums of exponentials: chunk x [`tiles_across`].
    pub sums: &'a mut [f32],
    /// Shifts, then the factor that makes a gradient of each row: chunk.
    pub factors: &'a mut [f32],
    /// Receives the hidden state times the factors: chunk x d.
    pub scaled: &'a mut [f32],
}

impl Exponentials<'_> {
    /// `logits` become `e - s onehot`, of which factor and scaled hidden state make the gradient, and `losses` those of each token. False
    /// where a number is too large or is none: then all of these are worthless.
    pub(super) fn losses(
        &mut self,
        compute: &Compute<'_>,
        workspace: &mut [f32],
        (hidden, weight): (Matrix<'_>, Right<'_>),
        targets: &[u32],
        (logits, losses): (&mut [f32], &mut [f32]),
        scale: f32,
    ) -> bool {
        let rows = targets.len();
        let (d, v, isa) = (hidden.columns, logits.len() / rows, compute.isa);
        let tiles = tiles_across(isa, v);
        let sums = &mut self.sums[..rows * tiles];
        let factors = &mut self.factors[..rows];
        let matrix = self.matrix;
        let shifts = [Rows::new(factors, 1)];
        for_rows(compute.team, rows, 16, shifts, |range, [shifts]| {
            for (row, shift) in range.zip(shifts) {
                *shift = match targets[row] {
                    IGNORED => 0.0,
                    target => {
                        let class = &matrix[target as usize * d..][..d];
                        vec::dot(isa, hidden.row(row), class)
                    }
                };
            }
        });
        let epilogue = Epilogue::Exp {
            shifts: factors,
            sums: MatrixMut::new(sums, rows, tiles),
        };
        product(
            compute,
            workspace,
            hidden,
            weight,
            (logits, v),
            Store::Set,
            epilogue,
        );
        let data = [
            Rows::new(logits, v),
            Rows::new(sums, tiles),
            Rows::new(losses, 1),
            Rows::new(factors, 1),
            Rows::new(self.scaled, d),
        ];
        for_rows(
            compute.team,
            rows,
            4,
            data,
            |range, [logits, sums, losses, factors, scaled]| {
                let found = (losses.iter_mut().zip(factors)).zip(scaled.chunks_exact_mut(d));
                let given = logits.chunks_exact_mut(v).zip(sums.chunks_exact(tiles));
                for ((row, (logits, sums)), ((loss, factor), scaled)) in range.zip(given).zip(found)
                {
                    if targets[row] == IGNORED {
                        (*loss, *factor) = (0.0, 0.0);
                        logits.fill(0.0);
                        scaled.fill(0.0);
                        continue;
                    }
                    let own = &mut logits[targets[row] as usize];
                    let sum = vec::sum(isa, sums);
                    *loss = if sum <= LARGEST_SUM && (0.5..2.0).contains(own) {
                        (sum / *own).ln()
                    } else {
                        f32::NAN
                    };
                    *own -= sum;
                    *factor = scale / sum;
                    vec::scale(isa, *factor, hidden.row(row), scaled);
                }
            },
        );
        !losses.iter().any(|loss| loss.is_nan())
    }

    /// The factor of each row.
    pub(super) fn factors(&self, rows: usize) -> &[f32] {
        &self.factors[..rows]
    }

    /// The hidden states of `rows` tokens of `d` values, each times its factor.
    pub(super) fn scaled(&self, rows: usize, d: usize) -> Matrix<'_> {
        Matrix::new(&self.scaled[..rows * d], rows, d)
    }
}
