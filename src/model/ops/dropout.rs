//! Dropout as GPT-2 has it: on the embedding and on what attention and MLP add to the residual stream.
//!
//! GPT-2 also drops attention probabilities (`attn_pdrop`). The tiled attention never holds those, and drops none.

use crate::{
    kernels::{
        team::{Rows, for_rows},
        vec::{self, DropoutMask},
    },
    model::Compute,
};

/// Dropout of a micro-batch: the same values are dropped for any threads and any size of micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Share of values dropped, in 0..1.
    pub rate: f32,
    /// Seed of the run.
    pub seed: u64,
    /// Updates made so far: a step that was skipped gives its masks to the next one.
    pub step: u64,
    /// The micro-batch's first token in the batch.
    pub first_row: usize,
}

/// Where values are dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Site {
    /// The sum of token and position embedding.
    Embedding,
    /// What the attention of a block adds to the residual stream.
    Attention(usize),
    /// What the MLP of a block adds to it.
    Mlp(usize),
}

impl Site {
    fn number(self) -> u32 {
        match self {
            Site::Embedding => 0,
            Site::Attention(layer) => 1 + 2 * layer as u32,
            Site::Mlp(layer) => 2 + 2 * layer as u32,
        }
    }
}

impl Dropout {
    fn mask(&self, site: Site) -> DropoutMask {
        DropoutMask {
            key: self.seed,
            step: self.step as u32,
            site: site.number(),
            rate: self.rate,
        }
    }

    fn row(&self, row: usize) -> u32 {
        (self.first_row + row) as u32
    }

    /// `x *= mask`: forward on values, backward on their gradient. Shape: `x` rows x `d`.
    pub fn apply(&self, compute: &Compute<'_>, site: Site, d: usize, x: &mut [f32]) {
        let (mask, rows) = (self.mask(site), x.len() / d);
        for_rows(compute.team, rows, 64, [Rows::new(x, d)], |range, [x]| {
            for (row, x) in range.zip(x.chunks_exact_mut(d)) {
                vec::dropout(compute.isa, mask, self.row(row), x);
            }
        });
    }

    /// `x = residual + mask * x`. Shapes: both rows x `d`.
    pub fn add(
        &self,
        compute: &Compute<'_>,
        site: Site,
        d: usize,
        residual: &[f32],
        x: &mut [f32],
    ) {
        let (mask, rows) = (self.mask(site), x.len() / d);
        for_rows(compute.team, rows, 64, [Rows::new(x, d)], |range, [x]| {
            for (row, x) in range.zip(x.chunks_exact_mut(d)) {
                let residual = &residual[row * d..][..d];
                vec::dropout_add(compute.isa, mask, self.row(row), residual, x);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{check_gradient, compute, random};

    #[test]
    fn gradients_agree_with_differences_and_rows_do_not_depend_on_the_cut() {
        let (rows, d) = (6, 21);
        let (x, residual, dy) = (
            random(rows * d, 1),
            random(rows * d, 2),
            random(rows * d, 3),
        );
        let whole = Dropout {
            rate: 0.3,
            seed: 5,
            step: 9,
            first_row: 0,
        };
        compute(|compute| {
            let run = |x: &[f32]| {
                let mut y = x.to_vec();
                whole.add(compute, Site::Mlp(1), d, &residual, &mut y);
                y
            };
            let mut dx = dy.clone();
            whole.apply(compute, Site::Mlp(1), d, &mut dx);
            check_gradient(&x, &dx, |x| {
                let y = run(x);
                y.iter()
                    .zip(&dy)
                    .map(|(y, dy)| f64::from(*y) * f64::from(*dy))
                    .sum()
            });
            let mut second_half = dy[3 * d..].to_vec();
            let part = Dropout {
                first_row: 3,
                ..whole
            };
            part.apply(compute, Site::Mlp(1), d, &mut second_half);
            assert_eq!(second_half, dx[3 * d..]);
            assert!(dx.contains(&0.0));
        });
    }
}
