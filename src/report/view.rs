//! A run seen by a picture: numbers by name, one training case at one thread count, and why something is missing.

use std::collections::HashMap;

use super::draw::Point;
use super::values;
use crate::record::{Metric, Provenance, Run, Series};

/// The passes of a step, in the order of time.
pub(crate) const PASSES: [&str; 3] = ["forward", "backward", "optimizer"];

/// A run with an index, and the training case that the pictures are about.
pub(crate) struct View<'a> {
    /// The document.
    pub(crate) run: &'a Run,
    /// The training case, `None` where the run trained nothing.
    pub(crate) case: Option<String>,
    /// The most threads that the case ran on.
    pub(crate) threads: Option<u32>,
    metrics: HashMap<&'a str, &'a Metric>,
    series: HashMap<&'a str, &'a Series>,
}

/// One operator in one pass of the case.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// As people call it: `MLP up`.
    pub(crate) label: String,
    /// `forward`, `backward`, `optimizer`.
    pub(crate) pass: String,
    /// Seconds of one step spent there.
    pub(crate) seconds: f64,
    /// Achieved GFLOP/s, where it computes.
    pub(crate) gflops: Option<f64>,
    /// FLOP per declared byte.
    pub(crate) intensity: Option<f64>,
}

/// Something that a picture is made of, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// What it is: `time by operator`.
    pub(crate) what: String,
    /// Where it comes from: `measured`; several where its parts differ.
    pub(crate) origin: Vec<String>,
    /// How it was obtained, or why it is missing; each sentence once.
    pub(crate) how: Vec<String>,
    /// At least one number of it exists.
    pub(crate) known: bool,
}

/// The points of a curve; what is no number is a gap, lists of different lengths end with the shorter.
pub(crate) fn points(series: &Series) -> Vec<Point> {
    let point = |(x, y): (&f64, &Option<f64>)| Some((values::known(Some(*x))?, values::known(*y)));
    series.x.iter().zip(&series.y).filter_map(point).collect()
}

/// Splits `suite.case.tN.quantity` at its thread count: what is before, N, what is after.
pub(crate) fn at_threads(name: &str) -> Option<(&str, u32, &str)> {
    let mut from = name.len();
    while let Some(start) = name[..from].rfind(".t") {
        let (digits, after) = name[start + 2..]
            .split_once('.')
            .unwrap_or((&name[start + 2..], ""));
        if let Ok(threads) = digits.parse() {
            return Some((&name[..start], threads, after));
        }
        from = start;
    }
    None
}

/// The name of a provenance.
pub(crate) fn origin(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Measured => "measured",
        Provenance::Derived => "derived",
        Provenance::Simulated => "simulated",
        Provenance::Estimated => "estimated",
        Provenance::Unavailable => "unavailable",
    }
}

/// The training cases of a run, in the order of the document.
pub(crate) fn cases(run: &Run) -> Vec<String> {
    let mut cases: Vec<String> = Vec::new();
    let names = || {
        run.metrics
            .iter()
            .map(|metric| metric.name.as_str())
            .chain(run.series.iter().map(|series| series.name.as_str()))
    };
    let mut add = |case: &str| {
        if !case.is_empty() && !cases.iter().any(|known| known == case) {
            cases.push(case.to_owned());
        }
    };
    for name in names() {
        let Some(("training", _)) = name.split_once('.') else {
            continue;
        };
        let Some((before, _, quantity)) = at_threads(name) else {
            continue;
        };
        if matches!(
            quantity,
            "tokens_per_second" | "step_seconds" | "loss" | "mfu"
        ) {
            let case = &before["training".len()..];
            let inner = case
                .rsplit('.')
                .next()
                .is_some_and(|last| PASSES.contains(&last));
            if !inner {
                add(case.trim_start_matches('.'));
            }
        }
    }
    cases
}

impl<'a> View<'a> {
    /// `run` with the training case `case`.
    pub(crate) fn new(run: &'a Run, case: Option<String>) -> Self {
        let metrics: HashMap<_, _> = run
            .metrics
            .iter()
            .map(|metric| (metric.name.as_str(), metric))
            .collect();
        let series = run
            .series
            .iter()
            .map(|series| (series.name.as_str(), series))
            .collect();
        let mut view = Self {
            run,
            case,
            threads: None,
            metrics,
            series,
        };
        let prefix = view.case.as_ref().map(|case| format!("training.{case}"));
        let names = run
            .metrics
            .iter()
            .map(|metric| (metric.name.as_str(), metric.value.is_some()));
        let names = names.chain(
            run.series
                .iter()
                .map(|series| (series.name.as_str(), !series.x.is_empty())),
        );
        let counts = names.filter_map(|(name, known)| {
            let (before, threads, _) = at_threads(name)?;
            (Some(before) == prefix.as_deref()).then_some((known, threads))
        });
        view.threads = counts.max().map(|(_, threads)| threads);
        view
    }

