//! Bandwidth of reading and of STREAM's operations over working sets: regular stores beside non-temporal ones, and levels in a table.

use maud::{Markup, html};

use super::bandwidth::{claims, staircase};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Area, Canvas, Curve, Ink, Svg, Type};
use crate::report::values::{self, isa, many};
use crate::report::view::{Input, View, at_threads, points};
use crate::units::digits;

/// What a cell shows, and the instruction set that it comes from.
type Cell = (String, String);

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "streams",
    title: "Bandwidth of reading and writing",
    how_to_read: "Useful GB/s on all threads and 2 MB pages; dashed lines are the claimed cache sizes. A regular store fetches the line that \
                  it overwrites, a non-temporal one goes past the caches: it loses within them and wins beyond.",
    subject: Subject::Machine,
    span: Span::Full,
    suite: "memory",
    inputs,
    draw,
    table: Some(levels),
};

/// The operations in the order of their colours.
const OPERATIONS: [&str; 6] = ["read", "write", "copy", "scale", "add", "triad"];

/// The levels of the table.
const LEVELS: [(&str, &str); 4] = [("l1", "L1"), ("l2", "L2"), ("l3", "L3"), ("dram", "memory")];

const SUFFIX: &str = ".staircase.gbps";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let curves = Input::of_series("bandwidth", view.series_like("memory.", SUFFIX));
    let absent = || Input::of_metrics("bandwidth", of_operations(view, SUFFIX));
    let Some(bandwidth) = curves.or_else(absent) else {
        return Vec::new();
    };
    let levels = Input::of_metrics("levels", of_operations(view, ".bus_gbps"));
    let rest = levels.into_iter().chain([claims(view)]);
    [bandwidth].into_iter().chain(rest).collect()
}

fn of_operations<'a>(view: &View<'a>, suffix: &str) -> Vec<&'a crate::record::Metric> {
    let metrics = view.metrics_under("memory.").into_iter();
    metrics
        .filter(|metric| metric.name.ends_with(suffix) && !metric.name.contains(".numa."))
        .collect()
}

/// The most threads that a staircase was measured on.
fn most_threads(view: &View<'_>) -> u32 {
    let all = view.series_like("memory.read.2mb.", SUFFIX);
    let counts = all.iter().filter_map(|series| at_threads(&series.name));
    counts.map(|parts| parts.1).max().unwrap_or(1)
}

fn curves(view: &View<'_>, suffix: &str) -> Vec<Curve> {
    let threads = most_threads(view);
    let curve = |(index, operation): (usize, &&str)| {
        let name = format!("memory.{operation}{suffix}.2mb.t{threads}{SUFFIX}");
        let points = points(view.series(&name)?);
        Some(Curve::new(*operation, points, Ink::curve(index)))
    };
    let all = OPERATIONS.iter().enumerate();
    all.filter_map(curve).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const HEIGHT: f64 = 330.0;
    const GAP: f64 = 34.0;
    let plots = [("regular stores", ""), ("non-temporal stores", "_nt")];
    let (across, rows) = if frame.narrow { (1, 2) } else { (2, 1) };
    let canvas = Canvas::new(frame.width, HEIGHT * f64::from(rows));
    let width = (frame.width - GAP * f64::from(across - 1)) / f64::from(across);
    let mut told = Vec::new();
    for (index, (title, suffix)) in plots.into_iter().enumerate() {
        let (column, row) = if frame.narrow { (0, index) } else { (index, 0) };
        let (x, y) = (column as f64 * (width + GAP), row as f64 * HEIGHT);
        let area = Area {
            x,
            y: y + 22.0,
            width,
            height: HEIGHT - 30.0,
        };
        let look = Type::plain(Ink::Text).bold();
        let title = format!("{title}, {}", many(most_threads(view) as usize, "thread"));
        let drawn = staircase(view, &canvas, area, &curves(view, suffix), "useful GB/s");
        if let Some((low, high)) = drawn {
            canvas.text((x, y + 9.0), &title, look);
            let (low, high) = (digits(low), digits(high));
            told.push(format!("With {title}: {low} to {high} GB/s."));
        }
    }
    match told.is_empty() {
        true => Err(super::reasons(&inputs(view))),
        false => Ok(canvas.finish(told.join(" "))),
    }
}

/// Useful and bus GB/s of each operation in each level, in the instruction set that does the operation fastest.
fn levels(view: &View<'_>) -> Markup {
    let all = of_operations(view, ".bus_gbps");
    let threads = all.iter().filter_map(|metric| at_threads(&metric.name));
    let threads = threads.map(|parts| parts.1).max().unwrap_or(1);
    let cell = |operation: &str, level: &str| -> Option<(String, String)> {
        let (prefix, suffix) = (
            format!("memory.{operation}.{level}."),
            format!(".t{threads}.gbps"),
        );
        let found = view.metrics_under(&prefix).into_iter();
        let (metric, useful) = found
            .filter(|metric| metric.name.ends_with(&suffix))
            .filter_map(|metric| Some((metric, values::known(metric.value)?)))
            .max_by(|one, other| one.1.total_cmp(&other.1))?;
        let name = metric.name.strip_suffix("gbps")?;
        let set = name.strip_prefix(&prefix)?.split('.').next()?;
        let bus = view.value(&format!("{name}bus_gbps"))?;
        let shown = match (bus / useful - 1.0).abs() < 1e-6 {
            true => digits(useful),
            false => format!("{} ({})", digits(useful), digits(bus)),
        };
        Some((shown, isa(set)))
    };
    let rows = OPERATIONS.iter().flat_map(|operation| {
        let past = format!("{operation}_nt");
        [
            ((*operation).to_owned(), (*operation).to_owned()),
            (past, format!("{operation}, non-temporal")),
        ]
    });
    let rows: Vec<(String, Vec<Option<Cell>>)> = rows
        .map(|(name, label)| (label, LEVELS.map(|(level, _)| cell(&name, level)).to_vec()))
        .filter(|(_, cells)| cells.iter().any(Option::is_some))
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    html! {
        table.key {
            thead { tr {
                th { "Useful (bus) GB/s on " (many(threads as usize, "thread")) }
                @for (_, label) in LEVELS { th.n { (label) } }
            } }
            tbody { @for (label, cells) in &rows { tr {
                td { (label) }
                @for cell in cells {
                    @if let Some((shown, set)) = cell { td.n title=(set) { (shown) } } @else { td.n { "\u{2013}" } }
                }
            } } }
        }
    }
}
