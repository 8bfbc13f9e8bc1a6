//! A case's findings as metrics and curves: speed, scaling, memory, learning, counters.

use super::findings::{Arm, Findings};
use crate::measure::counters::{Reading, Scope};
use crate::record::Better;
use crate::stats::fits::{Amdahl, Point, Usl};
use crate::stats::{Interval, bootstrap, compare, outliers};
use crate::suites::quantity::{self, Quantity};
use crate::suites::{Curve, Recorder};
use crate::units::{Bytes, Ratio};

/// Steal and foreign load above which the reader is told.
const NOTED_STEAL: f64 = 0.01;
const NOTED_FOREIGN: f64 = 0.05;

/// Records everything but operators and losses.
pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    for arm in &findings.arms {
        speed(recorder, findings, arm);
        clocks(recorder, findings, arm);
    }
    scaling(recorder, findings);
    memory(recorder, findings);
    learning(recorder, findings);
    counters(recorder, findings);
    disturbance(recorder, findings);
}

fn subject(findings: &Findings, threads: usize) -> String {
    format!("training.{}.t{threads}", findings.case)
}

fn speed(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let subject = subject(findings, arm.threads);
    let (Some(step), Some(mfu)) = (arm.step(), arm.mfu(findings.flops())) else {
        for quantity in [quantity::TOKENS_PER_SECOND, quantity::STEP_SECONDS, quantity::MFU, quantity::GFLOPS] {
            recorder.missing(&subject, quantity, "stopped before a round of steps was complete");
        }
        return;
    };
    let how = format!("{}, {} x {} tokens each", steps(arm), findings.batch.0, findings.batch.1);
    recorder.measured(&subject, quantity::TOKENS_PER_SECOND, step.map(|seconds| findings.tokens() / seconds), how.clone());
    recorder.measured(&subject, quantity::STEP_SECONDS, step, how.clone());
    let formula = "3 x [2 (12 d^2 L + d V) + 4 T d L] per token, attention counted in full";
    recorder.estimated(&subject, quantity::FLOPS_PER_TOKEN, findings.sizes.per_token(), formula);
    let gflops = step.map(|seconds| findings.flops() / seconds / 1e9);
    recorder.derived(&subject, quantity::GFLOPS, gflops, format!("model arithmetic ({formula}) over the time of a step"));
    let peak = arm.peak().unwrap_or(f64::NAN) / 1e9;
    let against = format!("model arithmetic over the {} multiply-add peak of the same threads, {peak:.1} GFLOP/s, measured beside each step", findings.isas.1);
    recorder.derived(&subject, quantity::MFU, mfu, against);
    let mut curve = Curve { x_unit: "step", ..Curve::default() };
    curve.x = arm.steps.iter().map(|step| *step as f64).collect();
    curve.y = arm.seconds.clone();
    recorder.curve(&subject, quantity::STEP_SECONDS, curve, format!("each measured step on {} threads", arm.threads));
}

/// `median of 24 steps, 2 outliers kept`.
fn steps(arm: &Arm) -> String {
    let outliers = match outliers::count(&arm.seconds) {
        0 => String::new(),
        1 => ", one outlier kept".into(),
        count => format!(", {count} outliers kept"),
    };
    let warm = if arm.warm_up.1 { "" } else { ", still changing after the warm-up" };
    format!("median of {} steps interleaved with the other thread counts{outliers}{warm}", arm.seconds.len())
}

fn clocks(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let subject = format!("frequency.{}.t{}", findings.case, arm.threads);
    let hertz: Vec<f64> = arm.clocks.iter().map(|(_, hertz)| *hertz).collect();
    let Some(clock) = bootstrap::median_interval(&hertz, 14) else { return };
    let how = "dependent additions in windows of 30 us on every thread right after each step";
    recorder.measured(&subject, quantity::GHZ, clock.map(|hertz| hertz / 1e9), how);
    let mut curve = Curve { x_unit: "seconds", ..Curve::default() };
    (curve.x, curve.y) = arm.clocks.iter().map(|(seconds, hertz)| (*seconds, hertz / 1e9)).unzip();
    recorder.curve(&format!("{subject}.timeline"), quantity::GHZ, curve, how);
}

