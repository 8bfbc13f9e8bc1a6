//! `loopos train --trace`: a file that Perfetto opens, of a step that really ran.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Trains a tiny model for `steps` steps in `folder`, and traces.
fn traced(folder: &Path, steps: u32) -> Output {
    let config = json!({
        "model": {"type": "transformer", "d_model": 32, "num_heads": 2, "num_layers": 2, "d_ff": 64, "vocab_size": 300},
        "computation": {"mode": "pretraining", "method": "autoregressive", "description": "a test"},
        "training": {"learning_rate": 0.01, "batch_size": 4, "num_epochs": 100, "max_length": 16, "max_steps": steps,
            "validation_split": 0.1, "micro_batch": 2},
        "data": {"input_file": folder.join("text.txt")},
    });
    fs::write(folder.join("tiny.json"), config.to_string()).unwrap();
    let line = |number: u32| format!("line {number} is {}\n", number * number % 97);
    fs::write(
        folder.join("text.txt"),
        (0..3_000).map(line).collect::<String>(),
    )
    .unwrap();
    let out = format!("run{steps}");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("loopos"));
    command
        .current_dir(folder)
        .args([
            "train",
            "--config",
            "tiny.json",
            "--threads",
            "1",
            "--no-profile",
            "--out",
            &out,
            "--trace",
            "step.json",
        ])
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("LOOPOS_ISA")
        .env("NO_COLOR", "1");
    command.output().unwrap()
}

#[test]
fn the_third_step_is_traced_operator_by_operator() {
    let place = tempfile::tempdir().unwrap();
    let output = traced(place.path(), 4);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let trace: Value =
        serde_json::from_slice(&fs::read(place.path().join("step.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |thread: u64| {
        let complete = events
            .iter()
            .filter(move |event| event["ph"] == "X" && event["tid"] == thread);
        complete.collect::<Vec<_>>()
    };
    assert_eq!(of(1).len(), 1);
    assert_eq!(
        (&of(1)[0]["name"], &of(1)[0]["args"]["tokens"]),
        (&json!("step 3 of tiny"), &json!(64))
    );
    let count = |name: &str| of(3).iter().filter(|event| event["name"] == name).count();
    // Two micro-batches through two blocks, forward and backward; one update.
    assert_eq!(
        [count("attention"), count("adamw"), count("clip")],
        [8, 1, 1]
    );
    let inside: f64 = of(3)
        .iter()
        .map(|event| event["dur"].as_f64().unwrap())
        .sum();
    assert!(inside > 0.0 && inside <= of(1)[0]["dur"].as_f64().unwrap() * 1.001);
}

#[test]
fn a_run_that_is_too_short_says_so() {
    let place = tempfile::tempdir().unwrap();
    let output = traced(place.path(), 2);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.contains("no trace"),
        "{stderr}"
    );
    assert!(!place.path().join("step.json").exists());
}
