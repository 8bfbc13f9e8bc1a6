//! A case's operators as metrics, and the reasons why a step is not faster.

use super::attribution::{self, Part, Step};
use super::findings::{Arm, Findings, OperatorSeconds};
use super::model_flops::Sizes;
use super::others::Others;
use super::records::flops::{self, Three};
use super::records::parts as seen;
use crate::record;
use crate::stats::Interval;
use crate::suites::Recorder;
use crate::suites::quantity;

/// Reasons whose advice is worth a line, and from which share on.
const ADVISED: usize = 3;
const WORTH_ADVICE: f64 = 0.03;

/// Operators on one thread and on the most; the losses of both.
pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let widest = findings.widest();
    for arm in findings
        .alone()
        .into_iter()
        .filter(|alone| widest.is_some_and(|widest| widest.threads != alone.threads))
        .chain(widest)
    {
        operators(recorder, findings, arm);
        losses(recorder, findings, arm);
    }
}

fn operators(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let Some(step) = arm.step() else { return };
    for part in arm.parts() {
        let subject = format!(
            "training.{}.{}.{}.t{}",
            findings.case, part.operator, part.pass, arm.threads
        );
        let how = format!(
            "clock around {} calls a step, median over {} steps",
            part.calls,
            arm.seconds.len()
        );
        recorder.measured(&subject, quantity::STEP_SECONDS, part.seconds, how);
        recorder.estimated(
            &subject,
            quantity::FLOPS,
            part.cost.flops,
            "declared by the operator, one step",
        );
        recorder.estimated(
            &subject,
            quantity::BYTES,
            part.cost.bytes(),
            "declared by the operator, one step: each input read once, each output written once",
        );
        let share = part.seconds.map(|seconds| seconds / step.estimate);
        recorder.derived(
            &subject,
            quantity::SHARE_OF_STEP,
            share,
            "time of the operator over time of the step",
        );
        speeds(recorder, findings, arm, &subject, &part);
    }
}

fn speeds(
    recorder: &mut Recorder,
    findings: &Findings,
    arm: &Arm,
    subject: &str,
    part: &OperatorSeconds,
) {
    let per_second = |amount: f64, unit: f64| part.seconds.map(|seconds| amount / seconds / unit);
    if part.cost.flops > 0.0 {
        recorder.derived(
            subject,
            quantity::GFLOPS,
            per_second(part.cost.flops, 1e9),
            "declared FLOP over measured time",
        );
        if let Some(peak) = arm.peak() {
            recorder.derived(
                subject,
                quantity::SHARE_OF_PEAK,
                per_second(part.cost.flops, peak),
                "its FLOP/s over the multiply-add peak of the same threads",
            );
        }
    }
    if part.cost.bytes() > 0.0 {
        recorder.estimated(
            subject,
            quantity::INTENSITY,
            part.cost.flops / part.cost.bytes(),
            "declared FLOP over declared bytes",
        );
        recorder.derived(
            subject,
            quantity::GBPS,
            per_second(part.cost.bytes(), 1e9),
            "declared bytes over measured time",
        );
        if let Some(bandwidth) = findings.bandwidth(arm.threads) {
            let how = "its declared bytes a second over the measured read bandwidth of memory; above one, caches serve it";
            recorder.derived(
                subject,
                quantity::SHARE_OF_BANDWIDTH,
                per_second(part.cost.bytes(), bandwidth),
                how,
            );
        }
    }
}

fn losses(recorder: &mut Recorder, findings: &Findings, arm: &Arm) {
    let (Some(step), Some(peak)) = (arm.step(), arm.peak()) else {
        return;
    };
    let alone = findings.alone();
    let others = Others::of(arm);
    let step = Step {
        threads: arm.threads,
        seconds: step.estimate,
        peak,
        peak_alone: alone
            .and_then(Arm::peak)
            .unwrap_or(peak / arm.threads as f64),
        bandwidth: findings.bandwidth(arm.threads),
        kept: others.kept(),
        kept_alone: alone.map_or(1.0, |alone| Others::of(alone).kept()),
    };
    let parts = parts(&findings.sizes, findings.tokens(), arm, alone);
    let widest = findings
        .widest()
        .is_some_and(|widest| widest.threads == arm.threads);
    let lost = |reason: &str| format!("training.{}.lost.{reason}.t{}", findings.case, arm.threads);
    let mut losses = attribution::losses(&step, &parts);
    losses.extend(others.losses());
    losses.sort_by(|one, other| other.share.total_cmp(&one.share));
    for (rank, loss) in losses.into_iter().enumerate() {
        let subject = lost(loss.reason);
        recorder.computed(&subject, quantity::SHARE_OF_STEP, loss.share, loss.how);
        if let Some(advice) = loss
            .advice
            .filter(|_| widest && rank < ADVISED && loss.share >= WORTH_ADVICE)
        {
            recorder.note(
                "advice",
                format!(
                    "{} ({}, {} of a step).",
                    advice.trim_end_matches('.'),
                    record::reason(loss.reason),
                    crate::units::Ratio(loss.share)
                ),
            );
        }
    }
    if arm.threads > 1 && alone.is_none() {
        recorder.missing(
            &lost("parallel_loss"),
            quantity::SHARE_OF_STEP,
            "one thread was not measured (--threads without 1); the other reasons include it",
        );
    }
    for (reason, why) in others.unknown() {
        recorder.missing(&lost(reason), quantity::SHARE_OF_STEP, why);
    }
    if widest {
        for part in &parts {
            let three = Three {
                operator: part.operator,
                pass: part.pass,
                model: part.model_flops,
                declared: part.cost.flops,
            };
            flops::record(recorder, findings, arm.threads, &three);
            seen::record(recorder, findings, arm.threads, (part.operator, part.pass));
        }
    }
    let traffic: f64 = parts.iter().map(|part| part.cost.bytes()).sum();
    let subject = format!("training.{}.t{}", findings.case, arm.threads);
    recorder.derived(
        &subject,
        quantity::GBPS,
        Interval::exactly(traffic / step.seconds / 1e9),
        "bytes that all operators declare over the time of a step; caches serve most of them",
    );
}

