//! The gradients of all ranks added up while backward goes on, and the few numbers on which all must agree.
//!
//! Backward completes the gradients from the end of their region to its beginning. They are cut into buckets of whole blocks; a bucket
//! is copied and handed to the fleet's thread as soon as it is complete, and its sums are copied back after backward. Where the
//! optimizer is shared (the first stage of ZeRO, <https://arxiv.org/abs/1910.02054>), a rank gets the sums of its part of each bucket
//! alone, and after the update everybody's part of the weights: as many bytes as all sums.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cut::Cut;
use crate::fleet::{Fleet, Ranks, share};
use crate::model::{Layout, Parameters, Shape};

/// What a message became, and how long that took.
type Done = (usize, Vec<f32>, Duration);

/// A trainer's part in a fleet.
#[derive(Debug)]
pub struct Exchange {
    fleet: Arc<Fleet>,
    cut: Cut,
    /// Each rank updates its parts alone.
    shares_optimizer: bool,
    /// A message for each bucket, while none is on its way.
    messages: Vec<Vec<f32>>,
    /// How many buckets are on their way.
    sent: usize,
    done: Sender<Done>,
    returned: Mutex<Receiver<Done>>,
    spent: Spent,
}

/// What the newest step gave to communication.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// In sums of gradients, those of slower ranks waited for.
    pub summing: Duration,
    /// Of it, after backward: what computation did not hide.
    pub waiting: Duration,
    /// Waiting for the weights that others have updated, where the optimizer is shared.
    pub gathering: Duration,
}

/// Gradients that travel by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Travel {
    /// Bytes of the message.
    pub bytes: usize,
    /// Of a backward pass, the part that is left when they are complete.
    pub left: f64,
}

/// What is added up in a step among so many ranks, in the order in which backward completes it. How far backward is, is told by the
/// customary FLOPs of head and blocks.
pub fn travels(shape: &Shape, length: usize, ranks: usize) -> Vec<Travel> {
    let layout = Layout::new(shape);
    let cut = Cut::new(&layout, ranks);
    let head = 6.0 * (shape.d_model * shape.vocab_size) as f64;
    let all = shape.training_flops_per_token(length);
    let travel = |(bucket, range): (usize, &Range<usize>)| {
        let before = |layer: &&crate::model::Layer| layer.ln_1_weight.start < range.start;
        let left = layout.layers.iter().filter(before).count();
        Travel {
            bytes: cut.message_len(bucket) * size_of::<f32>(),
            left: (1.0 - head / all) * left as f64 / shape.layers as f64,
        }
    };
    cut.buckets().iter().enumerate().map(travel).collect()
}

/// How often an engine holds the largest message while it travels: as it is received, and, where a rank's block is to lie in one, in the
/// order of its pieces too.
pub(super) fn rooms(shares_optimizer: bool) -> usize {
    1 + usize::from(shares_optimizer)
}

impl Exchange {
    /// For the gradients of this layout; takes as much memory as they do.
    pub fn new(fleet: Arc<Fleet>, layout: &Layout, shares_optimizer: bool) -> Exchange {
        let cut = Cut::new(layout, fleet.size());
        Exchange::with_cut(fleet, cut, shares_optimizer)
    }

    fn with_cut(fleet: Arc<Fleet>, cut: Cut, shares_optimizer: bool) -> Exchange {
        let (done, returned) = channel();
        let message = |bucket| Vec::with_capacity(cut.message_len(bucket));
        Exchange {
            fleet,
            messages: (0..cut.buckets().len()).map(message).collect(),
            cut,
            shares_optimizer,
            sent: 0,
            done,
            returned: Mutex::new(returned),
            spent: Spent::default(),
        }
    }

    /// Who the others are.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The buckets and their parts.
    pub(super) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Whether each rank updates its parts alone.
    pub(super) fn shares_optimizer(&self) -> bool {
        self.shares_optimizer
    }

    /// Bytes of the messages that have been written so far, and of the rooms for the largest.
    pub(super) fn used_bytes(&self) -> usize {
        let lens = || self.messages.iter().map(Vec::len);
        let largest = lens().max().unwrap_or(0) * rooms(self.shares_optimizer);
        (lens().sum::<usize>() + largest) * size_of::<f32>()
    }

    /// The rows of a batch that are this rank's.
    pub(super) fn rows(&self, sequences: usize) -> Range<usize> {
        share(sequences, self.fleet.rank(), self.fleet.size())
    }

