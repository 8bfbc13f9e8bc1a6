//! `loopos bench` as a user meets it: results on disk, one screen on stdout, progress on stderr, exit codes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

const TINY: &str = r#"{
    "model": {"type": "transformer", "d_model": 32, "num_heads": 2, "num_layers": 1, "d_ff": 64, "vocab_size": 300},
    "computation": {"mode": "pretraining", "method": "autoregressive", "description": "a model for tests"},
    "training": {"learning_rate": 0.01, "batch_size": 4, "num_epochs": 1, "max_length": 16, "validation_split": 0.2},
    "data": {"input_file": null}
}"#;

/// A tiny configuration and a text, in `folder`.
fn inputs(folder: &Path) {
    let line = |number: usize| {
        format!(
            "line {number}: {} times {} is {}\n",
            number % 13,
            number % 7,
            (number % 13) * (number % 7)
        )
    };
    fs::write(folder.join("tiny.json"), TINY).unwrap();
    fs::write(
        folder.join("text.txt"),
        (0..4_000).map(line).collect::<String>(),
    )
    .unwrap();
}

/// `loopos bench` in `folder`, with nothing of the caller's environment that could change what it does.
fn bench(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("loopos"));
    command
        .current_dir(folder)
        .arg("bench")
        .args(arguments)
        .env_remove("LOOPOS_ISA")
        .env("NO_COLOR", "1");
    // One measurement at a time is a rule for machines; tests have a lock of their own.
    command
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("TMPDIR", folder);
    command
}

