//! The ledger under the names of run.json: `ledger.<case>.<optimization>.tN.{speedup, claimed, ..}`.

use super::generation::Generation;
use super::lines::{Claim, Line, Off};
use super::{BOUND, Entry};
use crate::stats::{Interval, bootstrap, compare};
use crate::suites::Recorder;
use crate::suites::quantity::{
    CLAIMED, LOSS_DIFFERENCE, RELATIVE_DIFFERENCE, SPEEDUP, STEP_SECONDS,
};

fn subject(case: &str, line: &Line, threads: usize) -> String {
    format!("ledger.{case}.{}.t{threads}", line.id)
}

/// What the seed says.
pub(super) fn claim(recorder: &mut Recorder, case: &str, line: &Line, threads: usize) {
    let subject = subject(case, line, threads);
    match line.claim {
        Claim::Times(low, high, words) => {
            let interval = Interval {
                estimate: (low * high).sqrt(),
                low,
                high,
            };
            let how = format!("claimed by the seed: {words}; the middle of its range");
            recorder.stated(&subject, CLAIMED, interval, how);
        }
        Claim::Nothing(reason) => recorder.missing(&subject, CLAIMED, reason),
    }
}

/// A line that is not measured.
pub(super) fn missing(
    recorder: &mut Recorder,
    case: &str,
    line: &Line,
    threads: usize,
    reason: &str,
) {
    recorder.missing(&subject(case, line, threads), SPEEDUP, reason);
}

/// A line that was measured, or turned out to compute something else.
pub(super) fn line(recorder: &mut Recorder, case: &str, entry: &Entry, threads: usize) {
    let (line, pairs) = (&entry.line, &entry.pairs);
    let subject = subject(case, line, threads);
    let Some((loss, other)) = pairs.differences else {
        return recorder.missing(&subject, SPEEDUP, "stopped before a pair was complete");
    };
    differences(recorder, &subject, line, loss, other);
    if !entry.is_right() {
        let reason = format!(
            "switched off, it computes something else: by {:.1e}, where {BOUND:.0e} is the bound",
            loss.unwrap_or(0.0).max(other)
        );
        return recorder.missing(&subject, SPEEDUP, reason);
    }
    let work = work(entry);
    if let Some(comparison) = compare::paired(&pairs.off, &pairs.on, 21) {
        let how = format!(
            "time with {} over time of the whole program, {work}; median over {} pairs in changing order",
            line.simple, comparison.pairs
        );
        recorder.derived(&subject, SPEEDUP, comparison.speedup, how);
    }
    for (side, seconds) in [("on", &pairs.on), ("off", &pairs.off)] {
        if let Some(interval) = bootstrap::median_interval(seconds, 22) {
            let subject = format!("ledger.{case}.{}.{side}.t{threads}", line.id);
            recorder.measured(&subject, STEP_SECONDS, interval, work.clone());
        }
    }
}

fn work(entry: &Entry) -> String {
    let plan = &entry.full;
    match entry.line.off {
        Off::Cache => {
            let (prompt, tokens) = Generation::lengths(plan.length);
            format!("for each of {tokens} tokens after a prompt of {prompt}")
        }
        _ => format!("a step of {} x {} tokens", plan.batch, plan.length),
    }
}

fn differences(recorder: &mut Recorder, subject: &str, line: &Line, loss: Option<f64>, other: f64) {
    if let Some(loss) = loss {
        let how = format!("of the first step with and without; {BOUND:.0e} is the bound");
        recorder.reading(subject, LOSS_DIFFERENCE, loss, how);
    }
    let what = match line.off {
        Off::Cache => "largest difference of the last token's logits over the largest logit",
        _ => "norm of the difference of the first step's gradients over their norm",
    };
    let how = format!("{what}, with and without; {BOUND:.0e} is the bound");
    recorder.reading(subject, RELATIVE_DIFFERENCE, other, how);
}
