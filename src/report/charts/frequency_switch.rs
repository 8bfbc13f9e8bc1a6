//! The frequency through a change of instructions: scalar code, a stretch of each load, scalar code again.

use super::frequency_matrix::load;
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, CURVES, Canvas, Curve, Ink, Stroke, Svg, draw_curves, extents};
use crate::report::view::{Input, View, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency-switch",
    title: "Switching between instructions",
    how_to_read: "GHz of one thread, medians of repetitions: scalar code, between the dashed lines the load, then scalar code again. A dip at \
                  a line is a core that waits for its voltage; a level that differs is a licence, and the way back shows how long it lasts.",
    subject: Subject::Machine,
    span: Span::Full,
    suite: "frequency",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "frequency.switch.";
const SUFFIX: &str = ".t1.course.ghz";

/// Where the load ends, in microseconds: the suite's windows.
const END: f64 = 1500.0;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let courses = Input::of_series("course", view.series_like(PREFIX, SUFFIX));
    let switches = Input::of_metrics("switches", view.metrics_under(PREFIX));
    courses.into_iter().chain(switches).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let courses = view.series_like(PREFIX, SUFFIX).into_iter();
    let courses = courses.enumerate().take(CURVES.len());
    let curves: Vec<Curve> = courses
        .map(|(index, series)| {
            let name = series.name.trim_start_matches(PREFIX);
            let label = load(name.trim_end_matches(SUFFIX));
            let ink = Ink::curve(index);
            Curve {
                stroke: Stroke::solid(ink, 1.2),
                ..Curve::new(label, points(series), ink)
            }
        })
        .collect();
    let (x, y) = extents(&curves).ok_or_else(|| super::reasons(&inputs(view)))?;
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let room = (y.1 - y.0).max(0.1) * 0.08;
    let axes = (
        (
            Axis::linear(x.0, x.1, 8),
            "microseconds since the load began",
        ),
        (Axis::rounded((y.0 - room).max(0.0), y.1 + room, 5), "GHz"),
    );
    let plot = draw_curves(&canvas, canvas.bounds(), &curves, axes.0, axes.1);
    for at in [0.0, END] {
        plot.mark(at, Stroke::dashed(Ink::Gold, 1.0));
    }
    let (low, high) = (digits(y.0), digits(y.1));
    Ok(canvas.finish(format!("Between {low} and {high} GHz.")))
}
