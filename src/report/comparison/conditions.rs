//! Whether two runs may be compared: what differs between their machines, settings, configurations and programs.

use serde_json::Value;

use crate::record::{Run, Summary};
use crate::report::values::{self, many};
use crate::units::Ratio;

/// What a difference means for a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weight {
    /// The numbers are not of the same thing.
    Forbids,
    /// A reader should know.
    Warns,
}

/// One condition in which two runs differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The condition: `microcode`.
    pub what: String,
    /// The baseline's.
    pub baseline: String,
    /// The candidate's.
    pub candidate: String,
    /// What it means.
    pub weight: Weight,
}

/// Facts of the probe that are compared: key, name, meaning.
const FACTS: [(&str, &str, Weight); 12] = [
    ("cpu.model", "CPU model", Weight::Forbids),
    ("cpu.stepping", "stepping", Weight::Forbids),
    ("cpu.microcode", "microcode", Weight::Forbids),
    ("clock.governor", "frequency governor", Weight::Forbids),
    ("clock.driver", "frequency driver", Weight::Forbids),
    ("clock.turbo", "turbo", Weight::Forbids),
    ("system.smt", "SMT", Weight::Forbids),
    ("system.kernel", "kernel", Weight::Warns),
    ("system.mitigations", "mitigations", Weight::Warns),
    (
        "memory.transparent_huge_pages",
        "transparent huge pages",
        Weight::Warns,
    ),
    ("limits.affinity", "affinity", Weight::Warns),
    ("limits.quota_cpus", "CPU quota", Weight::Warns),
];

/// Keys of a configuration that change no number.
const NAMES: [&str; 2] = ["output_dir", "description"];

/// Share of the CPUs' time that others may take without a word.
const DISTURBED: f64 = 0.05;

/// What differs between the baseline's first run and every other run of both arms, each condition once.
pub(super) fn differences(baseline: &[&Run], candidate: &[&Run]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let Some((first, rest)) = baseline.split_first() else {
        return found;
    };
    for run in candidate.iter().chain(rest) {
        for difference in between(first, run) {
            if !found.iter().any(|known| known.what == difference.what) {
                found.push(difference);
            }
        }
    }
    found.sort_by_key(|difference| difference.weight == Weight::Warns);
    found
}

fn between(one: &Run, other: &Run) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |what: &str, pair: (String, String), weight| {
        if pair.0 != pair.1 {
            found.push(Difference {
                what: what.to_owned(),
                baseline: pair.0,
                candidate: pair.1,
                weight,
            });
        }
    };
    let both = |of: fn(&Run) -> String| (of(one), of(other));
    note("machine", both(processor), Weight::Forbids);
    note("caches", both(caches), Weight::Forbids);
    note("instruction sets", features(one, other), Weight::Forbids);
    note("memory", both(memory), Weight::Forbids);
    for (key, name, weight) in FACTS {
        note(name, (fact(one, key), fact(other, key)), weight);
    }
    note("usable threads", both(usable), Weight::Warns);
    note("code", both(revision), Weight::Warns);
    note("effort", both(effort), Weight::Warns);
    note("disturbance", both(disturbance), Weight::Warns);
    let prints = both(|run| run.machine.summary.fingerprint.clone());
    let named = found
        .iter()
        .any(|difference| difference.weight == Weight::Forbids);
    if prints.0 != prints.1 && !named {
        found.push(Difference {
            what: "machine's fingerprint".to_owned(),
            baseline: prints.0,
            candidate: prints.1,
            weight: Weight::Forbids,
        });
    }
    configurations(&one.config, &other.config, "", &mut found);
    found
}

/// The machine of a run in a line.
pub(super) fn machine(run: &Run) -> String {
    let Summary {
        brand,
        microarchitecture,
        threads,
        usable_threads,
        ..
    } = &run.machine.summary;
    let name = microarchitecture.as_deref().unwrap_or(brand);
    format!(
        "{name}, {usable_threads} of {}",
        many(*threads as usize, "thread")
    )
}

