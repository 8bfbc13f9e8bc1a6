//! Latency by the size of the working set on both kinds of pages, of one thread alone and of all at once.

use super::bandwidth::{claims, staircase};
use super::latency::told;
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Canvas, Curve, Ink, Svg};
use crate::report::values::many;
use crate::report::view::{Input, View, at_threads, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "memory-latency",
    title: "Latency by pages and threads",
    how_to_read: "Where the curve of 4 KB pages leaves that of 2 MB pages, translation costs more than the load itself; where more threads \
                  lie higher, they share that level.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "memory",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "memory.latency.";
const SUFFIX: &str = ".staircase.nanoseconds";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let latency = Input::of_series("latency", view.series_like(PREFIX, SUFFIX));
    let latency = latency.or_else(|| Input::of_metrics("latency", view.metrics_under(PREFIX)));
    latency
        .into_iter()
        .flat_map(|input| [input, claims(view)])
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let named = view.series_like(PREFIX, SUFFIX).into_iter();
    let named = named.enumerate().filter_map(|(index, series)| {
        let (before, threads, _) = at_threads(&series.name)?;
        let pages = match before.strip_prefix(PREFIX)? {
            "4kb" => "4 KB",
            "2mb" => "2 MB",
            _ => return None,
        };
        let label = format!("{pages}, {}", many(threads as usize, "thread"));
        Some(Curve::new(label, points(series), Ink::curve(index)))
    });
    let curves: Vec<Curve> = named.collect();
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let (low, high) = staircase(view, &canvas, canvas.bounds(), &curves, "nanoseconds")
        .ok_or_else(|| super::reasons(&inputs(view)))?;
    Ok(canvas.finish(told(low, high)))
}
