//! The update at the end of a step: the norm by which gradients are clipped, AdamW, and who does which part of it.

use std::sync::Arc;

use super::moments::Moments;
use super::{Batch, Objective, Observer, Skip, StepReport, Trainer, compute};
use crate::model::Compute;
use crate::train::optimizer::{Part, squares, update};

impl Trainer {
    pub(super) fn update(
        &mut self,
        limit: f64,
        batch: &Batch,
        objective: Option<&mut dyn Objective>,
        learning_rate: f32,
        observer: &mut dyn Observer,
    ) -> StepReport {
        let pool = Arc::clone(&self.pool);
        pool.assemble(|| {
            let loss = self.accumulate(batch, objective, observer);
            let compute = compute(&self.plan, &*pool);
            let grad_norm = self.norm(&compute, observer);
            let skipped = Skip::judge(loss, grad_norm, limit);
            if skipped.is_none() {
                self.updates += 1;
                self.apply(&compute, learning_rate, grad_norm, observer);
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

    /// The norm of all gradients together.
    fn norm(&mut self, compute: &Compute<'_>, observer: &mut dyn Observer) -> f64 {
        let sharing = self
            .exchange
            .as_ref()
            .filter(|exchange| exchange.shares_optimizer());
        let only = sharing.map(|exchange| exchange.fleet().rank());
        let (gradients, grains) = (&self.gradients, &self.grains);
        squares(
            compute,
            gradients,
            grains,
            only,
            &mut self.partial,
            observer,
        );
        if let Some(exchange) = sharing {
            // Each grain is zero on all ranks but one, so that their sum is exact.
            self.partial = exchange.fleet().sum_all(std::mem::take(&mut self.partial));
        }
        self.partial.iter().sum::<f64>().sqrt()
    }

    /// Updates the weights, or this rank's parts of them and then takes over the others', and clears the gradients.
    fn apply(
        &mut self,
        compute: &Compute<'_>,
        learning_rate: f32,
        norm: f64,
        observer: &mut dyn Observer,
    ) {
        let (weights, gradients) = (&mut self.parameters, &mut self.gradients);
        let (optimizer, count) = (&self.plan.optimizer, self.updates);
        let mut apply = |part: Part<'_>| {
            update(
                compute,
                optimizer,
                learning_rate,
                count,
                norm,
                part,
                observer,
            );
        };
        let (own, exchange) = match (&mut self.moments, &mut self.exchange) {
            (Moments::Shared(own), Some(exchange)) => (own, exchange),
            (Moments::Shared(_), None) => return,
            (Moments::Whole(moments), _) => {
                let range = 0..weights.values.len();
                let moments = moments.each_mut().map(|moments| &mut moments.values[..]);
                return apply(Part {
                    range,
                    weights,
                    gradients,
                    moments,
                });
            }
        };
        let mut start = 0;
        for bucket in 0..exchange.cut().buckets().len() {
            let range = exchange.cut().part(bucket, exchange.fleet().rank());
            let len = range.len();
            apply(Part {
                range: range.clone(),
                weights,
                gradients,
                moments: own.each_mut().map(|moments| &mut moments[start..][..len]),
            });
            // What was updated travels while the next bucket is.
            exchange.offer(bucket, &weights.values[range]);
            start += exchange.cut().part_len(bucket);
        }
        gradients.values.fill(0.0);
        for (range, values) in exchange.gathered() {
            weights.values[range].copy_from_slice(values);
        }
    }
}
