//! One optimizer step: micro-batches forward and backward, then clipping and AdamW.

mod memory;
mod moments;
mod replicas;
mod together;
mod update;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::{
    data::Batch,
    exchange::Exchange,
    guard::Skip,
    objective::{Found, Objective, TokenBuffers},
    optimizer::{Grain, grains},
    plan::Plan,
};
use crate::{
    kernels::Team,
    model::{
        self, Activations, Compute, Derivatives, Dropout, Layout, Observer, Packed, Parameters,
        Scratch, Shape, ShapeError, Tokens, Unobserved, Weights, Workspace,
    },
    parallel::Pool,
    tensor::{Arena, ArenaError},
};

use moments::Moments;
use replicas::Replica;

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean loss over the targets that count, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Why nothing was updated, where nothing was.
    pub skipped: Option<Skip>,
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
    moments: Moments,
    packed: Packed,
    /// What the panels hold: the weights before this many updates, and whether for the backward pass too.
    packed_at: Option<(u64, bool)>,
    activations: Activations,
    scratch: Scratch,
    /// The other threads, where each takes sequences of its own, and the sum of the losses of every thread.
    replicas: Vec<Mutex<Replica>>,
    losses: Vec<f64>,
    /// How the squares of the gradients are added up, and what each grain came to.
    grains: Vec<Grain>,
    partial: Vec<f64>,
    /// What a micro-batch says of its tokens; empty unless an objective asks.
    tokens: TokenBuffers,
    seed: u64,
    updates: u64,
    /// With the other ranks, where there are any.
    exchange: Option<Exchange>,
    /// The memory that the parts above lie in, by role.
    arenas: Vec<(&'static str, Arena)>,
    /// Most bytes of each role that were seen in memory.
    peaks: Vec<usize>,
}

