//! Steps in which each thread takes sequences of its own.
//!
//! Where operators are shared out, each of them reads what the other threads wrote last. On two cores without a common L3 that takes 5 % of a
//! step (Zen 5); threads with gradients and activations of their own meet once a step, to add up the gradients.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Trainer, compute, micro_batches};
use crate::{
    kernels::{
        Cost, Solo, Team,
        team::{Parts, for_parts},
        vec::add_assign,
    },
    model::{
        self, Activations, Compute, Derivatives, Dropout, Layout, Observer, Operator, Packed,
        Parameters, Pass, Scratch, Unobserved, Workspace,
    },
    tensor::{Arena, ArenaError},
    train::{data::Batch, plan::Plan},
};

/// Values of the gradients that are added up at a time, 64 KB of each thread's.
const PART: usize = 1 << 14;

/// What a thread besides the first works in. Its gradients are zeros between steps.
#[derive(Debug)]
pub(super) struct Replica {
    gradients: Parameters,
    activations: Activations,
    scratch: Scratch,
}

impl Replica {
    /// All that `plan` asks for; `arena` takes memory for a role.
    pub(super) fn all(
        plan: &Plan,
        layout: &Layout,
        mut arena: impl FnMut(&'static str, usize) -> Result<Arena, ArenaError>,
    ) -> Result<Vec<Mutex<Replica>>, ArenaError> {
        let sizes = plan.activations_alone();
        (0..plan.replicas())
            .map(|_| {
                let mut activations = arena("activations", sizes.activations_len())?;
                let mut scratch = arena("workspace", sizes.scratch_len())?;
                Ok(Mutex::new(Replica {
                    gradients: Parameters::zeros(layout, &mut arena("gradients", layout.len)?),
                    activations: sizes.activations(&mut activations),
                    scratch: sizes.scratch(&mut scratch),
                }))
            })
            .collect()
    }
}

/// What all threads read.
struct Step<'a> {
    plan: &'a Plan,
    parameters: &'a Parameters,
    packed: &'a Packed,
    batch: &'a Batch,
    dropout: Option<Dropout>,
    /// Of the loss by each cross-entropy.
    scale: f32,
}

impl Step<'_> {
    /// Adds the gradients of the sequences `rows` to `gradients`, and tells the sum of their losses.
    fn run(
        &self,
        rows: Range<usize>,
        gradients: &mut Parameters,
        (activations, scratch): (&mut Activations, &mut Scratch),
        observer: &mut dyn Observer,
    ) -> f64 {
        let compute = compute(self.plan, &Solo);
        let shape = &self.plan.shape;
        let mut first_row = rows.start * self.batch.length;
        let mut sum = 0.0;
        for tokens in micro_batches(self.batch, rows, self.plan.micro_batch) {
            let mut work = Workspace {
                packed: self.packed,
                activations,
                scratch,
                dropout: self.dropout.map(|dropout| Dropout {
                    first_row,
                    ..dropout
                }),
            };
            first_row += tokens.inputs.len();
            let parameters = self.parameters;
            model::forward(&compute, shape, parameters, &mut work, &tokens, observer);
            sum += model::backward_and_loss(
                &compute,
                shape,
                parameters,
                gradients,
                &mut work,
                &tokens,
                Derivatives::equal(self.scale),
                &mut |_, _| {},
                observer,
            );
        }
        sum
    }
}

