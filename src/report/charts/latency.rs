//! Latency of a load that depends on the one before, by the size of the working set.

use super::bandwidth::{claims, staircase};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Canvas, Curve, Ink, Svg};
use crate::report::view::{Input, View, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "latency",
    title: "Latency by working set",
    how_to_read: "Nanoseconds until a load that depends on the one before arrives; each step up is a level further away.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "ceilings",
    inputs,
    draw,
    table: None,
};

const NAME: &str = "ceiling.latency.staircase.nanoseconds";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let latency = Input::of_series("latency", view.series(NAME));
    latency
        .into_iter()
        .flat_map(|input| [input, claims(view)])
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let curves = [Curve::new(
        "",
        view.series(NAME).map(points).unwrap_or_default(),
        Ink::Blue,
    )];
    let canvas = Canvas::new(frame.width, if frame.narrow { 270.0 } else { 300.0 });
    let (low, high) = staircase(view, &canvas, canvas.bounds(), &curves, "nanoseconds")
        .ok_or_else(|| super::reasons(&inputs(view)))?;
    Ok(canvas.finish(told(low, high)))
}

/// What a staircase of latencies shows, in words.
pub(super) fn told(low: f64, high: f64) -> String {
    format!("From {} to {} nanoseconds.", digits(low), digits(high))
}
