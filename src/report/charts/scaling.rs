//! How speed changes with the width, the layers, the length and the batch; cliffs and their reasons beside it.

use maud::{Markup, html};

use super::panels::{self, Panel, Scale};
use super::{Chart, Frame, Span, Subject};
use crate::record::Series;
use crate::report::draw::{Canvas, Ink, Svg, clean};
use crate::report::values::{known, sentence};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "scaling",
    title: "As the model, its text and its batch grow",
    how_to_read: "One size changes at a time, all else is as configured: the share of the multiply-add peak that the model's arithmetic \
                  reaches, and the tokens a second. A flat line above means that cost grows as the arithmetic does.",
    subject: Subject::Sizes,
    span: Span::Full,
    suite: "scaling",
    inputs,
    draw,
    table: Some(cliffs),
};

/// Each panel: the name of its dimension, its heading, its abscissa.
const PANELS: [(&str, &str, &str); 4] = [
    ("d_model", "width", "d_model"),
    ("layers", "layers", "layers"),
    ("length", "length", "tokens of a sequence"),
    ("batch", "batch", "sequences of a step"),
];

/// Cliffs that are named.
const CLIFFS: usize = 8;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let under = |suffix| view.series_like("scaling.", suffix);
    let cliffs = view.metrics_under("scaling.");
    let cliffs = cliffs
        .into_iter()
        .filter(|metric| metric.name.ends_with(".mfu_step"));
    [
        Input::of_series("MFU", under(".mfu")),
        Input::of_series("speed", under(".tokens_per_second")),
        Input::of_metrics("cliffs", cliffs),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of<'a>(all: &[&'a Series], suffix: &str) -> Vec<Panel<'a>> {
    let panel = |(name, title, x): &(&str, &str, &'static str)| {
        let end = format!(".{name}{suffix}");
        let series = all.iter().find(|series| series.name.ends_with(&end))?;
        Some(Panel {
            title: (*title).to_owned(),
            x,
            series,
            marked: None,
        })
    };
    PANELS.iter().filter_map(panel).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (shares, speeds) = (
        of(&view.series_like("scaling.", ".mfu"), ".mfu"),
        of(
            &view.series_like("scaling.", ".tokens_per_second"),
            ".tokens_per_second",
        ),
    );
    let any = |panel: &Panel<'_>| panel.series.y.iter().any(|y| known(*y).is_some());
    if !shares.iter().any(any) {
        return Err(super::reasons(&inputs(view)));
    }
    let rows = panels::rows(shares.len(), frame.narrow);
    let below = panels::HEIGHT * rows as f64;
    let canvas = Canvas::new(frame.width, 2.0 * below);
    let share = Scale {
        factor: 100.0,
        title: "% of the peak",
        least: 100.0,
    };
    panels::draw(&canvas, 0.0, frame.narrow, &shares, share, Ink::Blue);
    let speed = Scale {
        factor: 1e-3,
        title: "1,000 tokens/s",
        least: 0.0,
    };
    panels::draw(&canvas, below, frame.narrow, &speeds, speed, Ink::Green);
    let words = shares.iter().flat_map(|panel| {
        let all = panel.series.x.iter().zip(&panel.series.y);
        let finite = all.filter(|(x, _)| x.is_finite());
        finite
            .filter_map(|(x, y)| Some(format!("{} {x}: {:.0} %", panel.title, known(*y)? * 100.0)))
    });
    Ok(canvas.finish(words.collect::<Vec<_>>().join("; ")))
}

/// Each fall between neighbours with its reason, and the sizes that were not measured.
fn cliffs(view: &View<'_>) -> Markup {
    let under = view.metrics_under("scaling.");
    let falls: Vec<_> = under
        .iter()
        .filter(|metric| metric.name.ends_with(".mfu_step"))
        .filter_map(|metric| Some((known(metric.value)?, &metric.how)))
        .collect();
    let absent = under
        .iter()
        .filter(|metric| metric.name.ends_with(".mfu") && known(metric.value).is_none());
    let absent: Vec<_> = absent
        .filter_map(|metric| {
            let point = metric.name.strip_prefix("scaling.")?.split('.').nth(1)?;
            Some((point.replace('_', " "), sentence(&metric.how)))
        })
        .collect();
    html! {
        @if falls.is_empty() {
            p.sub { "No fall of MFU by more than a fifth between neighbouring sizes." }
        } @else {
            table.key {
                thead { tr { th { "Cliffs: falls by more than a fifth between neighbours" } th.n { "falls to" } } }
                tbody { @for (ratio, how) in falls.iter().take(CLIFFS) {
                    tr { td { (clean(&sentence(how))) } td.n { (format!("{:.0} %", ratio * 100.0)) } }
                } }
            }
            @if falls.len() > CLIFFS { p.sub { "And " (falls.len() - CLIFFS) " more, in the table of all numbers." } }
        }
        @for (point, reason) in absent.iter().take(CLIFFS) { p.sub { (clean(point)) ": " (clean(reason)) } }
    }
}
