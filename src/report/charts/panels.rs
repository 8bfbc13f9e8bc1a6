//! Small panels side by side: one curve each over sizes that double, all with the same scale.

use crate::record::Series;
use crate::report::draw::{Area, Axis, Canvas, Curve, Ink, Stroke, Type, draw_curves};
use crate::report::values::known;
use crate::report::view::points;

/// One panel: what is over it, the title of its abscissa, and its curve.
pub(super) struct Panel<'a> {
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) series: &'a Series,
    /// An abscissa to be marked.
    pub(super) marked: Option<f64>,
}

/// How ordinates are shown.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// Shown units in one of the series.
    pub(super) factor: f64,
    pub(super) title: &'static str,
    /// The axis reaches so far at least, in shown units.
    pub(super) least: f64,
}

/// Height of a panel.
pub(super) const HEIGHT: f64 = 230.0;
const GAP: f64 = 22.0;
/// The largest size that gets a label: no run is larger, and its digits would not fit.
const LARGEST: f64 = 1e9;

/// The rows that `count` panels make in `width` pixels.
pub(super) fn rows(count: usize, narrow: bool) -> usize {
    if narrow { count } else { 1 }
}

/// Draws the panels from `top` downwards, one below the other where it is narrow.
pub(super) fn draw(
    canvas: &Canvas,
    top: f64,
    narrow: bool,
    panels: &[Panel<'_>],
    scale: Scale,
    ink: Ink,
) {
    let across = if narrow { 1 } else { panels.len().max(1) };
    let whole = canvas.bounds();
    let width = (whole.width - GAP * (across - 1) as f64) / across as f64;
    let all = panels.iter().flat_map(|panel| &panel.series.y);
    let highest = all
        .filter_map(|y| known(*y))
        .map(|y| y * scale.factor)
        .fold(scale.least, f64::max);
    for (index, panel) in panels.iter().enumerate() {
        let (column, row) = (index % across, index / across);
        let x = whole.x + column as f64 * (width + GAP);
        let y = top + row as f64 * HEIGHT;
        let title = Type::plain(Ink::Text).bold();
        canvas.text((x, y + 9.0), &panel.title, title);
        let area = Area {
            x,
            y: y + 22.0,
            width,
            height: HEIGHT - 36.0,
        };
        one(canvas, area, panel, scale, highest, ink);
    }
}

/// A size as people write it.
fn label(size: f64) -> String {
    format!("{}", size as i64)
}

fn one(canvas: &Canvas, area: Area, panel: &Panel<'_>, scale: Scale, highest: f64, ink: Ink) {
    let place = |x: f64| x.max(f64::MIN_POSITIVE).log2();
    let shown: Vec<_> = points(panel.series)
        .into_iter()
        .map(|(x, y)| (place(x), y.map(|y| y * scale.factor)))
        .collect();
    let ticks: Vec<_> = panel
        .series
        .x
        .iter()
        .filter(|x| **x > 0.0 && **x <= LARGEST)
        .map(|x| (place(*x), label(*x)))
        .collect();
    let ends = shown.iter().map(|point| point.0);
    let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let x = Axis::at(low - 0.25, high + 0.25, &ticks);
    let y = Axis::linear(0.0, highest * 1.08, 5);
    let curve = Curve {
        stroke: Stroke::solid(ink, 1.6),
        ..Curve::new("", shown, ink)
    };
    let plot = draw_curves(
        canvas,
        area,
        &[curve.dotted()],
        (x, panel.x),
        (y, scale.title),
    );
    let series = panel.series;
    for ((x, low), high) in series.x.iter().zip(&series.low).zip(&series.high) {
        if let (Some(low), Some(high)) = (known(*low), known(*high)) {
            let (from, to) = (low * scale.factor, high * scale.factor);
            let ends = [plot.at(place(*x), from), plot.at(place(*x), to)];
            canvas.line(&ends, Stroke::solid(ink, 1.4));
        }
    }
    if let Some(x) = panel.marked.filter(|x| *x > 0.0) {
        plot.mark(place(x), Stroke::dashed(Ink::Orange, 1.4));
    }
}
