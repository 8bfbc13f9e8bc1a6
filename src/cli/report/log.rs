//! The page of a training run, from the log that `loopos train` keeps in its folder.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::super::bench::Document;
use super::super::outcome::Failure;
use crate::config::Config;
use crate::probe::Machine;
use crate::record::Run;
use crate::suites::{Course, CourseStep, Effort, Recorder, record_course};
use crate::train::metrics_log::{self, Entry};
use crate::train::run_folder;

/// The log in the folder of a training run.
pub(super) const FILE: &str = "metrics.jsonl";

/// The run whose log is in `folder`, as a document of the training suite.
///
/// # Errors
/// When log or configuration cannot be read, or no step is in it.
pub(super) fn read(folder: &Path) -> Result<Run, Failure> {
    let path = folder.join(FILE);
    let file = File::open(&path)
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", path.display())))?;
    let config = Config::load(&run_folder::config(folder)).map_err(Failure::failed)?;
    let machine = Machine::detect();
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = absolute
        .file_name()
        .map_or("run".into(), |name| name.to_string_lossy());
    let mut course = Course {
        case: name.chars().map(part_of_a_name).collect(),
        threads: threads(folder, &config, &machine),
        how: format!("the log of the run {name}"),
        ..Course::default()
    };
    metrics_log::read(&mut BufReader::new(file), |entry| add(&mut course, entry))
        .map_err(|error| Failure::failed(format!("{}, {error}", path.display())))?;
    if course.steps.is_empty() {
        return Err(Failure::no_data(format!(
            "{}: no step is in it",
            path.display()
        )));
    }
    let mut recorder = Recorder::default();
    record_course(&mut recorder, &course);
    recorder.note(
        "limits",
        "Made from the log of a training run, which does not name its machine: the machine on this page is the one that made the page.",
    );
    let document = Document::new(&machine, "training", Effort::Normal);
    let mut run = document.of_recorder(&recorder);
    run.config = serde_json::Map::from_iter([(course.case.clone(), config.effective())]).into();
    run.elapsed_seconds = course.steps.iter().map(|step| step.seconds).sum();
    Ok(run)
}

/// A letter that a part of a metric's name may have.
fn part_of_a_name(letter: char) -> char {
    match letter {
        letter if letter.is_ascii_alphanumeric() || letter == '-' => letter,
        _ => '_',
    }
}

/// Threads of the run as its newest checkpoint has them, or else as its configuration says.
fn threads(folder: &Path, config: &Config, machine: &Machine) -> usize {
    let newest = run_folder::checkpoints(folder).latest();
    let known = newest.ok().and_then(|(checkpoint, _)| checkpoint);
    known.map_or_else(
        || {
            config
                .training
                .threads
                .unwrap_or_else(|| machine.usable_threads())
        },
        |checkpoint| checkpoint.state.identity.threads,
    )
}

fn add(course: &mut Course, entry: Entry) {
    match entry {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LOG: &str = r#"{"step":1,"loss":2.0,"learning_rate":0.1,"gradient_norm":null,"tokens_per_second":50.0,"seconds":2.0,"skipped":false,"reward":-0.5}
{"step":2,"loss":1.0,"learning_rate":0.1,"gradient_norm":1.0,"tokens_per_second":100.0,"seconds":1.0,"skipped":false,"reward":0.5}
{"step":2,"validation_loss":1.5,"validation_accuracy":0.75,"validation_seconds":1.0}
"#;

    #[test]
    fn a_log_becomes_a_document() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("my run");
        fs::create_dir(&run).unwrap();
        let config = Config::find("autoregressive_training_tiny").unwrap();
        fs::write(run_folder::config(&run), config.effective().to_string()).unwrap();
        assert!(read(&run).is_err(), "there is no log yet");
        fs::write(run.join(FILE), LOG).unwrap();
        let document = read(&run).unwrap();
        let of = |name: &str| {
            let found = document.series.iter().find(|series| {
                series.name.starts_with("training.my_run.t") && series.name.ends_with(name)
            });
            found.map(|series| series.y.clone())
        };
        assert_eq!(of(".loss"), Some(vec![Some(2.0), Some(1.0)]));
        assert_eq!(of(".reward"), Some(vec![Some(-0.5), Some(0.5)]));
        assert_eq!(of(".validation_accuracy"), Some(vec![Some(0.75)]));
        fs::write(run.join(FILE), format!("{LOG}{{")).unwrap();
        let error = read(&run).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
    }
}
