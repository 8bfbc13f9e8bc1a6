//! The order in which a run sees its items: each epoch has one of its own, a function of the seed and of the epoch alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The order of the epoch asked for last.
#[derive(Debug)]
pub(super) struct Order {
    seed: u64,
    epoch: u64,
    items: Vec<u32>,
}

impl Order {
    /// That of `items` items, of which there is at least one and at most [`u32::MAX`].
    pub(super) fn new(seed: u64, items: usize) -> Order {
        let mut order = Order {
            seed,
            epoch: 0,
            items: vec![0; items],
        };
        order.become_of(0);
        order
    }

    /// The item at a position of the run, whose epochs follow each other.
    pub(super) fn item(&mut self, position: u64) -> usize {
        let items = self.items.len() as u64;
        let epoch = position / items;
        if self.epoch != epoch {
            self.become_of(epoch);
        }
        self.items[(position % items) as usize] as usize
    }

    /// The order of another epoch, in the same memory.
    fn become_of(&mut self, epoch: u64) {
        self.epoch = epoch;
        for (item, index) in self.items.iter_mut().zip(0..) {
            *item = index;
        }
        shuffle(&mut self.items, &mut stream(self.seed, epoch));
    }
}

/// A generator that depends on both numbers, and whose words are those of ChaCha8 for ever.
pub(super) fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// Fisher and Yates.
pub(super) fn shuffle(items: &mut [u32], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let pick = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, pick as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_never_changes_between_versions() {
        // Resuming a checkpoint of an older version depends on these values.
        let mut order = Order::new(42, 8);
        let first: Vec<usize> = (0..8).map(|position| order.item(position)).collect();
        assert_eq!(first, [4, 7, 0, 1, 3, 2, 6, 5]);
        let second: Vec<usize> = (8..16).map(|position| order.item(position)).collect();
        assert_ne!(first, second);
        assert_eq!(order.item(1), 7);
    }
}
