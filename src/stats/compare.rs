//! Two arms that ran interleaved within a process: the ratio of their times, pair by pair, with its interval and a sign test.
//!
//! Logarithms of ratios make "twice as fast" and "half as fast" equally far from "the same", and pairing removes what both
//! arms felt at that moment (frequency, neighbours, temperature). Arms that are whole processes are compared by [`super::effect`].

use super::bootstrap::{Interval, median_interval};

/// How much faster the second arm was than the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Baseline time over candidate time: above one, the candidate is faster.
    pub speedup: Interval,
    /// Pairs compared.
    pub pairs: usize,
    /// Two-sided sign test: how likely a split at least this uneven is if both arms are equally fast.
    pub p_value: f64,
}

/// Compares the times of two arms, `baseline[i]` having run beside `candidate[i]`; surplus samples of the longer list are
/// ignored. `None` without a pair or if a time is not positive and finite.
pub fn paired(baseline: &[f64], candidate: &[f64], seed: u64) -> Option<Comparison> {
    let ratios = log_ratios(baseline, candidate)?;
    let speedup = median_interval(&ratios, seed)?.map(f64::exp);
    Some(Comparison {
        speedup,
        pairs: ratios.len(),
        p_value: sign_test(&ratios),
    })
}

/// `ln(baseline[i] / candidate[i])`; `None` if a time is not positive and finite.
pub fn log_ratios(baseline: &[f64], candidate: &[f64]) -> Option<Vec<f64>> {
    let log = |time: f64| (time.is_finite() && time > 0.0).then(|| time.ln());
    baseline
        .iter()
        .zip(candidate)
        .map(|(b, c)| Some(log(*b)? - log(*c)?))
        .collect()
}

/// Two-sided binomial test that signs are balanced; zeros are left out, as Dixon & Mood (1946) do.
fn sign_test(differences: &[f64]) -> f64 {
    let above = differences.iter().filter(|d| **d > 0.0).count();
    let below = differences.iter().filter(|d| **d < 0.0).count();
    let (count, fewer) = (above + below, above.min(below));
    // Sum of C(count, k) / 2^count for k = 0..=fewer, in logarithms because 2^-count underflows for long lists.
    let mut log_term = -(count as f64) * 2f64.ln();
    let mut tail = log_term.exp();
    for k in 1..=fewer {
        log_term += (((count - k + 1) as f64) / k as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_factor_is_found_under_common_drift() {
        // Both arms slow down by a factor of three during the run; the ratio stays 1.25.
        let candidate: Vec<f64> = (0..30).map(|i| 1.0 + f64::from(i) / 15.0).collect();
        let baseline: Vec<f64> = candidate.iter().map(|t| t * 1.25).collect();
        let comparison = paired(&baseline, &candidate, 1).unwrap();
        assert!((comparison.speedup.estimate - 1.25).abs() < 1e-12);
        assert!(
            (comparison.speedup.low - 1.25).abs() < 1e-9
                && (comparison.speedup.high - 1.25).abs() < 1e-9
        );
        assert_eq!(comparison.pairs, 30);
        let back = paired(&candidate, &baseline, 1).unwrap();
        assert!((back.speedup.estimate - 0.8).abs() < 1e-12);
    }

    #[test]
    fn the_sign_test_matches_the_binomial_table() {
        // R: binom.test(1, 10)$p.value = 0.021484375, binom.test(5, 10)$p.value = 1
        let mut differences = vec![1.0; 9];
        differences.push(-1.0);
        assert!((sign_test(&differences) - 0.021_484_375).abs() < 1e-12);
        assert_eq!(sign_test(&[1.0, -1.0, 1.0, -1.0]), 1.0);
        assert_eq!(sign_test(&[0.0, 0.0]), 1.0);
        assert!(sign_test(&vec![1.0; 2_000]) < 1e-300);
    }

    #[test]
    fn an_uneven_split_has_a_wide_interval_and_nothing_has_none() {
        let comparison = paired(&[1.0, 2.0, 1.0], &[2.0, 1.0, 1.0], 0).unwrap();
        assert!(comparison.speedup.low < 0.6 && comparison.speedup.high > 1.9);
        assert_eq!(paired(&[], &[], 0), None);
        assert_eq!(paired(&[1.0, 0.0], &[1.0, 1.0], 0), None);
    }
}
