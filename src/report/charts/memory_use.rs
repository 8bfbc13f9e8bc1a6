//! Resident memory while it trains: flat from the first step on, or it is not planned.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Svg, draw_curves, extents};
use crate::report::view::{Input, View, points};
use crate::units::Bytes;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "memory-use",
    title: "Memory over the run",
    how_to_read: "Resident memory after each step; a line that stays flat allocates nothing while it trains.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    Input::of_series(
        "resident memory",
        view.series(&view.case_name("memory", "rss_bytes")),
    )
    .into_iter()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const MIB: f64 = 1024.0 * 1024.0;
    let series = view.series(&view.case_name("memory", "rss_bytes"));
    let mebi = |point: Point| (point.0, point.1.map(|bytes| bytes / MIB));
    let used: Vec<Point> = series
        .map(points)
        .unwrap_or_default()
        .into_iter()
        .map(mebi)
        .collect();
    let mut curves = vec![Curve::new("resident", used, Ink::Orange)];
    let Some((x, (_, highest))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    let plan = ["memory", "training"]
        .iter()
        .find_map(|suite| view.value(&view.name(suite, "planned_bytes")));
    if let Some(plan) = plan {
        curves.push(Curve::level("planned", plan / MIB, x, Ink::Blue));
    }
    let top = highest.max(plan.unwrap_or(0.0) / MIB);
    let canvas = Canvas::new(frame.width, if frame.narrow { 240.0 } else { 250.0 });
    draw_curves(
        &canvas,
        canvas.bounds(),
        &curves,
        (Axis::linear(x.0, x.1, 5), "step"),
        (Axis::rounded(0.0, top * 1.05, 4), "MiB"),
    );
    Ok(canvas.finish(format!("At most {}.", Bytes(highest * MIB))))
}
