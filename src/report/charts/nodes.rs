//! Bandwidth and latency from each node of CPUs to each node of memory.

use super::heat::{Cell, Heat, Margins, Row, tables};
use super::{Chart, Frame, Span, Subject};
use crate::record::Metric;
use crate::report::draw::Svg;
use crate::report::values::{known, quantity};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "nodes",
    title: "Nodes of memory",
    how_to_read: "Rows are the node whose CPUs read, columns the node that the memory lies on; the diagonal is a node's own memory.",
    subject: Subject::Machine,
    span: Span::Full,
    suite: "memory",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "memory.numa.";

fn inputs(view: &View<'_>) -> Vec<Input> {
    Input::of_metrics("nodes", view.metrics_under(PREFIX))
        .into_iter()
        .collect()
}

/// Readers and homes of `memory.numa.n0.n1.quantity`.
fn pair(metric: &Metric) -> Option<(u32, u32)> {
    let mut parts = metric.name.strip_prefix(PREFIX)?.split('.');
    let mut node = || parts.next()?.strip_prefix('n')?.parse().ok();
    Some((node()?, node()?))
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let mut nodes: Vec<u32> = view
        .metrics_under(PREFIX)
        .into_iter()
        .filter_map(pair)
        .flat_map(|(reader, home)| [reader, home])
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let tables_of = [("GB/s", "gbps"), ("latency", "nanoseconds")];
    let heats: Vec<Heat> = tables_of
        .into_iter()
        .filter_map(|(title, of)| heat(view, &nodes, title, of))
        .collect();
    if heats.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let margins = Margins {
        label: 64.0,
        end: 0.0,
    };
    let canvas = tables(frame.width, frame.narrow, &heats, margins);
    let words = view.metrics_under(PREFIX).into_iter().filter_map(|metric| {
        let (reader, home) = pair(metric)?;
        let value = quantity(known(metric.value)?, &metric.unit);
        Some(format!("Node {reader} from node {home}: {value}."))
    });
    Ok(canvas.finish(words.collect::<Vec<_>>().join(" ")))
}

fn heat(view: &View<'_>, nodes: &[u32], title: &str, of: &str) -> Option<Heat> {
    let value = |reader: u32, home: u32| view.value(&format!("{PREFIX}n{reader}.n{home}.{of}"));
    let all = nodes
        .iter()
        .flat_map(|reader| nodes.iter().filter_map(move |home| value(*reader, *home)));
    let most = all.fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let cell = |reader: u32, home: u32| match value(reader, home) {
        None => Cell::empty("not measured"),
        Some(found) => {
            let unit = if of == "gbps" { "GB/s" } else { "ns" };
            Cell {
                text: quantity(found, unit),
                heat: Some(found / most),
                best: false,
                hover: format!("node {reader} from node {home}: {}", quantity(found, unit)),
            }
        }
    };
    let row = |reader: &u32| Row {
        label: format!("node {reader}"),
        cells: nodes.iter().map(|home| cell(*reader, *home)).collect(),
        end: None,
    };
    Some(Heat {
        title: title.to_owned(),
        columns: nodes
            .iter()
            .map(|node| vec![format!("node {node}")])
            .collect(),
        end: None,
        rows: nodes.iter().map(row).collect(),
    })
}
