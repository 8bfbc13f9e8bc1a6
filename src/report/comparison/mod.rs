//! Measurements of the same thing beside each other: what differs between their conditions, and for each number whether it did.
//!
//! The first arm is the baseline, each other one is compared with it. An arm is one run or several; where the runs of both arms
//! took turns, they are compared pair by pair. What a verdict means is said by [`Verdict`], and why it can be believed by
//! [`Comparison::method`].

mod conditions;
mod evidence;
mod forest;
mod junit;
mod markdown;
mod page;
mod roles;

#[cfg(test)]
mod tests;

pub use conditions::{Difference, Weight};
pub use evidence::Pairing;
pub use roles::{Role, role};

use std::collections::HashMap;

use super::values;
use crate::record::{Better, Metric, Run};
pub use crate::stats::verdict::{MARGIN, Verdict};

use crate::stats::verdict::{ALPHA, verdict};
use crate::stats::{Interval, effect::BETWEEN_PROCESSES, holm};
use evidence::Evidence;

/// Runs of the same thing.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What the reader calls it.
    pub name: String,
    /// At least one run.
    pub runs: Vec<Run>,
}

/// What is asked of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The loss from which a result fails: 0.05 for 5 %.
    pub gate: Option<f64>,
    /// Metrics to judge, with `*` for anything; empty: the results of the suites, or all numbers where a run has no result.
    pub only: Vec<String>,
}

/// How a number changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The candidate's value over the baseline's, with its 95 % interval.
    pub ratio: Interval,
    /// The same with improvements above 1, whatever the direction of the metric.
    pub gain: Interval,
    /// How likely so much is by chance.
    pub p_value: f64,
    /// The same after Holm's correction.
    pub adjusted: f64,
}

/// One number of both arms.
#[derive(Clone, Debug)]
pub struct Row {
    /// The metric.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// What it is for the comparison.
    pub role: Role,
    /// The baseline's value: of several runs the median.
    pub baseline: f64,
    /// The candidate's.
    pub candidate: f64,
    /// What changed; the reason where that cannot be told.
    pub change: Result<Change, String>,
    /// What follows.
    pub verdict: Verdict,
    /// It got worse, and by as much as the gate for all that is known.
    pub fails: bool,
}

/// A candidate beside the baseline.
#[derive(Clone, Debug)]
pub struct Against {
    /// What the reader calls it.
    pub name: String,
    /// The day, revision and number of its runs.
    pub about: String,
    /// Which runs were set beside which.
    pub pairing: Pairing,
    /// In what the conditions differ.
    pub differences: Vec<Difference>,
    /// The numbers that both have: results first, and of these what got worse.
    pub rows: Vec<Row>,
    /// Numbers that one has and the other has not.
    pub unmatched: usize,
}

/// A baseline and what was compared with it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What the reader calls the baseline.
    pub baseline: String,
    /// The day, revision and number of its runs.
    pub about: String,
    /// The machine of the baseline, in a line.
    pub machine: String,
    /// Each candidate.
    pub against: Vec<Against>,
    /// What was asked.
    pub question: Question,
}

impl Verdict {
    /// What a reader looks for first.
    fn rank(self) -> usize {
        match self {
            Verdict::Worse => 0,
            Verdict::Better => 1,
            Verdict::Inconclusive => 2,
            Verdict::Same => 3,
        }
    }

    /// As a person reads it, for a number of this unit.
    pub fn word(self, unit: &str) -> &'static str {
        let timed = evidence::is_timed(unit);
        match self {
            Verdict::Better if timed => "faster",
            Verdict::Better => "better",
            Verdict::Worse if timed => "slower",
            Verdict::Worse => "worse",
            Verdict::Same => "same",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

impl Row {
    /// Its verdict in words.
    pub fn word(&self) -> &'static str {
        self.verdict.word(&self.unit)
    }
}

impl Against {
    /// The rows that the comparison is about.
    pub fn results(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.role == Role::Result)
    }

