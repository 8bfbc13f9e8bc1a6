//! What a list of samples says at a glance: quantiles and the spread around the median.

/// The order statistics of a list of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many samples.
    pub count: usize,
    /// Smallest.
    pub minimum: f64,
    /// First quartile.
    pub lower_quartile: f64,
    /// Half lie below.
    pub median: f64,
    /// Third quartile.
    pub upper_quartile: f64,
    /// Largest.
    pub maximum: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median of the absolute deviations from the median, not scaled.
    pub median_deviation: f64,
}

impl Summary {
    /// Summarises `samples`; `None` if there is none or one is not finite.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples)?;
        let median = quantile_of_sorted(&sorted, 0.5);
        let deviations: Vec<f64> = sorted
            .iter()
            .map(|sample| (sample - median).abs())
            .collect();
        Some(Self {
            count: sorted.len(),
            minimum: sorted[0],
            lower_quartile: quantile_of_sorted(&sorted, 0.25),
            median,
            upper_quartile: quantile_of_sorted(&sorted, 0.75),
            maximum: sorted[sorted.len() - 1],
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            median_deviation: self::median(&deviations)?,
        })
    }

    /// Spread relative to the median: `1.4826 * median_deviation / median`, which for normal errors is the coefficient
    /// of variation (Rousseeuw & Croux, 1993).
    pub fn relative_spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            1.4826 * self.median_deviation / self.median.abs()
        }
    }
}

/// The samples in ascending order; `None` if there is none or one is not finite.
pub fn sorted(samples: &[f64]) -> Option<Vec<f64>> {
    if samples.is_empty() || samples.iter().any(|sample| !sample.is_finite()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

/// Median; `None` if there is no sample or one is not finite.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// The value below which the share `p` (0 to 1, clamped) of the samples lies, interpolated linearly between neighbours:
/// type 7 of Hyndman & Fan, "Sample quantiles in statistical packages" (1996), the default of R and NumPy.
pub fn quantile(samples: &[f64], p: f64) -> Option<f64> {
    sorted(samples).map(|sorted| quantile_of_sorted(&sorted, p))
}

/// [`quantile`] of samples that already ascend; `samples` must not be empty.
pub(super) fn quantile_of_sorted(samples: &[f64], p: f64) -> f64 {
    let position = p.clamp(0.0, 1.0) * (samples.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(samples.len() - 1);
    samples[below] + (position - below as f64) * (samples[above] - samples[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [0, .1, .25, .5, .9, 1])
        let samples = [16.0, 1.0, 8.0, 2.0, 4.0];
        for (p, expected) in [
            (0.0, 1.0),
            (0.1, 1.4),
            (0.25, 2.0),
            (0.5, 4.0),
            (0.9, 12.8),
            (1.0, 16.0),
        ] {
            assert!(
                (quantile(&samples, p).unwrap() - expected).abs() < 1e-12,
                "p {p}"
            );
        }
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
    }

    #[test]
    fn a_summary_names_the_spread() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 5.0, 10.0]).unwrap();
        assert_eq!(
            (
                summary.count,
                summary.minimum,
                summary.median,
                summary.maximum
            ),
            (5, 2.0, 4.0, 10.0)
        );
        assert_eq!(
            (summary.lower_quartile, summary.upper_quartile, summary.mean),
            (4.0, 5.0, 5.0)
        );
        // deviations 2 0 0 1 6
        assert_eq!(summary.median_deviation, 1.0);
        assert!((summary.relative_spread() - 0.370_65).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_summarise_is_none() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(quantile(&[7.0], 0.3), Some(7.0));
    }
}
