//! The loss while it trains: training, validation, and what a model of word frequencies alone would reach.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Stroke, Svg, draw_curves, extents};
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "loss",
    title: "Loss",
    how_to_read: "Nats per token, lower is better; below the dashed unigram entropy the model has learned more than which tokens are frequent.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    let parts = [
        Input::of_series("training", view.series(&view.name("training", "loss"))),
        Input::of_series(
            "validation",
            view.series(&view.name("training", "validation_loss")),
        ),
    ];
    let mut parts: Vec<Input> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        parts.extend(Input::of_metrics(
            "unigram entropy",
            view.metric(&view.name("training", "unigram_entropy")),
        ));
    }
    parts
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let mut curves = Vec::new();
    let last = |points: &[Point]| points.iter().rev().find_map(|point| point.1);
    let mut told = Vec::new();
    for (quantity, name, ink) in [
        ("loss", "training", Ink::Blue),
        ("validation_loss", "validation", Ink::Orange),
    ] {
        let points = view
            .series(&view.name("training", quantity))
            .map(points)
            .unwrap_or_default();
        let Some(end) = last(&points) else { continue };
        told.push(format!("{name} loss ends at {end:.3} nats"));
        let curve = Curve::new(format!("{name} {end:.2}"), points, ink);
        curves.push(if quantity == "loss" {
            Curve {
                stroke: Stroke::solid(ink, 1.4),
                ..curve
            }
        } else {
            curve.dotted()
        });
    }
    let Some((x, mut y)) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    if let Some(entropy) = view.value(&view.name("training", "unigram_entropy")) {
        curves.insert(
            0,
            Curve::level(format!("unigram {entropy:.2}"), entropy, x, Ink::Soft),
        );
        y = (y.0.min(entropy), y.1.max(entropy));
        told.push(format!("unigram entropy is {entropy:.3}"));
    }
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let x = (Axis::linear(x.0, x.1, 5), "step");
    draw_curves(
        &canvas,
        canvas.bounds(),
        &curves,
        x,
        (Axis::rounded(y.0, y.1, 5), "nats per token"),
    );
    Ok(canvas.finish(format!("{}.", told.join(", "))))
}
