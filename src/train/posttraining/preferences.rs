//! Learning from preferences: a reward model, or the policy itself without one (DPO).

use super::losses;
use super::supervised::{fill, rounded};
use crate::model::Observer;
use crate::text::examples::Encoded;
use crate::train::data::{Batch, IGNORED};
use crate::train::objective::{Found, Objective, Slopes, TokenBuffers};
use crate::train::order::Order;
use crate::train::task::{Score, Task, Turn};
use crate::train::trainer::{StepReport, Trainer};
use crate::units::grouped;

/// The chosen and the rejected response of a pair.
pub type EncodedPair = [Encoded; 2];

/// What a pair is compared by.
#[derive(Debug)]
pub enum Comparison {
    /// The number that the scalar head gives at each response's last token: a reward.
    Reward,
    /// How much likelier the policy finds each response than the reference does.
    Likelihood {
        /// The model that the policy started as.
        reference: Box<Trainer>,
        /// How strongly the policy holds on to it.
        beta: f64,
    },
}

/// Pairs to be learnt. A step's batch holds them side by side, the chosen response first, so that a micro-batch of an even number of
/// sequences holds whole pairs.
#[derive(Debug)]
pub struct Preferences {
    pairs: Vec<EncodedPair>,
    held_out: Vec<EncodedPair>,
    order: Order,
    size: usize,
    comparison: Comparison,
    batch: Batch,
    figures: [(&'static str, f64); 2],
}

impl Preferences {
    /// Learns `pairs`, `size` in a step, in orders of this seed, and is validated on those held out.
    ///
    /// # Panics
    /// When there is no pair.
    pub fn new(
        pairs: Vec<EncodedPair>,
        held_out: Vec<EncodedPair>,
        size: usize,
        seed: u64,
        comparison: Comparison,
    ) -> Preferences {
        assert!(!pairs.is_empty(), "there is nothing to learn");
        Preferences {
            order: Order::new(seed, pairs.len()),
            pairs,
            held_out,
            size,
            comparison,
            batch: Batch::default(),
            figures: [("accuracy", 0.0), ("margin", 0.0)],
        }
    }

    /// The batch of some pairs, and what comparing them needs.
    fn compare(
        comparison: &mut Comparison,
        batch: &mut Batch,
        pairs: &[&EncodedPair],
        most: usize,
    ) -> PairLoss {
        let responses: Vec<&Encoded> = pairs.iter().flat_map(|pair| pair.iter()).collect();
        let by = match comparison {
            Comparison::Reward => {
                fill_whole(batch, &responses, most);
                By::Reward(
                    responses
                        .iter()
                        .map(|response| response.ids.len() - 1)
                        .collect(),
                )
            }
            Comparison::Likelihood { reference, beta } => {
                fill(batch, &responses, most);
                By::Likelihood(sums(&reference.read(batch).losses, batch.length), *beta)
            }
        };
        PairLoss {
            by,
            pairs: pairs.len(),
            right: 0,
            margin: 0.0,
        }
    }
}

#[cfg(test)]
impl Preferences {
    /// The loss of the batch of a step, with its gradient.
    pub(super) fn gradient(&mut self, trainer: &mut Trainer, first: usize) -> f64 {
        let pairs: Vec<&EncodedPair> = self.pairs[first..first + self.size].iter().collect();
        let most = trainer.plan().length;
        let mut loss = Preferences::compare(&mut self.comparison, &mut self.batch, &pairs, most);
        trainer.gradient_toward(&mut loss, &self.batch)
    }
}

impl Task for Preferences {
    fn step(
        &mut self,
        trainer: &mut Trainer,
        turn: Turn,
        observer: &mut dyn Observer,
    ) -> StepReport {
        let (order, all) = (&mut self.order, &self.pairs);
        let first = turn.step * self.size as u64;
        let pairs: Vec<&EncodedPair> = (first..first + self.size as u64)
            .map(|position| &all[order.item(position)])
            .collect();
        let mut loss = Preferences::compare(
            &mut self.comparison,
            &mut self.batch,
            &pairs,
            trainer.plan().length,
        );
        let report = trainer.step_toward(&mut loss, &self.batch, turn.learning_rate, observer);
        let count = pairs.len() as f64;
        self.figures = [
            ("accuracy", loss.right as f64 / count),
            ("margin", loss.margin / count),
        ];
        report
    }

    fn figures(&self) -> &[(&'static str, f64)] {
        &self.figures
    }

    fn steps(&self, epochs: usize) -> usize {
        self.pairs.len().saturating_mul(epochs).div_ceil(self.size)
    }

    fn validation_batches(&self) -> usize {
        self.held_out.len().div_ceil(self.size)
    }

    fn validate(&mut self, trainer: &mut Trainer, index: usize) -> Score {
        let end = ((index + 1) * self.size).min(self.held_out.len());
        let pairs: Vec<&EncodedPair> = self.held_out[index * self.size..end].iter().collect();
        let mut loss = Preferences::compare(
            &mut self.comparison,
            &mut self.batch,
            &pairs,
            trainer.plan().length,
        );
        let mut found = trainer.read(&self.batch);
        let place = Found {
            length: self.batch.length,
            ..Found::default()
        };
        let (found, into) = found.split(place);
        let mean = loss.derive(found, into);
        Score {
            loss: mean * pairs.len() as f64,
            count: pairs.len(),
            right: Some(loss.right),
        }
    }

    fn describe(&self) -> String {
        let [learnt, held] = [&self.pairs, &self.held_out].map(|part| grouped(part.len() as i64));
        format!("{learnt} pairs to learn, {held} held out")
    }
}

/// The sum over each sequence.
fn sums(losses: &[f32], length: usize) -> Vec<f64> {
    let sum = |losses: &[f32]| losses.iter().map(|loss| f64::from(*loss)).sum();
    losses.chunks(length).map(sum).collect()
}

/// A row for each response with all its tokens, and no target: the scalar head alone is asked.
fn fill_whole(batch: &mut Batch, responses: &[&Encoded], most: usize) {
    let longest = responses.iter().map(|response| response.ids.len()).max();
    batch.sequences = responses.len();
    batch.length = rounded(longest, most);
    let cells = batch.sequences * batch.length;
    batch.inputs.clear();
    batch.inputs.resize(cells, 0);
    batch.targets.clear();
    batch.targets.resize(cells, IGNORED);
    for (row, response) in batch.inputs.chunks_mut(batch.length).zip(responses) {
        row[..response.ids.len()].copy_from_slice(&response.ids);
    }
}

/// The mean loss of the pairs of a batch.
struct PairLoss {
    by: By,
    pairs: usize,
    /// Pairs whose chosen response came out ahead.
    right: usize,
    /// The sum of how far.
    margin: f64,
}

enum By {
    /// The last token of each response.
    Reward(Vec<usize>),
    /// What the reference says of each response, and DPO's beta.
    Likelihood(Vec<f64>, f64),
}

impl Objective for PairLoss {
    fn derive(&mut self, found: Found<'_>, into: Slopes<'_>) -> f64 {
        let (length, share) = (found.length, 1.0 / self.pairs as f64);
        let rows = found.losses.len() / length;
        assert!(rows.is_multiple_of(2), "a micro-batch cuts a pair in two");
        let own = sums(found.losses, length);
        let mut sum = 0.0;
        for chosen in (0..rows).step_by(2) {
            let row = found.first / length + chosen;
            let (loss, margin) = match &self.by {
                By::Reward(last) => {
                    let [a, b] = [0, 1].map(|which| (chosen + which) * length + last[row + which]);
                    let [first, second] = [a, b].map(|cell| f64::from(found.values[cell]));
                    let (loss, slope) = losses::bradley_terry(first, second);
                    into.values[a] = (slope * share) as f32;
                    into.values[b] = -into.values[a];
                    (loss, first - second)
                }
                By::Likelihood(reference, beta) => {
                    let gain = |which: usize| reference[row + which] - own[chosen + which];
                    let margin = gain(0) - gain(1);
                    let (loss, slope) = losses::dpo(margin, *beta);
                    let slope = (slope * share) as f32;
                    into.losses[chosen * length..][..length].fill(-slope);
                    into.losses[(chosen + 1) * length..][..length].fill(slope);
                    (loss, margin)
                }
            };
            self.right += usize::from(margin > 0.0);
            self.margin += margin;
            sum += loss * share;
        }
        sum
    }
}

/// The reward of each response, by a reward model.
pub(super) fn rewards(model: &mut Trainer, responses: &[&Encoded]) -> Vec<f64> {
    let mut batch = Batch::default();
    fill_whole(&mut batch, responses, model.plan().length);
    let TokenBuffers { values, .. } = model.read(&batch);
    let last = |(row, response): (usize, &&Encoded)| {
        f64::from(values[row * batch.length + response.ids.len() - 1])
    };
    responses.iter().enumerate().map(last).collect()
}
