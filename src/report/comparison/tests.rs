//! Whole comparisons of runs that were made for it: A/A is the same, 5 % less is slower, two machines are refused.

use super::*;
use crate::report::sample;

/// The typical run with its speeds multiplied; `minute` orders the runs of a comparison.
fn measured(factor: f64, minute: usize) -> Run {
    let mut run = sample::typical();
    run.started = format!("2026-11-22T14:{minute:02}:00Z");
    run.id = format!("20261122T14{minute:02}00-000000");
    for metric in &mut run.metrics {
        let factor = match metric.unit.as_str() {
            "tokens/s" | "GFLOP/s" => factor,
            "seconds" => 1.0 / factor,
            _ => continue,
        };
        for value in [&mut metric.value, &mut metric.low, &mut metric.high] {
            *value = value.map(|value| value * factor);
        }
    }
    run
}

/// An arm of five runs that take turns with those of the other arm, all with the weather of their minute.
fn arm(name: &str, factor: f64, first: usize) -> Arm {
    let weather = [1.0, 0.8, 0.97, 1.1, 0.9];
    let own = [1.002, 0.999, 1.001, 0.998, 1.0];
    let run = |turn: usize| {
        measured(
            factor * weather[turn] * own[(turn + first) % 5],
            2 * turn + first,
        )
    };
    Arm {
        name: name.to_owned(),
        runs: (0..5).map(run).collect(),
    }
}

fn gated(gate: f64) -> Question {
    Question {
        gate: Some(gate),
        only: Vec::new(),
    }
}

fn row<'a>(against: &'a Against, name: &str) -> &'a Row {
    against.rows.iter().find(|row| row.name == name).unwrap()
}

fn speed_of(run: &Run) -> String {
    let mut speeds = run
        .metrics
        .iter()
        .filter(|metric| metric.name.ends_with("tokens_per_second"));
    speeds.next_back().unwrap().name.clone()
}

#[test]
fn the_same_program_twice_is_the_same() {
    let comparison = compare(&arm("a", 1.0, 0), &[arm("b", 1.0, 1)], gated(0.05));
    let against = &comparison.against[0];
    assert_eq!(against.pairing, Pairing::Interleaved(5));
    let name = speed_of(&sample::typical());
    assert_eq!(
        row(against, &name).verdict,
        Verdict::Same,
        "{:?}",
        row(against, &name)
    );
    assert!(comparison.failures().next().is_none() && !comparison.is_undecided());
    assert!(against.differences.is_empty(), "{:?}", against.differences);
}

#[test]
fn five_per_cent_less_is_slower_and_fails_the_gate() {
    let comparison = compare(&arm("a", 1.0, 0), &[arm("b", 0.95, 1)], gated(0.05));
    let name = speed_of(&sample::typical());
    let found = row(&comparison.against[0], &name);
    assert_eq!(
        (found.verdict, found.word(), found.fails),
        (Verdict::Worse, "slower", true)
    );
    let change = found.change.as_ref().unwrap();
    assert!((change.ratio.estimate - 0.95).abs() < 0.005 && change.adjusted < 0.05);
    assert!(comparison.failures().any(|(_, row)| row.name == name));
    // The weather alone moves speeds by 10 %: what is not paired decides nothing.
    let mut later = arm("b", 0.95, 1);
    for (index, run) in later.runs.iter_mut().enumerate() {
        run.started = format!("2026-11-22T15:{index:02}:00Z");
    }
    let apart = compare(&arm("a", 1.0, 0), &[later], gated(0.05));
    let against = &apart.against[0];
    assert_eq!(against.pairing, Pairing::Apart(5, 5));
    assert_eq!(row(against, &name).verdict, Verdict::Inconclusive);
    let back = compare(&arm("b", 0.95, 1), &[arm("a", 1.0, 0)], gated(0.05));
    assert_eq!(row(&back.against[0], &name).word(), "faster");
}

#[test]
fn a_smaller_loss_than_the_gate_passes() {
    let comparison = compare(&arm("a", 1.0, 0), &[arm("b", 0.96, 1)], gated(0.10));
    let name = speed_of(&sample::typical());
    let found = row(&comparison.against[0], &name);
    assert_eq!((found.verdict, found.fails), (Verdict::Same, false));
}

#[test]
fn single_runs_are_judged_by_their_intervals() {
    let arm = |name: &str, factor| Arm {
        name: name.to_owned(),
        runs: vec![measured(factor, 0)],
    };
    let name = speed_of(&sample::typical());
    let of = |factor| {
        let comparison = compare(&arm("a", 1.0), &[arm("b", factor)], Question::default());
        assert_eq!(comparison.against[0].pairing, Pairing::Single);
        row(&comparison.against[0], &name).verdict
    };
    assert_eq!(of(1.0), Verdict::Same);
    assert_eq!(of(0.99), Verdict::Inconclusive);
    assert_eq!(of(0.85), Verdict::Worse);
    assert_eq!(of(1.2), Verdict::Better);
}

#[test]
fn another_machine_is_named_and_nothing_in_common_is_no_row() {
    let one = Arm {
        name: "a".to_owned(),
        runs: vec![sample::typical()],
    };
    let large = Arm {
        name: "b".to_owned(),
        runs: vec![sample::large()],
    };
    let comparison = compare(&one, std::slice::from_ref(&large), Question::default());
    let against = &comparison.against[0];
    let named: Vec<&str> = against
        .forbidden()
        .map(|difference| difference.what.as_str())
        .collect();
    assert!(named.contains(&"machine"), "{named:?}");
    let nothing = Arm {
        name: "c".to_owned(),
        runs: vec![sample::nothing()],
    };
    assert!(
        compare(&nothing, &[one], Question::default()).against[0]
            .rows
            .is_empty()
    );
}

#[test]
fn every_form_is_complete_and_safe() {
    let mut hostile = arm("<b>|`x`", 0.9, 1);
    hostile.name = "<script>alert(1)</script>|`x`".to_owned();
    let comparison = compare(&arm("a", 1.0, 0), &[hostile, arm("c", 1.3, 1)], gated(0.05));
    let page = comparison.page();
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script>alert"));
    assert_eq!(page.matches("<svg").count(), 4);
    let markdown = comparison.markdown();
    assert!(
        markdown.contains("slower")
            && markdown.contains("faster")
            && !markdown.contains("`<script>alert(1)</script>|")
    );
    let junit = comparison.junit();
    assert!(junit.contains("<failure message=\"slower: ") && !junit.contains("<script>"));
    assert_eq!(
        junit.matches("<testcase").count(),
        junit.matches("</testcase>").count()
    );
    if let Ok(folder) = std::env::var("LOOPOS_SAMPLE_PAGES")
        && !folder.is_empty()
    {
        let folder = std::path::Path::new(&folder).join("comparison");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("report.html"), &page).unwrap();
    }
    let empty = Arm {
        name: "none".to_owned(),
        runs: Vec::new(),
    };
    let comparison = compare(&empty, std::slice::from_ref(&empty), Question::default());
    assert!(comparison.markdown().contains("nothing to compare"));
    assert!(comparison.page().contains("No result has an interval"));
}
