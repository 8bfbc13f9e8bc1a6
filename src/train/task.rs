//! What a run does in a step and how it is validated. [`super::run`] knows no more of it, so that pretraining, supervised training,
//! preferences and reinforcement share one loop, one optimizer and one kind of checkpoint.

use super::data::{Batch, Dataset};
use super::trainer::{StepReport, Trainer};
use crate::model::Observer;

/// A step that is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Steps done before it.
    pub step: u64,
    /// Its learning rate.
    pub learning_rate: f32,
    /// The largest loss that is no spike.
    pub limit: f64,
}

/// What a step or a validation found beside its loss, by name.
pub type Figures = Vec<(&'static str, f64)>;

/// What a validation batch came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The sum of the losses.
    pub loss: f64,
    /// Of how many targets or pairs.
    pub count: usize,
    /// How many of them were right, where that can be said.
    pub right: Option<usize>,
}

/// What a run learns. Everything that it does in a step is a function of the weights, of [`Turn::step`] and of what
/// [`Task::memory`] keeps, so that a resumed run goes on to the same bits.
pub trait Task {
    /// Does a step, which `observer` watches.
    fn step(
        &mut self,
        trainer: &mut Trainer,
        turn: Turn,
        observer: &mut dyn Observer,
    ) -> StepReport;

    /// What the newest step found beside its loss.
    fn figures(&self) -> &[(&'static str, f64)] {
        &[]
    }

    /// Steps after which `epochs` epochs are complete.
    fn steps(&self, epochs: usize) -> usize;

    /// Batches of the whole validation.
    fn validation_batches(&self) -> usize;

    /// One of them.
    fn validate(&mut self, trainer: &mut Trainer, index: usize) -> Score;

    /// What a checkpoint must remember of this task.
    fn memory(&self) -> Option<f64> {
        None
    }

    /// Goes on from what a checkpoint remembers.
    fn recall(&mut self, _memory: f64) {}

    /// What is learnt from, for people.
    fn describe(&self) -> String;
}

/// Predict the next token of a text.
#[derive(Debug)]
pub struct NextToken {
    data: Dataset,
    batch: Batch,
    figures: Figures,
}

impl NextToken {
    /// Of this text.
    pub fn new(data: Dataset) -> NextToken {
        let batch = data.empty_batch();
        NextToken {
            data,
            batch,
            figures: Figures::new(),
        }
    }

    /// The text.
    pub fn data(&self) -> &Dataset {
        &self.data
    }
}

impl Task for NextToken {
    fn step(
        &mut self,
        trainer: &mut Trainer,
        turn: Turn,
        observer: &mut dyn Observer,
    ) -> StepReport {
        self.data.fill(turn.step as usize, &mut self.batch);
        let report = trainer.step_below(turn.limit, &self.batch, turn.learning_rate, observer);
        self.figures.clear();
        if let Some(exchange) = trainer.exchange() {
            let spent = exchange.spent();
            self.figures.extend([
                ("summing_seconds", spent.summing.as_secs_f64()),
                ("waiting_seconds", spent.waiting.as_secs_f64()),
                ("gathering_seconds", spent.gathering.as_secs_f64()),
            ]);
        }
        report
    }

    fn figures(&self) -> &[(&'static str, f64)] {
        &self.figures
    }

    fn steps(&self, epochs: usize) -> usize {
        self.data.steps(epochs)
    }

    fn validation_batches(&self) -> usize {
        self.data.validation_batches()
    }

    fn validate(&mut self, trainer: &mut Trainer, index: usize) -> Score {
        let batch = self.data.validation_batch(index);
        Score::of_targets(trainer, &batch)
    }

    fn describe(&self) -> String {
        let [training, validation] = self
            .data
            .tokens()
            .map(|count| crate::units::grouped(count as i64));
        format!("{training} tokens to train on, {validation} to validate on")
    }
}

impl Score {
    /// The loss of a batch's targets.
    pub(super) fn of_targets(trainer: &mut Trainer, batch: &Batch) -> Score {
        let count = batch.counted();
        Score {
            loss: trainer.evaluate(batch) * count as f64,
            count,
            right: None,
        }
    }
}
