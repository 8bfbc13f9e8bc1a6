//! A small model is trained, stopped, resumed and driven off the road.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::kernels::Isa;
use crate::kernels::gemm::Caches;
use crate::model::{Shape, Switches};
use crate::parallel::Pool;
use crate::text::Tokens;
use crate::train::data::{Cut, Dataset};
use crate::train::state::tests::identity;
use crate::train::task::NextToken;
use crate::train::{Optimizer, Plan, Sharing};

const SHAPE: Shape = Shape {
    vocab_size: 40,
    context: 8,
    d_model: 16,
    heads: 2,
    layers: 1,
    d_ff: 24,
    tied: true,
    scalar_head: false,
};

fn trainer() -> Trainer {
    let plan = Plan {
        shape: SHAPE,
        batch: 4,
        length: 8,
        micro_batch: 2,
        optimizer: Optimizer::default(),
        dropout: 0.1,
        recompute: false,
        by_sequences: false,
        isa: Isa::best(),
        caches: Caches::default(),
        workers: 1,
        switches: Switches::default(),
        sharing: Sharing::default(),
    };
    Trainer::new(&plan, Arc::new(Pool::new(&[0]).unwrap()), 7).unwrap()
}

fn data(validation: f64) -> NextToken {
    let document = |start: u32| (0..37).map(|i| (start + i * i) % 39).collect();
    let documents: Vec<Vec<u32>> = (0..20).map(document).collect();
    let tokens = Tokens::from_documents(&documents, 39, [0; 32]);
    let cut = Cut {
        length: 8,
        batch: 4,
        validation,
        seed: 3,
    };
    NextToken::new(Dataset::new(Arc::new(tokens), cut).unwrap())
}

/// A plateau without patience: the rate depends on every validation.
fn settings(steps: u64) -> Settings {
    Settings {
        steps,
        validation_every: Some(3),
        validation_batches: Some(2),
        checkpoint_every: Some(4),
        keep_checkpoints: 2,
        schedule: Schedule::Plateau {
            rate: 0.02,
            factor: 0.5,
            patience: 0,
            threshold: 0.05,
            min: 1e-5,
        },
        guard: Guard {
            spike_sigmas: None,
            ..Guard::default()
        },
    }
}

/// Raises the flag after a step, and remembers what happened.
#[derive(Default)]
struct Watch {
    stop: Arc<AtomicBool>,
    stop_after: Option<u64>,
    validated: Vec<u64>,
    saved: Vec<u64>,
}

impl Events for Watch {
    fn step(&mut self, record: &StepRecord) {
        self.stop
            .store(self.stop_after == Some(record.step), Ordering::Relaxed);
    }
    fn validated(&mut self, record: &ValidationRecord) {
        self.validated.push(record.step);
    }
    fn saved(&mut self, step: u64, _: &Path) {
        self.saved.push(step);
    }
}

/// Goes on from the newest checkpoint in `folder`, or from the start, like a new process.
fn go(
    folder: &Path,
    settings: Settings,
    task: &mut NextToken,
    watch: &mut Watch,
) -> Result<Summary, RunError> {
    let folder = RunFolder::lock(folder).unwrap();
    let mut trainer = trainer();
    let newest = folder.checkpoints().latest().unwrap().0;
    if let Some(checkpoint) = &newest {
        restore(&mut trainer, checkpoint).unwrap();
    }
    let state = newest
        .as_ref()
        .map_or_else(|| State::new(identity()), |newest| newest.state.clone());
    let checkpoint = newest.map(|newest| newest.path);
    let stop = Arc::clone(&watch.stop);
    let run = Run {
        trainer: &mut trainer,
        task,
        settings,
        folder: Some(&folder),
        state,
        checkpoint,
        events: watch,
    };
    run.go(&stop)
}

