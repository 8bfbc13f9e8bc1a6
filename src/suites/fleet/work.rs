//! What a rank does in a step, as the forecast of larger fleets takes it.

use std::sync::Arc;

use super::super::steps::invented;
use crate::measure::clock::Clock;
use crate::model::Unobserved;
use crate::parallel::Pool;
use crate::stats::forecast::{Bucket, Work};
use crate::stats::summary::median;
use crate::train::exchange::travels;
use crate::train::{Batch, Plan, Trainer, TrainerError};

/// Of the time of a micro-batch, what backward takes: two products for each of forward.
const BACKWARD: f64 = 2.0 / 3.0;

/// Rounds of messages of a few bytes in a step: whether to stop, and the loss; each tells lengths first.
const TOLD: f64 = 4.0;

/// How long a process takes by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds of a step whatever its batch: the update, and packing the weights.
    pub fixed: f64,
    /// Seconds of each sequence.
    pub sequence: f64,
}

impl Pace {
    /// From the seconds of steps of so many sequences, two numbers of them.
    pub fn through((one, seconds): (usize, f64), (other, longer): (usize, f64)) -> Pace {
        let sequence = (longer - seconds) / (other as f64 - one as f64);
        let fixed = (seconds - one as f64 * sequence).max(0.0);
        Pace { fixed, sequence }
    }

    /// Seconds of a step of so many sequences.
    pub fn seconds(&self, sequences: f64) -> f64 {
        self.fixed + self.sequence * sequences
    }
}

/// Takes some steps of the plan's batch and of half of it, on ids in no order.
///
/// # Errors
/// When there is no memory, or the sizes make no model.
pub fn pace(
    clock: &Clock,
    plan: &Plan,
    pool: &Arc<Pool>,
    rounds: usize,
) -> Result<Pace, TrainerError> {
    let mut trainer = Trainer::new(plan, Arc::clone(pool), 1)?;
    let halves = [plan.batch.div_ceil(2), plan.batch];
    let batches = halves.map(|sequences| invented(sequences, plan.length, plan.shape.vocab_size));
    let mut times = [Vec::new(), Vec::new()];
    step(clock, &mut trainer, &batches[1]);
    for _ in 0..rounds.max(1) {
        for (batch, times) in batches.iter().zip(&mut times) {
            times.push(step(clock, &mut trainer, batch));
        }
    }
    let [half, whole] = times.map(|times| median(&times).unwrap_or(f64::NAN));
    Ok(match halves[0] < halves[1] {
        true => Pace::through((halves[0], half), (halves[1], whole)),
        false => Pace {
            fixed: 0.0,
            sequence: whole,
        },
    })
}

/// Seconds of a step that changes nothing to speak of.
pub(super) fn step(clock: &Clock, trainer: &mut Trainer, batch: &Batch) -> f64 {
    let begin = clock.now();
    trainer.step(batch, 0.0, &mut Unobserved);
    clock.since(begin)
}

/// What computing and the exchange of gradients are to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interplay {
    /// Of the communication that backward could hide, the part that it does: 0 to 1.
    pub overlap: f64,
    /// Seconds of computing that each byte takes that a rank sends.
    pub moving: f64,
}

/// The work of a rank that takes so many sequences of a step, among `ranks`.
pub fn work(
    plan: &Plan,
    pace: Pace,
    sequences: f64,
    ranks: usize,
    Interplay { overlap, moving }: Interplay,
) -> Work {
    let backward = BACKWARD * pace.sequence * (plan.micro_batch as f64).min(sequences);
    let travels = travels(&plan.shape, plan.length, ranks);
    let bucket = |travel: &crate::train::exchange::Travel| Bucket {
        bytes: travel.bytes as f64,
        left: travel.left * backward,
    };
    Work {
        compute: pace.seconds(sequences),
        buckets: travels.iter().map(bucket).collect(),
        overlap,
        moving,
        told: TOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::testing::tiny;

    #[test]
    fn a_pace_is_the_line_through_two_batches() {
        let pace = Pace::through((4, 1.5), (8, 2.5));
        assert_eq!((pace.fixed, pace.sequence), (0.5, 0.25));
        assert_eq!(pace.seconds(16.0), 4.5);
        // Half of a batch that takes less than half of the time.
        assert_eq!(Pace::through((4, 0.9), (8, 2.0)).fixed, 0.0);
    }

    #[test]
    fn all_gradients_travel_and_the_last_when_backward_has_ended() {
        let plan = tiny(8, 4).plan;
        let pace = Pace {
            fixed: 1.0,
            sequence: 3.0,
        };
        let interplay = Interplay {
            overlap: 1.0,
            moving: 1e-9,
        };
        let work = work(&plan, pace, 8.0, 2, interplay);
        assert_eq!(work.compute, 25.0);
        let bytes: f64 = work.buckets.iter().map(|bucket| bucket.bytes).sum();
        assert!(bytes >= plan.memory().gradients as f64);
        assert_eq!(work.moved(2), bytes);
        assert_eq!(work.buckets.last().map(|bucket| bucket.left), Some(0.0));
        // Backward of four sequences: two thirds of twelve seconds.
        assert!(work.buckets.iter().all(|bucket| bucket.left <= 8.0));
    }
}