    /// How many results have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.results().filter(|row| row.verdict == verdict).count()
    }

    /// The differences that forbid a comparison.
    pub fn forbidden(&self) -> impl Iterator<Item = &Difference> {
        let all = self.differences.iter();
        all.filter(|difference| difference.weight == Weight::Forbids)
    }

    /// `2 slower, 1 same`: the verdicts that occur among the results.
    pub fn tally(&self) -> String {
        let mut words: Vec<(&str, usize)> = Vec::new();
        for row in self.results() {
            match words.iter_mut().find(|known| known.0 == row.word()) {
                Some(known) => known.1 += 1,
                None => words.push((row.word(), 1)),
            }
        }
        let parts = words.iter().map(|(word, count)| format!("{count} {word}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl Comparison {
    /// The results that fail the gate.
    pub fn failures(&self) -> impl Iterator<Item = (&Against, &Row)> {
        let rows = |against| Against::results(against).map(move |row| (against, row));
        self.against
            .iter()
            .flat_map(rows)
            .filter(|(_, row)| row.fails)
    }

    /// No result of any candidate could be decided.
    pub fn is_undecided(&self) -> bool {
        let mut results = self.against.iter().flat_map(Against::results);
        results.all(|row| row.verdict == Verdict::Inconclusive)
    }

    /// A difference within this is none.
    pub fn margin(&self) -> f64 {
        self.question.gate.unwrap_or(MARGIN)
    }

    /// How verdicts are found, in sentences.
    pub fn method(&self) -> String {
        let margin = values::quantity(self.margin(), "ratio");
        let assumed = values::quantity(BETWEEN_PROCESSES, "ratio");
        let gate = self.question.gate.map_or(String::new(), |gate| {
            let gate = values::quantity(gate, "ratio");
            format!(" A result fails the gate when it is worse for sure and its interval reaches a loss of {gate}.")
        });
        format!(
            "Logarithms of values are compared by Student's t: runs that took turns pair by pair, others as two samples (Welch). \
             Intervals hold 95 % each. A verdict of better or worse stands when chance is ruled out with 95 % for all results \
             together (Holm's correction: no single false alarm, however the numbers depend on each other), same when the interval \
             lies within {margin}. With one run an arm, a deviation of {assumed} between processes is assumed on top of the intervals of \
             the runs, because it cannot be measured.{gate}"
        )
    }
}

/// Compares each candidate with the baseline. Empty arms have no row.
pub fn compare(baseline: &Arm, candidates: &[Arm], question: Question) -> Comparison {
    let base = Indexed::of(baseline);
    let mut against: Vec<Against> = candidates
        .iter()
        .map(|candidate| one(&base, &Indexed::of(candidate), &question))
        .collect();
    // A run of ceilings alone has no result: then every number is one.
    let is_result = |row: &Row| row.role == Role::Result;
    if !against.iter().flat_map(|one| &one.rows).any(is_result) {
        for row in against.iter_mut().flat_map(|one| &mut one.rows) {
            row.role = Role::Result;
        }
    }
    let margin = question.gate.unwrap_or(MARGIN);
    for role in [Role::Result, Role::Detail] {
        judge(&mut against, role, margin, question.gate);
    }
    let first = baseline.runs.first();
    for one in &mut against {
        one.rows.sort_by_key(|row| (row.role, row.verdict.rank()));
    }
    Comparison {
        baseline: baseline.name.clone(),
        about: about(baseline),
        machine: first.map_or(String::new(), conditions::machine),
        against,
        question,
    }
}

/// The runs of an arm in the order of time, with their metrics by name.
struct Indexed<'a> {
    arm: &'a Arm,
    runs: Vec<&'a Run>,
    metrics: Vec<HashMap<&'a str, &'a Metric>>,
}

impl<'a> Indexed<'a> {
    fn of(arm: &'a Arm) -> Self {
        let mut runs: Vec<&Run> = arm.runs.iter().collect();
        runs.sort_by(|one, other| (&one.started, &one.id).cmp(&(&other.started, &other.id)));
        let index = |run: &&'a Run| {
            let metrics = run.metrics.iter();
            metrics
                .map(|metric| (metric.name.as_str(), metric))
                .collect()
        };
        let metrics = runs.iter().map(index).collect();
        Self { arm, runs, metrics }
    }

    /// The metric in each run that has a value for it.
    fn metric(&self, name: &str) -> Vec<Option<&'a Metric>> {
        let value = |metric: &&&Metric| values::known(metric.value).is_some();
        let found = |run: &HashMap<&str, &'a Metric>| run.get(name).filter(value).copied();
        self.metrics.iter().map(found).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.metric(name).iter().any(Option::is_some)
    }
}