/// Speed-up and efficiency of every thread count, and the laws fitted to them.
fn scaling(recorder: &mut Recorder, findings: &Findings) {
    let Some(alone) = findings.alone() else {
        let reason = "one thread was not measured (--threads without 1)";
        if let Some(widest) = findings.widest() {
            recorder.missing(&subject(findings, widest.threads), quantity::SPEEDUP, reason);
            recorder.missing(&subject(findings, widest.threads), quantity::THREAD_EFFICIENCY, reason);
        }
        return;
    };
    let (mut speedups, mut efficiencies) = (Curve { x_unit: "threads", ..Curve::default() }, Curve { x_unit: "threads", ..Curve::default() });
    let mut points = Vec::new();
    for arm in &findings.arms {
        let Some(comparison) = compare::paired(&alone.seconds, &arm.seconds, 15) else { continue };
        let (threads, speedup) = (arm.threads as f64, comparison.speedup);
        let efficiency = speedup.map(|speedup| speedup / threads);
        let subject = subject(findings, arm.threads);
        recorder.derived(&subject, quantity::SPEEDUP, speedup, format!("time on one thread over time on {threads}, median over {} interleaved rounds", comparison.pairs));
        recorder.derived(&subject, quantity::THREAD_EFFICIENCY, efficiency, "speed-up over threads");
        speedups.push(threads, speedup);
        efficiencies.push(threads, efficiency);
        let rounds = alone.seconds.iter().zip(&arm.seconds).map(|(one, many)| one / many).collect();
        points.push(Point { threads: arm.threads, speedups: rounds });
    }
    let case = format!("training.{}", findings.case);
    recorder.curve(&case, quantity::SPEEDUP, speedups, "time on one thread over time on N, both measured");
    recorder.curve(&case, quantity::THREAD_EFFICIENCY, efficiencies, "speed-up over threads");
    laws(recorder, &case, &points);
}

fn laws(recorder: &mut Recorder, case: &str, points: &[Point]) {
    let amdahl = format!("{case}.amdahl");
    match Amdahl::fit(points, 16) {
        Some(fit) => recorder.derived(&amdahl, quantity::SERIAL_FRACTION, fit.serial_fraction, "Amdahl's law fitted by least squares to the measured speed-ups"),
        None => recorder.missing(&amdahl, quantity::SERIAL_FRACTION, "needs more than one thread"),
    }
    let usl = format!("{case}.usl");
    match Usl::fit(points, 17) {
        Some(fit) => {
            let how = "universal scalability law fitted by least squares to the measured speed-ups";
            recorder.derived(&usl, quantity::CONTENTION, fit.contention, how);
            recorder.derived(&usl, quantity::COHERENCE, fit.coherence, how);
        }
        None => {
            for quantity in [quantity::CONTENTION, quantity::COHERENCE] {
                recorder.missing(&usl, quantity, "two unknowns need two thread counts above one");
            }
        }
    }
}

fn memory(recorder: &mut Recorder, findings: &Findings) {
    let Some(threads) = findings.arms.iter().map(|arm| arm.threads).max() else { return };
    let memory = &findings.memory;
    for (role, bytes) in &memory.planned {
        recorder.estimated(&format!("memory.{}.{role}", findings.case), quantity::BYTES, *bytes as f64, "planned before the first step");
    }
    let planned: usize = memory.planned.iter().map(|(_, bytes)| bytes).sum();
    let before = memory.before.map_or(String::new(), |bytes| format!(", of which {} before the trainer was made", Bytes(bytes)));
    let since = if memory.peak_is_own { "largest resident memory of the process in this case" } else { "largest resident memory since the start of the process" };
    for subject in [format!("memory.{}.t{threads}", findings.case), subject(findings, threads)] {
        recorder.estimated(&subject, quantity::PLANNED_BYTES, planned as f64, "sum of the planned roles and the tokens");
        match &memory.peak {
            Ok(bytes) => recorder.reading(&subject, quantity::PEAK_RSS_BYTES, *bytes, format!("{since} (VmHWM){before}")),
            Err(reason) => recorder.missing(&subject, quantity::PEAK_RSS_BYTES, reason.clone()),
        }
    }
    let mut curve = Curve { x_unit: "step", ..Curve::default() };
    (curve.x, curve.y) = memory.resident.iter().map(|(step, bytes)| (*step as f64, *bytes)).unzip();
    recorder.curve(&format!("memory.{}", findings.case), quantity::RSS_BYTES, curve, "resident memory (VmRSS) after steps");
}

