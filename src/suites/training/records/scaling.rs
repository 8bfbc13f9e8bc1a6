//! Speed-up and efficiency of every thread count, and the laws fitted to them.

use super::subject;
use crate::stats::compare;
use crate::stats::fits::{Amdahl, Point, Usl};
use crate::suites::quantity;
use crate::suites::training::findings::{Arm, Findings};
use crate::suites::{Curve, Recorder};

pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let Some(alone) = findings.alone() else {
        return missing(recorder, findings);
    };
    let (mut speedups, mut efficiencies) = (Curve::over("threads"), Curve::over("threads"));
    let mut points = Vec::new();
    for arm in &findings.arms {
        let Some(comparison) = compare::paired(&alone.seconds, &arm.seconds, 15) else {
            continue;
        };
        let (threads, speedup) = (arm.threads as f64, comparison.speedup);
        let efficiency = speedup.map(|speedup| speedup / threads);
        let subject = subject(findings, arm.threads);
        let rounds = comparison.pairs;
        let how = format!(
            "time on one thread over time on {threads}, median over {rounds} interleaved rounds"
        );
        recorder.derived(&subject, quantity::SPEEDUP, speedup, how);
        recorder.derived(
            &subject,
            quantity::THREAD_EFFICIENCY,
            efficiency,
            "speed-up over threads",
        );
        speedups.push(threads, speedup);
        efficiencies.push(threads, efficiency);
        points.push(point(alone, arm));
    }
    let case = format!("training.{}", findings.case);
    let how = "time on one thread over time on N, both measured";
    recorder.curve(&case, quantity::SPEEDUP, speedups, how);
    recorder.curve(
        &case,
        quantity::THREAD_EFFICIENCY,
        efficiencies,
        "speed-up over threads",
    );
    amdahl(recorder, &case, &points);
    usl(recorder, &case, &points);
}

/// Without one thread there is nothing to compare with.
fn missing(recorder: &mut Recorder, findings: &Findings) {
    let Some(widest) = findings.widest() else {
        return;
    };
    for quantity in [quantity::SPEEDUP, quantity::THREAD_EFFICIENCY] {
        let reason = "one thread was not measured (--threads without 1)";
        recorder.missing(&subject(findings, widest.threads), quantity, reason);
    }
}

/// The speed-up of each round.
fn point(alone: &Arm, arm: &Arm) -> Point {
    let rounds = alone.seconds.iter().zip(&arm.seconds);
    Point {
        threads: arm.threads,
        speedups: rounds.map(|(one, many)| one / many).collect(),
    }
}

fn amdahl(recorder: &mut Recorder, case: &str, points: &[Point]) {
    let (subject, quantity) = (format!("{case}.amdahl"), quantity::SERIAL_FRACTION);
    let how = "Amdahl's law fitted by least squares to the measured speed-ups";
    match Amdahl::fit(points, 16) {
        Some(fit) => recorder.derived(&subject, quantity, fit.serial_fraction, how),
        None => recorder.missing(&subject, quantity, "needs more than one thread"),
    }
}

fn usl(recorder: &mut Recorder, case: &str, points: &[Point]) {
    let subject = format!("{case}.usl");
    let how = "universal scalability law fitted by least squares to the measured speed-ups";
    let fit = Usl::fit(points, 17);
    let contention = (quantity::CONTENTION, fit.map(|fit| fit.contention));
    let coherence = (quantity::COHERENCE, fit.map(|fit| fit.coherence));
    for (quantity, coefficient) in [contention, coherence] {
        match coefficient {
            Some(interval) => recorder.derived(&subject, quantity, interval, how),
            None => recorder.missing(
                &subject,
                quantity,
                "two unknowns need two thread counts above one",
            ),
        }
    }
}
