//! Many tests at once: p-values raised so that the chance of a single false alarm among all of them stays at 5 %.
//!
//! Holm (1979) and not Benjamini & Hochberg (1995): a gate that is asked about every change must not cry wolf even once, while
//! the latter lets a share of the alarms be false; and Holm's holds however the tests depend on each other, which numbers of the
//! same run always do.

/// The adjusted p-values, in the order given: the smallest times the number of tests, the next times one less, and so on, none
/// smaller than the one before, at most 1.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let raised = p_values[index] * (p_values.len() - rank) as f64;
        highest = highest.max(raised.min(1.0));
        adjusted[index] = highest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02
        let found = adjusted(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{found}");
        }
        assert_eq!(adjusted(&[0.8, 0.9]), [1.0, 1.0]);
        assert!(adjusted(&[]).is_empty());
    }
}
