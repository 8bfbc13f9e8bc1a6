//! What post-training found over its steps: rewards, the divergence from the reference, entropy, how much was clipped; or how many
//! pairs were told apart. With a table of where a step's time goes.

use maud::{Markup, html};

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Area, Axis, Canvas, Curve, Ink, Point, Svg, Type, draw_curves, extents};
use crate::report::values::{many, quantity};
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "posttraining",
    title: "What it learns",
    how_to_read: "Rewards should rise while the divergence from the model that it started as stays small; where the entropy falls to nothing, \
                  the policy says one thing only.",
    subject: Subject::Training,
    span: Span::Full,
    suite: "training",
    inputs,
    draw,
    table: Some(phases),
};

/// A panel: its heading, the unit of its ordinate, and its curves by quantity with their names.
struct Panel {
    title: &'static str,
    unit: &'static str,
    curves: &'static [(&'static str, &'static str, Ink)],
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "Reward of a response",
        unit: "reward",
        curves: &[
            ("reward", "given", Ink::Blue),
            ("rule_reward", "by the rule", Ink::Orange),
        ],
    },
    Panel {
        title: "Divergence from the reference",
        unit: "nats a response",
        curves: &[("kl", "", Ink::Blue)],
    },
    Panel {
        title: "Entropy of a token",
        unit: "nats",
        curves: &[("entropy", "", Ink::Blue)],
    },
    Panel {
        title: "Clipped tokens",
        unit: "share",
        curves: &[("clip_fraction", "", Ink::Blue)],
    },
    Panel {
        title: "Pairs told apart",
        unit: "share",
        curves: &[
            ("accuracy", "learnt", Ink::Blue),
            ("validation_accuracy", "held out", Ink::Orange),
        ],
    },
    Panel {
        title: "Lead of the better response",
        unit: "reward",
        curves: &[("margin", "", Ink::Blue)],
    },
];

/// Height of a panel, and the gaps between panels.
const HEIGHT: f64 = 210.0;
const GAP: f64 = 26.0;

/// The phases of a step: their name in metrics, and as people call them.
pub(in crate::report) const PHASES: [(&str, &str); 3] = [
    ("rollout", "writing responses"),
    ("judge", "asking about responses"),
    ("update", "learning from responses"),
];

fn inputs(view: &View<'_>) -> Vec<Input> {
    let of = |(name, _, _): &(&'static str, &str, Ink)| {
        let series = view.series(&view.name("training", name));
        Input::of_series(&name.replace('_', " "), series)
    };
    let panels = PANELS.iter().flat_map(|panel| panel.curves);
    panels.filter_map(of).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let mut panels = Vec::new();
    for panel in &PANELS {
        let curves: Vec<Curve> = panel
            .curves
            .iter()
            .filter_map(|(name, label, ink)| {
                let series = view.series(&view.name("training", name))?;
                let points = points(series);
                let end = last(&points)?;
                let label = match *label {
                    "" => quantity(end, ""),
                    label => format!("{label} {}", quantity(end, "")),
                };
                Some(Curve::new(label, points, *ink))
            })
            .collect();
        if !curves.is_empty() {
            panels.push((panel, curves));
        }
    }
    if panels.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let across = if frame.narrow { 1 } else { 2.min(panels.len()) };
    let rows = panels.len().div_ceil(across);
    let canvas = Canvas::new(frame.width, rows as f64 * (HEIGHT + GAP));
    let whole = canvas.bounds();
    let width = (whole.width - GAP * (across - 1) as f64) / across as f64;
    let mut told = Vec::new();
    for (index, (panel, curves)) in panels.into_iter().enumerate() {
        let (column, row) = (index % across, index / across);
        let x = whole.x + column as f64 * (width + GAP);
        let y = whole.y + row as f64 * (HEIGHT + GAP);
        canvas.text((x, y + 6.0), panel.title, Type::plain(Ink::Text).bold());
        let Some((steps, values)) = extents(&curves) else {
            continue;
        };
        let ends: Vec<&str> = curves.iter().map(|curve| curve.label.as_str()).collect();
        told.push(format!("{}: {}", panel.title, ends.join(", ")));
        let area = Area {
            x,
            y: y + 22.0,
            width,
            height: HEIGHT - 22.0,
        };
        let axes = (
            (Axis::linear(steps.0, steps.1.max(steps.0 + 1.0), 4), "step"),
            (Axis::rounded(values.0, values.1, 4), panel.unit),
        );
        draw_curves(&canvas, area, &curves, axes.0, axes.1);
    }
    Ok(canvas.finish(format!("At the last step. {}.", told.join("; "))))
}

fn last(points: &[Point]) -> Option<f64> {
    points.iter().rev().find_map(|point| point.1)
}

/// Where a step's time goes, with the speed of each phase.
fn phases(view: &View<'_>) -> Markup {
    let value = |name: String| view.value(&view.name("training", &name));
    let rows: Vec<_> = PHASES
        .iter()
        .filter_map(|(name, what)| {
            let seconds = value(format!("{name}_seconds"))?;
            let share = value(format!("{name}_share"))?;
            let speed = value(format!("{name}_tokens_per_second"));
            Some((*what, seconds, share, speed))
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            table.key {
                thead { tr { th { (many(rows.len(), "phase")) " of a step" } th.n { "time" } th.n { "share" } th.n { "tokens/s" } } }
                tbody { @for (what, seconds, share, speed) in rows { tr {
                    td { (what) }
                    td.n { (quantity(seconds, "seconds")) }
                    td.n { (quantity(share, "ratio")) }
                    td.n { (speed.map_or_else(|| "\u{2013}".to_owned(), |speed| quantity(speed, ""))) }
                } } }
            }
        }
    }
}