fn one(base: &Indexed<'_>, candidate: &Indexed<'_>, question: &Question) -> Against {
    let pairing = evidence::pairing(&base.runs, &candidate.runs);
    let mut rows = Vec::new();
    let mut unmatched = 0;
    let mut seen = std::collections::HashSet::new();
    let names = base.runs.iter().flat_map(|run| &run.metrics);
    for metric in names.filter(|metric| seen.insert(metric.name.as_str())) {
        let Some(role) = roles::role(metric, &question.only) else {
            continue;
        };
        match (base.has(&metric.name), candidate.has(&metric.name)) {
            (true, true) => rows.push(row(base, candidate, pairing, metric, role)),
            (false, false) => {}
            _ => unmatched += 1,
        }
    }
    let new = candidate.runs.iter().flat_map(|run| &run.metrics);
    let new = new.filter(|metric| roles::role(metric, &question.only).is_some());
    let new = new.filter(|metric| seen.insert(metric.name.as_str()));
    unmatched += new.filter(|metric| candidate.has(&metric.name)).count();
    Against {
        name: candidate.arm.name.clone(),
        about: about(candidate.arm),
        pairing,
        differences: conditions::differences(&base.runs, &candidate.runs),
        rows,
        unmatched,
    }
}

fn row(
    base: &Indexed<'_>,
    candidate: &Indexed<'_>,
    pairing: Pairing,
    metric: &Metric,
    role: Role,
) -> Row {
    let evidence = Evidence {
        baseline: base.metric(&metric.name),
        candidate: candidate.metric(&metric.name),
        runs: (&base.runs, &candidate.runs),
    };
    let (before, after) = evidence.values();
    let change = evidence.effect(pairing).map(|effect| {
        let better = if metric.better == Better::Lower {
            effect.inverse()
        } else {
            effect
        };
        Change {
            ratio: effect.interval(1.0 - ALPHA),
            gain: better.interval(1.0 - ALPHA),
            p_value: effect.p_value(),
            adjusted: 1.0,
        }
    });
    Row {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        role,
        baseline: before,
        candidate: after,
        change,
        verdict: Verdict::Inconclusive,
        fails: false,
    }
}

/// Verdicts of all rows of one role, corrected for their number.
fn judge(against: &mut [Against], role: Role, margin: f64, gate: Option<f64>) {
    let rows = || against.iter().flat_map(|one| &one.rows);
    let mine = |row: &&Row| row.role == role;
    let p_values = rows()
        .filter(mine)
        .filter_map(|row| Some(row.change.as_ref().ok()?.p_value));
    let mut adjusted = holm::adjusted(&p_values.collect::<Vec<_>>()).into_iter();
    let rows = against.iter_mut().flat_map(|one| &mut one.rows);
    for row in rows.filter(|row| row.role == role) {
        let Ok(change) = &mut row.change else {
            continue;
        };
        change.adjusted = adjusted.next().unwrap_or(1.0);
        row.verdict = verdict(change.gain, change.adjusted, margin);
        // A hair of tolerance: a value that was scaled by exactly the gate reaches it.
        let reached = |gate: f64| change.gain.low * (1.0 + gate) <= 1.0 + 1e-9;
        row.fails =
            role == Role::Result && row.verdict == Verdict::Worse && gate.is_some_and(reached);
    }
}

/// `3 runs from 2026-11-22 14:15 UTC, revision 5fc02d2`.
fn about(arm: &Arm) -> String {
    let Some(first) = arm.runs.iter().min_by_key(|run| &run.started) else {
        return "no run".to_owned();
    };
    let from = if arm.runs.len() > 1 { "from " } else { "" };
    let commit = conditions::revision(first);
    format!(
        "{} {from}{}, {commit}",
        values::many(arm.runs.len(), "run"),
        values::minute(&first.started)
    )
}

/// `-5.1 % (-6.0 to -4.2)`: the change of the value with its 95 % interval.
///
/// # Errors
/// Why there is none.
pub fn percent(row: &Row) -> Result<String, String> {
    let change = row.change.as_ref().map_err(Clone::clone)?;
    let of = |ratio: f64| (ratio - 1.0) * 100.0;
    let Interval {
        estimate,
        low,
        high,
    } = change.ratio;
    if low == high && estimate == 1.0 {
        return Ok("none".to_owned());
    }
    let limit = |end: f64| {
        if end.abs() < 1e3 {
            format!("{end:+.1}")
        } else {
            "far".to_owned()
        }
    };
    Ok(format!(
        "{:+.1} % ({} to {})",
        of(estimate),
        limit(of(low)),
        limit(of(high))
    ))
}
