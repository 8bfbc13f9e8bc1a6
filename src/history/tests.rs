//! A history in a temporary file: what was added is found again, once, by machine and in the order of time.

use std::io::Cursor;

use super::*;
use crate::record::{Machine, SCHEMA};

pub(super) fn run(number: usize, fingerprint: &str, value: Option<f64>) -> Run {
    let metric = |name: &str, value: Option<f64>| Metric {
        name: name.to_owned(),
        value,
        low: value.map(|value| value * 0.99),
        high: None,
        unit: "tokens/s".to_owned(),
        better: Better::Higher,
        provenance: Provenance::Measured,
        how: "by a clock".to_owned(),
    };
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    Run {
        schema: SCHEMA.to_owned(),
        id: format!("20261122T{hour:02}{minute:02}{second:02}-{fingerprint}"),
        started: format!("2026-11-22T{hour:02}:{minute:02}:{second:02}Z"),
        elapsed_seconds: 1.5,
        command: vec!["loopos".to_owned(), "bench".to_owned()],
        suites: vec!["training".to_owned()],
        effort: "quick".to_owned(),
        version: "0.1.0".to_owned(),
        commit: Some(format!("{number:040x}")),
        machine: Machine {
            summary: Summary {
                brand: format!("CPU {fingerprint}"),
                vendor: "GenuineIntel".to_owned(),
                microarchitecture: None,
                hypervisor: None,
                packages: 1,
                cores: 1,
                threads: 1,
                usable_threads: 1,
                isa: "avx2".to_owned(),
                fingerprint: fingerprint.to_owned(),
            },
            cpus: Vec::new(),
            caches: Vec::new(),
            features: Vec::new(),
            facts: Vec::new(),
        },
        config: serde_json::json!({"a": 1}),
        metrics: vec![
            metric("training.a.t1.tokens_per_second", value),
            metric("training.b.t1.tokens_per_second", Some(1.0)),
        ],
        series: Vec::new(),
        notes: Vec::new(),
        fleet: Vec::new(),
    }
}

fn empty() -> (tempfile::TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.sqlite")).unwrap();
    (folder, history)
}

#[test]
fn runs_are_kept_once_by_machine_and_in_the_order_of_time() {
    let (folder, mut history) = empty();
    let runs = [
        run(7, "m", Some(3.0)),
        run(2, "m", Some(2.0)),
        run(3, "m", None),
        run(4, "other", Some(9.0)),
    ];
    assert_eq!(history.add(&runs).unwrap(), 4);
    assert_eq!(history.add(&runs).unwrap(), 0);
    drop(history);
    let history = History::open(&folder.path().join("history.sqlite")).unwrap();
    let machines = history.machines().unwrap();
    let seen: Vec<_> = machines
        .iter()
        .map(|kept| (kept.machine.brand.as_str(), kept.runs))
        .collect();
    assert_eq!(seen, [("CPU m", 3), ("CPU other", 1)]);
    assert_eq!(machines[0].first, "2026-11-22T00:00:02Z");
    let metrics = history.metrics("m").unwrap();
    let counts: Vec<_> = metrics
        .iter()
        .map(|(metric, runs)| (metric.name.as_str(), *runs))
        .collect();
    assert_eq!(
        counts,
        [
            ("training.a.t1.tokens_per_second", 2),
            ("training.b.t1.tokens_per_second", 3)
        ]
    );
    let timeline = history.timeline("m", &metrics[0].0).unwrap();
    let values: Vec<f64> = timeline.points.iter().map(|point| point.value).collect();
    assert_eq!(values, [2.0, 3.0], "the run without a value is a gap");
    assert_eq!(
        timeline.points[0].interval, None,
        "an interval has two ends"
    );
    assert!(
        history
            .timeline("none", &metrics[0].0)
            .unwrap()
            .points
            .is_empty()
    );
}

