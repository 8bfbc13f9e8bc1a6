//! A `run.json` that somebody sent: as tables of other programs, in a comparison, and written again.

use loopos::record::{Run, SCHEMA, read};
use loopos::report::comparison::{Arm, Question, compare};
use loopos::report::{formats, headlines};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "run",
    run,
    seeds,
    slack: 4 << 20,
};

/// What a page must never hold as it is: seeds have it as names and texts.
pub(super) const MARKUP: &str = "<img src=x onerror=1>";

/// A run with hostile names that has measured nothing.
pub(super) fn nothing() -> serde_json::Value {
    let summary = serde_json::json!({
        "brand": MARKUP, "vendor": "GenuineIntel", "microarchitecture": null, "hypervisor": MARKUP,
        "packages": 1, "cores": 2, "threads": 2, "usable_threads": 2, "isa": "avx2", "fingerprint": "0123456789abcdef"
    });
    serde_json::json!({
        "schema": SCHEMA, "id": "20261122T141503-4f2a91", "started": "2026-11-22T14:15:03Z", "elapsed_seconds": 1.0,
        "command": ["loopos", "bench", "--suite", "matmul", MARKUP], "suites": ["training"], "effort": "quick", "version": "0.1.0",
        "commit": null, "machine": { "summary": summary, "cpus": [], "caches": [], "features": [], "facts": [] },
        "config": null, "metrics": [], "series": [], "notes": [{ "topic": MARKUP, "text": MARKUP }]
    })
}

/// Runs with hostile names: nothing measured, and one of each thing that a page shows.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let cpu = |cpu: u32| serde_json::json!({ "id": cpu, "package": 0, "core": cpu, "node": 0, "usable": true, "kind": null });
    let metric = |name: &str, unit: &str, better: &str, value: f64| {
        serde_json::json!({
            "name": name, "value": value, "low": value * 0.9, "high": value * 1.1, "unit": unit, "better": better,
            "provenance": "measured", "how": MARKUP
        })
    };
    let empty = nothing();
    let mut full = empty.clone();
    full["machine"]["cpus"] = serde_json::json!([cpu(0), cpu(1)]);
    full["metrics"] = serde_json::json!([
        metric(
            "training.small.t2.tokens_per_second",
            "tokens/s",
            "higher",
            1500.0
        ),
        metric("training.small.t2.mfu", "ratio", "higher", 0.5),
        metric("training.small.t2.step_seconds", "seconds", "lower", 2.5),
        metric(MARKUP, MARKUP, "neither", 1.0)
    ]);
    let mut first = empty.clone();
    first["schema"] = "loopos.run/1".into();
    let mut seeds: Vec<_> = [empty, full, first]
        .map(|seed| seed.to_string().into_bytes())
        .into();
    seeds.extend(kept());
    for seed in &seeds {
        assert!(parse(seed).is_some(), "a seed is a run");
    }
    seeds
}

/// The runs kept beside the program, with few of their numbers and curves, so that mutation meets all their kinds.
fn kept() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let reports = concat!(env!("CARGO_MANIFEST_DIR"), "/../reports");
    for machine in folders(std::path::Path::new(reports)) {
        for run in folders(&machine) {
            let Some(mut document) = std::fs::read(run.join("run.json"))
                .ok()
                .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            else {
                continue;
            };
            // It is that of the whole run.
            document.as_object_mut().map(|run| run.remove("sha256"));
            for key in ["metrics", "series", "notes"] {
                if let Some(list) = document[key].as_array_mut() {
                    shorten(list);
                }
            }
            let members = document
                .get_mut("fleet")
                .and_then(|list| list.as_array_mut());
            for member in members.into_iter().flatten() {
                if let Some(list) = member
                    .get_mut("metrics")
                    .and_then(|list| list.as_array_mut())
                {
                    shorten(list);
                    list.truncate(8);
                }
            }
            for key in ["cpus", "caches", "features", "facts"] {
                if let Some(list) = document["machine"][key].as_array_mut() {
                    list.truncate(3);
                }
            }
            seeds.push(document.to_string().into_bytes());
        }
    }
    seeds
}

fn folders(above: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(above).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Leaves every n-th of a list, some sixteen, and four points of each curve.
fn shorten(list: &mut Vec<serde_json::Value>) {
    let every = list.len().div_ceil(16).max(1);
    let mut number = 0;
    list.retain(|_| {
        number += 1;
        (number - 1) % every == 0
    });
    for item in list {
        for axis in ["x", "y", "low", "high"] {
            // Not `item[axis]`, which would make it.
            if let Some(points) = item.get_mut(axis).and_then(|points| points.as_array_mut()) {
                points.truncate(4);
            }
        }
    }
}

/// The run of an input.
pub(super) fn parse(data: &[u8]) -> Option<Run> {
    read(loopos::json::parse(data).ok()?).ok()
}

fn run(data: &[u8]) {
    let Some(run) = parse(data) else { return };
    let again = serde_json::to_vec(&run).expect("a run is JSON");
    assert!(parse(&again).is_some(), "what was written is read again");
    let _ = headlines(&run);
    for format in formats::ALL {
        let _ = (format.files)(&run);
    }
    let arm = |name: &str| Arm {
        name: name.to_owned(),
        runs: vec![run.clone()],
    };
    let question = Question {
        gate: Some(0.05),
        only: Vec::new(),
    };
    let comparison = compare(&arm(MARKUP), &[arm("b")], question);
    for text in [comparison.junit(), comparison.page()] {
        assert!(!text.contains(MARKUP), "markup of a file is in a page");
    }
    let _ = comparison.markdown();
}
