//! One training step under a plan, timed: what the ledger, tuning and scaling compare plans by.

use std::sync::Arc;

use super::{Case, SuiteError};
use crate::measure::clock::Clock;
use crate::model::Unobserved;
use crate::parallel::Pool;
use crate::train::{Batch, Plan, Trainer, TrainerError};

/// A step above this is not repeated to get warm: page faults do not matter in it.
const LONG: f64 = 1.0;

/// How steps are timed.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    clock: &'a Clock,
    learning_rate: f32,
    seed: u64,
}

/// What a step took and found.
pub(super) struct Timed {
    pub(super) seconds: f64,
    /// Of the first step.
    pub(super) loss: f64,
    /// AdamW's first moment after the first step: the gradient, after clipping, times a constant.
    pub(super) gradient: Vec<f32>,
}

impl<'a> Steps<'a> {
    /// Steps at the learning rate and from the weights of `case`.
    pub(super) fn new(clock: &'a Clock, case: &Case) -> Self {
        Self {
            clock,
            learning_rate: case.learning_rate,
            seed: case.cut.seed,
        }
    }

    /// A step of a trainer made for it: the second one, unless the first takes long. Trainers of other plans leave no memory taken.
    ///
    /// # Errors
    /// When there is no memory, or the sizes make no model.
    pub(super) fn time(
        &self,
        plan: &Plan,
        pool: &Arc<Pool>,
        batch: &Batch,
    ) -> Result<Timed, TrainerError> {
        let mut trainer = Trainer::new(plan, Arc::clone(pool), self.seed)?;
        let (seconds, loss) = self.step(&mut trainer, batch);
        let gradient = trainer.moments()[0].values.to_vec();
        let seconds = match seconds < LONG {
            true => self.step(&mut trainer, batch).0,
            false => seconds,
        };
        Ok(Timed {
            seconds,
            loss,
            gradient,
        })
    }

    fn step(&self, trainer: &mut Trainer, batch: &Batch) -> (f64, f64) {
        let begin = self.clock.now();
        let report = trainer.step(batch, self.learning_rate, &mut Unobserved);
        (self.clock.since(begin), report.loss)
    }
}

/// Ids in no order: what a token is does not matter for speed, and no text is long enough for every size.
pub(super) fn invented(sequences: usize, length: usize, vocab_size: usize) -> Batch {
    let mut batch = Batch::new(sequences, length);
    let mut state = 1u64;
    for place in batch.inputs.iter_mut().chain(&mut batch.targets) {
        // Knuth's multiplier: the high bits are as good as needed here.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *place = ((state >> 33) % vocab_size as u64) as u32;
    }
    batch
}

/// What went wrong with the trainer of `case`.
pub(super) fn failed(case: &Case, source: TrainerError) -> SuiteError {
    SuiteError::Trainer {
        case: case.name.clone(),
        source,
    }
}
