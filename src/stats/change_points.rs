//! Where a sequence changes its level: the piecewise-constant sequence that lies nearest to it, at a price for each piece.
//!
//! The Potts functional with absolute errors, minimised exactly by dynamic programming ("optimal partitioning": Jackson et al.,
//! 2005; absolute errors as in asv's step detection), so that single wild samples move no level.

use super::summary::median;
use std::ops::Range;

/// Price of a piece, in noises of a sample and logarithms of the length: with four, pure noise has no second piece in 99 of 100
/// sequences of a hundred samples.
const PRICE: f64 = 4.0;

/// Samples that [`levels`] is given at most by [`levels_of_many`].
const MANY: usize = 240;

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

/// [`levels`] of a sequence of any length: one of more than 240 samples is cut by the medians of groups first, then each border
/// is moved to the sample where it fits best. Levels shorter than two groups may be missed. Takes time with the length.
pub fn levels_of_many(samples: &[f64], noise: f64, shortest: usize) -> Vec<Level> {
    let group = samples.len().div_ceil(MANY);
    if group <= 1 || samples.iter().any(|sample| !sample.is_finite()) {
        return levels(samples, noise, shortest);
    }
    let medians: Vec<f64> = samples.chunks(group).filter_map(median).collect();
    // The median of n normal samples deviates by sqrt(pi / 2 n) of what one does.
    let calm = noise * (std::f64::consts::FRAC_PI_2 / group as f64).sqrt();
    let coarse = levels(&medians, calm, shortest.div_ceil(group).max(2));
    let mut borders = vec![0];
    for pair in coarse.windows(2) {
        let from = pair[0].range.end.saturating_sub(1) * group;
        let to = (pair[0].range.end * group + group).min(samples.len());
        let last = borders.last().copied().unwrap_or(0);
        borders.push(last.max(from + border(&samples[from..to], pair[0].median, pair[1].median)));
    }
    borders.push(samples.len());
    let piece = |pair: &[usize]| {
        let range = pair[0]..pair[1];
        let median = median(&samples[range.clone()])?;
        Some(Level { range, median })
    };
    borders.windows(2).filter_map(piece).collect()
}

/// The first of `samples` that belongs to the level `after` rather than to `before`, so that absolute errors are least.
fn border(samples: &[f64], before: f64, after: f64) -> usize {
    let gains = samples.iter().scan(0.0, |sum, sample| {
        *sum += (sample - after).abs() - (sample - before).abs();
        Some(*sum)
    });
    let best = gains
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(&other.1));
    best.map_or(0, |(index, gain)| if gain > 0.0 { index + 1 } else { 0 })
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
    fn long_sequences_are_cut_at_the_sample_too() {
        let mut random = Noise::new(8);
        let level = |place: usize| {
            [10.0, 9.0, 12.0][usize::from(place >= 1_234) + usize::from(place >= 4_000)]
        };
        let samples: Vec<f64> = (0..5_000)
            .map(|place| level(place) + random.normal() * 0.2)
            .collect();
        let found = levels_of_many(&samples, noise(&samples, 0.0), 3);
        let starts: Vec<usize> = found.iter().map(|level| level.range.start).collect();
        assert_eq!(starts.len(), 3, "{starts:?}");
        assert!(
            starts[1].abs_diff(1_234) <= 2 && starts[2].abs_diff(4_000) <= 2,
            "{starts:?}"
        );
        assert!((found[2].median - 12.0).abs() < 0.05 && found[2].range.end == 5_000);
        let short = [1.0, 1.0, 1.0, 5.0, 5.0, 5.0];
        assert_eq!(levels_of_many(&short, 0.1, 2), levels(&short, 0.1, 2));
        assert!(levels_of_many(&[f64::NAN; 1_000], 0.1, 2).is_empty());
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
