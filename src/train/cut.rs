//! How the region of gradients is cut for the exchange: into buckets of whole blocks, and each bucket into a part for every rank.

use std::ops::Range;

use crate::model::Layout;
use crate::tensor::padded;

/// Values of a bucket, at least: a message costs its latency whatever its size. At 2 MB the bytes cost more, on a wire of 1 Gbit/s by a
/// hundred times and over shared memory still by ten, and most blocks travel while the next one is computed.
const BUCKET: usize = 1 << 19;

/// A region in buckets, and buckets in parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cut {
    /// In the order in which backward completes them: from the end of the region to its beginning.
    buckets: Vec<Range<usize>>,
    ranks: usize,
}

impl Cut {
    /// For so many ranks.
    pub(super) fn new(layout: &Layout, ranks: usize) -> Cut {
        Cut::with_buckets_of(BUCKET, layout, ranks)
    }

    /// The same with buckets of at least so many values, but for the last one.
    pub(super) fn with_buckets_of(least: usize, layout: &Layout, ranks: usize) -> Cut {
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
        Cut { buckets, ranks }
    }

    /// The buckets.
    pub(super) fn buckets(&self) -> &[Range<usize>] {
        &self.buckets
    }

    /// Values of a rank's part of this bucket: as many for each rank, so that the last ones may reach beyond its end.
    pub(super) fn part_len(&self, bucket: usize) -> usize {
        padded(self.buckets[bucket].len().div_ceil(self.ranks))
    }

    /// Values of this bucket with what reaches beyond its end.
    pub(super) fn message_len(&self, bucket: usize) -> usize {
        self.part_len(bucket) * self.ranks
    }

    /// The values of this bucket that a rank updates where the optimizer is shared; none for the last ranks of a small bucket.
    pub(super) fn part(&self, bucket: usize, rank: usize) -> Range<usize> {
        let (range, len) = (&self.buckets[bucket], self.part_len(bucket));
        let at = |rank: usize| (range.start + rank * len).min(range.end);
        at(rank)..at(rank + 1)
    }

    /// The parts of all ranks, bucket by bucket, each with its rank.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let of_bucket =
            move |bucket| (0..self.ranks).map(move |rank| (rank, self.part(bucket, rank)));
        (0..self.buckets.len()).flat_map(of_bucket)
    }

    /// Values of one rank's parts together.
    pub(super) fn own_len(&self) -> usize {
        (0..self.buckets.len())
            .map(|bucket| self.part_len(bucket))
            .sum()
    }

    /// Values of the messages of all buckets together, and of the largest.
    pub(super) fn message_lens(&self) -> (usize, usize) {
        let lens = || (0..self.buckets.len()).map(|bucket| self.message_len(bucket));
        (lens().sum(), lens().max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
                let cut = Cut::with_buckets_of(least, &layout, 1);
                let mut end = layout.len;
                for bucket in cut.buckets() {
                    assert_eq!(bucket.end, end);
                    end = bucket.start;
                }
                assert_eq!(end, 0);
                let (_, whole) = cut.buckets().split_last().unwrap();
                assert!(whole.iter().all(|bucket| bucket.len() >= least));
            }
            let count = |least| Cut::with_buckets_of(least, &layout, 1).buckets().len();
            assert_eq!((count(1), count(usize::MAX)), (5, 1));
        }
    }

    #[test]
    fn every_value_is_in_one_part_and_moments_are_cut_by_the_ranks() {
        let layout = Layout::new(&SHAPE);
        for ranks in [1, 2, 3, 5, 64] {
            for least in [1, usize::MAX] {
                let cut = Cut::with_buckets_of(least, &layout, ranks);
                let mut seen = vec![0; layout.len];
                for (_, part) in cut.parts() {
                    seen[part].iter_mut().for_each(|times| *times += 1);
                }
                assert!(seen.iter().all(|times| *times == 1));
                let own = |rank| {
                    let part = |bucket| cut.part(bucket, rank).len();
                    (0..cut.buckets().len()).map(part).sum::<usize>()
                };
                assert!((0..ranks).all(|rank| own(rank) <= cut.own_len()));
                // What rounding to cache lines costs is at most a line a bucket.
                let most = layout.len.div_ceil(ranks) + 17 * cut.buckets().len();
                assert!(cut.own_len() <= most, "{} of {most}", cut.own_len());
                assert_eq!(cut.message_lens().0, cut.own_len() * ranks);
            }
        }
    }
}