fn learning(recorder: &mut Recorder, findings: &Findings) {
    let Some(threads) = findings.arms.iter().map(|arm| arm.threads).max() else { return };
    let subject = subject(findings, threads);
    if let Some(loss) = findings.losses.last() {
        recorder.reading(&subject, quantity::LOSS, *loss, format!("training loss of step {}, warm-up included", findings.losses.len()));
    }
    let mut curve = Curve { x_unit: "step", ..Curve::default() };
    (curve.x, curve.y) = findings.losses.iter().enumerate().map(|(step, loss)| (step as f64 + 1.0, *loss)).unzip();
    recorder.curve(&subject, quantity::LOSS, curve, "mean cross-entropy of the batch; one training run, whatever the threads");
    match findings.validation.last() {
        Some((step, loss)) => recorder.reading(&subject, quantity::VALIDATION_LOSS, *loss, format!("after step {step}, on text that is not trained on")),
        None => recorder.missing(&subject, quantity::VALIDATION_LOSS, "no validation part (training.validation_split), or stopped before it"),
    }
    let mut curve = Curve { x_unit: "step", ..Curve::default() };
    (curve.x, curve.y) = findings.validation.iter().map(|(step, loss)| (*step as f64, *loss)).unzip();
    recorder.curve(&subject, quantity::VALIDATION_LOSS, curve, "mean cross-entropy on text that is not trained on");
    match findings.unigram_entropy {
        Some(entropy) => recorder.computed(&subject, quantity::UNIGRAM_ENTROPY, entropy, "loss of predicting the validation text by the token frequencies of the training text"),
        None => recorder.missing(&subject, quantity::UNIGRAM_ENTROPY, "no validation part (training.validation_split)"),
    }
}

fn counters(recorder: &mut Recorder, findings: &Findings) {
    let Some(threads) = findings.arms.iter().map(|arm| arm.threads).max() else { return };
    let subject = format!("counters.{}.t{threads}", findings.case);
    for Reading { counter, tally } in &findings.counters.readings {
        let quantity = Quantity { name: counter.name, unit: counter.unit, better: Better::Neither };
        match tally {
            Ok(tally) => {
                let scope = if tally.scope == Scope::User { "this program alone" } else { "this program and the kernel for it" };
                let share = if tally.share < 0.999 { format!(", extrapolated from {} of the time", Ratio(tally.share)) } else { String::new() };
                recorder.reading(&subject, quantity, tally.value, format!("{}; one step, {scope}{share}", counter.why));
            }
            Err(missing) => recorder.missing(&subject, quantity, format!("{missing} ({})", counter.why)),
        }
    }
    for (name, reason) in &findings.counters.missing {
        recorder.missing(&subject, Quantity { name, unit: "count", better: Better::Neither }, reason.clone());
    }
}

