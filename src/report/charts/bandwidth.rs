//! Read bandwidth by the size of the working set: a staircase whose steps are the caches.

use super::{Chart, Frame, Span, Subject};
use crate::record::Series;
use crate::report::draw::{
    Align, Area, Axis, CURVES, Canvas, Curve, Ink, Plot, Stroke, Svg, Type, draw_curves, extents,
    width,
};
use crate::report::values::{claim, many};
use crate::report::view::{Input, View, at_threads, points};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "bandwidth",
    title: "Bandwidth by working set",
    how_to_read: "Dashed lines are the cache sizes that the machine claims: a step down at the line means that the claim is true.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "ceilings",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "ceiling.bandwidth.t";
const SUFFIX: &str = ".staircase.gbps";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let bandwidth = Input::of_series("bandwidth", view.series_like(PREFIX, SUFFIX));
    bandwidth
        .into_iter()
        .flat_map(|input| [input, claims(view)])
        .collect()
}

/// The cache sizes as an input of a picture.
pub(super) fn claims(view: &View<'_>) -> Input {
    let mut sources: Vec<String> = view
        .run
        .machine
        .caches
        .iter()
        .map(|cache| cache.source.clone())
        .collect();
    sources.dedup();
    Input {
        what: "cache sizes".to_owned(),
        origin: vec!["claimed".to_owned()],
        how: sources,
        known: !view.run.machine.caches.is_empty(),
    }
}

/// The claimed sizes of caches that hold data, each once: `L2`, bytes. Of several at one level the largest.
fn claimed(view: &View<'_>) -> Vec<(String, f64)> {
    let mut sizes: Vec<(u32, u64)> = Vec::new();
    for cache in view
        .run
        .machine
        .caches
        .iter()
        .filter(|cache| cache.kind != "instruction" && cache.bytes > 0)
    {
        match sizes.iter_mut().find(|size| size.0 == cache.level) {
            Some(size) => size.1 = size.1.max(cache.bytes),
            None => sizes.push((cache.level, cache.bytes)),
        }
    }
    sizes.sort_unstable();
    let name = |level: u32| {
        if level == 1 {
            "L1d".to_owned()
        } else {
            format!("L{level}")
        }
    };
    sizes
        .into_iter()
        .map(|(level, bytes)| (name(level), bytes as f64))
        .collect()
}

/// A staircase: curves over bytes in `area`, both axes logarithmic, with the claims marked. The least and the greatest value, or
/// `None` where the curves have no points.
pub(super) fn staircase(
    view: &View<'_>,
    canvas: &Canvas,
    area: Area,
    curves: &[Curve],
    unit: &str,
) -> Option<(f64, f64)> {
    let (x, y) = extents(curves)?;
    let plot = draw_curves(
        canvas,
        area,
        curves,
        (Axis::bytes(x.0, x.1), "working set per thread"),
        (Axis::decades(y.0 * 0.8, y.1 * 1.6), unit),
    );
    mark(canvas, &plot, &claimed(view));
    Some(y)
}

fn mark(canvas: &Canvas, plot: &Plot<'_>, claims: &[(String, f64)]) {
    let ((low, high), _) = plot.ends();
    let mut free = plot.area.x;
    let mut row = 0.0;
    for (level, bytes) in claims
        .iter()
        .filter(|claim| claim.1 >= low && claim.1 <= high)
    {
        plot.mark(*bytes, Stroke::dashed(Ink::Gold, 1.0));
        let text = format!("{level} {}", claim(*bytes));
        let long = width(&text, 11.0, false);
        let (x, _) = plot.at(*bytes, 1.0);
        let right = x + 5.0 + long <= plot.area.x + plot.area.width;
        let (from, align) = if right {
            (x + 5.0, Align::Start)
        } else {
            (x - 5.0, Align::End)
        };
        let left_edge = if right { from } else { from - long };
        row = if left_edge < free { row + 15.0 } else { 0.0 };
        free = left_edge + long + 6.0;
        canvas.text(
            (from, plot.area.y + 7.0 + row),
            &text,
            Type::plain(Ink::Gold).size(11.0).align(align).halo(),
        );
    }
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let threads = |series: &Series| at_threads(&series.name).map_or(1, |parts| parts.1);
    let mut series = view.series_like(PREFIX, SUFFIX);
    series.sort_by_key(|series| std::cmp::Reverse(threads(series)));
    // Where there are many, the ends matter most.
    while series.len() > CURVES.len() {
        series.remove(series.len() / 2);
    }
    let named = series.iter().enumerate().map(|(index, series)| {
        Curve::new(
            many(threads(series) as usize, "thread"),
            points(series),
            Ink::curve(index),
        )
    });
    let curves: Vec<Curve> = named.collect();
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let (low, high) = staircase(view, &canvas, canvas.bounds(), &curves, "GB/s")
        .ok_or_else(|| super::reasons(&inputs(view)))?;
    Ok(canvas.finish(format!(
        "From {} GB/s in the smallest cache to {} GB/s in memory.",
        digits(high),
        digits(low)
    )))
}
