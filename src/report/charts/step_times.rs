//! Each measured step as a dot, and how the times are distributed.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Axis, Canvas, Ink, Plot, Stroke, Svg, Type, extent, width};
use crate::report::values::duration;
use crate::report::view::{Input, View, points};
use crate::stats::summary;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "step-times",
    title: "Time of each step",
    how_to_read: "One dot per measured step, the line their median, the band the middle half; at the right how often each time occurs.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    Input::of_series(
        "step time",
        view.series(&view.name("training", "step_seconds")),
    )
    .into_iter()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let series = view.series(&view.name("training", "step_seconds"));
    let steps: Vec<(f64, f64)> = series
        .map(points)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|point| Some((point.0, point.1?)))
        .collect();
    let times: Vec<f64> = steps.iter().map(|step| step.1).collect();
    let (Some((first, last)), Some((fastest, slowest))) = (
        extent(steps.iter().map(|step| step.0)),
        extent(times.iter().copied()),
    ) else {
        return Err(super::reasons(&inputs(view)));
    };
    let quantile = |share: f64| summary::quantile(&times, share).unwrap_or(fastest);
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(quantile);
    let scale = if slowest < 1.0 {
        (1e3, "ms")
    } else {
        (1.0, "s")
    };
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let label = format!("median {}", duration(median));
    let gap = (width(&label, 12.0, false) + 10.0).max(70.0);
    let room = ((slowest - fastest) * 0.08).max(median.abs() * 0.01);
    let y = Axis::linear((fastest - room) * scale.0, (slowest + room) * scale.0, 5);
    let plot = canvas.plot(
        canvas.bounds(),
        gap,
        (Axis::linear(first, last, 5), "step"),
        (y, scale.1),
    );
    band(&canvas, &plot, lower * scale.0, upper * scale.0);
    let (_, middle) = plot.at(first, median * scale.0);
    canvas.line(
        &[(plot.area.x, middle), (canvas.width, middle)],
        Stroke::solid(Ink::Blue, 1.2),
    );
    let every = steps.len().div_ceil(1500).max(1);
    let radius = if steps.len() > 200 { 1.4 } else { 2.4 };
    for (step, seconds) in steps.iter().step_by(every) {
        let content =
            |canvas: &Canvas| canvas.dot(plot.at(*step, seconds * scale.0), radius, Ink::Blue, 1.0);
        if steps.len() <= 300 {
            canvas.hover(&format!("step {step}: {}", duration(*seconds)), content)
        } else {
            content(&canvas)
        }
    }
    histogram(&canvas, &plot, &times, scale.0, gap);
    canvas.text(
        (canvas.width, 6.0),
        &label,
        Type::plain(Ink::Blue).align(Align::End),
    );
    let told = format!(
        "{} steps, median {}, from {} to {}.",
        steps.len(),
        duration(median),
        duration(fastest),
        duration(slowest)
    );
    Ok(canvas.finish(told))
}

/// The middle half of the steps.
fn band(canvas: &Canvas, plot: &Plot<'_>, lower: f64, upper: f64) {
    let ((_, top), (_, bottom)) = (plot.at(0.0, upper), plot.at(0.0, lower));
    canvas.fill(
        (plot.area.x, top),
        (plot.area.width, (bottom - top).max(1.0)),
        Ink::Blue,
        0.13,
    );
}

/// How often each time occurs, as bars that grow to the right.
fn histogram(canvas: &Canvas, plot: &Plot<'_>, times: &[f64], scale: f64, room: f64) {
    const BINS: usize = 28;
    let (_, (low, high)) = plot.ends();
    let mut counts = [0usize; BINS];
    for seconds in times {
        let bin = ((seconds * scale - low) / (high - low) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let height = plot.area.height / BINS as f64;
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let top = plot.area.y + plot.area.height - (bin + 1) as f64 * height;
        let long = *count as f64 / most * (room - 16.0);
        canvas.fill(
            (plot.area.x + plot.area.width + 4.0, top + 0.5),
            (long, height - 1.0),
            Ink::Blue,
            0.3,
        );
    }
}
