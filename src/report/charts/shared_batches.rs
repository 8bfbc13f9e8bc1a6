//! A step of each rank alone, with a batch for each and with one for all: what it computes, and what it waits.

use maud::{Markup, html};

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Canvas, Ink, Svg, Type, fit, width};
use crate::report::values::{duration, known};
use crate::report::view::{Input, View, at_threads};
use crate::units::Ratio;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "shared-batches",
    title: "Steps alone and together",
    how_to_read: "Blue is what as many ranks take that compute at the same time and need not wait for each other, red what the rank that \
                  waits least waits for sums, grey the rest: moving bytes takes time from computing, and ranks wait for the slowest.",
    subject: Subject::Fleet,
    span: Span::Full,
    suite: "fleet",
    inputs,
    draw,
    table: Some(table),
};

const ROW: f64 = 34.0;

/// One way to share batches.
struct Way {
    name: &'static str,
    step: f64,
    /// A step of as many sequences a rank, all ranks alone.
    computing: f64,
    waiting: f64,
    summing: Option<f64>,
    efficiency: Option<f64>,
    off: Option<f64>,
}

/// The ways of the first configuration.
fn ways(view: &View<'_>) -> Vec<Way> {
    let value = |way: &str, quantity: &str| {
        let of = |name: &str| {
            let (before, _, last) = at_threads(name)?;
            let mut parts = before.rsplit('.');
            (last == quantity && parts.nth(1) == Some(way)).then_some(())
        };
        let mut all = view.metrics_under("fleet.").into_iter();
        known(all.find(|metric| of(&metric.name).is_some())?.value)
    };
    let of = |(way, name, summing): (&str, &'static str, &str)| {
        let step = value(way, "step_seconds").filter(|seconds| *seconds > 0.0)?;
        let efficiency = value(way, "efficiency");
        let share = value(way, "communication_share").unwrap_or(0.0);
        let waiting = (share * step).clamp(0.0, step);
        Some(Way {
            name,
            step,
            computing: (efficiency.unwrap_or(1.0) * step).clamp(0.0, step - waiting),
            waiting,
            summing: value(summing, "seconds"),
            efficiency,
            off: value(way, "prediction_error"),
        })
    };
    [
        ("alone", "each alone", ""),
        ("weak", "a batch each", "weak_summing"),
        ("strong", "one batch shared", "strong_summing"),
    ]
    .into_iter()
    .filter_map(of)
    .collect()
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let of = |quantity: &str| {
        let all = view.metrics_under("fleet.").into_iter();
        let wanted = |metric: &&crate::record::Metric| metric.name.ends_with(quantity);
        all.filter(wanted).collect::<Vec<_>>()
    };
    [
        Input::of_metrics("steps", of(".step_seconds")),
        Input::of_metrics("efficiency", of(".efficiency")),
        Input::of_metrics("waiting", of(".communication_share")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let ways = ways(view);
    let longest = ways.iter().map(|way| way.step).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Err(super::reasons(&inputs(view)));
    }
    let names = ways.iter().map(|way| width(way.name, 12.0, false));
    let left = names.fold(0.0, f64::max) + 12.0;
    let right = 62.0;
    let scale = (frame.width - left - right).max(40.0) / longest;
    let canvas = Canvas::new(frame.width, ROW * ways.len() as f64 + 8.0);
    for (row, way) in ways.iter().enumerate() {
        let y = row as f64 * ROW + 4.0;
        let middle = y + (ROW - 8.0) / 2.0;
        let label = fit(way.name, 12.0, false, left - 8.0);
        canvas.text((0.0, middle), &label, Type::plain(Ink::Text));
        let rest = way.step - way.computing - way.waiting;
        let mut x = left;
        for (part, ink, what) in [
            (way.computing, Ink::Blue, "as alone"),
            (way.waiting, Ink::Red, "waiting for sums"),
            (rest, Ink::Quiet, "the rest"),
        ] {
            let title = format!("{}: {} {what}", way.name, duration(part));
            canvas.hover(&title, |canvas| {
                canvas.fill((x, y), (part * scale, ROW - 8.0), ink, 0.75);
            });
            x += part * scale;
        }
        let look = Type::plain(Ink::Text).align(Align::End);
        canvas.text((frame.width, middle), &duration(way.step), look);
    }
    let told = ways.iter().map(|way| {
        format!(
            "{}: {}, of which {} waiting for sums.",
            way.name,
            duration(way.step),
            duration(way.waiting)
        )
    });
    Ok(canvas.finish(told.collect::<Vec<_>>().join(" ")))
}

fn table(view: &View<'_>) -> Markup {
    let none = || "\u{2013}".to_owned();
    let ratio = |value: Option<f64>| value.map_or_else(none, |value| Ratio(value).to_string());
    html! {
        table {
            thead { tr {
                th { "ranks" } th.n { "step" } th.n { "efficiency" } th.n { "waits" } th.n { "sums" } th.n { "hidden" }
                th.n { "forecast" }
            } }
            tbody { @for way in ways(view) { tr {
                td { (way.name) }
                td.n { (duration(way.step)) }
                td.n { (ratio(way.efficiency)) }
                td.n { @if way.summing.is_some() { (duration(way.waiting)) } @else { (none()) } }
                td.n { (way.summing.map_or_else(none, duration)) }
                td.n { (ratio(way.summing.filter(|all| *all > 0.0).map(|all| 1.0 - way.waiting / all))) }
                td.n { (way.off.map_or_else(none, |off| format!("{:+.1} %", 100.0 * off))) }
            } } }
        }
    }
}
