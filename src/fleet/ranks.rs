//! What ranks do together. Whoever implements it says how bytes reach everybody; the rest has a plain form that anything faster must
//! agree with.

use std::ops::Range;

/// Values of a message: counts of MPI are 32-bit.
const MOST: usize = 1 << 24;

/// One of several processes that call the same functions in the same order: each call returns when all have made it.
pub trait Ranks {
    /// This one, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// What every rank says, by rank.
    fn tell(&mut self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Replaces values by their sums over all ranks: the same bits on every rank, and again for as many ranks in the same places.
    fn sum(&mut self, values: &mut Vec<f32>) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let all = self.tell(&bytes);
        values.fill(0.0);
        for of_rank in &all {
            for (sum, value) in values.iter_mut().zip(of_rank.as_chunks().0) {
                *sum += f32::from_le_bytes(*value);
            }
        }
    }

    /// The same for few values of double precision, added in the order of the ranks.
    fn sum_exactly(&mut self, values: &mut [f64]) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let all = self.tell(&bytes);
        values.fill(0.0);
        for of_rank in &all {
            for (sum, value) in values.iter_mut().zip(of_rank.as_chunks().0) {
                *sum += f64::from_le_bytes(*value);
            }
        }
    }

    /// The sums over all ranks of this rank's block of `values`, which are cut into as many equal blocks as there are ranks.
    fn sum_own(&mut self, values: &[f32]) -> Vec<f32> {
        let mut sums = values.to_vec();
        self.sum(&mut sums);
        let block = values.len() / self.size();
        sums[self.rank() * block..][..block].to_vec()
    }

    /// The blocks of all ranks, one behind the other; all are as long.
    fn gather(&mut self, own: &[f32]) -> Vec<f32> {
        let bytes: Vec<u8> = own.iter().flat_map(|value| value.to_le_bytes()).collect();
        let all = self.tell(&bytes).concat();
        all.as_chunks()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    }

    /// Replaces the values of every rank by those of rank 0.
    fn spread(&mut self, values: &mut [f32]) {
        for part in values.chunks_mut(MOST) {
            let own: &[f32] = if self.rank() == 0 { part } else { &[] };
            let bytes: Vec<u8> = own.iter().flat_map(|value| value.to_le_bytes()).collect();
            let all = self.tell(&bytes);
            for (value, first) in part.iter_mut().zip(all[0].as_chunks().0) {
                *value = f32::from_le_bytes(*first);
            }
        }
    }
}

/// The rows of `all` that a rank takes: contiguous, and as many as any other's or one more.
pub fn share(all: usize, rank: usize, size: usize) -> Range<usize> {
    rank * all / size..(rank + 1) * all / size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::threads;

    #[test]
    fn every_row_is_somebodys_and_nobody_has_two_more() {
        for (all, size) in [(32, 1), (32, 2), (32, 3), (7, 7), (5, 4), (3, 8)] {
            let shares: Vec<_> = (0..size).map(|rank| share(all, rank, size)).collect();
            assert_eq!(
                shares.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
                (0..all).collect::<Vec<_>>()
            );
            let lengths = || shares.iter().map(ExactSizeIterator::len);
            assert!(
                lengths().max() <= lengths().min().map(|least| least + 1),
                "{shares:?}"
            );
        }
    }

    #[test]
    fn sums_and_blocks_are_those_of_all_ranks() {
        let found = threads(3, |ranks| {
            let rank = ranks.rank() as f32;
            let mut sums = vec![rank, 1.0, 0.5];
            ranks.sum(&mut sums);
            let mut exact = [f64::from(rank) * f64::EPSILON, 1.0];
            ranks.sum_exactly(&mut exact);
            let own = ranks.sum_own(&[0.0, rank, 1.0, 2.0 * rank, 2.0, rank]);
            let mut spread = [rank + 4.0];
            ranks.spread(&mut spread);
            (sums, exact, ranks.gather(&own), spread)
        });
        for (sums, exact, gathered, spread) in found {
            assert_eq!(sums, [3.0, 3.0, 1.5]);
            assert_eq!(exact, [3.0 * f64::EPSILON, 3.0]);
            assert_eq!(gathered, [0.0, 3.0, 3.0, 6.0, 6.0, 3.0]);
            assert_eq!(spread, [4.0]);
        }
    }
}
