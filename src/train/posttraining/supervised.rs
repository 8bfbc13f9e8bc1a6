//! Supervised fine-tuning: the loss is that of the response's tokens; the prompt is read and not learnt.

use crate::model::Observer;
use crate::text::examples::Encoded;
use crate::train::data::{Batch, IGNORED};
use crate::train::order::Order;
use crate::train::task::{Score, Task, Turn};
use crate::train::trainer::{StepReport, Trainer};
use crate::units::grouped;

/// A batch is as long as its longest example, up to a multiple of this.
const LENGTH_STEP: usize = 8;

/// Worked examples to be learnt.
#[derive(Debug)]
pub struct Supervised {
    examples: Vec<Encoded>,
    held_out: Vec<Encoded>,
    order: Order,
    size: usize,
    batch: Batch,
}

impl Supervised {
    /// Learns `examples`, `size` in a step, in orders of this seed, and is validated on those held out. None of them is longer than
    /// the planned sequences and one token.
    ///
    /// # Panics
    /// When there is no example.
    pub fn new(
        examples: Vec<Encoded>,
        held_out: Vec<Encoded>,
        size: usize,
        seed: u64,
    ) -> Supervised {
        assert!(!examples.is_empty(), "there is nothing to learn");
        Supervised {
            order: Order::new(seed, examples.len()),
            examples,
            held_out,
            size,
            batch: Batch::default(),
        }
    }
}

impl Task for Supervised {
    fn step(
        &mut self,
        trainer: &mut Trainer,
        turn: Turn,
        observer: &mut dyn Observer,
    ) -> StepReport {
        let (order, examples) = (&mut self.order, &self.examples);
        let first = turn.step * self.size as u64;
        let chosen: Vec<&Encoded> = (first..first + self.size as u64)
            .map(|position| &examples[order.item(position)])
            .collect();
        fill(&mut self.batch, &chosen, trainer.plan().length);
        trainer.step_below(turn.limit, &self.batch, turn.learning_rate, observer)
    }

    fn steps(&self, epochs: usize) -> usize {
        self.examples
            .len()
            .saturating_mul(epochs)
            .div_ceil(self.size)
    }

    fn validation_batches(&self) -> usize {
        self.held_out.len().div_ceil(self.size)
    }

    fn validate(&mut self, trainer: &mut Trainer, index: usize) -> Score {
        let end = ((index + 1) * self.size).min(self.held_out.len());
        let chosen: Vec<&Encoded> = self.held_out[index * self.size..end].iter().collect();
        fill(&mut self.batch, &chosen, trainer.plan().length);
        Score::of_targets(trainer, &self.batch)
    }

    fn describe(&self) -> String {
        let [learnt, held] =
            [&self.examples, &self.held_out].map(|part| grouped(part.len() as i64));
        format!("{learnt} examples to learn, {held} held out")
    }
}

/// The tokens of the rows of a batch whose longest has so many: at most `most`, unless that is too few.
pub(super) fn rounded(longest: Option<usize>, most: usize) -> usize {
    let longest = longest.unwrap_or(1);
    longest.next_multiple_of(LENGTH_STEP).min(most.max(longest))
}

/// A row for each example: its tokens but the last, and the one after each, where that belongs to the response. What follows an
/// example's end in its row is read by nobody before it.
pub(super) fn fill(batch: &mut Batch, examples: &[&Encoded], most: usize) {
    let longest = examples.iter().map(|example| example.ids.len() - 1).max();
    batch.sequences = examples.len();
    batch.length = rounded(longest, most);
    let cells = batch.sequences * batch.length;
    batch.inputs.clear();
    batch.inputs.resize(cells, 0);
    batch.targets.clear();
    batch.targets.resize(cells, IGNORED);
    for (row, example) in examples.iter().enumerate() {
        let (start, last) = (row * batch.length, example.ids.len() - 1);
        batch.inputs[start..start + last].copy_from_slice(&example.ids[..last]);
        let learnt = example.prompt - 1..last;
        batch.targets[start + learnt.start..start + learnt.end]
            .copy_from_slice(&example.ids[example.prompt..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_response_alone() {
        let example = |ids: std::ops::Range<u32>, prompt| Encoded {
            ids: ids.collect(),
            prompt,
        };
        let (short, long) = (example(10..14, 3), example(20..31, 1));
        let mut batch = Batch::default();
        fill(&mut batch, &[&short, &long], 99);
        assert_eq!((batch.sequences, batch.length), (2, 16));
        assert_eq!(batch.inputs[..4], [10, 11, 12, 0]);
        assert_eq!(batch.targets[..4], [IGNORED, IGNORED, 13, IGNORED]);
        assert_eq!(
            batch.targets[16..26],
            [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]
        );
        assert_eq!(batch.counted(), 11);
        // A batch that was longer leaves nothing behind.
        fill(&mut batch, &[&short], 99);
        assert_eq!(
            (batch.length, batch.inputs.len(), batch.counted()),
            (8, 8, 1)
        );
        // Nor is one longer than planned.
        fill(&mut batch, &[&short], 5);
        assert_eq!((batch.length, batch.counted()), (5, 1));
    }
}
