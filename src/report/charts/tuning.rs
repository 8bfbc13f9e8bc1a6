//! The sweeps of tuning: speed over threads, micro-batches and batches.

use super::panels::{self, Panel, Scale};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Canvas, Ink, Svg};
use crate::report::values::{known, quantity};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "tuning",
    title: "Threads, micro-batch, sharing and batch",
    how_to_read: "Tokens a second for each candidate; the dashed line is the one chosen, or advised: all but a batch change nothing but \
                  speed and memory, another batch is another training run.",
    subject: Subject::Sizes,
    span: Span::Full,
    suite: "tuning",
    inputs,
    draw,
    table: None,
};

const SUFFIX: &str = ".tokens_per_second";

/// Each sweep: the end of its name, its heading, its abscissa, and what was chosen.
const SWEEPS: [(&str, &str, &str, &str); 4] = [
    ("threads", "threads", "threads", ".chosen.threads"),
    (
        "micro_batch",
        "micro-batch",
        "sequences at a time",
        ".chosen.micro_batch",
    ),
    (
        "shares",
        "operators or sequences",
        "parts of a batch; 1: operators are shared",
        ".chosen.shares",
    ),
    ("batch", "batch", "sequences of a step", ".advised.batch"),
];

fn inputs(view: &View<'_>) -> Vec<Input> {
    let speed = Input::of_series("speed", view.series_like("tuning.", SUFFIX));
    let chosen = view.metrics_under("tuning.");
    let chosen = chosen.into_iter().filter(|metric| metric.unit == "count");
    let chosen = Input::of_metrics("choice", chosen);
    speed.into_iter().chain(chosen).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let all = view.series_like("tuning.", SUFFIX);
    let metrics = view.metrics_under("tuning.");
    let panel = |(end, title, x, chosen): &(&str, &str, &'static str, &str)| {
        let end = format!(".{end}{SUFFIX}");
        let series = all.iter().find(|series| series.name.ends_with(&end))?;
        let chosen = metrics.iter().find(|metric| metric.name.ends_with(chosen));
        Some(Panel {
            title: (*title).to_owned(),
            x,
            series,
            marked: chosen.and_then(|metric| known(metric.value)),
        })
    };
    let all: Vec<Panel<'_>> = SWEEPS.iter().filter_map(panel).collect();
    let any = |panel: &Panel<'_>| panel.series.y.iter().any(|y| known(*y).is_some());
    if !all.iter().any(any) {
        return Err(super::reasons(&inputs(view)));
    }
    let rows = panels::rows(all.len(), frame.narrow);
    let canvas = Canvas::new(frame.width, panels::HEIGHT * rows as f64);
    let scale = Scale {
        factor: 1.0,
        title: "tokens/s",
        least: 0.0,
    };
    panels::draw(&canvas, 0.0, frame.narrow, &all, scale, Ink::Blue);
    let words = all.iter().flat_map(|panel| {
        let all = panel.series.x.iter().zip(&panel.series.y);
        let finite = all.filter(|(x, _)| x.is_finite());
        finite.filter_map(|(x, y)| {
            Some(format!(
                "{} {x}: {}",
                panel.title,
                quantity(known(*y)?, "tokens/s")
            ))
        })
    });
    Ok(canvas.finish(words.collect::<Vec<_>>().join("; ")))
}
