//! What became of the machine's claims when they were measured: `loopos probe --verify --json`.

use super::{Machine, Series};
use serde::{Deserialize, Serialize};

/// The machine, its claims beside measurements, and the curves behind them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verification {
    /// The probe's findings.
    pub machine: Machine,
    /// Each claim beside its measurement.
    pub checks: Vec<Check>,
    /// The curves that the measurements come from.
    pub series: Vec<Series>,
}

/// One claim beside its measurement.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Check {
    /// Dotted key, unit last: `verify.l2.bytes`.
    pub key: String,
    /// What a person calls it: `L2`.
    pub label: String,
    /// What the machine claims, where it claims something that is a number.
    pub claimed: Option<f64>,
    /// The claim as a person reads it; empty where there is none.
    pub claimed_text: String,
    /// Where the claim was read; empty where there is none.
    pub source: String,
    /// What was measured, where that is a number.
    pub measured: Option<f64>,
    /// Lower end of the range in which the measurement surely lies.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The measurement as a person reads it; empty where there is none.
    pub measured_text: String,
    /// What follows.
    pub verdict: Verdict,
    /// How it was measured and what explains the verdict, or why nothing could be measured.
    pub why: String,
}

/// What follows from claim and measurement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The measurement is what was claimed.
    Agree,
    /// It is not; `why` names what may explain it.
    Disagree,
    /// Nothing was claimed: the measurement is all there is.
    NoClaim,
    /// It cannot be measured here; `why` says for what reason.
    NotMeasurable,
}

impl Verdict {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Agree => "agree",
            Verdict::Disagree => "disagree",
            Verdict::NoClaim => "no claim",
            Verdict::NotMeasurable => "not measurable here",
        }
    }
}
