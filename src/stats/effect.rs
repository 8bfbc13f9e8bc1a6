//! How much one arm differs from another where an arm is one process or several: the ratio of their values, its interval, and how
//! likely it is by chance.
//!
//! A number of one process says little about the next one: memory and code lie elsewhere, and that alone moves speeds by about a
//! per cent (Mytkowicz et al., 2009; Curtsinger & Berger, 2013). What counts is how processes differ from each other; with one
//! process an arm, that is assumed and not measured. Logarithms of the values are compared, with Student's t.

use super::bootstrap::Interval;
use super::student;

/// Standard deviation of a process' logarithm that is assumed where only one process ran: the per cent of the papers above.
pub const BETWEEN_PROCESSES: f64 = 0.01;

/// Standard errors between the middle and an end of a 95 % interval.
const ENDS: f64 = 1.959_964;

/// The logarithm of a ratio of two arms, with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Logarithm of the second arm's value over the first's.
    pub log_ratio: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of the error.
    pub freedom: f64,
}

impl Effect {
    /// The ratio with the interval that holds it with the probability `confidence`.
    pub fn interval(self, confidence: f64) -> Interval {
        let reach = if self.error > 0.0 {
            student::reach(confidence, self.freedom) * self.error
        } else {
            0.0
        };
        Interval {
            estimate: self.log_ratio.exp(),
            low: (self.log_ratio - reach).exp(),
            high: (self.log_ratio + reach).exp(),
        }
    }

    /// How likely a ratio at least this far from 1 is if the arms do not differ.
    pub fn p_value(self) -> f64 {
        if self.log_ratio == 0.0 {
            return 1.0;
        }
        student::two_sided(self.log_ratio / self.error, self.freedom)
    }

    /// The same with the arms exchanged.
    pub fn inverse(self) -> Self {
        Self {
            log_ratio: -self.log_ratio,
            ..self
        }
    }
}

/// Arms whose processes ran in turn, `one[i]` beside `other[i]`: the mean of the differences of their logarithms. `None` with
/// fewer than two pairs, lists of different lengths, or a value that is not positive and finite.
pub fn of_pairs(one: &[f64], other: &[f64]) -> Option<Effect> {
    let (one, other) = (logarithms(one)?, logarithms(other)?);
    if one.len() != other.len() || one.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = one.iter().zip(&other).map(|(a, b)| b - a).collect();
    let count = differences.len() as f64;
    let (log_ratio, variance) = moments(&differences);
    Some(Effect {
        log_ratio,
        error: (variance / count).sqrt(),
        freedom: count - 1.0,
    })
}

/// Arms whose processes ran one after the other: the difference of the means of their logarithms (Welch, 1947). An arm of one
/// process is taken to spread as the other. `None` if both have but one, or a value is not positive and finite.
pub fn of_groups(one: &[f64], other: &[f64]) -> Option<Effect> {
    let (one, other) = (logarithms(one)?, logarithms(other)?);
    if one.is_empty() || other.is_empty() || one.len() + other.len() < 3 {
        return None;
    }
    let (counts, parts) = (
        [one.len() as f64, other.len() as f64],
        [moments(&one), moments(&other)],
    );
    let log_ratio = parts[1].0 - parts[0].0;
    if let Some(known) = (counts[0].min(counts[1]) < 2.0).then(|| counts[0].max(counts[1])) {
        let variance = parts[0].1 + parts[1].1;
        return Some(Effect {
            log_ratio,
            error: (variance * (1.0 + 1.0 / known)).sqrt(),
            freedom: known - 1.0,
        });
    }
    let [first, second] = [parts[0].1 / counts[0], parts[1].1 / counts[1]];
    let sum = first + second;
    let spread = first * first / (counts[0] - 1.0) + second * second / (counts[1] - 1.0);
    Some(Effect {
        log_ratio,
        error: sum.sqrt(),
        freedom: if spread > 0.0 {
            sum * sum / spread
        } else {
            counts[0] + counts[1] - 2.0
        },
    })
}

