//! Whether it learns: losses in training and on text that is not trained on.

use super::subject;
use crate::suites::quantity;
use crate::suites::training::findings::Findings;
use crate::suites::{Curve, Recorder};

pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let subject = subject(findings, findings.most_threads());
    if let Some(loss) = findings.losses.last() {
        let how = format!(
            "training loss of step {}, warm-up included",
            findings.losses.len()
        );
        recorder.reading(&subject, quantity::LOSS, *loss, how);
    }
    let points = findings
        .losses
        .iter()
        .enumerate()
        .map(|(step, loss)| (step as f64 + 1.0, *loss));
    let how = "mean cross-entropy of the batch; one training run, whatever the threads";
    recorder.curve(
        &subject,
        quantity::LOSS,
        Curve::through("step", points),
        how,
    );
    validation(recorder, findings, &subject);
}

fn validation(recorder: &mut Recorder, findings: &Findings, subject: &str) {
    let quantity = quantity::VALIDATION_LOSS;
    match findings.validation.last() {
        Some((step, loss)) => {
            let how = format!("after step {step}, on text that is not trained on");
            recorder.reading(subject, quantity, *loss, how);
        }
        None => {
            let reason = "no validation part (training.validation_split), or stopped before it";
            recorder.missing(subject, quantity, reason);
        }
    }
    let points = findings
        .validation
        .iter()
        .map(|(step, loss)| (*step as f64, *loss));
    let how = "mean cross-entropy on text that is not trained on";
    recorder.curve(subject, quantity, Curve::through("step", points), how);
    let quantity = quantity::UNIGRAM_ENTROPY;
    let how =
        "loss of predicting the validation text by the token frequencies of the training text";
    match findings.unigram_entropy {
        Some(entropy) => recorder.computed(subject, quantity, entropy, how),
        None => recorder.missing(
            subject,
            quantity,
            "no validation part (training.validation_split)",
        ),
    }
}
