//! The clock over time: under each instruction set, and while training; the two are far apart in time, hence two plots.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{
    Area, Axis, CURVES, Canvas, Curve, Ink, Point, Svg, draw_curves, extent, fit,
};
use crate::report::values::{isa, many, words};
use crate::report::view::{Input, View, at_threads, cases, points};
use crate::stats::summary;
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency",
    title: "Frequency over time",
    how_to_read: "Each dot is a short window of dependent additions, each dashed line a median; dots that fall with time are a core that gets \
                  too hot or too hungry, lower lines a licence that wide instructions cost.",
    subject: Subject::Machine,
    span: Span::Full,
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
        .filter(|metric| {
            at_threads(&metric.name).is_some_and(|(what, ..)| what.matches('.').count() == 1)
        });
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
struct Timeline {
    label: String,
    threads: u32,
    /// While a case trained, not between windows of arithmetic.
    training: bool,
    points: Vec<Point>,
    median: f64,
}

impl Timeline {
    /// Windows that were interrupted, or too strange to be a clock, lie far from the median: they are counted, not drawn.
    fn plausible(&self, ghz: f64) -> bool {
        (ghz / self.median - 1.0).abs() <= 0.3
    }
}

/// The timelines at the most threads of each instruction set and training case: more would hide each other.
fn widest(view: &View<'_>) -> Vec<Timeline> {
    let cases = cases(view.run);
    let mut kept: Vec<Timeline> = Vec::new();
    for series in view.series_like("frequency.", SUFFIX) {
        let points = points(series);
        let known: Vec<f64> = points
            .iter()
            .filter_map(|point| point.1)
            .filter(|ghz| *ghz > 0.0)
            .collect();
        let (Some((before, threads, _)), Some(median)) =
            (at_threads(&series.name), summary::median(&known))
        else {
            continue;
        };
        let what = before.trim_start_matches("frequency.");
        let training = cases.iter().any(|case| case == what);
        let label = match training {
            true if cases.len() == 1 => "training".to_owned(),
            true => words(what),
            false => isa(what),
        };
        let timeline = Timeline {
            label,
            threads,
            training,
            points,
            median,
        };
        match kept.iter_mut().find(|known| known.label == timeline.label) {
            Some(known) if known.threads < threads => *known = timeline,
            Some(_) => {}
            None => kept.push(timeline),
        }
    }
    kept
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let timelines = widest(view);
    let groups = [false, true].map(|training| {
        timelines
            .iter()
            .filter(|one| one.training == training)
            .collect::<Vec<_>>()
    });
    let groups: Vec<&[&Timeline]> = groups
        .iter()
        .map(|group| &group[..])
        .filter(|group| !group.is_empty())
        .collect();
    if groups.is_empty() {
        let missing = inputs(view);
        let timeless = missing.iter().any(|input| input.known);
        let only_single = "The run has the clock as single numbers only, not over time.".to_owned();
        return Err(if timeless {
            only_single
        } else {
            super::reasons(&missing)
        });
    }
    let tsc = view.value("frequency.tsc.ghz");
    let y = range(&timelines, tsc);
    let height = if frame.narrow { 260.0 } else { 300.0 };
    let rows = if frame.narrow { groups.len() } else { 1 };
    let canvas = Canvas::new(frame.width, height * rows as f64);
    let columns = groups.len().div_ceil(rows);
    for (place, group) in groups.iter().enumerate() {
        let width = (frame.width + GUTTER) / columns as f64 - GUTTER;
        let (x, row) = (
            (place % columns) as f64 * (width + GUTTER),
            (place / columns) as f64,
        );
        let area = Area {
            x,
            y: row * height,
            width,
            height: height - 8.0,
        };
        panel(&canvas, area, group, tsc, y);
    }
    let told: Vec<String> = timelines
        .iter()
        .map(|one| format!("{} {} GHz", one.label, digits(one.median)))
        .collect();
    Ok(canvas.finish(format!("Medians: {}.", told.join(", "))))
}

/// Between two plots.
const GUTTER: f64 = 34.0;

/// The range of the y axis, the same for all plots.
fn range(timelines: &[Timeline], tsc: Option<f64>) -> (f64, f64) {
    let all = timelines.iter().flat_map(|one| {
        let points = one.points.iter().filter_map(|point| point.1);
        points
            .filter(|ghz| one.plausible(*ghz))
            .chain([one.median])
            .collect::<Vec<f64>>()
    });
    let (low, high) = extent(all.chain(tsc)).unwrap_or((0.0, 1.0));
    let room = (high - low).max(0.2) * 0.08;
    ((low - room).max(0.0), high + room)
}

fn panel(canvas: &Canvas, area: Area, group: &[&Timeline], tsc: Option<f64>, y: (f64, f64)) {
    let shown = &group[..group.len().min(CURVES.len())];
    let xs = shown
        .iter()
        .flat_map(|one| one.points.iter().map(|point| point.0));
    let x = extent(xs).unwrap_or((0.0, 1.0));
    let mut curves = Vec::new();
    let mut hidden = 0;
    for (index, one) in shown.iter().enumerate() {
        let ink = Ink::curve(index);
        let (inside, outside): (Vec<Point>, Vec<Point>) = one
            .points
            .iter()
            .partition(|point| point.1.is_some_and(|ghz| one.plausible(ghz)));
        hidden += outside.iter().filter(|point| point.1.is_some()).count();
        curves.push(Curve::new("", inside, ink).scattered());
        curves.push(Curve::level(
            format!("{} {:.2}", one.label, one.median),
            one.median,
            x,
            ink,
        ));
    }
    if let Some(tsc) = tsc {
        curves.push(Curve::level(format!("TSC {tsc:.2}"), tsc, x, Ink::Soft));
    }
    let threads = many(
        shown.first().map_or(1, |one| one.threads as usize),
        "thread",
    );
    let when = if shown.iter().any(|one| one.training) {
        "while training"
    } else {
        "each instruction set"
    };
    let off = if hidden > 0 {
        format!("; {} off scale", many(hidden, "window"))
    } else {
        String::new()
    };
    let title = fit(
        &format!("GHz, {when}, {threads}{off}"),
        12.0,
        false,
        area.width,
    );
    let x = (Axis::linear(x.0, x.1, 5), "seconds");
    draw_curves(
        canvas,
        area,
        &curves,
        x,
        (Axis::rounded(y.0, y.1, 5), &title),
    );
}