    /// The metric of that name, with or without a value.
    pub(crate) fn metric(&self, name: &str) -> Option<&'a Metric> {
        self.metrics.get(name).copied()
    }

    /// The finite value of that name.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        values::known(self.metric(name)?.value)
    }

    /// The curve of that name.
    pub(crate) fn series(&self, name: &str) -> Option<&'a Series> {
        self.series.get(name).copied()
    }

    /// `SUITE.<case>.tN.quantity` of the case at its most threads.
    pub(crate) fn name(&self, suite: &str, quantity: &str) -> String {
        let (case, threads) = (
            self.case.as_deref().unwrap_or_default(),
            self.threads.unwrap_or_default(),
        );
        format!("{suite}.{case}.t{threads}.{quantity}")
    }

    /// `SUITE.<case>.rest`.
    pub(crate) fn case_name(&self, suite: &str, rest: &str) -> String {
        format!(
            "{suite}.{}.{rest}",
            self.case.as_deref().unwrap_or_default()
        )
    }

    /// The metrics whose names start with `prefix`, in the order of the document.
    pub(crate) fn metrics_under(&self, prefix: &str) -> Vec<&'a Metric> {
        self.run
            .metrics
            .iter()
            .filter(|metric| metric.name.starts_with(prefix))
            .collect()
    }

    /// The curves whose names start with `prefix` and end with `suffix`, in the order of the document.
    pub(crate) fn series_like(&self, prefix: &str, suffix: &str) -> Vec<&'a Series> {
        let like =
            |series: &&Series| series.name.starts_with(prefix) && series.name.ends_with(suffix);
        self.run.series.iter().filter(like).collect()
    }

    /// The metrics of each operator and pass with this quantity: operator, pass, metric.
    pub(crate) fn operator_metrics(&self, quantity: &str) -> Vec<(&'a str, &'a str, &'a Metric)> {
        let prefix = self.case_name("training", "");
        let found = self.run.metrics.iter().filter_map(|metric| {
            let (before, threads, last) = at_threads(&metric.name)?;
            let (operator, pass) = before.strip_prefix(&prefix)?.rsplit_once('.')?;
            let wanted =
                last == quantity && Some(threads) == self.threads && PASSES.contains(&pass);
            wanted.then_some((operator, pass, metric))
        });
        found.collect()
    }

    /// The operators of a step, passes in the order of time, the longest first in each.
    pub(crate) fn operators(&self) -> Vec<Operator> {
        let mut operators: Vec<Operator> = Vec::new();
        for (name, pass, metric) in self.operator_metrics("step_seconds") {
            let Some(seconds) = values::known(metric.value).filter(|seconds| *seconds > 0.0) else {
                continue;
            };
            let threads = self.threads.unwrap_or_default();
            let positive = |quantity: &str| {
                let full =
                    self.case_name("training", &format!("{name}.{pass}.t{threads}.{quantity}"));
                self.value(&full).filter(|value| *value > 0.0)
            };
            let (gflops, intensity) = (positive("gflops"), positive("intensity"));
            operators.push(Operator {
                label: values::operator(name),
                pass: pass.to_owned(),
                seconds,
                gflops,
                intensity,
            });
        }
        let rank = |operator: &Operator| PASSES.iter().position(|pass| *pass == operator.pass);
        operators.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.seconds.total_cmp(&a.seconds)));
        operators
    }
}

impl View<'_> {
    /// Seconds of a step: as measured, or the sum of its operators where that is more; `None` where neither is known.
    pub(crate) fn step_seconds(&self) -> Option<f64> {
        let inside: f64 = self
            .operators()
            .iter()
            .map(|operator| operator.seconds)
            .sum();
        let step = self
            .value(&self.name("training", "step_seconds"))
            .unwrap_or(inside)
            .max(inside);
        Some(step).filter(|step| *step > 0.0)
    }
}

impl Input {
    /// `None` where the run has no such metric at all.
    pub(crate) fn of_metrics<'a>(
        what: &str,
        metrics: impl IntoIterator<Item = &'a Metric>,
    ) -> Option<Self> {
        let known = |metric: &Metric| values::known(metric.value).is_some();
        Self::of(
            what,
            metrics
                .into_iter()
                .map(|metric| (metric.provenance, metric.how.as_str(), known(metric))),
        )
    }

    /// `None` where the run has no such curve at all.
    pub(crate) fn of_series<'a>(
        what: &str,
        series: impl IntoIterator<Item = &'a Series>,
    ) -> Option<Self> {
        let known = |series: &Series| points(series).iter().any(|point| point.1.is_some());
        Self::of(
            what,
            series
                .into_iter()
                .map(|series| (series.provenance, series.how.as_str(), known(series))),
        )
    }

    fn of<'a>(
        what: &str,
        parts: impl Iterator<Item = (Provenance, &'a str, bool)>,
    ) -> Option<Self> {
        let mut input = Self {
            what: what.to_owned(),
            origin: Vec::new(),
            how: Vec::new(),
            known: false,
        };
        let mut reasons: Vec<String> = Vec::new();
        let mut parts = parts.peekable();
        parts.peek()?;
        for (provenance, how, known) in parts {
            input.known |= known;
            let (origin, how) = (origin(provenance).to_owned(), how.to_owned());
            let hows = if known { &mut input.how } else { &mut reasons };
            if !how.is_empty() && !hows.contains(&how) {
                hows.push(how);
            }
            if known && !input.origin.contains(&origin) {
                input.origin.push(origin);
            }
        }
        if !input.known {
            input.how = reasons;
        }
        Some(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_splits_at_its_thread_count() {
        assert_eq!(
            at_threads("training.small.t2.loss"),
            Some(("training.small", 2, "loss"))
        );
        assert_eq!(
            at_threads("training.small.t2"),
            Some(("training.small", 2, ""))
        );
        assert_eq!(
            at_threads("training.tiny.t12.tokens"),
            Some(("training.tiny", 12, "tokens"))
        );
        assert_eq!(at_threads("frequency.tsc.ghz"), None);
        assert_eq!(at_threads(".t"), None);
        assert_eq!(at_threads(""), None);
    }
}
