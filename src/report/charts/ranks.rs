//! Each rank beside the others: its step alone, and what it waits when all share batches.

use maud::{Markup, html};

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Svg, clean, draw_curves, extents};
use crate::report::values::{duration, many};
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "ranks",
    title: "The ranks beside each other",
    how_to_read: "A rank whose step alone is longer than the others' waits least and makes them wait; where all wait alike, the network is \
                  what takes the time.",
    subject: Subject::Fleet,
    span: Span::Beside,
    suite: "fleet",
    inputs,
    draw,
    table: Some(members),
};

/// The last rank up to which each has a tick.
const EACH: f64 = 16.0;

/// Rows of the table; `run.json` has the rest.
const MOST: usize = 64;

const ALONE: &str = ".by_rank.step_seconds";
const WAITING: &str = ".waiting.by_rank.seconds";

fn inputs(view: &View<'_>) -> Vec<Input> {
    [
        Input::of_series("steps alone", view.series_like("fleet.", ALONE)),
        Input::of_series("waiting", view.series_like("fleet.", WAITING)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let first = |suffix: &str| -> Vec<Point> {
        let mut all = view.series_like("fleet.", suffix).into_iter();
        let points = all.next().map(points).unwrap_or_default();
        points
            .into_iter()
            .filter(|point| point.1.is_some_and(|y| y >= 0.0))
            .collect()
    };
    let curves = [
        Curve::new("step alone", first(ALONE), Ink::Blue).dotted(),
        Curve::new("waiting", first(WAITING), Ink::Orange).dotted(),
    ];
    let Some(((_, last), (_, longest))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 320.0 });
    let x = if last <= EACH {
        let ticks = (0..=last as u32).map(|rank| (f64::from(rank), rank.to_string()));
        Axis::at(-0.25, last + 0.25, &ticks.collect::<Vec<_>>())
    } else {
        Axis::linear(0.0, last, 8)
    };
    let y = (Axis::linear(0.0, longest * 1.1, 5), "seconds of a step");
    draw_curves(&canvas, canvas.bounds(), &curves, (x, "rank"), y);
    let slowest = curves[0]
        .points
        .iter()
        .max_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(std::cmp::Ordering::Equal));
    let told = slowest.and_then(|(rank, seconds)| {
        Some(format!(
            "Rank {rank} takes longest alone: {}.",
            duration((*seconds)?)
        ))
    });
    Ok(canvas.finish(told.unwrap_or_default()))
}

/// Who took part.
fn members(view: &View<'_>) -> Markup {
    let fleet = &view.run.fleet;
    html! {
        @if !fleet.is_empty() {
            div.wrap { table {
                thead { tr { th { "rank" } th { "host" } th { "processor" } th.n { "threads" } } }
                tbody { @for (rank, member) in fleet.iter().take(MOST).enumerate() { tr {
                    td { (rank) }
                    td { (clean(&member.name)) }
                    td { (clean(&member.machine.brand)) }
                    td.n { (member.machine.usable_threads) " of " (member.machine.threads) }
                } } }
            } }
            @if fleet.len() > MOST { p.sub { (many(fleet.len() - MOST, "more rank")) " in run.json." } }
        }
    }
}
