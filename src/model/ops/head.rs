//! Head, softmax and cross-entropy over chunks of tokens: the logits of all tokens never exist at once.

mod exponentials;

pub use exponentials::Exponentials;

use crate::{
    kernels::{
        Cost,
        gemm::{Epilogue, Matrix, Right, Store},
        team::{Rows, for_rows},
        vec::{
            cross_entropy, cross_entropy_with_entropy, cross_entropy_with_gradient,
            weighted_gradient,
        },
    },
    model::{Compute, Observer, Operator, Pass, observer::observed, plain, product::product},
};

/// A target of this value is left out of the loss.
pub const IGNORED: u32 = u32::MAX;

/// How the loss of a batch depends on each token. Any loss that asks a model only how likely its targets are, and how sure it is, has a
/// gradient of this form: supervised training, preferences and policy gradients go through one head.
#[derive(Clone, Copy, Debug)]
pub enum Weighting<'a> {
    /// On the cross-entropy of every target alike: one over the targets of the batch.
    Equal(f32),
    /// On that of each target, and on the entropy of what it was drawn from: the loss's derivatives by them, rows each.
    Each {
        /// By the cross-entropy, which is the log-probability's opposite.
        losses: &'a [f32],
        /// By the entropy.
        entropies: &'a [f32],
    },
}

impl<'a> Weighting<'a> {
    /// That of some rows.
    fn rows(self, rows: std::ops::Range<usize>) -> Weighting<'a> {
        match self {
            Weighting::Equal(scale) => Weighting::Equal(scale),
            Weighting::Each { losses, entropies } => Weighting::Each {
                losses: &losses[rows.clone()],
                entropies: &entropies[rows],
            },
        }
    }
}

/// What the head reads and writes. Shapes: `hidden` rows x d, `targets` rows, `logits` chunk x V, `losses` rows.
pub struct Head<'a> {
    /// The last layer norm's output.
    pub hidden: &'a [f32],
    /// The next token of each.
    pub targets: &'a [u32],
    /// The d x V matrix in panels.
    pub weight: Right<'a>,
    /// Scratch for the logits of `chunk` tokens.
    pub logits: &'a mut [f32],
    /// Receives the loss of each token in nats, 0 where the target is ignored.
    pub losses: &'a mut [f32],
    /// Receives the entropy of what each target is drawn from, where a loss is asked for without gradients: rows, or none.
    pub entropies: &'a mut [f32],
    /// Panels of products.
    pub workspace: &'a mut [f32],
    /// Tokens of a chunk.
    pub chunk: usize,
    /// V.
    pub vocab_size: usize,
}

/// Where the gradients go.
pub struct HeadGradients<'a> {
    /// The V x d matrix in panels.
    pub weight: Right<'a>,
    /// Gradient of `hidden`, overwritten: rows x d.
    pub hidden: &'a mut [f32],
    /// Gradient of the head's matrix, added to: V x d.
    pub matrix: &'a mut [f32],
    /// How much each token counts.
    pub weighting: Weighting<'a>,
    /// What the gradient of equally weighted tokens is made from.
    pub exponentials: Exponentials<'a>,
}

fn logits_cost(rows: usize, d: usize, v: usize) -> Cost {
    Cost::gemm(rows, v, d) + Cost::elementwise(rows * v, 4.0, 0.0, 0.0)
}