fn processor(run: &Run) -> String {
    let summary = &run.machine.summary;
    let under = summary
        .hypervisor
        .as_deref()
        .map_or(String::new(), |name| format!(", under {name}"));
    format!(
        "{}, {}, {}{under}",
        summary.brand,
        many(summary.cores as usize, "core"),
        many(summary.threads as usize, "thread")
    )
}

fn caches(run: &Run) -> String {
    let mut levels: Vec<String> = run
        .machine
        .caches
        .iter()
        .filter(|cache| cache.kind != "instruction")
        .map(|cache| format!("L{} {}", cache.level, values::claim(cache.bytes as f64)))
        .collect();
    levels.sort();
    levels.dedup();
    levels.join(", ")
}

/// The instruction sets that only one of the runs could use.
fn features(one: &Run, other: &Run) -> (String, String) {
    let only = |mine: &Run, theirs: &Run| {
        let usable = |run: &Run, name: &str| {
            let mut features = run.machine.features.iter();
            features.any(|feature| feature.name == name && feature.os)
        };
        let mine = mine.machine.features.iter().filter(|feature| feature.os);
        let names = mine.map(|feature| feature.name.as_str());
        let names: Vec<_> = names.filter(|name| !usable(theirs, name)).take(8).collect();
        if names.is_empty() {
            String::new()
        } else {
            format!("has {}", names.join(" "))
        }
    };
    let mut both = [only(one, other), only(other, one)];
    if both.iter().any(|side| !side.is_empty()) {
        for side in both.iter_mut().filter(|side| side.is_empty()) {
            "nothing more".clone_into(side);
        }
    }
    both.into()
}

/// Rounded: a guest's memory varies by some pages from start to start.
fn memory(run: &Run) -> String {
    let total = run
        .machine
        .facts
        .iter()
        .find(|fact| fact.key == "memory.total_bytes");
    let bytes = total.and_then(|fact| fact.value.as_ref()?.as_f64());
    bytes.map_or("unknown".to_owned(), |bytes| {
        format!("{:.0} GiB", bytes / f64::from(1 << 30))
    })
}

fn usable(run: &Run) -> String {
    run.machine.summary.usable_threads.to_string()
}

