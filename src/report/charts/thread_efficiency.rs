//! How much of each thread arrives: speed-up divided by threads.

use super::speedup::{intervals, over_threads, thread_axis};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Area, Axis, Canvas, Curve, Ink, Svg, Type, draw_curves};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "thread-efficiency",
    title: "Thread efficiency",
    how_to_read: "Speed-up divided by threads: at 100 % each thread adds as much as the first.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    let efficiency = view.series(&view.case_name("training", "thread_efficiency"));
    Input::of_series("efficiency", efficiency)
        .into_iter()
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (points, most) = over_threads(view, "thread_efficiency")?;
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let area = Area {
        x: 0.0,
        y: 0.0,
        width: canvas.width,
        height: canvas.height,
    };
    let known: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| Some((point.0, point.1?)))
        .collect();
    let highest = known
        .iter()
        .map(|point| point.1)
        .fold(1.0, f64::max)
        .min(20.0);
    let ticks: Vec<_> = (0..=(highest * 5.0).ceil() as u32)
        .map(|fifth| (f64::from(fifth) / 5.0, format!("{} %", fifth * 20)))
        .collect();
    let curves = [
        Curve::level("", 1.0, (0.75, most), Ink::Soft),
        Curve::new("", points, Ink::Blue).dotted(),
    ];
    let y = Axis::at(0.0, highest * 1.1, &ticks);
    let plot = draw_curves(
        &canvas,
        area,
        &curves,
        (thread_axis(most), "threads"),
        (y, "of a thread's speed arrives"),
    );
    intervals(&canvas, &plot, view, "thread_efficiency", Ink::Blue);
    let room = plot.area.width / known.len().max(1) as f64;
    let told = if room > 48.0 {
        known.clone()
    } else {
        known.last().copied().into_iter().collect()
    };
    for (x, y) in told {
        let (at, over) = plot.at(x, y);
        let text = format!("{:.1} %", y * 100.0);
        let inside = at.clamp(plot.area.x + 24.0, plot.area.x + plot.area.width - 22.0);
        canvas.text(
            (inside, over + 16.0),
            &text,
            Type::plain(Ink::Blue).align(Align::Middle).halo(),
        );
    }
    let last = known.last().map(|(n, share)| {
        format!(
            "On {n} threads each gives {:.1} % of a thread.",
            share * 100.0
        )
    });
    Ok(canvas.finish(last.unwrap_or_default()))
}