impl Head<'_> {
    /// The sum of the losses; with `gradients`, its gradient too.
    pub fn run(
        self,
        compute: &Compute<'_>,
        gradients: Option<HeadGradients<'_>>,
        observer: &mut dyn Observer,
    ) -> f64 {
        let (rows, v) = (self.targets.len(), self.vocab_size);
        let d = self.hidden.len() / rows;
        let mut gradients = gradients;
        let weighting = gradients.as_ref().map(|gradients| gradients.weighting);
        for first in (0..rows).step_by(self.chunk) {
            let count = self.chunk.min(rows - first);
            let hidden = &self.hidden[first * d..][..count * d];
            let targets = &self.targets[first..][..count];
            let logits = &mut self.logits[..count * v];
            let losses = &mut self.losses[first..][..count];
            let entropies = match self.entropies.len() {
                0 => &mut [][..],
                _ => &mut self.entropies[first..][..count],
            };
            if targets.iter().all(|target| *target == IGNORED) {
                losses.fill(0.0);
                entropies.fill(0.0);
                if let Some(gradients) = &mut gradients {
                    gradients.hidden[first * d..][..count * d].fill(0.0);
                }
                continue;
            }
            let weighting = weighting.map(|all| all.rows(first..first + count));
            let cost = logits_cost(count, d, v);
            let in_factors = observed(observer, Operator::Head, Pass::Forward, cost, || {
                let exponentials =
                    (gradients.as_mut()).map(|gradients| &mut gradients.exponentials);
                let found = (&mut *logits, &mut *losses, entropies);
                let hidden = Matrix::new(hidden, count, d);
                forward(
                    compute,
                    self.workspace,
                    (hidden, self.weight),
                    targets,
                    weighting,
                    exponentials,
                    found,
                )
            });
            let Some(gradients) = &mut gradients else {
                continue;
            };
            let cost = Cost::gemm(count, d, v) + Cost::gemm(v, d, count);
            observed(observer, Operator::Head, Pass::Backward, cost, || {
                let logits = Matrix::new(logits, count, v);
                let (epilogue, hidden) = if in_factors {
                    let factors = gradients.exponentials.factors(count);
                    let scaled = gradients.exponentials.scaled(count, d);
                    (Epilogue::Rows(factors), scaled)
                } else {
                    (Epilogue::None, Matrix::new(hidden, count, d))
                };
                product(
                    compute,
                    self.workspace,
                    logits,
                    gradients.weight,
                    (&mut gradients.hidden[first * d..][..count * d], d),
                    Store::Set,
                    epilogue,
                );
                product(
                    compute,
                    self.workspace,
                    logits.transposed(),
                    Right::Plain(hidden),
                    (&mut gradients.matrix[..v * d], d),
                    Store::Add,
                    Epilogue::None,
                );
            });
        }
        self.losses[..rows]
            .iter()
            .map(|loss| f64::from(*loss))
            .sum()
    }
}

/// What is found of a chunk, `(logits, losses, entropies)`: where it is weighted, the logits become what its gradients follow from, with the
/// factors in `exponentials` if this is true.
fn forward(
    compute: &Compute<'_>,
    workspace: &mut [f32],
    (hidden, weight): (Matrix<'_>, Right<'_>),
    targets: &[u32],
    weighting: Option<Weighting<'_>>,
    exponentials: Option<&mut Exponentials<'_>>,
    (logits, losses, entropies): (&mut [f32], &mut [f32], &mut [f32]),
) -> bool {
    if let (Some(exponentials), Some(Weighting::Equal(scale))) = (exponentials, weighting)
        && compute.switches.whole_products()
        && exponentials.losses(
            compute,
            workspace,
            (hidden, weight),
            targets,
            (logits, losses),
            scale,
        )
    {
        return true;
    }
    let v = logits.len() / targets.len();
    product(
        compute,
        workspace,
        hidden,
        weight,
        (logits, v),
        Store::Set,
        Epilogue::None,
    );
    match weighting {
        None if !entropies.is_empty() => {
            token_entropies(compute, targets, logits, losses, entropies);
        }
        Some(Weighting::Each {
            losses: weights,
            entropies,
        }) => weighted_losses(compute, targets, logits, losses, [weights, entropies]),
        None => losses_of(compute, targets, logits, losses, None),
        Some(Weighting::Equal(scale)) => {
            losses_of(compute, targets, logits, losses, Some(scale));
        }
    }
    false
}

/// By the fused passes, or by the simple ones.
fn losses_of(
    compute: &Compute<'_>,
    targets: &[u32],
    logits: &mut [f32],
    losses: &mut [f32],
    scale: Option<f32>,
) {
    if compute.switches.fused_passes {
        token_losses(compute, targets, logits, losses, scale);
    } else {
        plain::token_losses(compute, targets, logits, losses, scale);
    }
}

