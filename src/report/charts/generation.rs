//! Tokens a second over the number of texts that are written at once, beside what the reading of the weights allows.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Stroke, Svg, draw_curves, extents};
use crate::report::values::{many, quantity};
use crate::report::view::{Input, View, at_threads, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "texts-at-once",
    title: "Tokens a second by texts at once",
    how_to_read: "On the dashed line a token costs as much as reading every weight once, shared by the texts; under it something else takes \
                  longer.",
    subject: Subject::Generation,
    span: Span::Full,
    suite: "generation",
    inputs,
    draw,
    table: None,
};

const INKS: [Ink; 4] = [Ink::Blue, Ink::Orange, Ink::Green, Ink::Purple];

fn inputs(view: &View<'_>) -> Vec<Input> {
    let under = |end: &str| {
        view.metrics_under("generation.")
            .into_iter()
            .filter(|metric| metric.name.ends_with(end))
            .collect::<Vec<_>>()
    };
    [
        Input::of_metrics("speed", under(".tokens_per_second")),
        Input::of_metrics("reading the weights", under(".gbps")),
        Input::of_metrics("share of the reading", under(".share_of_bandwidth")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One model on one number of threads.
pub(in crate::report) struct Speeds<'a> {
    pub(in crate::report) case: &'a str,
    pub(in crate::report) threads: u32,
    /// Tokens a second by texts at once.
    pub(in crate::report) points: Vec<Point>,
    /// Tokens a second of one text if only the reading of the weights took time.
    pub(in crate::report) limit: Option<f64>,
}

/// `generation.CASE.tN.tokens_per_second`, in the order of the document.
pub(in crate::report) fn speeds<'a>(view: &View<'a>) -> Vec<Speeds<'a>> {
    let of = |name: &'a str| {
        let (before, threads, "tokens_per_second") = at_threads(name)? else {
            return None;
        };
        let case = before.strip_prefix("generation.")?;
        let one = |quantity| view.value(&format!("{before}.b1.t{threads}.{quantity}"));
        let limit = one("tokens_per_second")
            .zip(one("share_of_bandwidth"))
            .map(|(speed, share)| speed / share)
            .filter(|limit| limit.is_finite() && *limit > 0.0);
        let points: Vec<Point> = points(view.series(name)?)
            .into_iter()
            .filter(|(texts, speed)| *texts >= 1.0 && speed.is_some_and(|speed| speed > 0.0))
            .collect();
        (!points.is_empty()).then_some(Speeds {
            case,
            threads,
            points,
            limit,
        })
    };
    let names = view.run.series.iter().map(|series| series.name.as_str());
    names.filter_map(of).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let all = speeds(view);
    let several = all.iter().any(|one| one.case != all[0].case);
    let mut measured = Vec::new();
    let mut told = Vec::new();
    for (one, ink) in all.iter().zip(INKS.into_iter().cycle()) {
        let on = many(one.threads as usize, "thread");
        let label = if several {
            format!("{}, {on}", one.case)
        } else {
            on
        };
        if let Some((texts, Some(speed))) = one.points.last() {
            told.push(format!(
                "{label}: {} at {texts} texts",
                quantity(*speed, "tokens/s")
            ));
        }
        measured.push(Curve::new(label, one.points.clone(), ink).dotted());
    }
    let Some(((_, most), (_, fastest))) = extents(&measured) else {
        return Err(super::reasons(&inputs(view)));
    };
    let top = fastest * 1.12;
    let mut curves: Vec<Curve> = Vec::new();
    for (one, ink) in all.iter().zip(INKS.into_iter().cycle()) {
        let Some(limit) = one.limit else { continue };
        // The line ends where it leaves the plot.
        let end = (top / limit).min(most).max(1.0);
        let line = vec![(1.0, Some(limit)), (end, Some((limit * end).min(top)))];
        curves.push(Curve {
            stroke: Stroke::dashed(ink, 1.1),
            ..Curve::new("", line, ink)
        });
    }
    curves.extend(measured);
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let ticks: Vec<(f64, String)> = all[0]
        .points
        .iter()
        .filter(|point| point.0 == 1.0 || point.0 >= most / 8.0)
        .map(|point| (point.0, format!("{}", point.0)))
        .collect();
    let x = (Axis::at(0.5, most * 1.02, &ticks), "texts at once");
    let y = (Axis::linear(0.0, top, 5), "tokens/s");
    draw_curves(&canvas, canvas.bounds(), &curves, x, y);
    Ok(canvas.finish(format!("{}.", told.join("; "))))
}