    /// Sends what is complete and not on its way: all that begins at `from` or behind it.
    pub(super) fn send(&mut self, gradients: &[f32], from: usize) {
        let add = match self.shares_optimizer {
            true => |ranks: &mut dyn Ranks, values: &mut [f32]| ranks.sum_own(values),
            false => |ranks: &mut dyn Ranks, values: &mut [f32]| ranks.sum(values),
        };
        while let Some(range) = self
            .cut
            .buckets()
            .get(self.sent)
            .filter(|range| range.start >= from)
        {
            let mut message = std::mem::take(&mut self.messages[self.sent]);
            message.clear();
            message.extend_from_slice(&gradients[range.clone()]);
            message.resize(self.cut.message_len(self.sent), 0.0);
            self.submit(self.sent, message, add);
            self.sent += 1;
        }
    }

    /// Replaces the gradients by their sums over all ranks, those of this rank's parts where the optimizer is shared, and returns the sum
    /// of `loss`.
    ///
    /// # Panics
    /// When the fleet's thread has panicked.
    pub(super) fn collect(&mut self, gradients: &mut [f32], loss: f64) -> f64 {
        self.send(gradients, 0);
        self.sent = 0;
        let begin = Instant::now();
        // Behind the buckets: where the thread has panicked, this panics, while the channel would wait for ever.
        let [loss] = self.fleet.sum([loss]);
        self.spent = Spent {
            summing: self.take_back(),
            ..Spent::default()
        };
        for (bucket, range) in self.cut.buckets().iter().enumerate() {
            let message = &self.messages[bucket];
            let part = self.cut.part(bucket, self.fleet.rank());
            if self.shares_optimizer {
                let own = self.fleet.rank() * self.cut.part_len(bucket);
                gradients[part.clone()].copy_from_slice(&message[own..][..part.len()]);
            } else {
                gradients[range.clone()].copy_from_slice(&message[..range.len()]);
            }
        }
        self.spent.waiting = begin.elapsed();
        loss
    }

    /// Sends this rank's part of a bucket to all others. Every bucket must be offered, in their order, before [`Exchange::gathered`].
    pub(super) fn offer(&mut self, bucket: usize, part: &[f32]) {
        let mut message = std::mem::take(&mut self.messages[bucket]);
        message.resize(self.cut.message_len(bucket), 0.0);
        let own = self.fleet.rank() * self.cut.part_len(bucket);
        message[own..][..part.len()].copy_from_slice(part);
        self.submit(bucket, message, |ranks, values| ranks.gather(values));
    }

    /// Waits for what everybody offered: each bucket with its values.
    ///
    /// # Panics
    /// When the fleet's thread has panicked.
    pub(super) fn gathered(&mut self) -> impl Iterator<Item = (Range<usize>, &[f32])> {
        let begin = Instant::now();
        self.fleet.ask(|_| ());
        self.take_back();
        self.spent.gathering = begin.elapsed();
        let buckets = self.cut.buckets().iter().zip(&self.messages);
        buckets.map(|(range, message)| (range.clone(), &message[..range.len()]))
    }

    /// What was gathered last, of a range that lies in one bucket; `None` where it does not.
    pub(super) fn at(&self, range: &Range<usize>) -> Option<&[f32]> {
        let mut buckets = self.cut.buckets().iter().zip(&self.messages);
        let (bucket, message) =
            buckets.find(|(bucket, _)| bucket.start <= range.start && range.end <= bucket.end)?;
        message.get(range.start - bucket.start..range.end - bucket.start)
    }

    fn submit(
        &self,
        bucket: usize,
        mut message: Vec<f32>,
        work: impl FnOnce(&mut dyn Ranks, &mut [f32]) + Send + 'static,
    ) {
        let done = self.done.clone();
        self.fleet.submit(move |ranks| {
            let begin = Instant::now();
            work(ranks, &mut message);
            // Who has given up waiting needs nothing back.
            let _ = done.send((bucket, message, begin.elapsed()));
        });
    }

    /// The messages of all buckets, and how long they took together. Jobs are done in their order: after an answer to a later one, what
    /// they came to is in the channel.
    fn take_back(&mut self) -> Duration {
        let returned = self
            .returned
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all = Duration::ZERO;
        for _ in 0..self.messages.len() {
            let (bucket, message, seconds) =
                returned.recv().expect("this holds an end of the channel");
            self.messages[bucket] = message;
            all += seconds;
        }
        all
    }