/// Steps, losses and rates, without the times.
fn losses(folder: &Path) -> Vec<[Option<f64>; 4]> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        ["step", "loss", "learning_rate", "validation_loss"].map(|key| line[key].as_f64())
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_stopped_anywhere_goes_on_to_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let summary = go(whole.path(), settings(13), &mut data(0.2), &mut watch).unwrap();
    assert!(summary.finished);
    assert_eq!(watch.validated, [3, 6, 9, 12, 13]);
    assert_eq!(watch.saved, [4, 8, 12, 13]);
    assert!(
        summary.state.schedule.reductions > 0,
        "the schedule has nothing to remember"
    );
    let model = |summary: &Summary| {
        fs::read(
            summary
                .checkpoint
                .as_ref()
                .unwrap()
                .join("model.safetensors"),
        )
        .unwrap()
    };
    for stops in [vec![1], vec![4], vec![6], vec![2, 3, 9], vec![12]] {
        let parts = tempfile::tempdir().unwrap();
        for stop in stops {
            let mut watch = Watch {
                stop_after: Some(stop),
                ..Watch::default()
            };
            let summary = go(parts.path(), settings(13), &mut data(0.2), &mut watch).unwrap();
            assert_eq!((summary.finished, summary.state.step), (false, stop));
        }
        let end = go(
            parts.path(),
            settings(13),
            &mut data(0.2),
            &mut Watch::default(),
        )
        .unwrap();
        assert_eq!(end.state, summary.state);
        assert!(model(&end) == model(&summary), "the weights differ");
        assert_eq!(losses(parts.path()), losses(whole.path()));
    }
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let first = go(
        folder.path(),
        settings(5),
        &mut data(0.2),
        &mut Watch::default(),
    )
    .unwrap();
    let mut watch = Watch::default();
    let again = go(folder.path(), settings(5), &mut data(0.2), &mut watch).unwrap();
    assert_eq!(
        (again.state, again.checkpoint),
        (first.state, first.checkpoint)
    );
    assert_eq!((watch.validated, watch.saved), (Vec::new(), Vec::new()));
}

#[test]
fn without_a_validation_part_there_is_no_validation() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let summary = go(folder.path(), settings(4), &mut data(0.0), &mut watch).unwrap();
    assert!(watch.validated.is_empty());
    assert_eq!(summary.state.history.last_validation_loss, None);
}

#[test]
fn a_lost_loss_ends_the_run_and_keeps_the_weights_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let good = go(
        folder.path(),
        settings(4),
        &mut data(0.0),
        &mut Watch::default(),
    )
    .unwrap();
    let broken = Settings {
        schedule: Schedule::Constant { rate: 1e38 },
        checkpoint_every: Some(1),
        ..settings(100)
    };
    let error = go(folder.path(), broken, &mut data(0.0), &mut Watch::default()).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("not finite"), "{words}");
    let RunError::Diverged {
        step,
        skips,
        last_good,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (step, skips),
        (10, 5),
        "the update of step 5 breaks the weights"
    );
    assert_eq!(last_good, good.checkpoint);
    let newest = RunFolder::lock(folder.path())
        .unwrap()
        .checkpoints()
        .latest()
        .unwrap()
        .0
        .unwrap();
    assert_eq!(Some(newest.path), good.checkpoint);
    let skipped = losses(folder.path())
        .iter()
        .filter(|line| line[1].is_none() && line[3].is_none())
        .count();
    assert!(skipped >= 5, "{skipped}");
}

/// Goes on from step 4 at a rate that no weights survive.
fn broken(folder: &Path, rate: f64, steps: u64, validation: f64) -> (PathBuf, RunError) {
    let (one, mut watch) = (
        Settings {
            keep_checkpoints: 1,
            ..settings(4)
        },
        Watch::default(),
    );
    let good = go(folder, one, &mut data(validation), &mut watch).unwrap();
    let broken = Settings {
        schedule: Schedule::Constant { rate },
        checkpoint_every: Some(1),
        keep_checkpoints: 1,
        ..settings(steps)
    };
    let error = go(folder, broken, &mut data(validation), &mut watch).unwrap_err();
    (good.checkpoint.unwrap(), error)
}