/// Losses of a chunk, and the entropies beside them.
fn token_entropies(
    compute: &Compute<'_>,
    targets: &[u32],
    logits: &mut [f32],
    losses: &mut [f32],
    entropies: &mut [f32],
) {
    let v = logits.len() / targets.len();
    let data = [
        Rows::new(logits, v),
        Rows::new(losses, 1),
        Rows::new(entropies, 1),
    ];
    for_rows(
        compute.team,
        targets.len(),
        4,
        data,
        |range, [logits, losses, entropies]| {
            let found = losses.iter_mut().zip(entropies);
            for ((row, logits), (loss, entropy)) in range.zip(logits.chunks_exact(v)).zip(found) {
                [*loss, *entropy] = match targets[row] {
                    IGNORED => [0.0; 2],
                    target => cross_entropy_with_entropy(compute.isa, logits, target as usize),
                };
            }
        },
    );
}

/// Losses of a chunk; logits become gradients, by the `weights` of losses and of entropies.
fn weighted_losses(
    compute: &Compute<'_>,
    targets: &[u32],
    logits: &mut [f32],
    losses: &mut [f32],
    weights: [&[f32]; 2],
) {
    let v = logits.len() / targets.len();
    let data = [Rows::new(logits, v), Rows::new(losses, 1)];
    for_rows(
        compute.team,
        targets.len(),
        4,
        data,
        |range, [logits, losses]| {
            for ((row, logits), loss) in range.zip(logits.chunks_exact_mut(v)).zip(losses) {
                let [weight, entropy] = weights.map(|weights| weights[row]);
                *loss = match targets[row] {
                    IGNORED => {
                        logits.fill(0.0);
                        0.0
                    }
                    target => {
                        weighted_gradient(compute.isa, logits, target as usize, weight, entropy)
                    }
                };
            }
        },
    );
}

