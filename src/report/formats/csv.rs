//! Every table of a run as CSV (RFC 4180): numbers, curves, facts, CPUs, caches, instruction sets, notes.

use super::Format;
use crate::record::{Better, Provenance, Run};

/// The row of the list.
pub(super) const FORMAT: Format = Format {
    id: "csv",
    what: "Every table for a spreadsheet or a data frame",
    files,
};

/// Rows of cells; the first one is the heading.
struct Table(String);

impl Table {
    fn new(heading: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(&heading.iter().map(ToString::to_string).collect::<Vec<_>>());
        table
    }

    fn row(&mut self, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        self.0.push_str(&cells.join(","));
        self.0.push_str("\r\n");
    }

    fn file(self, name: &str) -> (String, String) {
        (format!("{name}.csv"), self.0)
    }
}

/// A cell, quoted where it holds what would end it. What a spreadsheet would take for a formula is made text.
fn quoted(cell: &str) -> String {
    let number = cell.parse::<f64>().is_ok();
    let cell = if !number && cell.starts_with(['=', '+', '-', '@']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// A number to the last digit; empty where there is none.
fn number(value: Option<f64>) -> String {
    value
        .filter(|value| value.is_finite())
        .map_or(String::new(), |value| value.to_string())
}

fn name(provenance: Provenance) -> String {
    crate::report::view::origin(provenance).to_owned()
}

fn files(run: &Run) -> Vec<(String, String)> {
    vec![
        metrics(run),
        curves(run),
        facts(run),
        cpus(run),
        caches(run),
        features(run),
        notes(run),
    ]
}

fn metrics(run: &Run) -> (String, String) {
    let mut table = Table::new(&[
        "name",
        "value",
        "low",
        "high",
        "unit",
        "better",
        "provenance",
        "how",
    ]);
    for metric in &run.metrics {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "neither",
        };
        table.row(&[
            metric.name.clone(),
            number(metric.value),
            number(metric.low),
            number(metric.high),
            metric.unit.clone(),
            better.to_owned(),
            name(metric.provenance),
            metric.how.clone(),
        ]);
    }
    table.file("metrics")
}

/// A row for each point, so that one table holds curves of any length.
fn curves(run: &Run) -> (String, String) {
    let mut table = Table::new(&[
        "name",
        "x",
        "x_unit",
        "y",
        "low",
        "high",
        "unit",
        "provenance",
    ]);
    for series in &run.series {
        let at =
            |values: &[Option<f64>], index: usize| number(values.get(index).copied().flatten());
        for (index, x) in series.x.iter().enumerate() {
            table.row(&[
                series.name.clone(),
                number(Some(*x)),
                series.x_unit.clone(),
                at(&series.y, index),
                at(&series.low, index),
                at(&series.high, index),
                series.unit.clone(),
                name(series.provenance),
            ]);
        }
    }
    table.file("curves")
}

fn facts(run: &Run) -> (String, String) {
    let mut table = Table::new(&["key", "label", "value", "text", "source", "reason"]);
    for fact in &run.machine.facts {
        let value = match &fact.value {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        table.row(&[
            fact.key.clone(),
            fact.label.clone(),
            value,
            fact.text.clone(),
            fact.source.clone(),
            fact.reason.clone().unwrap_or_default(),
        ]);
    }
    table.file("facts")
}

fn cpus(run: &Run) -> (String, String) {
    let mut table = Table::new(&["cpu", "core", "package", "node", "usable", "kind"]);
    for cpu in &run.machine.cpus {
        table.row(&[
            cpu.id.to_string(),
            cpu.core.to_string(),
            cpu.package.to_string(),
            cpu.node.to_string(),
            cpu.usable.to_string(),
            cpu.kind.clone().unwrap_or_default(),
        ]);
    }
    table.file("cpus")
}

fn caches(run: &Run) -> (String, String) {
    let mut table = Table::new(&[
        "level",
        "kind",
        "bytes",
        "ways",
        "line_bytes",
        "shared_by",
        "source",
        "disagreement",
    ]);
    for cache in &run.machine.caches {
        let shared: Vec<String> = cache.shared_by.iter().map(ToString::to_string).collect();
        table.row(&[
            cache.level.to_string(),
            cache.kind.clone(),
            cache.bytes.to_string(),
            cache.ways.map_or(String::new(), |ways| ways.to_string()),
            cache.line_bytes.to_string(),
            shared.join(" "),
            cache.source.clone(),
            cache.disagreement.clone().unwrap_or_default(),
        ]);
    }
    table.file("caches")
}

fn features(run: &Run) -> (String, String) {
    let mut table = Table::new(&["name", "cpu", "os"]);
    for feature in &run.machine.features {
        table.row(&[
            feature.name.clone(),
            feature.cpu.to_string(),
            feature.os.to_string(),
        ]);
    }
    table.file("features")
}

fn notes(run: &Run) -> (String, String) {
    let mut table = Table::new(&["topic", "text"]);
    for note in &run.notes {
        table.row(&[note.topic.clone(), note.text.clone()]);
    }
    table.file("notes")
}
