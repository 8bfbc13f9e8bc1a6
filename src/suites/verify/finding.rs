//! Puts a claim and a measurement together into a check.

use crate::probe::Fact;
use crate::record::{Check, Verdict};
use crate::stats::Interval;

/// A claim that is a number.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The number, or why the machine does not tell.
    pub(super) fact: Fact<f64>,
    /// Key of the check, unit last.
    pub(super) key: String,
    /// What a person calls it.
    pub(super) label: String,
    /// How the number is written for people.
    pub(super) show: fn(f64) -> String,
}

impl Claim {
    /// The measurement beside the claim; `agrees` judges, `why` explains each verdict.
    pub(super) fn against(
        &self,
        measured: Interval,
        agrees: impl FnOnce(f64, Interval) -> bool,
        why: impl FnOnce(Verdict) -> String,
    ) -> Check {
        let verdict = match self.fact.value() {
            None => Verdict::NoClaim,
            Some(claimed) if agrees(*claimed, measured) => Verdict::Agree,
            Some(_) => Verdict::Disagree,
        };
        Check {
            measured: Some(measured.estimate),
            low: Some(measured.low),
            high: Some(measured.high),
            measured_text: (self.show)(measured.estimate),
            why: why(verdict),
            ..self.check(verdict)
        }
    }

    /// No measurement, and why.
    pub(super) fn unmeasured(&self, why: impl Into<String>) -> Check {
        Check {
            why: why.into(),
            ..self.check(Verdict::NotMeasurable)
        }
    }

    fn check(&self, verdict: Verdict) -> Check {
        Check {
            key: self.key.clone(),
            label: self.label.clone(),
            claimed: self.fact.value().copied(),
            claimed_text: self
                .fact
                .value()
                .map_or_else(String::new, |value| (self.show)(*value)),
            source: self.fact.source().to_string(),
            measured: None,
            low: None,
            high: None,
            measured_text: String::new(),
            verdict,
            why: String::new(),
        }
    }
}

/// A claim and a measurement that are words.
pub(super) fn in_words(
    [key, label]: [&str; 2],
    claimed: &Fact<String>,
    measured: impl Into<String>,
    verdict: Verdict,
    why: impl Into<String>,
) -> Check {
    Check {
        key: key.to_string(),
        label: label.to_string(),
        claimed: None,
        claimed_text: claimed.value().cloned().unwrap_or_default(),
        source: claimed.source().to_string(),
        measured: None,
        low: None,
        high: None,
        measured_text: measured.into(),
        verdict,
        why: why.into(),
    }
}

/// Whether the estimate lies within `share` of the claim, or the claim inside of the range.
pub(super) fn within(share: f64) -> impl FnOnce(f64, Interval) -> bool {
    move |claimed, measured| {
        (measured.estimate / claimed - 1.0).abs() <= share
            || measured.low <= claimed && claimed <= measured.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(fact: Fact<f64>) -> Claim {
        Claim {
            fact,
            key: "verify.x.bytes".into(),
            label: "x".into(),
            show: |value| format!("{value} B"),
        }
    }

    #[test]
    fn verdicts_follow_from_claim_and_measurement() {
        let verdict = |claimed: f64, low: f64, estimate: f64, high: f64| {
            let range = Interval {
                estimate,
                low,
                high,
            };
            let check =
                claim(Fact::known(claimed, "there"))
                    .against(range, within(0.15), |verdict| verdict.name().to_string());
            assert_eq!(check.why, check.verdict.name());
            check.verdict
        };
        assert_eq!(verdict(100.0, 90.0, 110.0, 112.0), Verdict::Agree);
        assert_eq!(verdict(100.0, 95.0, 120.0, 130.0), Verdict::Agree, "inside");
        assert_eq!(verdict(100.0, 60.0, 70.0, 80.0), Verdict::Disagree);
        assert_eq!(verdict(100.0, 116.0, 120.0, 130.0), Verdict::Disagree);
    }

    #[test]
    fn without_a_claim_or_a_measurement_nothing_is_judged() {
        let mute = claim(Fact::unknown("silent"));
        let check = mute.against(Interval::exactly(3.0), within(0.1), |_| String::new());
        assert_eq!((check.verdict, check.claimed), (Verdict::NoClaim, None));
        assert_eq!(
            (check.measured_text.as_str(), check.claimed_text.as_str()),
            ("3 B", "")
        );
        let check = claim(Fact::known(5.0, "there")).unmeasured("one CPU");
        assert_eq!(
            (check.verdict, check.measured),
            (Verdict::NotMeasurable, None)
        );
        assert_eq!(
            (check.claimed_text.as_str(), check.why.as_str()),
            ("5 B", "one CPU")
        );
    }
}
