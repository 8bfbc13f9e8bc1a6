//! A run that means harm.

use serde_json::json;

use super::typical;
use crate::record::{Note, Run};

/// Every text an attack, every number strange.
pub(in crate::report) fn hostile() -> Run {
    let attack = "</title></svg><script>alert(1)</script>\"'&\u{202e}\u{0}\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}";
    let long = format!("{attack}{}", "W".repeat(10_000));
    let mut run = typical();
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
        metric.how.clone_from(&long);
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
        series.how.clone_from(&long);
    }
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
    for cache in &mut run.machine.caches {
        (cache.source, cache.kind, cache.disagreement) =
            (long.clone(), attack.to_owned(), Some(long.clone()));
        cache.bytes = u64::MAX;
    }
    run.machine
        .cpus
        .iter_mut()
        .for_each(|cpu| (cpu.id, cpu.kind) = (u32::MAX, Some(long.clone())));
    run.machine
        .features
        .iter_mut()
        .for_each(|feature| feature.name.clone_from(&long));
    run.machine.facts.iter_mut().for_each(|fact| {
        (fact.label, fact.text, fact.source) = (long.clone(), long.clone(), long.clone())
    });
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
