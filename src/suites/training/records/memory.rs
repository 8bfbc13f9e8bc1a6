//! Memory as planned and as it came to be.

use super::subject;
use crate::suites::quantity;
use crate::suites::training::findings::Findings;
use crate::suites::{Curve, Recorder};
use crate::units::Bytes;

pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let (memory, threads) = (&findings.memory, findings.most_threads());
    for (role, bytes) in &memory.planned {
        let subject = format!("memory.{}.{role}", findings.case);
        recorder.estimated(&subject, quantity::BYTES, *bytes as f64, what(role));
    }
    let planned: usize = memory.planned.iter().map(|(_, bytes)| bytes).sum();
    let peak = peak_how(findings);
    for subject in [
        format!("memory.{}.t{threads}", findings.case),
        subject(findings, threads),
    ] {
        let how = "sum of the planned roles and the tokens";
        recorder.estimated(&subject, quantity::PLANNED_BYTES, planned as f64, how);
        match &memory.peak {
            Ok(bytes) => recorder.reading(&subject, quantity::PEAK_RSS_BYTES, *bytes, peak.clone()),
            Err(reason) => recorder.missing(&subject, quantity::PEAK_RSS_BYTES, reason.clone()),
        }
    }
    let points = memory
        .resident
        .iter()
        .map(|(step, bytes)| (*step as f64, *bytes));
    let how = "resident memory (VmRSS) after steps";
    recorder.curve(
        &format!("memory.{}", findings.case),
        quantity::RSS_BYTES,
        Curve::through("step", points),
        how,
    );
}

fn what(role: &str) -> &'static str {
    match role {
        "workspace" => {
            "planned before the first step: packed weights, and buffers that hold nothing between operators"
        }
        "tokens" => "the text in tokens",
        _ => "planned before the first step",
    }
}

/// What the peak counts.
fn peak_how(findings: &Findings) -> String {
    let memory = &findings.memory;
    let since = if memory.peak_is_own {
        "in this case"
    } else {
        "since the start of the process"
    };
    let before = memory.before.map_or(String::new(), |bytes| {
        format!(", of which {} before the trainer was made", Bytes(bytes))
    });
    format!("largest resident memory of the process {since} (VmHWM){before}")
}