/// Two processes with the 95 % intervals that each found for itself, and [`BETWEEN_PROCESSES`] on top. `None` if an end is not
/// positive and finite.
pub fn of_intervals(one: Interval, other: Interval) -> Option<Effect> {
    let [a, b] = [one, other].map(|interval| {
        let logs = logarithms(&[interval.low, interval.estimate, interval.high])?;
        // The longer half: an interval that is wider to one side is no surer for it.
        let half = (logs[2] - logs[1]).max(logs[1] - logs[0]).max(0.0);
        Some((logs[1], half / ENDS))
    });
    let ((one, first), (other, second)) = (a?, b?);
    let variance = first * first + second * second + 2.0 * BETWEEN_PROCESSES * BETWEEN_PROCESSES;
    Some(Effect {
        log_ratio: other - one,
        error: variance.sqrt(),
        freedom: f64::INFINITY,
    })
}

/// `None` if a value is not positive and finite.
fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    let log = |value: &f64| (value.is_finite() && *value > 0.0).then(|| value.ln());
    values.iter().map(log).collect()
}

/// Mean and variance, the latter 0 for a single value.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (count - 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::testing::Noise;

    #[test]
    fn pairs_and_groups_agree_with_r() {
        // R: t.test(log(c(11, 12, 10, 13)) - log(c(10, 10.5, 9.5, 11))), interval and p-value; and the same as two samples.
        let (one, other) = ([10.0, 10.5, 9.5, 11.0], [11.0, 12.0, 10.0, 13.0]);
        let paired = of_pairs(&one, &other).unwrap();
        let differences: Vec<f64> = one.iter().zip(other).map(|(a, b)| f64::ln(b / a)).collect();
        let mean = differences.iter().sum::<f64>() / 4.0;
        assert!((paired.log_ratio - mean).abs() < 1e-15 && paired.freedom == 3.0);
        let interval = paired.interval(0.95);
        assert!((interval.high / interval.estimate).ln() - 3.182_446_305 * paired.error < 1e-9);
        let groups = of_groups(&one, &other).unwrap();
        assert!((groups.log_ratio - paired.log_ratio).abs() < 1e-12);
        assert!(groups.freedom > 3.0 && groups.freedom < 6.0);
        assert!(groups.error > paired.error && groups.p_value() > paired.p_value());
        assert_eq!(of_groups(&other, &one).unwrap().freedom, groups.freedom);
    }

    #[test]
    fn equal_arms_are_found_different_in_one_case_of_twenty() {
        let mut random = Noise::new(3);
        let mut alarms = [0; 2];
        for _ in 0..400 {
            let mut arm = |count: usize| -> Vec<f64> {
                (0..count).map(|_| (random.normal() * 0.05).exp()).collect()
            };
            let (one, other) = (arm(5), arm(5));
            alarms[0] += usize::from(of_pairs(&one, &other).unwrap().p_value() < 0.05);
            alarms[1] += usize::from(of_groups(&one, &arm(8)).unwrap().p_value() < 0.05);
        }
        assert!(
            alarms.iter().all(|count| (8..=34).contains(count)),
            "{alarms:?}"
        );
    }

    #[test]
    fn a_single_process_is_never_sure_of_half_a_per_cent() {
        let arm = |value: f64| Interval::exactly(value);
        let small = of_intervals(arm(100.0), arm(100.5)).unwrap();
        assert!(small.p_value() > 0.5);
        let large = of_intervals(arm(100.0), arm(105.0)).unwrap();
        assert!(large.p_value() < 0.01 && large.inverse().log_ratio < 0.0);
        let wide = Interval {
            estimate: 100.0,
            low: 80.0,
            high: 110.0,
        };
        assert!(of_intervals(wide, arm(105.0)).unwrap().p_value() > 0.5);
        assert_eq!(of_intervals(arm(0.0), arm(1.0)), None);
    }

    #[test]
    fn one_process_beside_several_spreads_as_they_do() {
        let effect = of_groups(&[1.0, 1.1, 0.9], &[1.0]).unwrap();
        assert_eq!(effect.freedom, 2.0);
        assert!(effect.error > 0.1 && effect.p_value() > 0.5);
        assert_eq!(of_groups(&[1.0], &[2.0]), None);
        assert_eq!(of_pairs(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(of_pairs(&[1.0, f64::NAN], &[1.0, 1.0]), None);
        let same = of_pairs(&[2.0, 3.0], &[2.0, 3.0]).unwrap();
        assert_eq!((same.p_value(), same.interval(0.95).high), (1.0, 1.0));
        let exact = of_pairs(&[2.0, 3.0], &[4.0, 6.0]).unwrap();
        assert!(exact.p_value() < 1e-9);
    }
}
