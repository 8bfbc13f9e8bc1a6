//! Intervals without assuming a distribution: the percentile bootstrap of the median (Efron & Tibshirani, 1993, ch. 13).

use super::summary::{self, median, quantile_of_sorted};

/// Resamples drawn for an interval; enough that its ends move by less than a tenth of its width between seeds.
const RESAMPLES: usize = 4_000;

/// Below this many samples the bootstrap of a median is far too narrow; the range of the samples is given instead
/// (for five samples it covers the median with 94 %).
const FEWEST: usize = 6;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate from all samples.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// An interval without width, for numbers that are exact.
    pub fn exactly(value: f64) -> Self {
        Self {
            estimate: value,
            low: value,
            high: value,
        }
    }

    /// The interval of `f(x)` for a monotonic `f`; ends are swapped where `f` falls.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let (one, other) = (f(self.low), f(self.high));
        Self {
            estimate: f(self.estimate),
            low: one.min(other),
            high: one.max(other),
        }
    }
}

/// The 95 % interval of the median of `samples`; `None` if there is none or one is not finite.
/// With fewer than six samples: their range, which is wide and honest.
pub fn median_interval(samples: &[f64], seed: u64) -> Option<Interval> {
    if samples.len() < FEWEST {
        let sorted = summary::sorted(samples)?;
        let estimate = quantile_of_sorted(&sorted, 0.5);
        return Some(Interval {
            estimate,
            low: sorted[0],
            high: sorted[sorted.len() - 1],
        });
    }
    interval_of(&[samples], seed, |groups| median(&groups[0]))
}

/// The 95 % interval of `statistic`, computed from several independent groups of samples that are resampled each for
/// itself. `None` if a group is empty or holds a value that is not finite, or if `statistic` gives `None` for the samples.
/// Resamples for which it gives `None` are left out.
pub fn interval_of(
    groups: &[&[f64]],
    seed: u64,
    statistic: impl Fn(&[Vec<f64>]) -> Option<f64>,
) -> Option<Interval> {
    let sorted: Vec<Vec<f64>> = groups
        .iter()
        .map(|group| summary::sorted(group))
        .collect::<Option<_>>()?;
    let estimate = statistic(&sorted)?;
    let mut random = Random::new(seed);
    let mut resample = sorted.clone();
    let mut estimates = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for (drawn, group) in resample.iter_mut().zip(&sorted) {
            for value in drawn.iter_mut() {
                *value = group[random.below(group.len())];
            }
        }
        estimates.extend(statistic(&resample).filter(|value| value.is_finite()));
    }
    let estimates = summary::sorted(&estimates)?;
    Some(Interval {
        estimate,
        low: quantile_of_sorted(&estimates, 0.025).min(estimate),
        high: quantile_of_sorted(&estimates, 0.975).max(estimate),
    })
}

/// SplitMix64 (Steele, Lea & Flood, 2014): small, seedable, and good enough to draw indices.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// An index below `bound` (at least 1), by multiplication (Lemire, 2019; the bias of 2^-64 * bound is immaterial).
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_matches_its_reference() {
        // First outputs of the reference C code for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_interval_covers_the_median_about_as_often_as_it_says() {
        // 400 draws of 25 exponential samples: the true median is ln 2.
        let mut random = Random::new(7);
        let mut covered = 0;
        for trial in 0..400 {
            let samples: Vec<f64> = (0..25)
                .map(|_| -((random.below(1 << 30) as f64 + 1.0) / (1u64 << 30) as f64).ln())
                .collect();
            let interval = median_interval(&samples, trial).unwrap();
            assert!(interval.low <= interval.estimate && interval.estimate <= interval.high);
            covered += usize::from(interval.low <= 2f64.ln() && 2f64.ln() <= interval.high);
        }
        assert!((364..=396).contains(&covered), "covered {covered} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let samples: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17)).collect();
        assert_eq!(median_interval(&samples, 3), median_interval(&samples, 3));
    }

    #[test]
    fn few_samples_give_their_range() {
        let interval = median_interval(&[3.0, 1.0, 2.0], 0).unwrap();
        assert_eq!(
            (interval.low, interval.estimate, interval.high),
            (1.0, 2.0, 3.0)
        );
        assert_eq!(median_interval(&[], 0), None);
        assert_eq!(median_interval(&[f64::INFINITY], 0), None);
    }

    #[test]
    fn equal_samples_leave_no_doubt() {
        let interval = median_interval(&[5.0; 12], 0).unwrap();
        assert_eq!((interval.low, interval.high), (5.0, 5.0));
        let inverse = Interval {
            estimate: 2.0,
            low: 1.0,
            high: 4.0,
        }
        .map(|x| 1.0 / x);
        assert_eq!(
            (inverse.low, inverse.estimate, inverse.high),
            (0.25, 0.5, 1.0)
        );
    }
}
