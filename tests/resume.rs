//! Runs that are killed, interrupted, damaged or crowded: what is saved is whole, and goes on to the same bits.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{Workplace, newest};

fn output(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    output
}

/// Waits until the run has logged `count` more lines than it had, or ended.
fn wait_for_lines(run: &Path, child: &mut Child, count: usize) {
    let lines =
        || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    let goal = lines() + count;
    while lines() < goal {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the run ended by itself: {ended:?}");
        sleep(Duration::from_millis(2));
    }
}

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
}

/// Asserts that two runs ended with the same weights and moments, by way of the same losses.
fn assert_same(a: &Path, b: &Path) {
    let (end_a, end_b) = (newest(a).unwrap(), newest(b).unwrap());
    assert_eq!(end_a.0, end_b.0);
    for name in ["model.safetensors", "optimizer.safetensors"] {
        let [a, b] = [&end_a, &end_b].map(|(_, path)| fs::read(path.join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
    let losses = |run: &Path| -> Vec<String> {
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let line = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {} {}",
                line["step"], line["loss"], line["validation_loss"]
            )
        };
        text.lines().map(line).collect()
    };
    assert_eq!(losses(a), losses(b));
}

#[test]
fn killed_runs_resume_to_the_same_bits() {
    let place = Workplace::new();
    let run = place.path("killed");
    let mut arguments = vec![];
    for _ in 0..4 {
        let mut child = start(place.train("killed", &arguments));
        wait_for_lines(&run, &mut child, 9);
        child.kill().unwrap();
        child.wait().unwrap();
        arguments = vec!["--resume"];
    }
    let end = newest(&run).map_or(0, |(step, _)| step) + 13;
    let bound = format!("training.max_steps={end}");
    output(place.train("killed", &["--resume", "--set", &bound]), 0);
    output(place.train("whole", &["--set", &bound]), 0);
    assert_same(&run, &place.path("whole"));
    let leftovers = fs::read_dir(run.join("checkpoints")).unwrap();
    let names: Vec<_> = leftovers
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.len() == 2 && names.iter().all(|name| name.starts_with("step-")),
        "{names:?}"
    );
}

#[test]
fn an_interrupted_run_saves_first() {
    let place = Workplace::new();
    let run = place.path("run");
    for (name, code, flags) in [("INT", 130, vec![]), ("TERM", 143, vec!["--resume"])] {
        let mut child = start(place.train("run", &flags));
        wait_for_lines(&run, &mut child, 3);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stdout}");
        assert!(
            stdout.starts_with("stopped after") && stdout.contains("loopos train --resume"),
            "{stdout}"
        );
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let last: serde_json::Value =
            serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        assert_eq!(
            newest(&run).unwrap().0,
            last["step"].as_u64().unwrap(),
            "the last step is not saved"
        );
    }
    let bound = format!("training.max_steps={}", newest(&run).unwrap().0 + 4);
    // The folder knows its configuration.
    output(
        place.loopos(&[
            "train",
            "--resume",
            "--out",
            "run",
            "--threads",
            "1",
            "--set",
            &bound,
        ]),
        0,
    );
    output(place.train("whole", &["--set", &bound]), 0);
    assert_same(&run, &place.path("whole"));
}

#[test]
fn a_run_whose_time_is_over_is_saved_and_goes_on() {
    let place = Workplace::new();
    output(place.train("timed", &["--max-seconds", "0"]), 0);
    assert_eq!(newest(&place.path("timed")).unwrap().0, 1);
    let bound = ["--set", "training.max_steps=13"];
    output(
        place.train("timed", &[&["--resume"], &bound[..]].concat()),
        0,
    );
    output(place.train("whole", &bound), 0);
    assert_same(&place.path("timed"), &place.path("whole"));
    for wrong in ["-1", "soon", "NaN"] {
        let time = format!("--max-seconds={wrong}");
        output(place.train("wrong", &[&time]), 2);
    }
}

