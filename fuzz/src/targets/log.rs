//! The log of a training run that somebody sent, `metrics.jsonl`, as a page with its curves.

use loopos::record::read as read_run;
use loopos::report::render;
use loopos::suites::{Course, CourseStep, Recorder, record_course};
use loopos::train::metrics_log::{Entry, read};

use super::{Target, run};

pub(super) const TARGET: Target = Target {
    name: "log",
    run: draw,
    seeds,
    slack: 16 << 20,
};

fn seeds() -> Vec<Vec<u8>> {
    let step = r#"{"step":1,"loss":2.0,"learning_rate":0.1,"gradient_norm":null,"tokens_per_second":50.0,"seconds":2.0,"skipped":false"#;
    let reward = r#","reward":-0.5,"divergence":0.1,"entropy":1.5,"rollout_seconds":0.5,"update_seconds":1.0}"#;
    let validation =
        r#"{"step":2,"validation_loss":1.5,"validation_accuracy":0.75,"validation_seconds":1.0}"#;
    let steps: Vec<_> = (1..12)
        .map(|number| step.replace("\"step\":1", &format!("\"step\":{number}")) + reward)
        .collect();
    let pretraining = format!("{step}}}\n{validation}\n");
    let hostile = step.replace("learning_rate", run::MARKUP) + reward;
    [pretraining, steps.join("\n"), hostile]
        .map(String::into_bytes)
        .into()
}

fn draw(data: &[u8]) {
    let mut course = Course {
        case: "log".to_owned(),
        threads: 1,
        how: run::MARKUP.to_owned(),
        ..Course::default()
    };
    let take = |entry| match entry {
        Entry::Step {
            step,
            loss,
            seconds,
            tokens_per_second,
            figures,
        } => course.steps.push(CourseStep {
            step,
            loss,
            seconds,
            tokens_per_second,
            figures,
        }),
        Entry::Validation {
            step,
            loss,
            accuracy,
        } => course.validations.push((step, loss, accuracy)),
    };
    // What was read before a line that is none is drawn too.
    if let Err(error) = read(&mut &data[..], take) {
        assert!(error.line > 0 && !error.reason.is_empty());
    }
    let mut recorder = Recorder::default();
    record_course(&mut recorder, &course);
    let mut document = read_run(run::nothing()).expect("a run that measured nothing is a run");
    document.metrics = recorder.metrics().to_vec();
    document.series = recorder.series().to_vec();
    assert!(
        !render(&document).html.contains(run::MARKUP),
        "markup of a file is in a page"
    );
}
