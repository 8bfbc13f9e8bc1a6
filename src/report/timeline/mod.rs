//! The history of a machine: each result over its runs, and where its level changed.

mod chart;
mod page;

#[cfg(test)]
mod tests;

pub use page::page;

use super::comparison::Verdict;
use crate::record::{Better, Metric, Timeline};
use crate::stats::change_points::{Level, levels_of_many, noise};

/// Runs that a level has at least: one wild run is no change.
const SHORTEST: usize = 3;

/// Part of a value that counts as its noise at least: smaller changes are none.
const LEAST: f64 = 0.002;

/// A timeline cut into levels.
#[derive(Clone, Debug)]
pub struct Course {
    /// What happened.
    pub timeline: Timeline,
    levels: Vec<Level>,
}

/// Where a level ends and another begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The first run of the new level, as an index into the points.
    pub at: usize,
    /// The level before.
    pub before: f64,
    /// The level after.
    pub after: f64,
    /// What that means.
    pub verdict: Verdict,
}

impl Course {
    /// Cuts a timeline; with fewer than six runs it has one level at most.
    pub fn of(timeline: Timeline) -> Self {
        let values: Vec<f64> = timeline.points.iter().map(|point| point.value).collect();
        let typical = crate::stats::summary::median(&values).unwrap_or(0.0).abs();
        let levels = levels_of_many(
            &values,
            noise(&values, (typical * LEAST).max(f64::MIN_POSITIVE)),
            SHORTEST,
        );
        Self { timeline, levels }
    }

    /// The changes, oldest first.
    pub fn turns(&self) -> Vec<Turn> {
        let turn = |pair: &[Level]| {
            let (before, after) = (pair[0].median, pair[1].median);
            let improved = match self.timeline.better {
                Better::Higher => after > before,
                Better::Lower => after < before,
                Better::Neither => {
                    return Turn {
                        at: pair[1].range.start,
                        before,
                        after,
                        verdict: Verdict::Inconclusive,
                    };
                }
            };
            let verdict = if improved {
                Verdict::Better
            } else {
                Verdict::Worse
            };
            Turn {
                at: pair[1].range.start,
                before,
                after,
                verdict,
            }
        };
        self.levels.windows(2).map(turn).collect()
    }

    /// The median of the newest level.
    pub fn level(&self) -> Option<f64> {
        self.levels.last().map(|level| level.median)
    }
}

impl Turn {
    /// The new level over the old one, less one; `None` where the old one is zero.
    pub fn change(&self) -> Option<f64> {
        (self.before != 0.0).then(|| self.after / self.before - 1.0)
    }
}

/// The metrics that a history is about: what `only` names, else the results of the suites, else all that have a direction.
pub fn chosen<'a>(metrics: &'a [(Metric, usize)], only: &[String]) -> Vec<&'a Metric> {
    let all = || metrics.iter().map(|(metric, _)| metric);
    let of = |role| all().filter(move |metric| super::comparison::role(metric, only) == Some(role));
    let results: Vec<&Metric> = of(super::comparison::Role::Result).collect();
    if results.is_empty() {
        of(super::comparison::Role::Detail).collect()
    } else {
        results
    }
}