    /// What the newest step gave to communication.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The first rank whose weights are not those of rank 0, on every rank the same.
    pub(super) fn stray(&self, weights: &Parameters) -> Option<usize> {
        let all = self
            .fleet
            .tell(digest(&weights.values).to_le_bytes().to_vec());
        all.iter().position(|of_rank| *of_rank != all[0])
    }
}

/// A digest of the bits: one that is off shows, and so do two that changed places.
fn digest(values: &[f32]) -> u64 {
    values
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |digest: u64, value| {
            (digest ^ u64::from(value.to_bits()))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::fleets;
    const SHAPE: Shape = Shape {
        vocab_size: 50,
        context: 12,
        d_model: 24,
        heads: 3,
        layers: 3,
        d_ff: 40,
        tied: true,
        scalar_head: false,
    };

    /// Small buckets, of which three can be sent before backward ends.
    fn exchange(fleet: Arc<Fleet>, layout: &Layout, shares_optimizer: bool) -> Exchange {
        let cut = Cut::with_buckets_of(1, layout, fleet.size());
        Exchange::with_cut(fleet, cut, shares_optimizer)
    }

    #[test]
    fn sums_come_back_to_their_places() {
        let layout = Layout::new(&SHAPE);
        for shares_optimizer in [false, true] {
            let found = fleets(3, |fleet| {
                let rank = fleet.rank();
                let mut exchange = exchange(Arc::clone(&fleet), &layout, shares_optimizer);
                let mut sums = Vec::new();
                for step in 0..2 {
                    let mut gradients: Vec<f32> = (0..layout.len)
                        .map(|index| (index + rank + step) as f32)
                        .collect();
                    for from in [layout.ln_f_weight.start, layout.layers[1].ln_1_weight.start] {
                        exchange.send(&gradients, from);
                    }
                    assert_eq!(exchange.sent, 3);
                    assert_eq!(exchange.collect(&mut gradients, 0.5), 1.5);
                    if shares_optimizer {
                        gradients = everything(&mut exchange, &gradients);
                    }
                    sums.push(gradients);
                }
                fleet.leave();
                sums
            });
            for (step, sums) in found.iter().flat_map(|of_rank| of_rank.iter().enumerate()) {
                for (index, sum) in sums.iter().enumerate() {
                    assert_eq!(*sum, (3 * (index + step) + 3) as f32);
                }
            }
        }
    }

    /// All values, of which each rank has its parts.
    fn everything(exchange: &mut Exchange, values: &[f32]) -> Vec<f32> {
        for bucket in 0..exchange.cut.buckets().len() {
            let part = exchange.cut.part(bucket, exchange.fleet.rank());
            exchange.offer(bucket, &values[part]);
        }
        let mut all = vec![f32::NAN; values.len()];
        for (range, values) in exchange.gathered() {
            all[range].copy_from_slice(values);
        }
        let tensor = Layout::new(&SHAPE).layers[1].c_fc_weight.clone();
        assert_eq!(exchange.at(&tensor), Some(&all[tensor]));
        assert_eq!(exchange.at(&(0..values.len())), None);
        all
    }

    #[test]
    fn gradients_travel_while_blocks_are_left() {
        let shape = Shape {
            d_model: 512,
            d_ff: 2048,
            heads: 8,
            ..SHAPE
        };
        let travels = travels(&shape, 12, 2);
        let lefts: Vec<f64> = travels.iter().map(|travel| travel.left).collect();
        let head = 6.0 * (512.0 * 50.0) / shape.training_flops_per_token(12);
        let block = (1.0 - head) / 3.0;
        assert_eq!(lefts.len(), 4, "{lefts:?}");
        for (left, blocks) in lefts.iter().zip([2.0, 1.0, 0.0]) {
            assert!((left - blocks * block).abs() < 1e-12, "{lefts:?}");
        }
        assert_eq!(lefts[3], 0.0);
        let bytes: usize = travels.iter().map(|travel| travel.bytes).sum();
        assert!(bytes >= 4 * Layout::new(&shape).len);
    }

    #[test]
    fn one_bit_or_two_exchanged_values_change_the_digest() {
        let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let mut other = values.clone();
        other[70] = f32::from_bits(other[70].to_bits() ^ 1);
        assert_ne!(digest(&values), digest(&other));
        other.clone_from(&values);
        other.swap(3, 4);
        assert_ne!(digest(&values), digest(&other));
    }
}
