//! `loopos compare` and `loopos history` as a user meets them: verdicts on stdout, files on disk, exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The kept run of the training suite.
fn kept() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("reports/cascade-lake-2cpu/2026-11-22-training/run.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Five runs in `folder`, each at a minute of its own, their speeds multiplied by `factor` and the weather of the minute.
fn runs(folder: &Path, factor: f64, first: usize) {
    let weather = [1.0, 0.85, 0.97, 1.08, 0.93];
    for (turn, weather) in weather.iter().enumerate() {
        let minute = 2 * turn + first;
        let mut run = kept();
        run["id"] = format!("20261122T14{minute:02}00-{first:06}").into();
        run["started"] = format!("2026-11-22T14:{minute:02}:00Z").into();
        let own = 1.0 + 0.002 * ((minute * 7 % 5) as f64 - 2.0);
        for metric in run["metrics"].as_array_mut().unwrap() {
            let factor = factor * weather * own;
            let factor = match metric["unit"].as_str().unwrap() {
                "tokens/s" | "GFLOP/s" => factor,
                "seconds" => 1.0 / factor,
                _ => continue,
            };
            for key in ["value", "low", "high"] {
                if let Some(value) = metric[key].as_f64() {
                    metric[key] = (value * factor).into();
                }
            }
        }
        let place = folder.join("runs").join(turn.to_string());
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("run.json"), run.to_string()).unwrap();
    }
}

/// `loopos` in `folder`, with nothing of the caller's environment that could change what it does.
fn loopos(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("loopos"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("NO_COLOR", "1");
    command.output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

const SPEED: &str = "--only=training.*.tokens_per_second";

#[test]
fn a_gate_tells_the_same_from_five_per_cent_less() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    runs(&folder.join("base"), 1.0, 0);
    runs(&folder.join("same"), 1.0, 1);
    runs(&folder.join("slow"), 0.95, 1);
    let text = expect(
        &loopos(folder, &["compare", "base", "same", "--gate", "5%", SPEED]),
        0,
    );
    assert!(
        text.contains("the runs took turns: 5 pairs") && text.contains("2 same"),
        "{text}"
    );
    let files = [
        "--html",
        "out/page.html",
        "--junit",
        "out/gate.xml",
        "--markdown",
        "out/comment.md",
    ];
    let arguments = [
        &["compare", "base", "slow", "--gate", "5%", SPEED][..],
        &files,
    ]
    .concat();
    let text = expect(&loopos(folder, &arguments), 3);
    assert!(
        text.contains("2 slower") && text.contains("2 regressions"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 90),
        "{text}"
    );
    let read = |name: &str| fs::read_to_string(folder.join("out").join(name)).unwrap();
    assert!(read("page.html").starts_with("<!DOCTYPE html>"));
    assert!(read("gate.xml").contains("failures=\"2\""));
    assert!(read("comment.md").contains("fails the gate of 5.0 %"));
    let output = loopos(
        folder,
        &["compare", "base", "slow", "same", "--markdown", "-"],
    );
    assert!(expect(&output, 0).starts_with("### loopos: "));
}

#[test]
fn what_cannot_be_compared_is_refused_and_told() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let write = |name: &str, run: &Value| fs::write(folder.join(name), run.to_string()).unwrap();
    let run = kept();
    write("a.json", &run);
    let mut other = run.clone();
    other["machine"]["summary"]["brand"] = "Another CPU".into();
    other["machine"]["summary"]["fingerprint"] = "0123456789abcdef".into();
    other["config"]["autoregressive_training"]["training"]["batch_size"] = 64.into();
    write("b.json", &other);
    let text = expect(&loopos(folder, &["compare", "a.json", "b.json"]), 2);
    for part in [
        "machine: ",
        "Another CPU",
        "training.batch_size: 32 and 64",
        "--anyway",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    expect(
        &loopos(folder, &["compare", "a.json", "b.json", "--anyway"]),
        0,
    );
    let mut empty = run.clone();
    empty["metrics"] = Value::Array(Vec::new());
    write("empty.json", &empty);
    expect(
        &loopos(folder, &["compare", "a.json", "empty.json", "--gate", "5%"]),
        4,
    );
    let text = expect(
        &loopos(folder, &["compare", "a.json", "a.json", "--gate", "0"]),
        2,
    );
    assert!(text.contains("per cent"), "{text}");
    expect(&loopos(folder, &["compare", "a.json", "none"]), 2);
}

#[test]
fn a_history_keeps_runs_and_tells_of_changes() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    expect(&loopos(folder, &["history"]), 4);
    runs(&folder.join("base"), 1.0, 0);
    let text = expect(&loopos(folder, &["history", "add", "base"]), 0);
    assert!(
        text.contains("5 new runs kept, 0 known") && text.contains("data/loopos/history.sqlite"),
        "{text}"
    );
    let text = expect(&loopos(folder, &["history", "add", "base"]), 0);
    assert!(text.contains("0 new runs kept, 5 known"), "{text}");
    let text = expect(&loopos(folder, &["history", "--html", "history.html"]), 0);
    assert!(
        text.contains("t2.tokens_per_second") && text.contains("in the last of 5"),
        "{text}"
    );
    assert!(
        fs::read_to_string(folder.join("history.html"))
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
    expect(&loopos(folder, &["history", "export", "all.jsonl"]), 0);
    let text = expect(
        &loopos(
            folder,
            &["history", "import", "all.jsonl", "--file", "copy.sqlite"],
        ),
        0,
    );
    assert!(text.contains("5 new runs kept"), "{text}");
    expect(
        &loopos(
            folder,
            &["history", "--file", "copy.sqlite", "--machine", "zz"],
        ),
        2,
    );
    fs::write(folder.join("bad.jsonl"), "{}\n").unwrap();
    expect(&loopos(folder, &["history", "import", "bad.jsonl"]), 2);
}
