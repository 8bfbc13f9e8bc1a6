//! A case's findings as metrics and curves, one file per subject; speed and frequency here.

mod counters;
pub(super) mod flops;
mod learning;
mod memory;
pub(super) mod parts;
mod scaling;
mod threads;

use super::findings::{Arm, Findings};
use crate::stats::{bootstrap, outliers};
use crate::suites::quantity;
use crate::suites::{Curve, Recorder};

/// Records everything but operators and losses.
pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    for arm in &findings.arms {
        speed(recorder, findings, arm);
        clocks(recorder, findings, arm);
    }
    scaling::record(recorder, findings);
    threads::record(recorder, findings);
    memory::record(recorder, findings);
    learning::record(recorder, findings);
    counters::record(recorder, findings);
}

fn subject(findings: &Findings, threads: usize) -> String {
    format!("training.{}.t{threads}", findings.case)
}

fn speed(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let subject = subject(findings, arm.threads);
    let (Some(step), Some(mfu)) = (arm.step(), arm.mfu(findings.flops())) else {
        let all = [
            quantity::TOKENS_PER_SECOND,
            quantity::STEP_SECONDS,
            quantity::MFU,
            quantity::GFLOPS,
        ];
        for quantity in all {
            recorder.missing(
                &subject,
                quantity,
                "stopped before a round of steps was complete",
            );
        }
        return;
    };
    let (sequences, length) = findings.batch;
    let how = format!("{}, {sequences} x {length} tokens each", steps(arm));
    let speed = step.map(|seconds| findings.tokens() / seconds);
    recorder.measured(&subject, quantity::TOKENS_PER_SECOND, speed, how.clone());
    recorder.measured(&subject, quantity::STEP_SECONDS, step, how);
    let formula = "3 x [2 (12 d^2 L + d V) + 4 T d L] per token, attention counted in full";
    recorder.estimated(
        &subject,
        quantity::FLOPS_PER_TOKEN,
        findings.sizes.per_token(),
        formula,
    );
    let gflops = step.map(|seconds| findings.flops() / seconds / 1e9);
    let how = format!("model arithmetic ({formula}) over the time of a step");
    recorder.derived(&subject, quantity::GFLOPS, gflops, how);
    let (isa, peak) = (findings.isas.1, arm.peak().unwrap_or(f64::NAN) / 1e9);
    let how = format!(
        "model arithmetic over the {isa} multiply-add peak of the same threads, {peak:.1} GFLOP/s, measured beside each step"
    );
    recorder.derived(&subject, quantity::MFU, mfu, how);
    let points = arm
        .steps
        .iter()
        .zip(&arm.seconds)
        .map(|(step, seconds)| (*step as f64, *seconds));
    let how = format!("each measured step on {} threads", arm.threads);
    recorder.curve(
        &subject,
        quantity::STEP_SECONDS,
        Curve::through("step", points),
        how,
    );
}

/// `median of 24 steps, 2 outliers kept`.
fn steps(arm: &Arm) -> String {
    let outliers = match outliers::count(&arm.seconds) {
        0 => String::new(),
        1 => ", one outlier kept".into(),
        count => format!(", {count} outliers kept"),
    };
    let warm = if arm.warm_up.1 {
        ""
    } else {
        ", still changing after the warm-up"
    };
    format!(
        "median of {} steps interleaved with the other thread counts{outliers}{warm}",
        arm.seconds.len()
    )
}

fn clocks(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let subject = format!("frequency.{}.t{}", findings.case, arm.threads);
    let hertz: Vec<f64> = arm.clocks.iter().map(|(_, hertz)| *hertz).collect();
    let Some(clock) = bootstrap::median_interval(&hertz, 14) else {
        return;
    };
    let how = "dependent additions in windows of 30 us on every thread right after each step";
    recorder.measured(&subject, quantity::GHZ, clock.map(|hertz| hertz / 1e9), how);
    let points = arm
        .clocks
        .iter()
        .map(|(seconds, hertz)| (*seconds, hertz / 1e9));
    let curve = Curve::through("seconds", points);
    recorder.curve(&format!("{subject}.timeline"), quantity::GHZ, curve, how);
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Arm, sample};
    use super::*;
    use crate::measure::counters::{Missing, Reading, tables};

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
        let close = |name: &str, expected: f64| {
            assert!(
                (value(name) - expected).abs() < 1e-9 * expected.abs(),
                "{name}: {}",
                value(name)
            )
        };
        close("training.small.t2.tokens_per_second", 4096.0 / 1.1);
        close("training.small.t2.step_seconds", 1.1);
        let flops = 4096.0 * 25_583_616.0;
        close("training.small.t2.flops_per_token", flops / 4096.0);
        close("training.small.t2.gflops", flops / 1.1 / 1e9);
        close("training.small.t2.mfu", flops / 1.1 / 190e9);
        close("training.small.t2.speedup", 2.0 / 1.1);
        close("training.small.t2.thread_efficiency", 1.0 / 1.1);
        close("training.small.t1.speedup", 1.0);
        close(
            "training.small.amdahl.serial_fraction",
            2.0 * 1.1 / 2.0 - 1.0,
        );
        close("memory.small.t2.planned_bytes", 1024.0);
        close("training.small.t2.peak_rss_bytes", 2e6);
        close("training.small.t2.loss", 8.5);
        close("training.small.t2.validation_loss", 8.4);
        close("counters.small.t2.foreign_ratio", 0.2);
        close("frequency.small.t2.ghz", 2.45);
        assert_eq!(recorder.value("training.small.usl.contention"), None);
        assert!(recorder.notes().iter().any(|note| {
            note.text
                .contains("20.0 % of all CPU time (compiler 15.0 %) and")
        }));
        let names: Vec<&str> = recorder
            .series()
            .iter()
            .map(|series| series.name.as_str())
            .collect();
        for name in [
            "training.small.t2.loss",
            "training.small.t2.validation_loss",
            "training.small.t1.step_seconds",
            "training.small.speedup",
            "training.small.thread_efficiency",
            "memory.small.rss_bytes",
            "frequency.small.t2.timeline.ghz",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut findings = sample::findings();
        findings.arms = vec![Arm {
            threads: 2,
            ..Arm::default()
        }];
        findings.memory.peak = Err("no VmHWM".into());
        (
            findings.validation,
            findings.unigram_entropy,
            findings.disturbance,
        ) = (Vec::new(), None, None);
        let counter = &tables::SOFTWARE.counters[0];
        findings.counters.readings = vec![Reading {
            counter,
            tally: Err(Missing::NotOffered),
        }];
        findings.counters.missing = vec![("l3_misses", "no table".into())];
        let recorder = recorded(&findings);
        for name in [
            "training.small.t2.tokens_per_second",
            "training.small.t2.mfu",
            "training.small.t2.peak_rss_bytes",
            "training.small.t2.validation_loss",
            "counters.small.t2.page_faults",
            "counters.small.t2.l3_misses",
            "counters.small.t2.steal_ratio",
        ] {
            let metric = recorder
                .metrics()
                .iter()
                .find(|metric| metric.name == name)
                .unwrap_or_else(|| panic!("{name}"));
            assert!(
                metric.value.is_none() && metric.how.len() > 5,
                "{name}: {}",
                metric.how
            );
        }
    }
}
