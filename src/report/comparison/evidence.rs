//! From the values of runs to an effect: which runs belong together, and what their spread says.

use crate::record::{Metric, Run, Series};
use crate::report::values::known;
use crate::report::view::points;
use crate::stats::effect::{Effect, of_groups, of_intervals, of_pairs};
use crate::stats::{Interval, bootstrap, summary};

/// Seed of the resampling, so that the same runs give the same page.
const SEED: u64 = 51;

/// Which runs of two arms are set beside each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pairing {
    /// One run an arm: their own intervals are all there is.
    Single,
    /// So many runs an arm that took turns: pair by pair.
    Interleaved(usize),
    /// Runs one after the other: two samples.
    Apart(usize, usize),
}

impl Pairing {
    /// As a person reads it.
    pub fn words(self) -> String {
        match self {
            Pairing::Single => {
                "one run each: how processes differ is assumed, not measured".to_owned()
            }
            Pairing::Interleaved(pairs) => format!("the runs took turns: {pairs} pairs"),
            Pairing::Apart(one, other) => {
                format!("{one} and {other} runs that did not take turns: two samples")
            }
        }
    }
}

/// How the runs belong together; both in the order of time. They took turns where each pair ended before the next one began.
pub(super) fn pairing(one: &[&Run], other: &[&Run]) -> Pairing {
    if one.len() == 1 && other.len() == 1 {
        return Pairing::Single;
    }
    let pairs: Vec<_> = one.iter().zip(other).collect();
    let in_turn = pairs.windows(2).all(|next| {
        let ends = [&next[0].0.started, &next[0].1.started];
        let begins = [&next[1].0.started, &next[1].1.started];
        ends.iter().max() < begins.iter().min()
    });
    if one.len() == other.len() && in_turn {
        Pairing::Interleaved(pairs.len())
    } else {
        Pairing::Apart(one.len(), other.len())
    }
}

/// Units of times and speeds: a single value of those says nothing without an interval.
pub(super) fn is_timed(unit: &str) -> bool {
    ["seconds", "ns", "cycles", "GHz"].contains(&unit)
        || unit.contains("/s")
        || unit.contains("/cycle")
}

/// One metric in the runs of both arms.
pub(super) struct Evidence<'a> {
    pub(super) baseline: Vec<Option<&'a Metric>>,
    pub(super) candidate: Vec<Option<&'a Metric>>,
    pub(super) runs: (&'a [&'a Run], &'a [&'a Run]),
}

impl Evidence<'_> {
    /// The medians of both arms.
    pub(super) fn values(&self) -> (f64, f64) {
        let median = |arm: &[Option<&Metric>]| summary::median(&numbers(arm)).unwrap_or(f64::NAN);
        (median(&self.baseline), median(&self.candidate))
    }

    /// The effect, or why there is none.
    pub(super) fn effect(&self, pairing: Pairing) -> Result<Effect, String> {
        let (before, after) = (numbers(&self.baseline), numbers(&self.candidate));
        if before == after {
            return Ok(Effect {
                log_ratio: 0.0,
                error: 0.0,
                freedom: 1.0,
            });
        }
        if before.iter().chain(&after).any(|value| *value <= 0.0) {
            return Err("a value that is not positive has no ratio".to_owned());
        }
        let effect = match pairing {
            Pairing::Single => return self.single(),
            Pairing::Interleaved(_) if before.len() == after.len() && self.is_complete() => {
                of_pairs(&before, &after)
            }
            _ => of_groups(&before, &after),
        };
        effect.ok_or_else(|| "too few runs have a value".to_owned())
    }

    /// Every run has a value.
    fn is_complete(&self) -> bool {
        self.baseline
            .iter()
            .chain(&self.candidate)
            .all(Option::is_some)
    }

    fn single(&self) -> Result<Effect, String> {
        let first = |arm: &[Option<&Metric>], runs: &[&Run]| {
            let metric = arm.first().copied().flatten().ok_or("no value")?;
            interval(metric, runs[0])
        };
        let before = first(&self.baseline, self.runs.0)?;
        let after = first(&self.candidate, self.runs.1)?;
        of_intervals(before, after)
            .ok_or_else(|| "an interval that reaches zero has no ratio".to_owned())
    }
}

fn numbers(arm: &[Option<&Metric>]) -> Vec<f64> {
    let value = |metric: &&Metric| known(metric.value);
    arm.iter().flatten().filter_map(value).collect()
}

/// The interval of a metric within its run: as recorded, else from the samples of that name, else the value itself where it was
/// not timed.
fn interval(metric: &Metric, run: &Run) -> Result<Interval, String> {
    let estimate = known(metric.value).ok_or("no value")?;
    if let (Some(low), Some(high)) = (known(metric.low), known(metric.high)) {
        return Ok(Interval {
            estimate,
            low,
            high,
        });
    }
    if !is_timed(&metric.unit) {
        return Ok(Interval::exactly(estimate));
    }
    let samples = |series: &&Series| series.name == metric.name && series.x_unit == "step";
    let series = run.series.iter().find(samples);
    let samples = series.map(|series| {
        points(series)
            .into_iter()
            .filter_map(|point| point.1)
            .collect()
    });
    let samples: Vec<f64> = samples.unwrap_or_default();
    bootstrap::median_interval(&samples, SEED)
        .filter(|_| samples.len() > 1)
        .ok_or_else(|| "one value of a time in each run, and no interval".to_owned())
}
