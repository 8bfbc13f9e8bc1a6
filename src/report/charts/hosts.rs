//! The hosts beside each other: what each can do by itself, and how far it is behind the faster half of them.

use maud::{Markup, html};

use super::{Chart, Frame, Span, Subject};
use crate::record::Series;
use crate::report::draw::{Axis, Canvas, Curve, Ink, Point, Svg, clean, draw_curves, extents};
use crate::report::values::{many, quantity};
use crate::report::view::{Input, View, points};
use crate::stats::outliers::{slowness, straggles};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "hosts",
    title: "The hosts beside each other",
    how_to_read: "What each rank can do by itself, all at the same time: 1 is the median of the faster half, higher is slower, and who is \
                  slower by more than a seventh is marked. Every step lasts until the slowest has done its part.",
    subject: Subject::Fleet,
    span: Span::Full,
    suite: "fleet",
    inputs,
    draw,
    table: Some(table),
};

/// The last rank up to which each has a tick.
const EACH: f64 = 16.0;

/// Rows of the table; `run.json` has the rest.
const MOST: usize = 64;

/// What hosts are compared by: its name, what its curve begins and ends with, whether more is better, and its ink.
const TRAITS: [(&str, &str, &str, bool, Ink); 4] = [
    (
        "arithmetic",
        "fleet.host_compute.",
        ".gflops",
        true,
        Ink::Blue,
    ),
    ("memory", "fleet.host_memory.", ".gbps", true, Ink::Green),
    (
        "latency",
        "fleet.host_latency.",
        ".nanoseconds",
        false,
        Ink::Purple,
    ),
    (
        "step alone",
        "fleet.",
        ".by_rank.step_seconds",
        false,
        Ink::Orange,
    ),
];

/// What the ranks have of one trait.
struct Compared<'a> {
    name: &'static str,
    series: &'a Series,
    ink: Ink,
    /// How many times as slow as the faster half each is, by place in the curve.
    slowness: Vec<f64>,
}

impl Compared<'_> {
    /// The value of a rank with its unit, and how slow that is.
    fn of_rank(&self, rank: usize) -> Option<(String, f64)> {
        let place = self.series.x.iter().position(|x| *x == rank as f64)?;
        let value = points(self.series).get(place)?.1?;
        Some((
            quantity(value, &self.series.unit),
            *self.slowness.get(place)?,
        ))
    }

    fn points(&self) -> Vec<Point> {
        let ranks = self.series.x.iter().zip(&self.slowness);
        ranks.map(|(rank, slow)| (*rank, Some(*slow))).collect()
    }
}

fn compared<'a>(view: &View<'a>) -> Vec<Compared<'a>> {
    let one = |(name, prefix, suffix, more, ink): (&'static str, &str, &str, bool, Ink)| {
        let series = view.series_like(prefix, suffix).into_iter().next()?;
        let value = |point: Point| point.1.filter(|y| *y > 0.0);
        let values: Option<Vec<f64>> = points(series).into_iter().map(value).collect();
        let values = values.unwrap_or_default();
        let seconds: Vec<f64> = match more {
            true => values.iter().map(|rate| 1.0 / rate).collect(),
            false => values,
        };
        Some(Compared {
            name,
            series,
            ink,
            slowness: slowness(&seconds),
        })
    };
    TRAITS.into_iter().filter_map(one).collect()
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let of = |(name, prefix, suffix, ..): (&str, &str, &str, bool, Ink)| {
        Input::of_series(name, view.series_like(prefix, suffix))
    };
    TRAITS.into_iter().filter_map(of).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let all = compared(view);
    let mut curves: Vec<Curve> = all
        .iter()
        .map(|of| Curve::new(of.name, of.points(), of.ink).dotted())
        .collect();
    let Some(((_, last), (least, most))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    for curve in &mut curves {
        // Ranks do not follow from each other.
        curve.stroke = curve.stroke.faint(0.35);
    }
    let ends = (0.0, last.max(1.0));
    let usual = Curve::level("", 1.0, ends, Ink::Soft);
    curves.insert(0, usual);
    let canvas = Canvas::new(frame.width, if frame.narrow { 280.0 } else { 260.0 });
    let x = if last <= EACH {
        let ticks = (0..=last as u32).map(|rank| (f64::from(rank), rank.to_string()));
        Axis::at(-0.25, last + 0.25, &ticks.collect::<Vec<_>>())
    } else {
        Axis::linear(0.0, last, 8)
    };
    let y = Axis::rounded(least.min(0.9), most.max(1.2), 5);
    let title = "times as slow as the faster half";
    draw_curves(&canvas, canvas.bounds(), &curves, (x, "rank"), (y, title));
    let told = all.iter().flat_map(|of| {
        let slow = of.slowness.iter().enumerate();
        let slow = slow.filter(|(_, ratio)| straggles(**ratio));
        slow.map(|(rank, ratio)| {
            format!(
                "Rank {rank} is behind in {}, {ratio:.2} times as slow.",
                of.name
            )
        })
    });
    let told: Vec<String> = told.take(MOST).collect();
    Ok(canvas.finish(match told.is_empty() {
        true => "No rank is behind the others.".to_owned(),
        false => told.join(" "),
    }))
}

/// Who took part, what each can do, and who is behind.
fn table(view: &View<'_>) -> Markup {
    let (fleet, all) = (&view.run.fleet, compared(view));
    let prints: Vec<&str> = fleet
        .iter()
        .map(|member| member.machine.fingerprint.as_str())
        .collect();
    html! {
        @if !fleet.is_empty() {
            table {
                thead { tr {
                    th { "rank" } th { "host" } th { "processor" } th.n { "threads" } th { "instructions" }
                    @for of in &all { th.n { (of.name) } }
                    th { "beside the others" }
                } }
                tbody { @for (rank, member) in fleet.iter().take(MOST).enumerate() { tr {
                    td { (rank) }
                    td { (clean(&member.name)) }
                    td { (clean(&member.machine.brand)) }
                    td.n { (member.machine.usable_threads) " of " (member.machine.threads) }
                    td { (clean(&member.machine.isa)) }
                    @for of in &all { td.n { (of.of_rank(rank).map_or_else(|| "\u{2013}".to_owned(), |(value, _)| value)) } }
                    td { (beside(rank, &all, &prints)) }
                } } }
            }
            @if fleet.len() > MOST { p.sub { (many(fleet.len() - MOST, "more rank")) " in run.json." } }
        }
    }
}

/// In what a rank differs from the first and is behind the faster half.
fn beside(rank: usize, all: &[Compared<'_>], prints: &[&str]) -> String {
    let mut told = Vec::new();
    if prints.get(rank) != prints.first() {
        told.push("another machine than rank 0's".to_owned());
    }
    for of in all {
        if let Some((_, ratio)) = of.of_rank(rank).filter(|(_, ratio)| straggles(*ratio)) {
            told.push(format!("{} {ratio:.2} times as slow", of.name));
        }
    }
    match told.is_empty() {
        true => "like them".to_owned(),
        false => told.join("; "),
    }
}