/// A fact as people read it; unknown ones are all alike.
fn fact(run: &Run, key: &str) -> String {
    let fact = run.machine.facts.iter().find(|fact| fact.key == key);
    let text = fact
        .filter(|fact| fact.value.is_some())
        .map(|fact| fact.text.clone());
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// The version and the revision.
pub(super) fn revision(run: &Run) -> String {
    match &run.commit {
        Some(commit) => {
            let (hash, dirty) = match commit.strip_suffix("-dirty") {
                Some(hash) => (hash, "-dirty"),
                None => (commit.as_str(), ""),
            };
            let hash: String = hash.chars().take(10).collect();
            format!("{} at {hash}{dirty}", run.version)
        }
        None => format!("{} of an unknown revision", run.version),
    }
}

fn effort(run: &Run) -> String {
    run.effort.clone()
}

/// The CPU time that others took, where that was much.
fn disturbance(run: &Run) -> String {
    let of = |quantity: &str| {
        let metrics = run
            .metrics
            .iter()
            .filter(|metric| metric.name.ends_with(quantity));
        metrics
            .filter_map(|metric| values::known(metric.value))
            .fold(0.0, f64::max)
    };
    let taken = of(".foreign_ratio") + of(".steal_ratio");
    if taken > DISTURBED {
        format!("others took {} of the CPUs", Ratio(taken))
    } else {
        "none worth a word".to_owned()
    }
}

/// The keys whose values differ. A key that only one version of the program knows warns: its meaning before was the default.
fn configurations(one: &Value, other: &Value, path: &str, found: &mut Vec<Difference>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    if one == other || NAMES.contains(&name) {
        return;
    }
    if let (Value::Object(mine), Value::Object(theirs)) = (one, other) {
        let below = |key: &str| format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
        for (key, value) in mine {
            let other = theirs.get(key).unwrap_or(&Value::Null);
            configurations_or_absence(value, other, theirs.contains_key(key), &below(key), found);
        }
        for (key, value) in theirs.iter().filter(|(key, _)| !mine.contains_key(*key)) {
            configurations_or_absence(&Value::Null, value, false, &below(key), found);
        }
        return;
    }
    push(one, other, path, Weight::Forbids, found);
}

fn configurations_or_absence(
    one: &Value,
    other: &Value,
    known: bool,
    path: &str,
    found: &mut Vec<Difference>,
) {
    if known {
        configurations(one, other, path, found);
    } else if one != other {
        push(one, other, path, Weight::Warns, found);
    }
}

fn push(one: &Value, other: &Value, path: &str, weight: Weight, found: &mut Vec<Difference>) {
    let shown = |value: &Value| match value {
        Value::Null => "not set".to_owned(),
        Value::Object(_) => "set".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    found.push(Difference {
        what: format!("config {path}"),
        baseline: shown(one),
        candidate: shown(other),
        weight,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use serde_json::json;

    fn named(one: &Run, other: &Run) -> Vec<(String, Weight)> {
        let found = differences(&[one], &[other]);
        found
            .into_iter()
            .map(|difference| (difference.what, difference.weight))
            .collect()
    }

    #[test]
    fn a_run_may_be_compared_with_itself() {
        let run = sample::typical();
        assert_eq!(named(&run, &run), []);
    }

    #[test]
    fn every_condition_is_named() {
        let run = sample::typical();
        let mut other = run.clone();
        other.machine.summary.brand = "Another CPU".to_owned();
        other.machine.summary.fingerprint = "1".to_owned();
        other.commit = Some("0123456789abcdef-dirty".to_owned());
        other.effort = "quick".to_owned();
        let found = named(&run, &other);
        assert_eq!(found[0], ("machine".to_owned(), Weight::Forbids));
        for what in ["code", "effort"] {
            assert!(
                found.contains(&(what.to_owned(), Weight::Warns)),
                "{found:?}"
            );
        }
        let mut moved = run.clone();
        moved.machine.summary.fingerprint = "1".to_owned();
        assert_eq!(
            named(&run, &moved),
            [("machine's fingerprint".to_owned(), Weight::Forbids)]
        );
    }

    #[test]
    fn a_microcode_and_a_governor_forbid() {
        let run = sample::typical();
        for (key, name) in [
            ("cpu.microcode", "microcode"),
            ("clock.governor", "frequency governor"),
        ] {
            let (mut one, mut other) = (run.clone(), run.clone());
            for (run, value) in [(&mut one, "0xa4"), (&mut other, "0xb6")] {
                run.machine.facts.retain(|fact| fact.key != key);
                run.machine.facts.push(crate::record::Fact {
                    key: key.to_owned(),
                    label: String::new(),
                    value: Some(json!(value)),
                    text: value.to_owned(),
                    source: String::new(),
                    reason: None,
                });
            }
            assert_eq!(named(&one, &other), [(name.to_owned(), Weight::Forbids)]);
        }
    }

    #[test]
    fn a_key_forbids_and_one_that_is_new_warns() {
        let mut run = sample::typical();
        run.config = json!({"small": {"training": {"batch_size": 32, "old": 1}, "data": {"output_dir": "a"}}});
        let mut other = run.clone();
        other.config = json!({"small": {"training": {"batch_size": 16, "new": 2}, "data": {"output_dir": "b"}}});
        let found = named(&run, &other);
        assert_eq!(
            found,
            [
                (
                    "config small.training.batch_size".to_owned(),
                    Weight::Forbids
                ),
                ("config small.training.old".to_owned(), Weight::Warns),
                ("config small.training.new".to_owned(), Weight::Warns),
            ]
        );
    }
}