impl Trainer {
    /// Takes the planned memory and initialises the weights from `seed`, which also decides what dropout drops.
    pub fn new(plan: &Plan, pool: Arc<Pool>, seed: u64) -> Result<Trainer, TrainerError> {
        plan.shape.check()?;
        let layout = Layout::new(&plan.shape);
        let mut arenas = Vec::new();
        let mut arena = |role, len| -> Result<Arena, ArenaError> {
            let arena = plan.switches.arena(len)?;
            arenas.push((role, arena.share()));
            Ok(arena)
        };
        let mut parameters = Parameters::zeros(&layout, &mut arena("parameters", layout.len)?);
        parameters.initialize(seed);
        let gradients = Parameters::zeros(&layout, &mut arena("gradients", layout.len)?);
        let first = Parameters::zeros(&layout, &mut arena("moments", layout.len)?);
        let second = Parameters::zeros(&layout, &mut arena("moments", layout.len)?);
        let (isa, shape) = (plan.isa, &plan.shape);
        let mut panels = arena("panels", Packed::len(isa, shape))?;
        let sizes = plan.activations();
        let mut activations = arena("activations", sizes.activations_len())?;
        let mut scratch = arena("workspace", sizes.scratch_len())?;
        let replicas = Replica::all(plan, &layout, &mut arena)?;
        Ok(Trainer {
            plan: *plan,
            pool,
            parameters,
            gradients,
            unspent: false,
            moments: Moments::Whole(Box::new([first, second])),
            packed: Packed::new(isa, shape, &mut panels, plan.switches),
            packed_at: None,
            activations: sizes.activations(&mut activations),
            scratch: sizes.scratch(&mut scratch),
            losses: vec![0.0; 1 + replicas.len()],
            replicas,
            grains: grains(std::iter::once((0, 0..layout.len))),
            partial: Vec::new(),
            tokens: TokenBuffers::default(),
            seed,
            updates: 0,
            exchange: None,
            arenas,
            peaks: Vec::new(),
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

    /// Gradients of the last [`Trainer::gradient`].
    pub fn gradients(&self) -> &Parameters {
        &self.gradients
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.updates
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
        self.step_below(f64::INFINITY, batch, learning_rate, observer)
    }

    /// The same, where a loss above `limit` leaves out the update too.
    ///
    /// # Panics
    /// As [`Trainer::step`].
    pub fn step_below(
        &mut self,
        limit: f64,
        batch: &Batch,
        learning_rate: f32,
        observer: &mut dyn Observer,
    ) -> StepReport {
        self.update(limit, batch, None, learning_rate, observer)
    }

    /// One optimizer step by the gradient of `objective`; left out where that or the objective is not finite.
    ///
    /// # Panics
    /// As [`Trainer::step`], and where the trainer has joined a fleet.
    pub fn step_toward(
        &mut self,
        objective: &mut dyn Objective,
        batch: &Batch,
        learning_rate: f32,
        observer: &mut dyn Observer,
    ) -> StepReport {
        self.update(
            f64::INFINITY,
            batch,
            Some(objective),
            learning_rate,
            observer,
        )
    }

    /// The mean loss of `batch`, and its gradient in [`Trainer::gradients`], without an update; dropout is that of the next step.
    pub fn gradient(&mut self, batch: &Batch) -> f64 {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| self.accumulate(batch, None, &mut Unobserved))
    }

    /// The value of `objective`, and its gradient in [`Trainer::gradients`], without an update.
    pub fn gradient_toward(&mut self, objective: &mut dyn Objective, batch: &Batch) -> f64 {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| self.accumulate(batch, Some(objective), &mut Unobserved))
    }

    /// What the model says of each token of `batch`, without dropout.
    pub fn read(&mut self, batch: &Batch) -> TokenBuffers {
        let pool = Arc::clone(&self.pool);
        let mut all = TokenBuffers::default();
        pool.assemble(|| {
            let compute = compute(&self.plan, &*pool);
            self.pack(&compute, false, &mut Unobserved);
            for tokens in micro_batches(batch, 0..batch.sequences, self.plan.micro_batch) {
                let mut work = Workspace {
                    packed: &self.packed,
                    activations: &mut self.activations,
                    scratch: &mut self.scratch,
                    dropout: None,
                };
                let (shape, parameters) = (&self.plan.shape, &self.parameters);
                model::forward(
                    &compute,
                    shape,
                    parameters,
                    &mut work,
                    &tokens,
                    &mut Unobserved,
                );
                let mut found = all.grow(tokens.inputs.len());
                model::outcomes(
                    &compute,
                    shape,
                    parameters,
                    &mut work,
                    &tokens,
                    &mut found,
                    &mut Unobserved,
                );
            }
        });
        all
    }

    /// Writes with the weights as they are now.
    pub fn write<R: Send>(&mut self, f: impl FnOnce(&Compute<'_>, Weights<'_>) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let compute = compute(&self.plan, &*pool);
            self.pack(&compute, false, &mut Unobserved);
            let weights = Weights {
                parameters: &self.parameters,
                packed: &self.packed,
            };
            f(&compute, weights)
        })
    }

    /// The mean loss of `batch` over the targets that count, without dropout; 0 where none does.
    pub fn evaluate(&mut self, batch: &Batch) -> f64 {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let compute = compute(&self.plan, &*pool);
            self.pack(&compute, false, &mut Unobserved);
            let mut sum = 0.0;
            for tokens in micro_batches(batch, self.rows(batch), self.plan.micro_batch) {
                let mut work = Workspace {
                    packed: &self.packed,
                    activations: &mut self.activations,
                    scratch: &mut self.scratch,
                    dropout: None,
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
            if let Some(exchange) = &self.exchange {
                [sum] = exchange.fleet().sum([sum]);
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
            for tokens in micro_batches(batch, 0..batch.sequences, self.plan.micro_batch) {
                let mut work = Workspace {
                    packed: &self.packed,
                    activations: &mut self.activations,
                    scratch: &mut self.scratch,
                    dropout: None,
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

    /// The gradients of every micro-batch added up, whatever was left in them before, and the objective, or the mean loss where there
    /// is none.
    ///
    /// An update leaves zeros, so that a step after a step costs no pass over the gradients.
    fn accumulate(
        &mut self,
        batch: &Batch,
        mut objective: Option<&mut dyn Objective>,
        observer: &mut dyn Observer,
    ) -> f64 {
        assert!(
            objective.is_none() || self.exchange.is_none(),
            "an objective sees its whole batch: it is not shared among ranks"
        );
        if !self.replicas.is_empty() && objective.is_none() && self.exchange.is_none() {
            return self.accumulate_by_sequences(batch, observer);
        }
        let pool = Arc::clone(&self.pool);
        let compute = compute(&self.plan, &*pool);
        self.clear_unspent();
        self.pack(&compute, true, observer);
        // The mean over the targets that count; an objective means what it says.
        let counted = match objective {
            None => batch.counted().max(1) as f64,
            Some(_) => 1.0,
        };
        let rows = self.rows(batch);
        // What is dropped is a function of the row in the batch of all ranks.
        let (mut first_row, end) = (rows.start * batch.length, rows.end * batch.length);
        let mut sum = 0.0;
        for tokens in micro_batches(batch, rows, self.plan.micro_batch) {
            let dropout = self.dropout(first_row);
            let mut work = Workspace {
                packed: &self.packed,
                activations: &mut self.activations,
                scratch: &mut self.scratch,
                dropout,
            };
            let first = first_row;
            first_row += tokens.inputs.len();
            let shape = &self.plan.shape;
            model::forward(
                &compute,
                shape,
                &self.parameters,
                &mut work,
                &tokens,
                observer,
            );
            let (parameters, gradients) = (&self.parameters, &mut self.gradients);
            let mut derivatives = Derivatives::equal((1.0 / counted) as f32);
            if let Some(objective) = &mut objective {
                self.tokens.clear();
                let mut found = self.tokens.grow(tokens.inputs.len());
                model::outcomes(
                    &compute, shape, parameters, &mut work, &tokens, &mut found, observer,
                );
                let (found, into) = self.tokens.split(Found {
                    first,
                    length: tokens.length,
                    ..Found::default()
                });
                sum += objective.derive(found, into);
                derivatives = self.tokens.derivatives();
            }
            let exchange = &mut self.exchange;
            let is_last = first_row == end;
            let mut complete = |gradients: &[f32], from| {
                if let (true, Some(exchange)) = (is_last, &mut *exchange) {
                    exchange.send(gradients, from);
                }
            };
            let losses = model::backward_and_loss(
                &compute,
                shape,
                parameters,
                gradients,
                &mut work,
                &tokens,
                derivatives,
                &mut complete,
                observer,
            );
            if objective.is_none() {
                sum += losses;
            }
        }
        if let Some(exchange) = &mut self.exchange {
            sum = exchange.collect(&mut self.gradients.values, sum);
        }
        sum / counted
    }

    /// Clears gradients that no update has consumed.
    fn clear_unspent(&mut self) {
        if std::mem::replace(&mut self.unspent, true) {
            self.gradients.values.fill(0.0);
        }
    }

    /// What the next step drops of a micro-batch that starts at this row of the batch.
    fn dropout(&self, first_row: usize) -> Option<Dropout> {
        (self.plan.dropout > 0.0).then_some(Dropout {
            rate: self.plan.dropout,
            seed: self.seed,
            step: self.updates,
            first_row,
        })
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

/// These rows of `batch`, some sequences at a time.
fn micro_batches(
    batch: &Batch,
    rows: Range<usize>,
    sequences: usize,
) -> impl Iterator<Item = Tokens<'_>> {
    let tokens = sequences * batch.length;
    let cells = rows.start * batch.length..rows.end * batch.length;
    batch.inputs[cells.clone()]
        .chunks(tokens)
        .zip(batch.targets[cells].chunks(tokens))
        .map(|(inputs, targets)| Tokens {
            inputs,
            targets,
            length: batch.length,
        })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod together_tests;
