//! Latency of memory by what other threads move at the same time.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Svg, draw_curves, extents};
use crate::report::view::{Input, View, at_threads, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "loaded-latency",
    title: "Latency under load",
    how_to_read: "Each dot: the other threads move so many GB/s, and a dependent load takes so long; a curve that turns upwards shows where \
                  memory is full.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "memory",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "memory.loaded.";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let curves = Input::of_series("latency under load", view.series_like(PREFIX, ""));
    let absent = || Input::of_metrics("latency under load", view.metrics_under(PREFIX));
    curves.or_else(absent).into_iter().collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let named = view.series_like(PREFIX, ".nanoseconds").into_iter();
    let named = named.enumerate().filter_map(|(index, series)| {
        let label = match at_threads(&series.name)?.0.strip_prefix(PREFIX)? {
            "read" => "others read",
            "copy_nt" => "others copy",
            _ => return None,
        };
        Some(Curve::new(label, points(series), Ink::curve(index)).dotted())
    });
    let curves: Vec<Curve> = named.collect();
    let (x, y) = extents(&curves).ok_or_else(|| super::reasons(&inputs(view)))?;
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let axes = (
        (
            Axis::linear(0.0, x.1 * 1.05, 6),
            "GB/s of the other threads",
        ),
        (Axis::linear(0.0, y.1 * 1.1, 5), "nanoseconds"),
    );
    draw_curves(&canvas, canvas.bounds(), &curves, axes.0, axes.1);
    let (low, high) = (digits(y.0), digits(y.1));
    Ok(canvas.finish(format!(
        "From {low} to {high} nanoseconds, up to {} GB/s.",
        digits(x.1)
    )))
}
