//! Speed-up over one thread, beside the ideal and Amdahl's law fitted to it.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Axis, Canvas, Curve, Ink, Point, Stroke, Svg, Type, draw_curves};
use crate::report::values::{known, sentence};
use crate::report::view::{Input, View, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "speedup",
    title: "Speed-up by threads",
    how_to_read: "The gap under the dashed ideal is what more threads did not give; thin curves are laws fitted to the dots.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    let speedup = Input::of_series(
        "speed-up",
        view.series(&view.case_name("training", "speedup")),
    );
    if speedup.is_none() {
        return Vec::new();
    }
    let serial = Input::of_metrics(
        "Amdahl fit",
        view.metric(&view.case_name("training", "amdahl.serial_fraction")),
    );
    let usl = view.metrics_under(&view.case_name("training", "usl."));
    let usl = Input::of_metrics("USL fit", usl);
    speedup.into_iter().chain(serial).chain(usl).collect()
}

/// The points of a curve over threads, and the most threads; `Err` where there is nothing to compare.
pub(super) fn over_threads(view: &View<'_>, quantity: &str) -> Result<(Vec<Point>, f64), String> {
    let name = view.case_name("training", quantity);
    let series = view
        .series(&name)
        .ok_or("The run has no curve over threads.")?;
    let points: Vec<Point> = points(series)
        .into_iter()
        .filter(|point| point.0 >= 1.0 && point.1.is_some_and(|y| y >= 0.0))
        .collect();
    let most = points.iter().map(|point| point.0).fold(0.0, f64::max);
    match points.len() {
        0 => Err(sentence(&series.how)),
        1 => Err("Only one thread count was measured, so there is nothing to compare.".to_owned()),
        _ => Ok((points, most)),
    }
}

/// A tick at each thread count, thinned by the axis where they are many.
pub(super) fn thread_axis(most: f64) -> Axis {
    if most <= 16.0 {
        let ticks: Vec<_> = (1..=most as u32)
            .map(|count| (f64::from(count), count.to_string()))
            .collect();
        Axis::at(0.75, most + 0.1, &ticks)
    } else {
        Axis::linear(0.0, most, 8)
    }
}

/// Vertical lines from the lower to the upper end of each interval.
pub(super) fn intervals(
    canvas: &Canvas,
    plot: &crate::report::draw::Plot<'_>,
    view: &View<'_>,
    quantity: &str,
    ink: Ink,
) {
    let Some(series) = view.series(&view.case_name("training", quantity)) else {
        return;
    };
    for ((x, low), high) in series.x.iter().zip(&series.low).zip(&series.high) {
        if let (Some(x), Some(low), Some(high)) = (known(Some(*x)), known(*low), known(*high)) {
            canvas.line(
                &[plot.at(x, low), plot.at(x, high)],
                Stroke::solid(ink, 1.4),
            );
        }
    }
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (points, most) = over_threads(view, "speedup")?;
    let amdahl = amdahl(view);
    let ideal = vec![(1.0, Some(1.0)), (most, Some(most))];
    let mut curves = vec![Curve {
        stroke: Stroke::dashed(Ink::Soft, 1.2),
        ..Curve::new("ideal", ideal, Ink::Soft)
    }];
    if let Some(serial) = amdahl {
        curves.push(law("Amdahl", most, Ink::Orange, |n| {
            n / (1.0 + serial * (n - 1.0))
        }));
    }
    if let Some((contention, coherence)) = usl(view) {
        let speedup = |n: f64| n / (1.0 + contention * (n - 1.0) + coherence * n * (n - 1.0));
        curves.push(law("USL", most, Ink::Green, speedup));
    }
    let fitted = curves.len() > 1;
    let highest = points
        .iter()
        .filter_map(|point| point.1)
        .fold(most, f64::max);
    let last = points.last().and_then(|point| Some((point.0, point.1?)));
    let line = Stroke::solid(Ink::Blue, 1.4).faint(if fitted { 0.0 } else { 1.0 });
    curves.push(
        Curve {
            stroke: line,
            ..Curve::new("measured", points, Ink::Blue)
        }
        .dotted(),
    );
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let x = (thread_axis(most), "threads");
    let y = (
        Axis::linear(0.0, highest * 1.05, 5),
        "times the speed of one thread",
    );
    let plot = draw_curves(&canvas, canvas.bounds(), &curves, x, y);
    intervals(&canvas, &plot, view, "speedup", Ink::Blue);
    if let Some(serial) = amdahl {
        let look = Type::plain(Ink::Orange).align(Align::End).halo();
        let corner = (
            plot.area.x + plot.area.width - 6.0,
            plot.area.y + plot.area.height - 14.0,
        );
        canvas.text(
            corner,
            &format!("Amdahl's serial part {:.1} %", serial * 100.0),
            look,
        );
    }
    let told = |(n, speedup): (f64, f64)| {
        format!(
            "{} times as fast on {n} threads as on one.",
            digits(speedup)
        )
    };
    Ok(canvas.finish(last.map(told).unwrap_or_default()))
}

/// The serial part of the work by Amdahl's law, where it was fitted.
fn amdahl(view: &View<'_>) -> Option<f64> {
    let serial = view.value(&view.case_name("training", "amdahl.serial_fraction"))?;
    Some(serial).filter(|serial| (0.0..=1.0).contains(serial))
}

/// Contention and coherence of the universal scalability law (Gunther, 1993), where they were fitted.
fn usl(view: &View<'_>) -> Option<(f64, f64)> {
    let part = |name: &str| {
        view.value(&view.case_name("training", &format!("usl.{name}")))
            .filter(|part| *part >= 0.0)
    };
    Some((part("contention")?, part("coherence")?))
}

/// A law as a thin curve from one thread to `most`.
fn law(name: &str, most: f64, ink: Ink, speedup: impl Fn(f64) -> f64) -> Curve {
    const STEPS: u32 = 60;
    let at = |step: u32| 1.0 + (most - 1.0) * f64::from(step) / f64::from(STEPS);
    let points = (0..=STEPS)
        .map(at)
        .map(|threads| (threads, Some(speedup(threads))))
        .collect();
    Curve {
        stroke: Stroke::solid(ink, 1.2),
        ..Curve::new(name, points, ink)
    }
}
