//! One optimizer step: micro-batches forward and backward, then clipping and AdamW.

use std::sync::Arc;

use super::{
    data::Batch,
    optimizer::{global_norm, update},
    plan::Plan,
};
use crate::{
    kernels::Team,
    model::{
        self, Activations, Compute, Layout, Observer, Packed, Parameters, Scratch, Shape,
        ShapeError, Tokens, Unobserved, Workspace,
    },
    parallel::Pool,
    tensor::ArenaError,
};

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean loss over the targets that count, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Loss or gradient was not finite, so nothing was updated.
    pub skipped: bool,
}

/// Why a trainer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// Sizes that make no model.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No memory.
    #[error(transparent)]
    Memory(#[from] ArenaError),
}

/// A model in training: parameters, gradients, moments and all that a step works in, taken once.
#[derive(Debug)]
pub struct Trainer {
    plan: Plan,
    pool: Arc<Pool>,
    parameters: Parameters,
    gradients: Parameters,
    /// The gradients hold something that no update has consumed: they are cleared before the next ones are added up.
    unspent: bool,
    first: Parameters,
    second: Parameters,
    packed: Packed,
    /// What the panels hold: the weights before this many updates, and whether for the backward pass too.
    packed_at: Option<(u64, bool)>,
    activations: Activations,
    scratch: Scratch,
    partial: Vec<f64>,
    updates: u64,
}

impl Trainer {
    /// Takes the planned memory and initialises the weights from `seed`.
    pub fn new(plan: &Plan, pool: Arc<Pool>, seed: u64) -> Result<Trainer, TrainerError> {
        plan.shape.check()?;
        let layout = Layout::new(&plan.shape);
        let arena = |len| plan.switches.arena(len);
        let zeros = || -> Result<Parameters, ArenaError> {
            Ok(Parameters::zeros(&layout, &mut arena(layout.len)?))
        };
        let mut parameters = zeros()?;
        parameters.initialize(seed);
        let activations = plan.activations();
        let packed = Packed::new(
            plan.isa,
            &plan.shape,
            &mut arena(Packed::len(plan.isa, &plan.shape))?,
            plan.switches,
        );
        Ok(Trainer {
            plan: *plan,
            pool,
            parameters,
            gradients: zeros()?,
            unspent: false,
            first: zeros()?,
            second: zeros()?,
            packed,
            packed_at: None,
            activations: activations.activations(&mut arena(activations.activations_len())?),
            scratch: activations.scratch(&mut arena(activations.scratch_len())?),
            partial: Vec::new(),
            updates: 0,
        })
    }

    /// Goes on with other threads, at most as many as planned: the results are the same to the bit.
    ///
    /// # Panics
    /// When the pool has more threads than planned.
    pub fn use_pool(&mut self, pool: Arc<Pool>) {
        assert!(
            pool.workers() <= self.plan.workers,
            "{} threads, {} planned",
            pool.workers(),
            self.plan.workers
        );
        self.pool = pool;
    }

    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The model's sizes.
    pub fn shape(&self) -> &Shape {
        &self.plan.shape
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// AdamW's moments, first and second.
    pub fn moments(&self) -> [&Parameters; 2] {
        [&self.first, &self.second]
    }

    /// Gradients of the last [`Trainer::gradient`].
    pub fn gradients(&self) -> &Parameters {
        &self.gradients
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Weights and both moments, to be overwritten from a checkpoint of `updates` updates.
    pub fn restore(&mut self, updates: u64) -> [&mut Parameters; 3] {
        self.updates = updates;
        self.packed_at = None;
        [&mut self.parameters, &mut self.first, &mut self.second]
    }

    /// One optimizer step on `batch` at this learning rate. Where loss or gradient is not finite, nothing is updated.
    ///
    /// # Panics
    /// When a sequence is longer than planned or a token is not in the vocabulary.
    pub fn step(
        &mut self,
        batch: &Batch,
        learning_rate: f32,
        observer: &mut dyn Observer,
    ) -> StepReport {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let loss = self.accumulate(batch, observer);
            let compute = compute(&self.plan, &*pool);
            let grad_norm = global_norm(&compute, &self.gradients, &mut self.partial, observer);
            let skipped = !(loss.is_finite() && grad_norm.is_finite());
            if !skipped {
                self.updates += 1;
                let tensors = [
                    &mut self.parameters,
                    &mut self.gradients,
                    &mut self.first,
                    &mut self.second,
                ];
                let optimizer = &self.plan.optimizer;
                update(
                    &compute,
                    optimizer,
                    learning_rate,
                    self.updates,
                    grad_norm,
                    tensors,
                    observer,
                );
                self.unspent = false;
            }
            StepReport {
                loss,
                grad_norm,
                tokens: batch.inputs.len(),
                skipped,
            }
        })
    }

