//! The gradients of all ranks added up while backward goes on, and the few numbers on which all must agree.
//!
//! Backward completes the gradients from the end of their region to its beginning. They are cut into buckets of whole blocks; a bucket
//! is copied and handed to the fleet's thread as soon as it is complete, and its sums are copied back after backward.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, share};
use crate::model::{Layout, Parameters};

/// Values of a bucket, at least: a message costs its latency whatever its size, and small ones are slow over TCP.
const BUCKET: usize = 1 << 21;

/// What a bucket became, and how long that took.
type Summed = (usize, Vec<f32>, Duration);

/// A trainer's part in a fleet.
#[derive(Debug)]
pub struct Exchange {
    fleet: Arc<Fleet>,
    /// Places of the region, in the order in which they are complete.
    buckets: Vec<Range<usize>>,
    /// Of each, the values to be sent.
    buffers: Vec<Vec<f32>>,
    /// How many are on their way.
    sent: usize,
    done: Sender<Summed>,
    summed: Mutex<Receiver<Summed>>,
    spent: Spent,
}

/// What the newest step gave to communication.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// In sums of gradients, those of slower ranks waited for.
    pub summing: Duration,
    /// Of it, after backward: what computation did not hide.
    pub waiting: Duration,
}

impl Exchange {
    /// For the gradients of this layout; takes as much memory as they do.
    pub fn new(fleet: Arc<Fleet>, layout: &Layout) -> Exchange {
        let buckets = buckets(layout, BUCKET);
        let (done, summed) = channel();
        Exchange {
            fleet,
            buffers: buckets
                .iter()
                .map(|range| Vec::with_capacity(range.len()))
                .collect(),
            buckets,
            sent: 0,
            done,
            summed: Mutex::new(summed),
            spent: Spent::default(),
        }
    }

    /// Who the others are.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The rows of a batch that are this rank's.
    pub(super) fn rows(&self, sequences: usize) -> Range<usize> {
        share(sequences, self.fleet.rank(), self.fleet.size())
    }

    /// Sends what is complete and not on its way: all that begins at `from` or behind it.
    pub(super) fn send(&mut self, gradients: &[f32], from: usize) {
        while let Some(range) = self
            .buckets
            .get(self.sent)
            .filter(|range| range.start >= from)
        {
            let index = self.sent;
            let mut values = std::mem::take(&mut self.buffers[index]);
            values.clear();
            values.extend_from_slice(&gradients[range.clone()]);
            let done = self.done.clone();
            self.fleet.submit(move |ranks| {
                let begin = Instant::now();
                ranks.sum(&mut values);
                // Who has given up waiting needs no sums.
                let _ = done.send((index, values, begin.elapsed()));
            });
            self.sent += 1;
        }
    }

    /// Replaces the gradients by their sums over all ranks, and returns the sum of `loss`.
    ///
    /// # Panics
    /// When the fleet's thread has panicked.
    pub(super) fn collect(&mut self, gradients: &mut [f32], loss: f64) -> f64 {
        self.send(gradients, 0);
        let begin = Instant::now();
        // Behind the buckets: where the thread has panicked, this panics, while the channel would wait for ever.
        let [loss] = self.fleet.sum([loss]);
        self.spent = Spent::default();
        let summed = self
            .summed
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for _ in 0..std::mem::take(&mut self.sent) {
            // Jobs are done in their order: the sums that came last are behind this in the channel.
            let (index, values, seconds) = summed.recv().expect("this holds an end of the channel");
            gradients[self.buckets[index].clone()].copy_from_slice(&values);
            self.buffers[index] = values;
            self.spent.summing += seconds;
        }
        self.spent.waiting = begin.elapsed();
        loss
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

/// The region from its end to its beginning, in pieces of whole blocks that have at least `least` values, but for the last one.
fn buckets(layout: &Layout, least: usize) -> Vec<Range<usize>> {
    let blocks = layout
        .layers
        .iter()
        .rev()
        .map(|layer| layer.ln_1_weight.start);
    let starts = [layout.ln_f_weight.start].into_iter().chain(blocks);
    let (mut buckets, mut end) = (Vec::new(), layout.len);
    for start in starts {
        if end - start >= least {
            buckets.push(start..end);
            end = start;
        }
    }
    buckets.push(0..end);
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::fleets;
    use crate::model::Shape;

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

    #[test]
    fn buckets_are_the_region_from_its_end() {
        for tied in [true, false] {
            let layout = Layout::new(&Shape { tied, ..SHAPE });
            for least in [1, 5000, usize::MAX] {
                let buckets = buckets(&layout, least);
                let mut end = layout.len;
                for bucket in &buckets {
                    assert_eq!(bucket.end, end);
                    end = bucket.start;
                }
                assert_eq!(end, 0);
                let (_, whole) = buckets.split_last().unwrap();
                assert!(whole.iter().all(|bucket| bucket.len() >= least));
            }
            assert_eq!(buckets(&layout, 1).len(), 5);
            assert_eq!(buckets(&layout, usize::MAX).first(), Some(&(0..layout.len)));
        }
    }

    #[test]
    fn sums_come_back_to_their_places() {
        let layout = Layout::new(&SHAPE);
        let found = fleets(3, |fleet| {
            let rank = fleet.rank();
            let mut exchange = Exchange::new(Arc::clone(&fleet), &layout);
            exchange.buckets = buckets(&layout, 1);
            exchange.buffers = vec![Vec::new(); exchange.buckets.len()];
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
