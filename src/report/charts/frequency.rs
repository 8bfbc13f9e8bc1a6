//! The clock over time, for each instruction set and thread count, beside the counter that never changes.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Area, Axis, Canvas, Curve, Ink, Svg, draw_curves, extents};
use crate::report::values::{isa, many};
use crate::report::view::{Input, View, at_threads, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency",
    title: "Frequency over time",
    how_to_read: "The clock of the cores under each instruction set; a curve that falls is a core that gets too hot or too hungry.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "frequency",
    inputs,
    draw,
    table: None,
};

const SUFFIX: &str = ".timeline.ghz";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let clock = Input::of_series("clock", view.series_like("frequency.", SUFFIX));
    let metrics = view
        .metrics_under("frequency.")
        .into_iter()
        .filter(|metric| metric.name != "frequency.tsc.ghz");
    let clock = clock.or_else(|| Input::of_metrics("clock", metrics));
    if clock.is_none() {
        return Vec::new();
    }
    clock
        .into_iter()
        .chain(Input::of_metrics(
            "time-stamp counter",
            view.metric("frequency.tsc.ghz"),
        ))
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let named = view
        .series_like("frequency.", SUFFIX)
        .into_iter()
        .enumerate()
        .map(|(index, series)| {
            let (before, threads, _) = at_threads(&series.name).unwrap_or((&series.name, 1, ""));
            let name = isa(before.trim_start_matches("frequency."));
            Curve::new(
                format!("{name}, {}", many(threads as usize, "thread")),
                points(series),
                Ink::curve(index),
            )
        });
    let mut curves: Vec<Curve> = named.collect();
    let Some((x, (mut low, mut high))) = extents(&curves) else {
        let missing = inputs(view);
        let timeless = missing.iter().any(|input| input.known);
        return Err(if timeless {
            "The run has the clock as single numbers only, not over time.".to_owned()
        } else {
            super::reasons(&missing)
        });
    };
    let told = format!("Between {} and {} GHz.", digits(low), digits(high));
    if let Some(tsc) = view.value("frequency.tsc.ghz") {
        curves.push(Curve::level(
            format!("TSC {}", digits(tsc)),
            tsc,
            x,
            Ink::Soft,
        ));
        (low, high) = (low.min(tsc), high.max(tsc));
    }
    let canvas = Canvas::new(frame.width, if frame.narrow { 270.0 } else { 300.0 });
    let area = Area {
        x: 0.0,
        y: 0.0,
        width: canvas.width,
        height: canvas.height,
    };
    let room = (high - low).max(0.1) * 0.1;
    let y = Axis::rounded((low - room).max(0.0), high + room, 5);
    draw_curves(
        &canvas,
        area,
        &curves,
        (Axis::linear(x.0, x.1, 5), "seconds"),
        (y, "GHz"),
    );
    Ok(canvas.finish(told))
}
