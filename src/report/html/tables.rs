//! Tables: ceilings, caches, features, facts, counters, notes, the configuration and every number of the run.

use maud::{Markup, html};

use crate::record::{Metric, Run};
use crate::report::charts::ceilings::{self, Ceiling};
use crate::report::charts::of_a_part;
use crate::report::draw::{clean, clean_lines};
use crate::report::values::{capital, interval, known, many, parts, quantity, sentence, words};
use crate::report::view::{View, at_threads, origin};
use crate::units::digits;

/// Rows that a table shows; `run.json` has the rest.
const MOST: usize = 1500;

/// FMA peaks and bandwidths by threads.
pub(super) fn ceilings(view: &View<'_>) -> Markup {
    let (arithmetic, bandwidth) = (ceilings::arithmetic(view), ceilings::bandwidth(view));
    let span = if arithmetic.is_empty() || bandwidth.is_empty() {
        "all"
    } else {
        "half"
    };
    html! {
        (pivot("Arithmetic ceilings", "GFLOP/s of fused multiply-adds on registers alone; no kernel can be faster.", "instruction set", &arithmetic, span))
        (pivot("Bandwidth ceilings", "GB/s of reading from each level; what lies under a slanted roof.", "level", &bandwidth, span))
    }
}

/// One row per label, one column per thread count.
fn pivot(title: &str, how: &str, head: &str, ceilings: &[Ceiling<'_>], span: &str) -> Markup {
    const COLUMNS: usize = 6;
    let mut labels: Vec<&str> = Vec::new();
    let mut threads: Vec<u32> = ceilings.iter().map(|ceiling| ceiling.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    while threads.len() > COLUMNS {
        threads.remove(threads.len() / 2);
    }
    for ceiling in ceilings {
        if !labels.contains(&ceiling.label.as_str()) {
            labels.push(&ceiling.label);
        }
    }
    let cell = |label: &str, threads: u32| {
        ceilings
            .iter()
            .find(|ceiling| ceiling.label == label && ceiling.threads == threads)
    };
    let reasons = unknown(ceilings.iter().map(|ceiling| ceiling.metric));
    let mut origins: Vec<&str> = ceilings
        .iter()
        .filter(|ceiling| ceiling.value().is_some())
        .map(|ceiling| origin(ceiling.metric.provenance))
        .collect();
    origins.dedup();
    html! {
        @if !ceilings.is_empty() {
            section.card.(span) {
                h3 { (title) }
                p.how { (how) }
                div.wrap { table {
                    thead { tr { th { (head) } @for count in &threads { th.n { (many(*count as usize, "thread")) } } } }
                    tbody { @for label in &labels { tr {
                        td { (clean(label)) }
                        @for count in &threads { td.n { (cell(label, *count).and_then(Ceiling::value).map_or_else(|| "\u{2013}".to_owned(), digits)) } }
                    } } }
                } }
                @for (_, reason) in reasons { p.sub { "Missing: " (sentence(&clean(&reason))) } }
                p.sub { @for origin in origins { span.tag { (origin) } " " } }
            }
        }
    }
}

/// Metrics without a value, gathered by the reason they give; what a reason adds in brackets about the one metric is left
/// to the table of all numbers.
fn unknown<'a>(metrics: impl Iterator<Item = &'a Metric>) -> Vec<(Vec<String>, String)> {
    let mut reasons: Vec<(Vec<String>, String)> = Vec::new();
    for metric in metrics.filter(|metric| known(metric.value).is_none()) {
        let name = at_threads(&metric.name).map_or(metric.name.as_str(), |parts| parts.2);
        let name = words(name);
        let reason = match metric.how.trim_end_matches('.').strip_suffix(')') {
            Some(start) => start
                .split_once(" (")
                .map_or(metric.how.as_str(), |parts| parts.0),
            None => metric.how.as_str(),
        };
        match reasons.iter_mut().find(|known| known.1 == reason) {
            Some(known) if known.0.contains(&name) => {}
            Some(known) => known.0.push(name),
            None => reasons.push((vec![name], reason.to_owned())),
        }
    }
    reasons
}

/// Instruction sets: usable, refused by the system, absent.
pub(super) fn features(run: &Run) -> Markup {
    let with = |cpu: bool, os: bool| -> Vec<String> {
        run.machine
            .features
            .iter()
            .filter(|feature| feature.cpu == cpu && (!cpu || feature.os == os))
            .map(|feature| clean(&feature.name))
            .collect()
    };
    let groups = [
        ("on", "Usable", with(true, true)),
        (
            "off",
            "In the CPU, refused by the system",
            with(true, false),
        ),
        ("no", "Absent", with(false, false)),
    ];
    html! {
        @if !run.machine.features.is_empty() {
            section.card {
                h3 { "Instruction sets" }
                @for (class, title, names) in groups { @if !names.is_empty() {
                    p.sub { (title) }
                    div.chips.(class) { @for name in names { span { (name) } } }
                } }
            }
        }
    }
}

/// Every other fact of the probe.
pub(super) fn facts(run: &Run) -> Markup {
    let facts = &run.machine.facts;
    html! {
        @if !facts.is_empty() {
            section.card { details.more {
                summary { "All facts about the machine" span { (many(facts.len(), "fact")) } }
                div.wrap { table.stack {
                    thead { tr { th { "fact" } th { "value" } th { "source" } } }
                    tbody { @for fact in facts.iter().take(MOST) { tr {
                        td.name { (clean(&fact.label)) }
                        @match &fact.reason {
                            Some(reason) if fact.value.is_none() => td.long.soft { "unknown: " (clean(reason)) },
                            _ => td.long { (clean(&fact.text)) },
                        }
                        td.long.soft { (clean(&fact.source)) }
                    } } }
                } }
            } }
        }
    }
}

/// Counters: those that exist, then the missing ones by reason.
pub(super) fn counters(run: &Run) -> Markup {
    let all: Vec<&Metric> = run
        .metrics
        .iter()
        .filter(|metric| metric.name.starts_with("counters.") && !of_a_part(metric))
        .collect();
    let counted: Vec<_> = all
        .iter()
        .filter_map(|metric| Some((*metric, known(metric.value)?)))
        .collect();
    let missing = unknown(all.iter().copied());
    let mut places: Vec<String> = counted
        .iter()
        .filter_map(|(metric, _)| place(metric))
        .map(|place| place.1)
        .collect();
    places.dedup();
    html! {
        @if !all.is_empty() {
            section.card {
                h3 { "Counters" }
                p.how { "What the system and the processor counted while training; a counter that is not to be had is named with its reason." }
                @if !counted.is_empty() { div.wrap { table.stack {
                    thead { tr { th { "counter" } @if places.len() > 1 { th { "case" } } th.n { "value" } th { "origin" } th { "how" } } }
                    tbody { @for (metric, value) in counted.iter().take(MOST) {
                        @let (counter, case) = place(metric).unwrap_or_else(|| (metric.name.clone(), String::new()));
                        tr {
                            td.name { (clean(&counter)) }
                            @if places.len() > 1 { td.long { (clean(&case)) } }
                            td.n { (quantity(*value, &clean(&metric.unit))) }
                            td.soft { (origin(metric.provenance)) }
                            td.long.soft { (clean(&metric.how)) }
                        }
                    } }
                } } }
                @for (names, reason) in missing.iter().take(40) {
                    p.sub { b { (capital(&clean(&names.join(", ")))) } ": unavailable. " (sentence(&clean(reason))) }
                }
            }
        }
    }
}

/// A counter's name, and the case and threads that it was counted for.
fn place(metric: &Metric) -> Option<(String, String)> {
    let (before, threads, counter) = at_threads(&metric.name)?;
    let case = before.strip_prefix("counters.").unwrap_or_default();
    Some((
        words(counter),
        format!("{case}, {}", many(threads as usize, "thread")),
    ))
}

/// The notes of the run by topic; advice is on the first screen.
pub(super) fn notes(run: &Run) -> Markup {
    let mut topics: Vec<(&str, Vec<&str>)> = Vec::new();
    for note in run.notes.iter().filter(|note| note.topic != "advice") {
        match topics.iter_mut().find(|topic| topic.0 == note.topic) {
            Some(topic) => topic.1.push(&note.text),
            None => topics.push((&note.topic, vec![&note.text])),
        }
    }
    html! {
        @if !topics.is_empty() {
            section.card {
                h3 { "What a reader should know" }
                dl.notes { @for (topic, texts) in topics {
                    dt { (capital(&clean(topic))) }
                    @for text in texts.iter().take(40) { dd { (super::told(text)) } }
                } }
            }
        }
    }
}

/// Every number.
pub(super) fn metrics(run: &Run) -> Markup {
    let rest = run.metrics.len().saturating_sub(MOST);
    html! {
        @if !run.metrics.is_empty() {
            section.card { details.more {
                summary { "Every number" span { (many(run.metrics.len(), "metric")) } }
                div.wrap { table.stack {
                    thead { tr { th { "name" } th.n { "value" } th { "95 % interval" } th { "origin" } th { "how" } } }
                    tbody { @for metric in run.metrics.iter().take(MOST) { (row(metric)) } }
                } }
                @if rest > 0 { p.sub { (many(rest, "more number")) " in run.json." } }
            } }
        }
    }
}

fn row(metric: &Metric) -> Markup {
    let value = known(metric.value);
    html! {
        tr {
            td.name { code { (clean(&metric.name)) } }
            td.n { @match value {
                Some(value) => { @let (number, unit) = parts(value, &metric.unit); (number) " " span.soft { (clean(&unit)) } },
                None => "\u{2013}",
            } }
            td.soft { (interval(metric).unwrap_or_default()) }
            td.soft { (origin(metric.provenance)) }
            td.long.soft { (clean(&metric.how)) }
        }
    }
}

/// The effective configuration.
pub(super) fn config(run: &Run) -> Markup {
    const LINES: usize = 400;
    let text = serde_json::to_string_pretty(&run.config).unwrap_or_default();
    html! {
        @if !run.config.is_null() {
            section.card { details.more {
                summary { "Configuration" span { "as the trainer used it" } }
                pre { (clean_lines(&text, LINES)) }
            } }
        }
    }
}