#[test]
fn the_last_good_checkpoint_stays_until_the_next_one_has_had_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (good, error) = broken(folder.path(), 1e38, 100, 0.0);
    let RunError::Diverged {
        step: 10,
        skips: 5,
        last_good,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(last_good, Some(good));
}

#[test]
fn weights_that_are_none_are_neither_saved_nor_called_trained() {
    // Infinite after the update, or so large that no loss comes of them; the last update is as any other.
    for (rate, validation, words) in [
        (1e300, 0.0, "has values that are not finite"),
        (1e38, 0.2, "the validation loss is not finite"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (good, error) = broken(folder.path(), rate, 5, validation);
        let RunError::Spoilt {
            step: 5,
            what,
            last_good,
        } = error
        else {
            panic!("{error}")
        };
        assert!(what.contains(words), "{what}");
        assert_eq!(last_good, Some(good.clone()));
        let newest = RunFolder::lock(folder.path())
            .unwrap()
            .checkpoints()
            .latest()
            .unwrap()
            .0
            .unwrap();
        assert_eq!(newest.path, good);
    }
}

/// So narrow a limit that ordinary noise is above it.
fn nervous(steps: u64, most_skips: u32) -> Settings {
    Settings {
        guard: Guard {
            spike_sigmas: Some(0.5),
            window: 8,
            most_skips,
        },
        ..settings(steps)
    }
}

#[test]
fn a_spike_is_left_out_and_a_run_stopped_beside_it_goes_on_to_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    let settings = || nervous(40, 100);
    let end = go(
        whole.path(),
        settings(),
        &mut data(0.2),
        &mut Watch::default(),
    )
    .unwrap();
    let log = fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let spikes: Vec<u64> = lines
        .iter()
        .filter(|line| line["skipped"] == true)
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(end.state.updates, 40 - spikes.len() as u64);
    assert!(spikes.len() > 1 && spikes[0] > 4, "{spikes:?}");
    assert!(
        log.contains("\"skip_reason\":\"its loss is a spike: "),
        "{log}"
    );
    let parts = tempfile::tempdir().unwrap();
    for stop in [spikes[0] - 1, spikes[0], spikes[1]] {
        let mut watch = Watch {
            stop_after: Some(stop),
            ..Watch::default()
        };
        go(parts.path(), settings(), &mut data(0.2), &mut watch).unwrap();
    }
    let resumed = go(
        parts.path(),
        settings(),
        &mut data(0.2),
        &mut Watch::default(),
    )
    .unwrap();
    assert_eq!(resumed.state, end.state);
    let model = |summary: &Summary| {
        fs::read(
            summary
                .checkpoint
                .as_ref()
                .unwrap()
                .join("model.safetensors"),
        )
        .unwrap()
    };
    assert!(model(&resumed) == model(&end), "the weights differ");
    assert_eq!(losses(parts.path()), losses(whole.path()));
}

#[test]
fn a_stated_number_of_spikes_in_a_row_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        checkpoint_every: Some(1),
        ..nervous(1_000, 1)
    };
    let error = go(
        folder.path(),
        settings,
        &mut data(0.2),
        &mut Watch::default(),
    )
    .unwrap_err();
    let RunError::Diverged {
        step,
        skips: 1,
        reason,
        last_good: Some(last_good),
    } = error
    else {
        panic!("{error}")
    };
    assert!(reason.contains("is a spike"), "{reason}");
    let newest = RunFolder::lock(folder.path())
        .unwrap()
        .checkpoints()
        .latest()
        .unwrap()
        .0
        .unwrap();
    assert_eq!(newest.path, last_good);
    assert!(newest.state.step < step);
}
