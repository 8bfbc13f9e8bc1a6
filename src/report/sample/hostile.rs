//! A run that means harm.

use serde_json::json;

use super::typical;
use crate::record::{Note, Run};

/// Every text an attack, every number strange.
pub(in crate::report) fn hostile() -> Run {
    let attack = "</title></svg><script>alert(1)</script>\"'&\u{202e}\u{0}\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}";
    let long = format!("{attack}{}", "W".repeat(10_000));
    let mut run = typical();
    numbers(&mut run, attack, &long);
    for text in [
        &mut run.id,
        &mut run.started,
        &mut run.version,
        &mut run.machine.summary.brand,
        &mut run.machine.summary.isa,
    ] {
        text.clone_from(&long);
    }
    run.commit = Some(long.clone());
    run.command = vec![long.clone(); 3];
    run.config = json!({ attack: long });
    machine(&mut run, attack, &long);
    run.notes
        .iter_mut()
        .for_each(|note| note.text.clone_from(&long));
    run.notes.push(Note {
        topic: long.clone(),
        text: attack.to_owned(),
    });
    rename(&mut run, &long);
    run
}

/// Gives the training case a name that is an attack, too.
fn rename(run: &mut Run, name: &str) {
    let case = "autoregressive_training_small";
    run.metrics
        .iter_mut()
        .for_each(|metric| metric.name = metric.name.replace(case, name));
    run.series
        .iter_mut()
        .for_each(|series| series.name = series.name.replace(case, name));
}

/// Every number strange.
fn numbers(run: &mut Run, attack: &str, long: &str) {
    let numbers = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -1.0,
        1e308,
        -1e308,
        1e-308,
        f64::MAX,
    ];
    for (index, metric) in run.metrics.iter_mut().enumerate() {
        metric.value = Some(numbers[index % numbers.len()]);
        (metric.low, metric.high) = (
            Some(numbers[(index + 1) % numbers.len()]),
            Some(numbers[(index + 2) % numbers.len()]),
        );
        metric.how = long.to_owned();
        metric.unit = if index % 3 == 0 {
            attack.to_owned()
        } else {
            metric.unit.clone()
        };
    }
    for (index, series) in run.series.iter_mut().enumerate() {
        for (place, y) in series.y.iter_mut().enumerate() {
            *y = Some(numbers[(index + place) % numbers.len()]);
        }
        series
            .x
            .iter_mut()
            .enumerate()
            .for_each(|(place, x)| *x = numbers[(place + 3) % numbers.len()]);
        series.how = long.to_owned();
    }
}

/// Every text about the machine an attack.
fn machine(run: &mut Run, attack: &str, long: &str) {
    for cache in &mut run.machine.caches {
        (cache.source, cache.kind, cache.disagreement) =
            (long.to_owned(), attack.to_owned(), Some(long.to_owned()));
        cache.bytes = u64::MAX;
    }
    run.machine
        .cpus
        .iter_mut()
        .for_each(|cpu| (cpu.id, cpu.kind) = (u32::MAX, Some(long.to_owned())));
    run.machine
        .features
        .iter_mut()
        .for_each(|feature| feature.name.clone_from(&long.to_owned()));
    run.machine.facts.iter_mut().for_each(|fact| {
        (fact.label, fact.text, fact.source) = (long.to_owned(), long.to_owned(), long.to_owned())
    });
}