/// The commit of the sources, where git knows it and nobody named another one for the build.
fn head() -> Option<String> {
    if option_env!("LOOPOS_COMMIT_GIVEN").is_some() {
        return None;
    }
    let tracked = ["ls-files", "--error-unmatch", "Cargo.toml"];
    let head = ["rev-parse", "HEAD"];
    let git = |arguments: &[&str]| {
        let folder = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("git")
            .current_dir(folder)
            .args(arguments)
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    git(&tracked).and_then(|_| git(&head))
}

fn metric<'a>(run: &'a Value, name: &str) -> &'a Value {
    let metrics = run["metrics"].as_array().unwrap();
    metrics
        .iter()
        .find(|metric| metric["name"] == name)
        .unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn a_quick_run_leaves_a_page_a_document_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    inputs(folder.path());
    let arguments = [
        "--suite",
        "training",
        "--quick",
        "--threads",
        "1",
        "--config",
        "tiny.json",
        "--data",
        "text.txt",
    ];
    let output = bench(folder.path(), &arguments).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.lines().count() <= 24 && stdout.lines().all(|line| line.chars().count() <= 80),
        "{stdout}"
    );
    assert!(
        stdout.contains("tokens/s") && stderr.contains("training: tiny"),
        "{stdout}{stderr}"
    );

    let latest = folder.path().join("reports/latest");
    let run: Value = serde_json::from_slice(&fs::read(latest.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["schema"], "loopos.run/2");
    assert_eq!(run["config"]["tiny"]["model"]["d_model"], 32);
    for name in [
        "training.tiny.t1.tokens_per_second",
        "training.tiny.t1.mfu",
        "training.tiny.head.backward.t1.gflops",
        "ceiling.bandwidth.l1.t1.gbps",
    ] {
        assert!(
            metric(&run, name)["value"].as_f64().unwrap() > 0.0,
            "{name}"
        );
    }
    // A machine without hardware counters says why; it does not say zero.
    let cycles = metric(&run, "counters.tiny.t1.cycles");
    assert!(
        cycles["value"]
            .as_f64()
            .map_or(cycles["how"].as_str().unwrap().len() > 10, |count| count
                > 0.0),
        "{cycles}"
    );
    if let Some(commit) = head() {
        let recorded = run["commit"].as_str().unwrap_or_default();
        assert_eq!(recorded.trim_end_matches("-dirty"), commit);
    }
    let id = run["id"].as_str().unwrap();
    for name in ["run.json", "report.html", "roofline.svg"] {
        let copy = fs::read(latest.join(name)).unwrap();
        assert!(
            copy == fs::read(folder.path().join("reports/runs").join(id).join(name)).unwrap()
                && !copy.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn products_are_compared_with_other_libraries() {
    let folder = tempfile::tempdir().unwrap();
    // Plain code is left out of large products: a short run.
    let arguments = [
        "--suite",
        "matmul",
        "--quick",
        "--threads",
        "1",
        "--isa",
        "scalar",
    ];
    let output = bench(folder.path(), &arguments).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.contains("matmul ") && stdout.lines().all(|line| line.chars().count() <= 80),
        "{stdout}"
    );
    let latest = folder.path().join("reports/latest");
    let run: Value = serde_json::from_slice(&fs::read(latest.join("run.json")).unwrap()).unwrap();
    for variant in ["scalar", "scalar_packed", "gemm", "matrixmultiply"] {
        for quantity in ["gflops", "share_of_peak"] {
            let name = format!("gemm.64x64x64.nn.{variant}.t1.{quantity}");
            assert!(
                metric(&run, &name)["value"].as_f64().unwrap() > 0.0,
                "{name}"
            );
        }
    }
    let lead = metric(&run, "gemm.64x64x64.nn.scalar.t1.speedup_over_best_peer");
    assert!(
        lead["how"].as_str().unwrap().contains("fastest peer"),
        "{lead}"
    );
    let large = metric(&run, "gemm.1024x1024x1024.nn.scalar.t1.gflops");
    assert!(large["value"].is_null() && large["how"].as_str().unwrap().contains("--full"));
    let page = fs::read_to_string(latest.join("report.html")).unwrap();
    assert!(page.contains("Matrix products beside other libraries"));
    assert!(latest.join("matmul.svg").exists());
}

#[test]
fn an_interrupted_run_keeps_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    // No UTF-8, as a path may be; what was typed is part of the results.
    let out = OsStr::from_bytes(b"reports \xff");
    let mut child = bench(folder.path(), &["--suite", "ceilings", "--full", "--json"])
        .arg("--out")
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The arithmetic is measured and kept when the bandwidth begins.
    let mut progress = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("bandwidth") {
        line.clear();
        assert!(
            std::io::BufRead::read_line(&mut progress, &mut line).unwrap() > 0,
            "it ended by itself"
        );
    }
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        metric(&run, "ceiling.fma.scalar.t1.gflops")["value"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    let notes = run["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|note| note["text"].as_str().unwrap().contains("stopped")),
        "{notes:?}"
    );
    let page = folder.path().join(out).join("latest/report.html");
    assert!(page.exists());
}

#[test]
fn a_run_that_waits_for_another_says_so_once_and_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("loopos.measuring.lock");
    let other = fs::File::create(&lock).unwrap();
    other.lock().unwrap();
    let mut child = bench(folder.path(), &["--suite", "ceilings", "--quick"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("waiting for another measurement") {
        let read = std::io::BufRead::read_line(&mut progress, &mut told).unwrap();
        assert!(read > 0, "it ended by itself: {told}");
    }
    assert!(told.contains(lock.to_str().unwrap()), "{told}");
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    std::io::Read::read_to_string(&mut progress, &mut told).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert_eq!(told.matches("waiting").count(), 1, "{told}");
    // Nothing was measured, so nothing is left.
    let runs = fs::read_dir(folder.path().join("reports/runs"));
    assert!(runs.map_or(true, |mut runs| runs.next().is_none()));
}

#[test]
fn wrong_use_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    inputs(folder.path());
    fs::write(folder.path().join("file"), "in the way").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (
            &["--suite", "tea"],
            "[possible values: ceilings, training, ",
        ),
        (&["--suite", "training", "--threads", "0"], "--threads 0"),
        (
            &["--suite", "training", "--isa", "mmx"],
            "unknown ISA `mmx`",
        ),
        (
            &["--suite", "training", "--config", "absent.json"],
            "absent.json",
        ),
        (
            &[
                "--suite",
                "training",
                "--config",
                "tiny.json",
                "--config",
                "tiny.json",
            ],
            "two configurations are called tiny",
        ),
        (
            &[
                "--suite",
                "training",
                "--config",
                "tiny.json",
                "--set",
                "training.batch_sizes=2",
            ],
            "training.batch_size",
        ),
        (
            &["--suite", "ceilings", "--out", "file"],
            "cannot write results to file",
        ),
    ];
    for (arguments, message) in cases {
        let output = bench(folder.path(), arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains(message) && output.stdout.is_empty(),
            "{arguments:?}: {stderr}"
        );
    }
    assert!(!folder.path().join("reports").exists());
}
