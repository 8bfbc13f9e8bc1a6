//! Tukey's fences: samples are labelled, never dropped, so that a page can show what happened (Tukey, 1977, ch. 2).

use super::summary::quantile;

/// So many times as long as others is slow.
const STRAGGLES: f64 = 1.15;

/// Where a sample lies against the fences.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// More than three interquartile ranges below the first quartile.
    FarLow,
    /// More than one and a half below.
    Low,
    /// Between the inner fences.
    Inside,
    /// More than one and a half above the third quartile.
    High,
    /// More than three above.
    FarHigh,
}

/// The label of each sample, in the order given; all [`Label::Inside`] for fewer than four samples or if one is not finite.
pub fn label(samples: &[f64]) -> Vec<Label> {
    let (Some(lower), Some(upper)) = (quantile(samples, 0.25), quantile(samples, 0.75)) else {
        return vec![Label::Inside; samples.len()];
    };
    if samples.len() < 4 {
        return vec![Label::Inside; samples.len()];
    }
    let range = upper - lower;
    let name = |sample: &f64| match *sample {
        x if x < lower - 3.0 * range => Label::FarLow,
        x if x < lower - 1.5 * range => Label::Low,
        x if x > upper + 3.0 * range => Label::FarHigh,
        x if x > upper + 1.5 * range => Label::High,
        _ => Label::Inside,
    };
    samples.iter().map(name).collect()
}

/// How many of the samples lie outside the inner fences.
pub fn count(samples: &[f64]) -> usize {
    label(samples)
        .iter()
        .filter(|label| **label != Label::Inside)
        .count()
}

/// Of several that do the same at the same time, how many times as long each takes as the median of the faster half; nothing if one is
/// not finite.
pub fn slowness(seconds: &[f64]) -> Vec<f64> {
    let Some(mut sorted) = super::summary::sorted(seconds) else {
        return Vec::new();
    };
    sorted.truncate(seconds.len().div_ceil(2));
    let usual = super::summary::quantile_of_sorted(&sorted, 0.5);
    seconds.iter().map(|seconds| seconds / usual).collect()
}

/// Those that take clearly longer than the faster half: which, and how many times as long. They need not be outliers of a distribution:
/// all wait for the slowest.
pub fn stragglers(seconds: &[f64]) -> Vec<(usize, f64)> {
    let ratios = slowness(seconds).into_iter().enumerate();
    ratios.filter(|(_, ratio)| straggles(*ratio)).collect()
}

/// Whether it is slow to take so many times as long as others.
pub fn straggles(ratio: f64) -> bool {
    ratio > STRAGGLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slower_than_the_faster_half_is_named() {
        assert_eq!(stragglers(&[1.0, 1.1]), []);
        assert_eq!(stragglers(&[2.0, 1.0]), [(0, 2.0)]);
        assert_eq!(stragglers(&[1.0, 1.0, 1.5, 1.02]), [(2, 1.5)]);
        // Most of them slow: the others show it.
        assert_eq!(
            stragglers(&[3.0, 1.0, 3.0, 1.0, 3.0]),
            [(0, 3.0), (2, 3.0), (4, 3.0)]
        );
        assert_eq!(stragglers(&[]), []);
        assert_eq!(stragglers(&[1.0, f64::NAN]), []);
    }

    #[test]
    fn fences_are_one_and_a_half_and_three_ranges_away() {
        // Quartiles 2 and 6: inner fences -4 and 12, outer -10 and 18.
        let samples = [
            2.0, 4.0, 6.0, 13.0, 2.0, 4.0, 6.0, 19.0, 2.0, 4.0, 6.0, -5.0, 4.0, 4.0, -11.0,
        ];
        let labels = label(&samples);
        assert_eq!(quantile(&samples, 0.25), Some(2.0));
        assert_eq!(quantile(&samples, 0.75), Some(6.0));
        assert_eq!((labels[3], labels[7]), (Label::High, Label::FarHigh));
        assert_eq!((labels[11], labels[14]), (Label::Low, Label::FarLow));
        assert_eq!(count(&samples), 4);
        assert_eq!(labels.len(), samples.len());
    }

    #[test]
    fn too_few_samples_have_no_outliers() {
        assert_eq!(label(&[1.0, 100.0, 1.0]), [Label::Inside; 3]);
        assert_eq!(count(&[f64::NAN, 1.0, 1.0, 1.0, 1.0]), 0);
        assert!(label(&[]).is_empty());
    }
}