/// Losses of a chunk; where `scale` is given, logits become gradients.
fn token_losses(
    compute: &Compute<'_>,
    targets: &[u32],
    logits: &mut [f32],
    losses: &mut [f32],
    scale: Option<f32>,
) {
    let v = logits.len() / targets.len();
    let data = [Rows::new(logits, v), Rows::new(losses, 1)];
    for_rows(
        compute.team,
        targets.len(),
        4,
        data,
        |range, [logits, losses]| {
            for ((row, logits), loss) in range.zip(logits.chunks_exact_mut(v)).zip(losses) {
                *loss = match (targets[row], scale) {
                    (IGNORED, _) => {
                        logits.fill(0.0);
                        0.0
                    }
                    (target, Some(scale)) => {
                        cross_entropy_with_gradient(compute.isa, logits, target as usize, scale)
                    }
                    (target, None) => cross_entropy(compute.isa, logits, target as usize),
                };
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{
            gemm::{tiles_across, workspace_len},
            testing::assert_close,
        },
        model::{
            Unobserved,
            ops::testing::{check_gradient, compute, random},
        },
    };

    const ROWS: usize = 7;
    const D: usize = 6;
    const V: usize = 19;
    const TARGETS: [u32; ROWS] = [3, 18, IGNORED, 0, 7, 7, 1];

    /// Losses, and the gradients of hidden states and matrix.
    fn run(
        compute: &Compute<'_>,
        hidden: &[f32],
        matrix: &[f32],
        chunk: usize,
        weighting: Weighting<'_>,
    ) -> [Vec<f32>; 3] {
        let mut workspace = vec![0.0; workspace_len(compute.isa, 40, 40, 40, false)];
        let (mut logits, mut losses) = (vec![0.0; chunk * V], vec![0.0; ROWS]);
        let (mut dhidden, mut dmatrix) = (vec![f32::NAN; ROWS * D], vec![0.0; V * D]);
        let (mut factors, mut scaled) = (vec![0.0; chunk], vec![0.0; chunk * D]);
        let mut sums = vec![0.0; chunk * tiles_across(compute.isa, V)];
        let weight = Matrix::new(matrix, V, D);
        let head = Head {
            hidden,
            targets: &TARGETS,
            weight: Right::Plain(weight.transposed()),
            logits: &mut logits,
            losses: &mut losses,
            entropies: &mut [],
            workspace: &mut workspace,
            chunk,
            vocab_size: V,
        };
        let gradients = HeadGradients {
            weight: Right::Plain(weight),
            hidden: &mut dhidden,
            matrix: &mut dmatrix,
            weighting,
            exponentials: Exponentials {
                matrix,
                sums: &mut sums,
                factors: &mut factors,
                scaled: &mut scaled,
            },
        };
        let sum = head.run(compute, Some(gradients), &mut Unobserved);
        let each: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
        assert!(sum == each || (sum.is_nan() && each.is_nan()));
        [losses, dhidden, dmatrix]
    }

    #[test]
    fn gradients_agree_with_differences_in_any_chunks() {
        let (hidden, matrix) = (random(ROWS * D, 1), random(V * D, 2));
        compute(|compute| {
            let run = |hidden: &[f32], matrix: &[f32], chunk: usize| {
                run(compute, hidden, matrix, chunk, Weighting::Equal(1.0))
            };
            let loss = |[losses, ..]: [Vec<f32>; 3]| losses.into_iter().map(f64::from).sum::<f64>();
            let [losses, dhidden, dmatrix] = run(&hidden, &matrix, 3);
            let [whole, ..] = run(&hidden, &matrix, 7);
            for (loss, whole) in losses.iter().zip(whole) {
                assert!((loss - whole).abs() < 1e-6, "{loss} {whole}");
            }
            check_gradient(&hidden, &dhidden, |hidden| loss(run(hidden, &matrix, 3)));
            check_gradient(&matrix, &dmatrix, |matrix| loss(run(&hidden, matrix, 3)));
            assert!(dhidden[2 * D..3 * D].iter().all(|x| *x == 0.0));
        });
    }

    /// Tokens that are weighted one by one go by way of the largest logit.
    fn by_maximum(compute: &Compute<'_>, hidden: &[f32], matrix: &[f32]) -> [Vec<f32>; 3] {
        let weighting = Weighting::Each {
            losses: &[0.3; ROWS],
            entropies: &[0.0; ROWS],
        };
        run(compute, hidden, matrix, 3, weighting)
    }

    #[test]
    fn exponentials_agree_with_the_way_by_the_maximum() {
        let matrix = random(V * D, 2);
        compute(|compute| {
            for size in [0.0, 1.0, 8.0] {
                let hidden: Vec<f32> = random(ROWS * D, 1).iter().map(|x| size * x).collect();
                let found = run(compute, &hidden, &matrix, 3, Weighting::Equal(0.3));
                let expected = by_maximum(compute, &hidden, &matrix);
                for (found, expected) in found.iter().zip(&expected) {
                    for (found, expected) in found.iter().zip(expected) {
                        let scale = 4.0 * f64::from(size).max(1.0);
                        assert_close(*found, f64::from(*expected), scale, 16, "head");
                    }
                }
            }
        });
    }

    #[test]
    fn what_exponentials_cannot_hold_goes_by_the_maximum() {
        let matrix = random(V * D, 2);
        compute(|compute| {
            let hidden: Vec<f32> = random(ROWS * D, 1).iter().map(|x| 400.0 * x).collect();
            let found = run(compute, &hidden, &matrix, 3, Weighting::Equal(0.3));
            let expected = by_maximum(compute, &hidden, &matrix);
            assert!(expected[0].iter().any(|loss| *loss > 90.0), "{expected:?}");
            assert!(expected.iter().flatten().all(|x| x.is_finite()));
            assert_eq!(found[0], expected[0]);
            assert_eq!(found[1], expected[1]);
            let mut spoilt = random(ROWS * D, 1);
            spoilt[4 * D] = f32::NAN;
            let [losses, ..] = run(compute, &spoilt, &matrix, 3, Weighting::Equal(0.3));
            let spoilt = losses.iter().map(|loss| loss.is_nan()).collect::<Vec<_>>();
            assert_eq!(spoilt, [false, false, false, false, true, false, false]);
        });
    }
}
