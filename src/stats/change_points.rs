//! Where a sequence changes its level: the piecewise-constant sequence that lies nearest to it, at a price for each piece.
//!
//! The Potts functional with absolute errors, minimised exactly by dynamic programming ("optimal partitioning": Jackson et al.,
//! 2005; absolute errors as in asv's step detection), so that single wild samples move no level.

use super::summary::median;
use std::ops::Range;

/// Price of a piece, in noises of a sample and logarithms of the length: with four, pure noise has no second piece in 99 of 100
/// sequences of a hundred samples.
const PRICE: f64 = 4.0;

/// A piece of the sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Which samples.
    pub range: Range<usize>,
    /// Their median.
    pub median: f64,
}

/// The mean absolute deviation of a sample from its level, as far as neighbours tell: the median of their differences, which
/// no change of level moves. Never below `least`. 0 samples or 1: `least`.
pub fn noise(samples: &[f64], least: f64) -> f64 {
    let differences: Vec<f64> = samples
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .collect();
    // For normal errors the median of |difference| is 0.954 standard deviations, the mean absolute deviation 0.798.
    median(&differences).map_or(least, |typical| (typical * 0.798 / 0.954).max(least))
}

/// Cuts `samples` into levels of at least `shortest` samples each; `noise` is the deviation of a sample that means nothing, see
/// [`noise`]. Empty if there are fewer than `shortest` samples or one is not finite. Takes time with the cube of the length: for
/// hundreds of samples, not for thousands.
pub fn levels(samples: &[f64], noise: f64, shortest: usize) -> Vec<Level> {
    let (count, shortest) = (samples.len(), shortest.max(1));
    if count < shortest || samples.iter().any(|sample| !sample.is_finite()) {
        return Vec::new();
    }
    let price = PRICE * noise * (count as f64).ln().max(1.0);
    // The least cost of the first `end` samples, and where their last piece begins.
    let mut best = vec![(f64::INFINITY, 0); count + 1];
    best[0].0 = 0.0;
    for end in shortest..=count {
        let mut piece = Vec::with_capacity(end);
        for start in (0..end).rev() {
            let place = piece.partition_point(|other| *other < samples[start]);
            piece.insert(place, samples[start]);
            let cost = best[start].0 + price;
            if end - start >= shortest && cost < best[end].0 {
                let cost = cost + deviation(&piece);
                if cost < best[end].0 {
                    best[end] = (cost, start);
                }
            }
        }
    }
    pieces(samples, &best)
}

/// The sum of absolute deviations of ascending values from their median.
fn deviation(ascending: &[f64]) -> f64 {
    let half = ascending.len() / 2;
    let lower: f64 = ascending[..half].iter().sum();
    let upper: f64 = ascending[ascending.len() - half..].iter().sum();
    upper - lower
}

/// The pieces, found from the last one on.
fn pieces(samples: &[f64], best: &[(f64, usize)]) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut end = samples.len();
    while end > 0 {
        let start = best[end].1;
        let median = median(&samples[start..end]).unwrap_or(samples[start]);
        levels.push(Level {
            range: start..end,
            median,
        });
        end = start;
    }
    levels.reverse();
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::testing::Noise;

    fn cuts(samples: &[f64], noise: f64) -> Vec<usize> {
        levels(samples, noise, 2)
            .iter()
            .skip(1)
            .map(|level| level.range.start)
            .collect()
    }

    #[test]
    fn levels_are_found_where_they_change() {
        let samples = [
            1.0, 1.1, 0.9, 1.0, 3.0, 3.1, 2.9, 3.0, 9.0, 3.0, 7.0, 7.1, 6.9, 7.0,
        ];
        let levels = levels(&samples, 0.1, 2);
        let found: Vec<_> = levels
            .iter()
            .map(|level| (level.range.clone(), level.median))
            .collect();
        // The lone 9 belongs to its neighbours.
        assert_eq!(found, [(0..4, 1.0), (4..10, 3.0), (10..14, 7.0)]);
    }

    #[test]
    fn a_sum_of_deviations_is_that_from_the_median() {
        assert_eq!(deviation(&[1.0, 2.0, 10.0]), 9.0);
        assert_eq!(deviation(&[1.0, 2.0, 4.0, 10.0]), 11.0);
        assert_eq!(deviation(&[5.0]), 0.0);
    }

    #[test]
    fn noise_alone_has_one_level() {
        let mut random = Noise::new(11);
        let cut = |_: &usize| {
            let samples: Vec<f64> = (0..100).map(|_| 2.0 + random.normal() * 0.1).collect();
            !cuts(&samples, noise(&samples, 0.0)).is_empty()
        };
        let wrong = (0..100).filter(cut).count();
        assert!(wrong <= 3, "{wrong} of 100");
    }

    #[test]
    fn a_change_of_three_deviations_is_found_to_the_sample_or_two() {
        let mut random = Noise::new(5);
        let mut found = 0;
        for _ in 0..100 {
            let samples: Vec<f64> = (0..80)
                .map(|place| f64::from(u8::from(place >= 37)) * 3.0 + random.normal())
                .collect();
            let cuts = cuts(&samples, noise(&samples, 0.0));
            found += usize::from(cuts.len() == 1 && cuts[0].abs_diff(37) <= 2);
        }
        assert!(found >= 95, "{found} of 100");
    }

    #[test]
    fn too_little_has_no_level() {
        assert!(levels(&[], 1.0, 1).is_empty() && levels(&[1.0], 1.0, 2).is_empty());
        assert!(levels(&[1.0, f64::NAN, 1.0], 1.0, 1).is_empty());
        assert_eq!(levels(&[4.0], 0.0, 0)[0].median, 4.0);
        assert_eq!(
            (noise(&[], 0.5), noise(&[1.0, 1.0, 1.0], 0.25)),
            (0.5, 0.25)
        );
    }
}
