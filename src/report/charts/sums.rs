//! How long a sum over all ranks takes by the size of the message, beside the law fitted to it.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Stroke, Svg, draw_curves, extents};
use crate::report::values::{duration, quantity};
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "sums",
    title: "Sums over ranks by message size",
    how_to_read: "Both axes grow by factors: small messages all cost the latency, large ones cost what their bytes do. Backward hides a sum \
                  that takes no longer than the blocks that are left.",
    subject: Subject::Fleet,
    span: Span::Half,
    suite: "fleet",
    inputs,
    draw,
    table: None,
};

const SUMS: &str = "fleet.all_reduce.";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let sums = Input::of_series("sums", view.series_like(SUMS, ".seconds"));
    if sums.is_none() {
        return Vec::new();
    }
    let law = Input::of_metrics("the law of sums", view.metrics_under("fleet.network."));
    sums.into_iter().chain(law).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let series = view.series_like(SUMS, ".seconds");
    let positive = |(x, y): &(f64, Option<f64>)| *x > 0.0 && y.is_some_and(|y| y > 0.0);
    let measured: Vec<_> = series.into_iter().next().map(points).unwrap_or_default();
    let measured: Vec<_> = measured.into_iter().filter(positive).collect();
    let mut curves = vec![Curve::new("measured", measured.clone(), Ink::Blue).dotted()];
    if let Some(law) = law(view) {
        let fitted = measured
            .iter()
            .map(|(bytes, _)| (*bytes, Some(law(*bytes))));
        let line = Stroke::dashed(Ink::Orange, 1.4);
        curves.push(Curve {
            stroke: line,
            ..Curve::new("law", fitted.filter(positive).collect(), Ink::Orange)
        });
    }
    let Some(((least, most), (shortest, longest))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let x = (Axis::bytes(least, most), "message");
    let y = (Axis::decades(shortest * 0.8, longest * 1.2), "seconds");
    draw_curves(&canvas, canvas.bounds(), &curves, x, y);
    let told = match (measured.first(), measured.last()) {
        (Some((small, Some(short))), Some((large, Some(long)))) => format!(
            "{} for {}, {} for {}.",
            duration(*short),
            quantity(*small, "bytes"),
            duration(*long),
            quantity(*large, "bytes")
        ),
        _ => String::new(),
    };
    Ok(canvas.finish(told))
}

/// Seconds of a message of so many bytes by the law, where it was fitted.
fn law(view: &View<'_>) -> Option<impl Fn(f64) -> f64> {
    let name = |end: &str| {
        let mut all = view.metrics_under("fleet.network.").into_iter();
        all.find(|metric| metric.name.ends_with(end))
    };
    let latency = name(".latency_seconds")?;
    let ranks = latency.name.split('.').nth(2)?.strip_prefix('r')?;
    let ranks: f64 = ranks.parse().ok()?;
    let latency = latency.value.filter(|value| *value >= 0.0)?;
    let gbps = name(".gbps")?.value.filter(|value| *value > 0.0)?;
    Some(move |bytes: f64| {
        2.0 * (ranks - 1.0) * latency + 2.0 * (ranks - 1.0) / ranks * bytes / (gbps * 1e9)
    })
}