    /// The mean loss of `batch`, and its gradient in [`Trainer::gradients`], without an update.
    pub fn gradient(&mut self, batch: &Batch) -> f64 {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| self.accumulate(batch, &mut Unobserved))
    }

    /// The mean loss of `batch` over the targets that count; 0 where none does.
    pub fn evaluate(&mut self, batch: &Batch) -> f64 {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let compute = compute(&self.plan, &*pool);
            self.pack(&compute, false, &mut Unobserved);
            let mut sum = 0.0;
            for tokens in micro_batches(batch, self.plan.micro_batch) {
                let mut work = Workspace {
                    packed: &self.packed,
                    activations: &mut self.activations,
                    scratch: &mut self.scratch,
                };
                let shape = &self.plan.shape;
                model::forward(
                    &compute,
                    shape,
                    &self.parameters,
                    &mut work,
                    &tokens,
                    &mut Unobserved,
                );
                sum += model::evaluate(&compute, shape, &mut work, &tokens, &mut Unobserved);
            }
            sum / batch.counted().max(1) as f64
        })
    }

    /// The logits of every token of `batch`, tokens x V: for checks and export, not for speed.
    pub fn logits(&mut self, batch: &Batch) -> Vec<f32> {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let compute = compute(&self.plan, &*pool);
            self.pack(&compute, false, &mut Unobserved);
            let mut logits = Vec::with_capacity(batch.inputs.len() * self.plan.shape.vocab_size);
            for tokens in micro_batches(batch, self.plan.micro_batch) {
                let mut work = Workspace {
                    packed: &self.packed,
                    activations: &mut self.activations,
                    scratch: &mut self.scratch,
                };
                let shape = &self.plan.shape;
                model::forward(
                    &compute,
                    shape,
                    &self.parameters,
                    &mut work,
                    &tokens,
                    &mut Unobserved,
                );
                model::logits(&compute, shape, &mut work, &tokens, &mut logits);
            }
            logits
        })
    }

    /// The gradients of every micro-batch added up, whatever was left in them before, and the mean loss.
    ///
    /// An update leaves zeros, so that a step after a step costs no pass over the gradients.
    fn accumulate(&mut self, batch: &Batch, observer: &mut dyn Observer) -> f64 {
        let pool = Arc::clone(&self.pool);
        let compute = compute(&self.plan, &*pool);
        if std::mem::replace(&mut self.unspent, true) {
            self.gradients.values.fill(0.0);
        }
        self.pack(&compute, true, observer);
        let counted = batch.counted().max(1) as f64;
        let mut sum = 0.0;
        for tokens in micro_batches(batch, self.plan.micro_batch) {
            let mut work = Workspace {
                packed: &self.packed,
                activations: &mut self.activations,
                scratch: &mut self.scratch,
            };
            let (shape, scale) = (&self.plan.shape, (1.0 / counted) as f32);
            model::forward(
                &compute,
                shape,
                &self.parameters,
                &mut work,
                &tokens,
                observer,
            );
            let (parameters, gradients) = (&self.parameters, &mut self.gradients);
            sum += model::backward_and_loss(
                &compute, shape, parameters, gradients, &mut work, &tokens, scale, observer,
            );
        }
        sum / counted
    }

    fn pack(&mut self, compute: &Compute<'_>, backward: bool, observer: &mut dyn Observer) {
        let fresh = self
            .packed_at
            .is_some_and(|(updates, both)| updates == self.updates && (both || !backward));
        if !fresh {
            self.packed
                .update(compute, &self.parameters, backward, observer);
            self.packed_at = Some((self.updates, backward));
        }
    }
}