impl Trainer {
    /// As [`Trainer::accumulate`], for the mean loss and without other ranks: each thread takes sequences of its own.
    pub(super) fn accumulate_by_sequences(
        &mut self,
        batch: &Batch,
        observer: &mut dyn Observer,
    ) -> f64 {
        let pool = Arc::clone(&self.pool);
        let together = compute(&self.plan, &*pool);
        self.clear_unspent();
        self.pack(&together, true, observer);
        let counted = batch.counted().max(1) as f64;
        let shares = 1 + self.replicas.len();
        let step = Step {
            plan: &self.plan,
            parameters: &self.parameters,
            packed: &self.packed,
            batch,
            dropout: self.dropout(0),
            scale: (1.0 / counted) as f32,
        };
        let own = share(batch.sequences, self.plan.micro_batch, shares, 0);
        let factor = batch.sequences as f64 / own.len().max(1) as f64;
        let mut observer = Watched { observer, factor };
        // The leader's place, the losses of all, and those of the others in their order.
        let first = Mutex::new((
            &mut self.gradients,
            (&mut self.activations, &mut self.scratch),
            &mut observer,
        ));
        let losses = Mutex::new(std::mem::take(&mut self.losses));
        let lost = |index: usize, loss: f64| {
            losses.lock().unwrap_or_else(PoisonError::into_inner)[index] = loss;
        };
        pool.run(shares, &|index, _| {
            let rows = share(batch.sequences, self.plan.micro_batch, shares, index);
            let loss = match index.checked_sub(1).map(|index| &self.replicas[index]) {
                None => {
                    let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                    let (gradients, (activations, scratch), observer) = &mut *first;
                    step.run(rows, gradients, (activations, scratch), *observer)
                }
                Some(replica) => {
                    let mut replica = replica.lock().unwrap_or_else(PoisonError::into_inner);
                    let Replica {
                        gradients,
                        activations,
                        scratch,
                    } = &mut *replica;
                    step.run(rows, gradients, (activations, scratch), &mut Unobserved)
                }
            };
            lost(index, loss);
        });
        self.losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.gather(&together, observer.observer);
        self.losses.iter().sum::<f64>() / counted
    }

    /// Adds all gradients to the first thread's, in the order of the threads, and clears theirs. Told as a part of clipping, whose norm needs it.
    fn gather(&mut self, compute: &Compute<'_>, observer: &mut dyn Observer) {
        observer.enter(Operator::Clip, Pass::Optimizer);
        let values = &mut self.gradients.values[..];
        for replica in &mut self.replicas {
            let replica = replica.get_mut().unwrap_or_else(PoisonError::into_inner);
            let parts = [
                Parts::new(&mut *values, PART),
                Parts::new(&mut replica.gradients.values[..], PART),
            ];
            for_parts(compute.team, parts, |_, [sum, more]| {
                add_assign(compute.isa, more, sum);
                more.fill(0.0);
            });
        }
        let cost = Cost::elementwise(values.len(), 1.0, 2.0, 2.0) * self.replicas.len() as f64;
        observer.leave(Operator::Clip, Pass::Optimizer, cost);
    }
}

/// The sequences of share `index` of `shares`: whole micro-batches, one more for some.
fn share(sequences: usize, micro_batch: usize, shares: usize, index: usize) -> Range<usize> {
    let all = sequences.div_ceil(micro_batch);
    let at = |index: usize| (index * all / shares * micro_batch).min(sequences);
    at(index)..at(index + 1)
}

/// Watches one of several threads that do alike, and counts the work of all.
struct Watched<'a> {
    observer: &'a mut dyn Observer,
    /// The work of all, in that of the one.
    factor: f64,
}

impl Observer for Watched<'_> {
    fn enter(&mut self, operator: Operator, pass: Pass) {
        self.observer.enter(operator, pass);
    }

    fn leave(&mut self, operator: Operator, pass: Pass, cost: Cost) {
        self.observer.leave(operator, pass, cost * self.factor);
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn every_sequence_is_in_one_share() {
        for (sequences, micro_batch, shares) in [(32, 2, 2), (6, 4, 2), (5, 2, 3), (1, 1, 4)] {
            let mut next = 0;
            for index in 0..shares {
                let share = share(sequences, micro_batch, shares, index);
                assert_eq!(share.start, next);
                next = share.end;
            }
            assert_eq!(next, sequences);
        }
        assert_eq!(share(32, 2, 2, 1), 16..32);
    }
}