#[test]
fn what_is_exported_can_be_imported() {
    let (_folder, mut history) = empty();
    history
        .add(&[run(1, "m", Some(2.5)), run(2, "n", None)])
        .unwrap();
    let mut text = Vec::new();
    assert_eq!(history.export(&mut text).unwrap(), 2);
    let (_other, mut copy) = empty();
    assert_eq!(copy.import(&mut Cursor::new(&text)).unwrap(), (2, 2));
    assert_eq!(copy.import(&mut Cursor::new(&text)).unwrap(), (2, 0));
    let mut again = Vec::new();
    copy.export(&mut again).unwrap();
    assert_eq!(text, again);
    let first: Run =
        serde_json::from_slice(text.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let original = run(1, "m", Some(2.5));
    assert_eq!(
        (&first.id, &first.commit, &first.config),
        (&original.id, &original.commit, &original.config)
    );
    assert_eq!(
        (first.metrics[0].value, first.metrics[0].low),
        (Some(2.5), original.metrics[0].low)
    );
}

#[test]
fn what_is_no_run_and_no_history_is_refused_with_the_place() {
    let (folder, mut history) = empty();
    let error = history
        .import(&mut Cursor::new("\n{}\n"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2"), "{error}");
    let mut old = serde_json::to_value(run(1, "m", None)).unwrap();
    old["schema"] = "loopos.run/99".into();
    let error = history
        .import(&mut Cursor::new(old.to_string()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("loopos.run/99"), "{error}");
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is no database, but long enough to be taken for one".repeat(40),
    )
    .unwrap();
    assert!(matches!(
        History::open(&text),
        Err(HistoryError::Open { .. })
    ));
    drop(history);
    let path = folder.path().join("history.sqlite");
    let database = Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    assert!(matches!(
        History::open(&path),
        Err(HistoryError::Newer { found: 99, .. })
    ));
    assert!(History::open(Path::new("/no/such/folder/history")).is_err());
}

/// Everything that a page of the history asks for, and an export.
fn all(history: &History) -> Result<(Vec<Timeline>, Vec<u8>), HistoryError> {
    let mut timelines = Vec::new();
    for kept in history.machines()? {
        let fingerprint = &kept.machine.fingerprint;
        for (metric, _) in history.metrics(fingerprint)? {
            timelines.push(history.timeline(fingerprint, &metric)?);
        }
    }
    let mut text = Vec::new();
    history.export(&mut text)?;
    Ok((timelines, text))
}

#[test]
fn what_is_changed_in_the_file_is_refused() {
    let (folder, mut history) = empty();
    history
        .add(&[
            run(1, "m", Some(2.5)),
            run(2, "m", Some(-0.0)),
            run(3, "n", None),
        ])
        .unwrap();
    let (timelines, text) = all(&history).unwrap();
    assert_eq!(timelines.len(), 3);
    drop(history);
    let path = folder.path().join("history.sqlite");
    for change in [
        "UPDATE number SET value = 2.6 WHERE value = 2.5",
        "UPDATE number SET low = NULL WHERE value = 2.5",
        "UPDATE number SET provenance = '\"derived\"' WHERE value = 2.5",
        "DELETE FROM number WHERE value = 2.5",
        "UPDATE metric SET better = '\"lower\"' WHERE id = 1",
        "UPDATE metric SET name = 'training.c.t1.tokens_per_second' WHERE id = 1",
        "UPDATE run SET started = '2027' WHERE id = 1",
        "UPDATE run SET config = '{}' WHERE id = 1",
        "UPDATE run SET machine = 2 WHERE id = 1",
        "UPDATE run SET machine = 9 WHERE id = 1",
        "DELETE FROM run WHERE id = 1",
        "UPDATE machine SET summary = replace(summary, 'CPU m', 'CPU x')",
        "DELETE FROM tally WHERE metric = 1",
    ] {
        let copy = folder.path().join("changed.sqlite");
        std::fs::copy(&path, &copy).unwrap();
        let database = Connection::open(&copy).unwrap();
        database
            .execute_batch(&format!("PRAGMA foreign_keys = off; {change}"))
            .unwrap();
        drop(database);
        let error = all(&History::open(&copy).unwrap()).expect_err(change);
        assert!(error.to_string().contains("damaged"), "{change}: {error}");
    }
    assert_eq!(all(&History::open(&path).unwrap()).unwrap().1, text);
}

#[test]
fn no_flipped_bit_is_believed_where_no_digest_reaches() {
    let (folder, mut history) = empty();
    // The list of one machine lacks what that of the other has.
    let (one, mut other) = (run(1, "m", Some(2.5)), run(2, "n", Some(3.5)));
    other.metrics[0].name = "training.c.t1.tokens_per_second".to_owned();
    history.add(&[one, run(3, "m", Some(2.5)), other]).unwrap();
    let wanted = all(&history).unwrap();
    let mut statement = history
        .database
        .prepare("SELECT rootpage, name = 'tally' FROM sqlite_schema WHERE rootpage > 1")
        .unwrap();
    let pages: Vec<(usize, bool)> = statement
        .query_map([], |row| {
            Ok((row.get::<_, i64>(0)? as usize - 1, row.get(1)?))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    drop(statement);
    drop(history);
    let (path, size) = (folder.path().join("history.sqlite"), 4096);
    let whole = std::fs::read(&path).unwrap();
    let copy = folder.path().join("changed.sqlite");
    let (mut refused, mut believed) = (0, Vec::new());
    for (page, is_tally) in pages {
        // The list of metrics, and of each page its header and list of rows.
        let bytes = if is_tally { 0..size } else { 0..24 };
        for at in bytes.map(|byte| page * size + byte) {
            // Where there is nothing, there is nothing to believe.
            for bit in (0..8).filter(|_| whole[at] != 0) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&copy, bytes).unwrap();
                match History::open(&copy).and_then(|history| all(&history)) {
                    Ok(found) if found == wanted => {}
                    Ok(_) => believed.push((page, at % size, bit)),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(believed.is_empty(), "page, byte and bit: {believed:?}");
    assert!(refused > 100, "only {refused} were refused");
}

#[test]
fn a_history_without_digests_gets_them() {
    let (folder, mut history) = empty();
    history
        .add(&[run(1, "m", Some(2.5)), run(2, "n", None)])
        .unwrap();
    let wanted = all(&history).unwrap();
    drop(history);
    let path = folder.path().join("history.sqlite");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "ALTER TABLE machine DROP COLUMN digest; ALTER TABLE run DROP COLUMN numbers; ALTER TABLE run DROP COLUMN digest;
             ALTER TABLE number DROP COLUMN digest; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(database);
    let found = all(&History::open(&path).unwrap()).unwrap();
    assert_eq!(found, wanted);
}