/// The operators of `arm` with their times on one thread and the model's arithmetic. An operator that is timed in one pass only (a head
/// that computes gradients at once) stands for both.
fn parts(sizes: &Sizes, tokens: f64, arm: &Arm, alone: Option<&Arm>) -> Vec<Part> {
    let all = arm.parts();
    let alone = alone.map(Arm::parts);
    let part = |part: &OperatorSeconds| {
        let passes = all
            .iter()
            .filter(|other| other.operator == part.operator && other.pass != "optimizer")
            .count();
        let model = if passes == 1 {
            3.0 * sizes.forward(part.operator)
        } else {
            sizes.of(part.operator, part.pass)
        };
        let twin = alone.as_ref().and_then(|alone| {
            alone
                .iter()
                .find(|other| other.operator == part.operator && other.pass == part.pass)
        });
        Part {
            operator: part.operator,
            pass: part.pass,
            seconds: part.seconds.estimate,
            alone: twin.map(|twin| twin.seconds.estimate),
            cost: part.cost,
            model_flops: tokens * model,
        }
    };
    all.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::findings::sample;
    use super::*;

    #[test]
    fn operators_and_losses_are_recorded() {
        let findings = sample::findings();
        let mut recorder = Recorder::default();
        record(&mut recorder, &findings);
        let value = |name: &str| recorder.value(name).unwrap_or_else(|| panic!("{name}"));
        let close = |name: &str, expected: f64| {
            assert!(
                (value(name) - expected).abs() < 1e-9 * expected.abs(),
                "{name}: {}",
                value(name)
            )
        };
        close("training.small.qkv.forward.t2.step_seconds", 0.22);
        close("training.small.qkv.forward.t2.gflops", 3.2 / 0.22);
        close(
            "training.small.qkv.forward.t2.share_of_peak",
            3.2 / 0.22 / 190.0,
        );
        close("training.small.qkv.forward.t2.share_of_step", 0.2);
        close("training.small.qkv.forward.t2.intensity", 3.2e9 / 3e8);
        close(
            "training.small.adamw.optimizer.t1.share_of_bandwidth",
            3e8 / 0.1 / 10e9,
        );
        let lost = |threads: usize| -> f64 {
            let suffix = format!(".t{threads}.share_of_step");
            let lost = recorder
                .metrics()
                .iter()
                .filter(|metric| metric.name.contains(".lost.") && metric.name.ends_with(&suffix));
            lost.filter_map(|metric| metric.value).sum()
        };
        // The sample lacks some operators, so the formula is summed over those it has.
        for (threads, step, peak) in [(1, 2.0, 100e9), (2, 1.1, 190e9)] {
            let sizes = &findings.sizes;
            let model = 3.0
                * 4096.0
                * ["qkv", "attention", "head"]
                    .iter()
                    .map(|name| sizes.forward(name))
                    .sum::<f64>();
            assert!(
                (lost(threads) - (1.0 - model / step / peak)).abs() < 1e-9,
                "{threads}: {}",
                lost(threads)
            );
        }
        assert!(recorder.notes().iter().any(|note| note.topic == "advice"));
    }

    #[test]
    fn what_others_took_is_a_reason_and_what_is_unknown_says_why() {
        let findings = sample::findings();
        let mut recorder = Recorder::default();
        record(&mut recorder, &findings);
        let lost = |reason: &str| {
            let name = format!("training.small.lost.{reason}.t2.share_of_step");
            let mut metrics = recorder.metrics().iter();
            metrics.find(|metric| metric.name == name).unwrap()
        };
        assert!((lost("stolen").value.unwrap() - 0.04).abs() < 1e-12);
        let displaced = lost("displaced");
        assert!(
            displaced.value.is_none() && displaced.how.contains("schedstat"),
            "{}",
            displaced.how
        );
        let advice = |note: &record::Note| note.text.contains("dedicated CPUs");
        assert!(
            !recorder.notes().iter().any(advice),
            "not one of the largest three"
        );
    }

    #[test]
    fn without_one_thread_the_parallel_loss_is_unknown() {
        let mut findings = sample::findings();
        findings.arms.remove(0);
        let mut recorder = Recorder::default();
        record(&mut recorder, &findings);
        let name = "training.small.lost.parallel_loss.t2.share_of_step";
        let metric = recorder
            .metrics()
            .iter()
            .find(|metric| metric.name == name)
            .unwrap();
        assert!(
            metric.value.is_none() && metric.how.contains("--threads"),
            "{}",
            metric.how
        );
    }
}
