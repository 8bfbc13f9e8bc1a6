//! What each rank waits when all share batches, beside its step alone.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Svg, draw_curves, extents};
use crate::report::values::duration;
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "ranks",
    title: "Who waits",
    how_to_read: "A rank whose step alone is longer than the others' waits least and makes them wait; where all wait alike, the network is \
                  what takes the time.",
    subject: Subject::Fleet,
    span: Span::Half,
    suite: "fleet",
    inputs,
    draw,
    table: None,
};

/// The last rank up to which each has a tick.
const EACH: f64 = 16.0;

const ALONE: &str = ".by_rank.step_seconds";
const WAITING: &str = ".waiting.by_rank.seconds";

fn inputs(view: &View<'_>) -> Vec<Input> {
    [
        Input::of_series("steps alone", view.series_like("fleet.", ALONE)),
        Input::of_series("waiting", view.series_like("fleet.", WAITING)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let first = |suffix: &str| -> Vec<Point> {
        let mut all = view.series_like("fleet.", suffix).into_iter();
        let points = all.next().map(points).unwrap_or_default();
        points
            .into_iter()
            .filter(|point| point.1.is_some_and(|y| y >= 0.0))
            .collect()
    };
    let curves = [
        Curve::new("step alone", first(ALONE), Ink::Blue).dotted(),
        Curve::new("waiting", first(WAITING), Ink::Orange).dotted(),
    ];
    let Some(((_, last), (_, longest))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let x = if last <= EACH {
        let ticks = (0..=last as u32).map(|rank| (f64::from(rank), rank.to_string()));
        Axis::at(-0.25, last + 0.25, &ticks.collect::<Vec<_>>())
    } else {
        Axis::linear(0.0, last, 8)
    };
    let y = (Axis::linear(0.0, longest * 1.1, 5), "seconds of a step");
    draw_curves(&canvas, canvas.bounds(), &curves, (x, "rank"), y);
    let slowest = curves[0]
        .points
        .iter()
        .max_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(std::cmp::Ordering::Equal));
    let told = slowest.and_then(|(rank, seconds)| {
        Some(format!(
            "Rank {rank} takes longest alone: {}.",
            duration((*seconds)?)
        ))
    });
    Ok(canvas.finish(told.unwrap_or_default()))
}
