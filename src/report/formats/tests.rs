//! What other programs read: parsed back by rule, with hostile names and missing numbers among them.

use super::*;
use crate::report::sample;
use serde_json::Value;

fn file(run: &Run, format: &str, name: &str) -> String {
    let files = (find(format).unwrap().files)(run);
    files.into_iter().find(|file| file.0 == name).unwrap().1
}

/// The cells of a table by RFC 4180.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}

#[test]
fn every_table_is_there_and_rectangular() {
    for run in [
        sample::typical(),
        sample::hostile(),
        sample::nothing(),
        sample::unavailable(),
    ] {
        for (name, text) in (find("csv").unwrap().files)(&run) {
            let rows = cells(&text);
            assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{name}");
            assert!(!text.contains("NaN") && !text.contains("\r\n="), "{name}");
            let rows = rows.len() - 1;
            match name.as_str() {
                "metrics.csv" => assert_eq!(rows, run.metrics.len()),
                "notes.csv" => assert_eq!(rows, run.notes.len()),
                "cpus.csv" => assert_eq!(rows, run.machine.cpus.len()),
                _ => {}
            }
        }
    }
}

#[test]
fn ci_servers_get_the_results_by_direction() {
    let run = sample::typical();
    let read = |format: &str, name: &str| {
        serde_json::from_str::<Value>(&file(&run, format, name)).unwrap()
    };
    let bigger = read("github", "github-bigger-is-better.json");
    let speed = bigger
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["unit"] == "tokens/s")
        .unwrap();
    assert!(speed["value"].is_f64() && speed["range"].as_str().unwrap().starts_with('\u{b1}'));
    let smaller = read("github", "github-smaller-is-better.json");
    assert!(
        smaller
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["unit"] != "tokens/s")
    );
    let bencher = read("bencher", "bencher.json");
    let (_, subject) = bencher
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with("training."))
        .unwrap();
    let measure = &subject["tokens_per_second"];
    assert!(measure["lower_value"].as_f64().unwrap() < measure["value"].as_f64().unwrap());
    let nothing = sample::nothing();
    assert_eq!(file(&nothing, "bencher", "bencher.json").trim(), "{}");
}

#[test]
fn stacks_add_up_to_the_step() {
    let run = sample::typical();
    let text = file(&run, "folded", "step.folded");
    let mut sum = 0.0;
    for line in text.lines() {
        let (stack, time) = line.rsplit_once(' ').unwrap();
        assert!(stack.split(';').count() >= 2, "{line}");
        sum += time.parse::<f64>().unwrap();
    }
    let threads = text
        .split(" on ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let step = run.metrics.iter().find(|metric| {
        metric.name.ends_with(&format!(".t{threads}.step_seconds"))
            && metric.name.matches('.').count() == 3
    });
    let step = step.and_then(|metric| metric.value).unwrap() * 1e6;
    assert!(
        (sum - step).abs() < 40.0 + step * 0.01 || sum >= step,
        "{sum} {step}"
    );
    assert!(file(&sample::nothing(), "folded", "step.folded").is_empty());
}
