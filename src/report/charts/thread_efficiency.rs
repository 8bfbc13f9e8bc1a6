//! How much of each thread arrives: speed-up divided by threads.

use super::speedup::{intervals, over_threads, thread_axis};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{
    Align, Area, Axis, Canvas, Curve, Ink, Placer, Plot, Svg, Type, draw_curves, width,
};
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
        canvas.bounds(),
        &curves,
        (thread_axis(most), "threads"),
        (y, "of a thread's speed arrives"),
    );
    intervals(&canvas, &plot, view, "thread_efficiency", Ink::Blue);
    label(&canvas, &plot, &known);
    let last = known.last().map(|(n, share)| {
        format!(
            "On {n} threads each gives {:.1} % of a thread.",
            share * 100.0
        )
    });
    Ok(canvas.finish(last.unwrap_or_default()))
}

/// The share at each dot, the last first, where there is room for it.
fn label(canvas: &Canvas, plot: &Plot<'_>, known: &[(f64, f64)]) {
    let mut placer = Placer::new(plot.area);
    for (x, y) in known.iter().rev() {
        let text = format!("{:.1} %", y * 100.0);
        let (at, over) = plot.at(*x, *y);
        let size = (width(&text, 12.0, false) + 6.0, 14.0);
        let left = (at - size.0 / 2.0).clamp(plot.area.x, plot.area.x + plot.area.width - size.0);
        let places = [over + 8.0, over - 22.0];
        let places = places.map(|y| Area {
            x: left,
            y,
            width: size.0,
            height: size.1,
        });
        if let Some(place) = placer.place(places) {
            let middle = (place.x + place.width / 2.0, place.y + place.height / 2.0);
            canvas.text(
                middle,
                &text,
                Type::plain(Ink::Blue).align(Align::Middle).halo(),
            );
        }
    }
}