fn disturbance(recorder: &mut Recorder, findings: &Findings) {
    let Some(threads) = findings.arms.iter().map(|arm| arm.threads).max() else { return };
    let subject = format!("counters.{}.t{threads}", findings.case);
    let Some(disturbance) = findings.disturbance else {
        recorder.missing(&subject, quantity::STEAL_RATIO, "/proc/stat did not tell");
        return;
    };
    recorder.reading(&subject, quantity::STEAL_RATIO, disturbance.steal_ratio, "CPU time that the hypervisor gave to others while steps were measured (/proc/stat)");
    recorder.reading(&subject, quantity::FOREIGN_RATIO, disturbance.foreign_ratio, "CPU time that other programs used while steps were measured (/proc/stat)");
    if disturbance.steal_ratio > NOTED_STEAL || disturbance.foreign_ratio > NOTED_FOREIGN {
        let text = format!(
            "{}: other programs used {} of all CPU time and the hypervisor took {} while steps were measured; an idle machine gives narrower intervals.",
            findings.case, Ratio(disturbance.foreign_ratio), Ratio(disturbance.steal_ratio)
        );
        recorder.note("limits", text);
    }
}

/// An interval without width, for numbers that are exact.
pub(super) fn exactly(value: f64) -> Interval {
    Interval { estimate: value, low: value, high: value }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Arm, sample};
    use super::*;
    use crate::measure::counters::{Missing, tables};

    fn recorded(findings: &Findings) -> Recorder {
        let mut recorder = Recorder::default();
        record(&mut recorder, findings);
        recorder
    }

    #[test]
    fn formulas_hold_on_recorded_readings() {
        let findings = sample::findings();
        let recorder = recorded(&findings);
        let value = |name: &str| recorder.value(name).unwrap_or_else(|| panic!("{name}"));
        let close = |name: &str, expected: f64| assert!((value(name) - expected).abs() < 1e-9 * expected.abs(), "{name}: {}", value(name));
        close("training.small.t2.tokens_per_second", 4096.0 / 1.1);
        close("training.small.t2.step_seconds", 1.1);
        let flops = 4096.0 * 25_731_072.0;
        close("training.small.t2.flops_per_token", flops / 4096.0);
        close("training.small.t2.gflops", flops / 1.1 / 1e9);
        close("training.small.t2.mfu", flops / 1.1 / 190e9);
        close("training.small.t2.speedup", 2.0 / 1.1);
        close("training.small.t2.thread_efficiency", 1.0 / 1.1);
        close("training.small.t1.speedup", 1.0);
        close("training.small.amdahl.serial_fraction", 2.0 * 1.1 / 2.0 - 1.0);
        close("memory.small.t2.planned_bytes", 1024.0);
        close("training.small.t2.peak_rss_bytes", 2e6);
        close("training.small.t2.loss", 8.5);
        close("training.small.t2.validation_loss", 8.4);
        close("counters.small.t2.foreign_ratio", 0.2);
        close("frequency.small.t2.ghz", 2.45);
        assert_eq!(recorder.value("training.small.usl.contention"), None);
        assert!(recorder.notes().iter().any(|note| note.text.contains("20.0 %")));
        let names: Vec<&str> = recorder.series().iter().map(|series| series.name.as_str()).collect();
        for name in [
            "training.small.t2.loss", "training.small.t2.validation_loss", "training.small.t1.step_seconds", "training.small.speedup",
            "training.small.thread_efficiency", "memory.small.rss_bytes", "frequency.small.t2.timeline.ghz",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut findings = sample::findings();
        findings.arms = vec![Arm { threads: 2, ..Arm::default() }];
        findings.memory.peak = Err("no VmHWM".into());
        (findings.validation, findings.unigram_entropy, findings.disturbance) = (Vec::new(), None, None);
        let counter = &tables::SOFTWARE.counters[0];
        findings.counters.readings = vec![Reading { counter, tally: Err(Missing::NotOffered) }];
        findings.counters.missing = vec![("l3_misses", "no table".into())];
        let recorder = recorded(&findings);
        for name in [
            "training.small.t2.tokens_per_second", "training.small.t2.mfu", "training.small.t2.peak_rss_bytes", "training.small.t2.validation_loss",
            "counters.small.t2.page_faults", "counters.small.t2.l3_misses", "counters.small.t2.steal_ratio",
        ] {
            let metric = recorder.metrics().iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
            assert!(metric.value.is_none() && metric.how.len() > 5, "{name}: {}", metric.how);
        }
    }
}
