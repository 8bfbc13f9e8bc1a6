//! Counters of one step, and who else used the machine.

use crate::measure::counters::formulas::FORMULAS;
use crate::measure::counters::{Counter, Reading, Scope, Tally};
use crate::measure::neighbours::Load;
use crate::record::Better;
use crate::suites::Recorder;
use crate::suites::quantity::{self, Quantity};
use crate::suites::training::findings::Findings;
use crate::units::Ratio;

/// Steal and foreign load above which the reader is told.
const NOTED_STEAL: f64 = 0.01;
const NOTED_FOREIGN: f64 = 0.05;

/// Share of all CPU time from which on a program is named, and how many are.
const NAMED: f64 = 0.01;
const MOST_NAMED: usize = 3;

/// Share of the time below which a count is called extrapolated.
const WHOLE: f64 = 0.999;

pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let subject = format!("counters.{}.t{}", findings.case, findings.most_threads());
    for Reading { counter, tally } in &findings.counters.readings {
        let quantity = counted(counter.name, counter.unit);
        match tally {
            Ok(tally) => recorder.reading(&subject, quantity, tally.value, how(counter, tally)),
            Err(missing) => {
                recorder.missing(&subject, quantity, format!("{missing} ({})", counter.why))
            }
        }
    }
    for (name, reason) in &findings.counters.missing {
        recorder.missing(&subject, counted(name, "count"), reason.clone());
    }
    derived(recorder, &findings.counters.readings, &subject);
    disturbance(recorder, findings, &subject);
}

/// What several counts say together.
fn derived(recorder: &mut Recorder, readings: &[Reading], subject: &str) {
    for formula in FORMULAS {
        let quantity = counted(formula.name, formula.unit);
        match formula.of(readings) {
            Some(Ok(value)) => recorder.computed(subject, quantity, value, formula.how),
            Some(Err(missing)) => {
                recorder.missing(subject, quantity, format!("{missing} ({})", formula.how))
            }
            None => {}
        }
    }
}

fn counted(name: &'static str, unit: &'static str) -> Quantity {
    Quantity {
        name,
        unit,
        better: Better::Neither,
    }
}

fn how(counter: &Counter, tally: &Tally) -> String {
    let scope = match tally.scope {
        Scope::User => "this program alone",
        Scope::UserAndKernel => "this program and the kernel for it",
        Scope::Machine => "everybody on the machine",
    };
    let share = if tally.share < WHOLE {
        format!(", extrapolated from {} of the time", Ratio(tally.share))
    } else {
        String::new()
    };
    format!("{}; one step, {scope}{share}", counter.why)
}

/// ` (compiler 15.0 %, shell 2.0 %)`: the busiest of the programs that did not end meanwhile; nothing if no one stands out.
fn busiest(findings: &Findings, cpu_seconds: f64) -> String {
    let loads = findings.neighbours.iter().flatten();
    let share = |load: &Load| load.seconds / cpu_seconds;
    let named: Vec<String> = loads
        .filter(|load| share(load) >= NAMED)
        .take(MOST_NAMED)
        .map(|load| format!("{} {}", load.name, Ratio(share(load))))
        .collect();
    if named.is_empty() {
        String::new()
    } else {
        format!(" ({})", named.join(", "))
    }
}

fn disturbance(recorder: &mut Recorder, findings: &Findings, subject: &str) {
    let Some(disturbance) = findings.disturbance else {
        recorder.missing(subject, quantity::STEAL_RATIO, "/proc/stat did not tell");
        return;
    };
    let (steal, foreign) = (disturbance.steal_ratio, disturbance.foreign_ratio);
    let how = "CPU time that the hypervisor gave to others while steps were measured (/proc/stat)";
    recorder.reading(subject, quantity::STEAL_RATIO, steal, how);
    let how = "CPU time that other programs used while steps were measured (/proc/stat)";
    recorder.reading(subject, quantity::FOREIGN_RATIO, foreign, how);
    if steal > NOTED_STEAL || foreign > NOTED_FOREIGN {
        let text = format!(
            "{}: other programs used {} of all CPU time{} and the hypervisor took {} while steps were measured; \
             an idle machine gives narrower intervals.",
            findings.case,
            Ratio(foreign),
            busiest(findings, disturbance.cpu_seconds),
            Ratio(steal)
        );
        recorder.note("limits", text);
    }
}
