//! The clock over time, for each instruction set and thread count, beside the counter that never changes.

use super::{Chart, Frame, Span, Subject};
use crate::record::Series;
use crate::report::draw::{Axis, CURVES, Canvas, Curve, Ink, Svg, draw_curves, extents};
use crate::report::values::{isa, many, words};
use crate::report::view::{Input, View, at_threads, cases, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency",
    title: "Frequency over time",
    how_to_read: "The clock of the cores under each instruction set; a curve that falls is a core that gets too hot or too hungry.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "ceilings",
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

/// A timeline with what it was measured under.
struct Timeline<'a> {
    label: String,
    threads: u32,
    series: &'a Series,
}

/// The timelines at the most threads of each instruction set and training case: more would hide each other.
fn widest<'a>(view: &View<'a>) -> Vec<Timeline<'a>> {
    let cases = cases(view.run);
    let mut kept: Vec<Timeline<'a>> = Vec::new();
    for series in view.series_like("frequency.", SUFFIX) {
        let Some((before, threads, _)) = at_threads(&series.name) else {
            continue;
        };
        let what = before.trim_start_matches("frequency.");
        let training = cases.iter().any(|case| case == what);
        let label = match training {
            true if cases.len() == 1 => "training".to_owned(),
            true => words(what),
            false => isa(what),
        };
        match kept.iter_mut().find(|known| known.label == label) {
            Some(known) if known.threads < threads => {
                *known = Timeline {
                    label,
                    threads,
                    series,
                }
            }
            Some(_) => {}
            None => kept.push(Timeline {
                label,
                threads,
                series,
            }),
        }
    }
    kept.truncate(CURVES.len());
    kept
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let series = widest(view);
    let alike = series
        .windows(2)
        .all(|pair| pair[0].threads == pair[1].threads);
    let named = series.iter().enumerate().map(|(index, one)| {
        let count = many(one.threads as usize, "thread");
        let label = if alike {
            one.label.clone()
        } else {
            format!("{}, {count}", one.label)
        };
        Curve::new(label, points(one.series), Ink::curve(index))
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
    let unit = match series.first().filter(|_| alike) {
        Some(first) => format!("GHz, {}", many(first.threads as usize, "thread")),
        None => "GHz".to_owned(),
    };
    let room = (high - low).max(0.1) * 0.1;
    let y = Axis::rounded((low - room).max(0.0), high + room, 5);
    draw_curves(
        &canvas,
        canvas.bounds(),
        &curves,
        (Axis::linear(x.0, x.1, 5), "seconds"),
        (y, &unit),
    );
    Ok(canvas.finish(told))
}
