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

    /// Adds up this rank's block of `values`, which are cut into as many equal blocks as there are ranks: in the order of the ranks, so
    /// that the bits are those of any engine. Afterwards the block holds its sums, and the other blocks nothing of use.
    fn sum_own(&mut self, values: &mut [f32]) {
        let block = self.block(values.len());
        let all = self.tell(&bytes(values));
        for index in block {
            let mut all = all
                .iter()
                .map(|of_rank| f32::from_le_bytes(of_rank.as_chunks().0[index]));
            values[index] = all
                .next()
                .map_or(0.0, |first| all.fold(first, |sum, value| sum + value));
        }
    }

    /// Gives every rank the blocks of all, each in its place of `values`, of which this rank's own is there.
    fn gather(&mut self, values: &mut [f32]) {
        let block = self.block(values.len());
        let bytes = bytes(&values[block]);
        let all = self.tell(&bytes).concat();
        for (value, heard) in values.iter_mut().zip(all.as_chunks().0) {
            *value = f32::from_le_bytes(*heard);
        }
    }

    /// Replaces values by their sums over all ranks, as [`Ranks::sum_own`] adds them up: the same bits on every rank.
    fn sum(&mut self, values: &mut [f32]) {
        self.sum_own(values);
        self.gather(values);
    }

    /// This rank's block of so many values.
    ///
    /// # Panics
    /// When they are no equal blocks.
    fn block(&self, values: usize) -> Range<usize> {
        let (rank, size) = (self.rank(), self.size());
        assert!(values.is_multiple_of(size), "{values} values, {size} ranks");
        rank * (values / size)..(rank + 1) * (values / size)
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

    /// Replaces the values of every rank by those of rank 0.
    fn spread(&mut self, values: &mut [f32]) {
        for part in values.chunks_mut(MOST) {
            let own: &[f32] = if self.rank() == 0 { part } else { &[] };
            let all = self.tell(&bytes(own));
            for (value, first) in part.iter_mut().zip(all[0].as_chunks().0) {
                *value = f32::from_le_bytes(*first);
            }
        }
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
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
            let mut own = [0.0, rank, 1.0, 2.0 * rank, 2.0, rank];
            ranks.sum_own(&mut own);
            let block = ranks.block(6);
            let own = own[block].to_vec();
            let mut gathered = [-1.0; 6];
            gathered[2 * ranks.rank()..][..2].copy_from_slice(&own);
            ranks.gather(&mut gathered);
            let mut spread = [rank + 4.0];
            ranks.spread(&mut spread);
            (sums, exact, own, gathered, spread)
        });
        for (rank, (sums, exact, own, gathered, spread)) in found.into_iter().enumerate() {
            assert_eq!(sums, [3.0, 3.0, 1.5]);
            assert_eq!(exact, [3.0 * f64::EPSILON, 3.0]);
            assert_eq!(gathered, [0.0, 3.0, 3.0, 6.0, 6.0, 3.0]);
            assert_eq!(own, gathered[2 * rank..][..2]);
            assert_eq!(spread, [4.0]);
        }
    }

    /// Three numbers whose sum depends on their order.
    #[test]
    fn sums_are_in_the_order_of_the_ranks() {
        let values = [1e8, 1.0, -1e8];
        let found = threads(3, |ranks| {
            let mut sums = [values[ranks.rank()]; 3];
            ranks.sum(&mut sums);
            sums
        });
        assert_eq!(found, [[(values[0] + values[1]) + values[2]; 3]; 3]);
        assert_ne!(found[0][0], (values[0] + values[2]) + values[1]);
    }
}