#[test]
fn a_damaged_checkpoint_makes_way_for_the_one_before() {
    let place = Workplace::new();
    let run = place.path("run");
    output(place.train("run", &["--set", "training.max_steps=10"]), 0);
    let (step, path) = newest(&run).unwrap();
    assert_eq!(step, 10);
    let file = path.join("optimizer.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let resumed = output(
        place.train("run", &["--resume", "--set", "training.max_steps=12"]),
        0,
    );
    let log = String::from_utf8(resumed.stderr).unwrap();
    assert!(
        log.contains("warning:") && log.contains("step-000010/optimizer.safetensors is damaged"),
        "{log}"
    );
    assert!(
        log.contains("going on from") && log.contains("step-000005"),
        "{log}"
    );
    output(place.train("whole", &["--set", "training.max_steps=12"]), 0);
    assert_same(&run, &place.path("whole"));
}

#[test]
fn only_the_same_run_is_resumed() {
    let place = Workplace::new();
    let message = |arguments: &[&str], code| {
        let output = output(place.train("run", arguments), code);
        String::from_utf8(output.stderr).unwrap()
    };
    let log = message(&["--resume", "--set", "training.max_steps=2"], 0);
    assert!(log.contains("has no checkpoint yet"), "{log}");
    let log = message(&[], 2);
    assert!(
        log.contains("holds a run that has come to step 2") && log.contains("--resume"),
        "{log}"
    );
    let log = message(
        &[
            "--resume",
            "--set",
            "model.d_model=64",
            "--set",
            "training.seed=1",
        ],
        2,
    );
    assert!(
        log.contains("model.d_model was 32 and is 64; training.seed was 42 and is 1"),
        "{log}"
    );
    fs::write(place.path("text/00.txt"), "another text").unwrap();
    let log = message(&["--resume"], 2);
    assert!(log.contains("the training text is another one"), "{log}");
    fs::write(place.path("run/tokenizer.json"), "{}").unwrap();
    let log = message(&["--resume"], 1);
    assert!(log.contains("tokenizer.json"), "{log}");
}

#[test]
fn a_folder_has_one_run_at_a_time() {
    let place = Workplace::new();
    let mut child = start(place.train("run", &[]));
    wait_for_lines(&place.path("run"), &mut child, 6);
    let refused = output(place.train("run", &["--resume"]), 1);
    let log = String::from_utf8(refused.stderr).unwrap();
    assert!(log.contains("another run is using"), "{log}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_whose_loss_is_lost_ends_with_its_last_good_checkpoint() {
    let place = Workplace::new();
    let settings = [
        "training.spike_sigmas=0.1",
        "training.spike_window=6",
        "training.max_skips=1",
        "training.checkpoint_every=1",
    ];
    let arguments: Vec<&str> = settings
        .iter()
        .flat_map(|setting| ["--set", setting])
        .collect();
    let failed = output(place.train("run", &arguments), 1);
    let log = String::from_utf8(failed.stderr).unwrap();
    assert!(
        log.contains("the loss is lost: 1 steps in a row") && log.contains("is a spike"),
        "{log}"
    );
    let (step, path) = newest(&place.path("run")).unwrap();
    assert!(
        log.contains(&format!(
            "{} is from before",
            path.strip_prefix(place.path("")).unwrap().display()
        )),
        "{log}"
    );
    let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(last["skipped"], true);
    assert!(last["skip_reason"].as_str().unwrap().contains("spike"));
    assert!(step < last["step"].as_u64().unwrap());
    // It goes on from there, with what was to blame put right.
    let bound = format!("training.max_steps={}", step + 2);
    let more = ["--resume", "--set", &bound, "--set", "training.max_skips=9"];
    let arguments = [&more[..], &arguments[..4]].concat();
    output(place.train("run", &arguments), 0);
}

#[test]
fn a_plan_is_explained_without_training() {
    let place = Workplace::new();
    let explained = output(
        place.train("run", &["--explain", "--set", "training.dropout=0.1"]),
        0,
    );
    let text = String::from_utf8(explained.stdout).unwrap();
    for words in [
        "1: as asked for",
        "4 sequences x 16 tokens = 64 tokens",
        "4 sequences at a time, 1 times a step: the most that divide the batch",
        "0.1 of the embedding",
        "1,000,000 steps, 64,000,000 tokens",
        "constant: 1.00e-2 at step 1",
        "5 steps in a row end the run",
        "memory         about ",
        "program",
        "parameters",
        "moments",
        "workspace",
        "activations with training.recompute: ",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(!place.path("run").exists(), "it began a run");
}