fn compute<'a>(plan: &Plan, team: &'a dyn Team) -> Compute<'a> {
    Compute {
        isa: plan.isa,
        caches: plan.caches,
        team,
        switches: plan.switches,
    }
}

/// The sequences of `batch`, some at a time.
fn micro_batches(batch: &Batch, sequences: usize) -> impl Iterator<Item = Tokens<'_>> {
    let tokens = sequences * batch.length;
    batch
        .inputs
        .chunks(tokens)
        .zip(batch.targets.chunks(tokens))
        .map(|(inputs, targets)| Tokens {
            inputs,
            targets,
            length: batch.length,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{Isa, gemm::Caches, testing::isas},
        model::Switches,
        train::plan::Optimizer,
    };

    const SHAPE: Shape = Shape {
        vocab_size: 50,
        context: 12,
        d_model: 24,
        heads: 3,
        layers: 2,
        d_ff: 40,
        tied: true,
    };

    fn trainer(isa: Isa, workers: usize, micro_batch: usize) -> Trainer {
        let plan = Plan {
            shape: SHAPE,
            batch: 6,
            length: 12,
            micro_batch,
            optimizer: Optimizer::default(),
            isa,
            caches: Caches::default(),
            workers,
            switches: Switches::default(),
        };
        let pool = Arc::new(Pool::new(&vec![0; workers]).expect("threads"));
        Trainer::new(&plan, pool, 1).expect("a trainer")
    }

    /// A sequence that a small model learns: each token is its predecessor plus seven.
    fn batch() -> Batch {
        let inputs: Vec<u32> = (0..72).map(|i| (i / 12 * 5 + i % 12 * 7) % 50).collect();
        let targets = inputs.iter().map(|token| (token + 7) % 50).collect();
        Batch {
            sequences: 6,
            length: 12,
            inputs,
            targets,
        }
    }

    fn train(mut trainer: Trainer, steps: usize) -> (Vec<f64>, Trainer) {
        let batch = batch();
        let losses = (0..steps)
            .map(|_| trainer.step(&batch, 1e-2, &mut Unobserved).loss)
            .collect();
        (losses, trainer)
    }

    #[test]
    fn learns_what_can_be_learned() {
        for isa in isas() {
            let (losses, mut trainer) = train(trainer(isa, 1, 2), 60);
            assert!(
                (losses[0] - 50_f64.ln()).abs() < 0.1,
                "{}: starts at {}",
                isa.name(),
                losses[0]
            );
            assert!(losses[59] < 0.3, "{}: ends at {}", isa.name(), losses[59]);
            let evaluated = trainer.evaluate(&batch());
            assert!(
                evaluated <= losses[59] + 0.05,
                "{}: {evaluated}",
                isa.name()
            );
        }
    }

    #[test]
    fn losses_are_the_same_to_the_bit_for_any_number_of_threads() {
        let isa = Isa::best();
        let (one, a) = train(trainer(isa, 1, 2), 5);
        for workers in [2, 3] {
            let (more, b) = train(trainer(isa, workers, 2), 5);
            assert_eq!(one, more);
            assert_eq!(*a.parameters().values, *b.parameters().values);
        }
    }

    #[test]
    fn threads_may_change_between_steps() {
        let isa = Isa::best();
        let (steady, a) = train(trainer(isa, 2, 2), 4);
        let mut b = trainer(isa, 2, 2);
        let changing: Vec<f64> = [1, 2, 2, 1]
            .into_iter()
            .map(|threads| {
                b.use_pool(Arc::new(Pool::new(&vec![0; threads]).expect("threads")));
                b.step(&batch(), 1e-2, &mut Unobserved).loss
            })
            .collect();
        assert_eq!(steady, changing);
        assert_eq!(*a.parameters().values, *b.parameters().values);
    }

    #[test]
    fn micro_batches_are_the_same_mathematics() {
        let isa = Isa::best();
        let (whole, _) = train(trainer(isa, 1, 6), 10);
        for micro_batch in [1, 2, 3] {
            let (parts, _) = train(trainer(isa, 1, micro_batch), 10);
            for (a, b) in whole.iter().zip(parts) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn every_simple_path_is_the_same_mathematics() {
        let on = Switches::default();
        let simple = [
            Switches {
                batched_products: false,
                ..on
            },
            Switches {
                blocked_products: false,
                ..on
            },
            Switches {
                aligned_pages: false,
                ..on
            },
            Switches {
                planned_memory: false,
                ..on
            },
            Switches {
                fused_passes: false,
                ..on
            },
            Switches {
                batched_products: false,
                blocked_products: false,
                aligned_pages: false,
                planned_memory: false,
                fused_passes: false,
            },
        ];
        for isa in isas() {
            let (whole, a) = train(trainer(isa, 2, 3), 4);
            for switches in simple {
                let plan = Plan {
                    switches,
                    ..*a.plan()
                };
                let b = Trainer::new(&plan, Arc::clone(&a.pool), 1).expect("a trainer");
                let (losses, b) = train(b, 4);
                for (one, other) in whole.iter().zip(losses) {
                    let name = isa.name();
                    assert!(
                        (one - other).abs() < 1e-4,
                        "{name} {switches:?}: {one} {other}"
                    );
                }
                // Where the same products are summed in the same order, the bits are the same.
                if switches.whole_products() {
                    assert_eq!(*a.parameters().values, *b.parameters().values);
                }
            }
        }
    }

    #[test]
    fn a_broken_gradient_changes_nothing() {
        let mut trainer = trainer(Isa::best(), 1, 2);
        trainer.restore(0)[0].values[3] = f32::NAN;
        let before: Vec<u32> = trainer
            .parameters()
            .values
            .iter()
            .map(|x| x.to_bits())
            .collect();
        let report = trainer.step(&batch(), 1e-2, &mut Unobserved);
        assert!(report.skipped && !report.loss.is_finite(), "{report:?}");
        assert!(
            trainer
                .parameters()
                .values
                .iter()
                .map(|x| x.to_bits())
                .eq(before)
        );
    }

    #[test]
    fn a_step_takes_its_own_gradient_alone() {
        let isa = Isa::best();
        let (losses, steady) = train(trainer(isa, 1, 2), 3);
        // A gradient that was asked for, and one that was no number, are gone by the next step.
        let mut disturbed = trainer(isa, 1, 2);
        let intact = disturbed.parameters().values[3];
        for (step, loss) in losses.iter().enumerate() {
            if step == 0 {
                disturbed.restore(0)[0].values[3] = f32::NAN;
                assert!(disturbed.step(&batch(), 1e-2, &mut Unobserved).skipped);
                disturbed.restore(0)[0].values[3] = intact;
            }
            disturbed.gradient(&batch());
            assert_eq!(disturbed.gradient(&batch()), *loss);
            assert_eq!(disturbed.step(&batch(), 1e-2, &mut Unobserved).loss, *loss);
        }
        assert_eq!(*steady.parameters().values, *disturbed.parameters().values);
        assert!(disturbed.gradients().values.iter().all(|x| *x == 0.0));
    }
}
