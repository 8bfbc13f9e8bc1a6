//! One number over the runs of a machine, as the history keeps it.

use super::{Better, Summary};

/// A machine that runs were kept of.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What identifies it.
    pub machine: Summary,
    /// How many runs of it are kept.
    pub runs: usize,
    /// Start of the first one, RFC 3339, UTC.
    pub first: String,
    /// Start of the last one.
    pub last: String,
}

/// One metric over the runs of a machine, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The metric.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// Each run that has a value for it.
    pub points: Vec<Moment>,
}

/// The value of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The run's id.
    pub run: String,
    /// Its start, RFC 3339, UTC.
    pub started: String,
    /// The revision that it measured, where that is known.
    pub commit: Option<String>,
    /// The value.
    pub value: f64,
    /// Ends of its 95 % interval, where it has one.
    pub interval: Option<(f64, f64)>,
}
