//! Memory as planned before the first step, by role, against the peak that the system counted.

use super::{Chart, Frame, Span, Subject};
use crate::record::Metric;
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, fit, width};
use crate::report::values::{known, quantity, words};
use crate::report::view::{Input, View};
use crate::units::Bytes;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "memory-plan",
    title: "Memory: plan and peak",
    how_to_read: "Each role starts where the one above ends, so the steps add up to the plan; the peak beyond it is what the plan \
                  does not count: program, libraries, stacks, and models that the one which learns is compared with.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

/// The planned roles of the case in the order of the document: name, metric.
pub(super) fn roles<'a>(view: &View<'a>) -> Vec<(&'a str, &'a Metric)> {
    let prefix = view.case_name("memory", "");
    let all = view.metrics_under(&prefix).into_iter();
    let role = |metric: &'a Metric| {
        metric
            .name
            .get(prefix.len()..)?
            .strip_suffix(".bytes")
            .map(|role| (role, metric))
    };
    all.filter_map(role).collect()
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let roles = roles(view).into_iter().map(|role| role.1);
    let parts = [
        Input::of_metrics("plan", roles.chain(total(view, "planned_bytes"))),
        Input::of_metrics("peak", total(view, "peak_rss_bytes")),
    ];
    parts.into_iter().flatten().collect()
}

/// A total of the case: the memory suite's, or the training suite's where that is missing.
fn total<'a>(view: &View<'a>, quantity: &str) -> Option<&'a Metric> {
    let metrics = ["memory", "training"].map(|suite| view.metric(&view.name(suite, quantity)));
    metrics
        .into_iter()
        .flatten()
        .max_by_key(|metric| metric.value.is_some())
}

/// One bar: label, where it starts, how long it is, its look.
struct Bar {
    label: String,
    from: f64,
    bytes: f64,
    ink: Ink,
    opacity: f64,
}

fn bars(view: &View<'_>) -> Vec<Bar> {
    let value = |metric: &Metric| known(metric.value).filter(|bytes| *bytes >= 0.0);
    let mut bars = Vec::new();
    let mut from = 0.0;
    for (role, metric) in roles(view) {
        let Some(bytes) = value(metric) else { continue };
        bars.push(Bar {
            label: fit(&words(role), 12.0, false, 120.0),
            from,
            bytes,
            ink: Ink::Blue,
            opacity: 0.45,
        });
        from += bytes;
    }
    let totals = [
        ("planned_bytes", "planned", Ink::Blue),
        ("peak_rss_bytes", "peak RSS", Ink::Orange),
    ];
    for (quantity, label, ink) in totals {
        if let Some(bytes) = total(view, quantity).and_then(value) {
            bars.push(Bar {
                label: label.to_owned(),
                from: 0.0,
                bytes,
                ink,
                opacity: 0.85,
            });
        }
    }
    bars
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const ROW: f64 = 30.0;
    let bars = bars(view);
    let most = bars
        .iter()
        .map(|bar| bar.from + bar.bytes)
        .fold(0.0, f64::max);
    if most <= 0.0 {
        return Err(super::reasons(&inputs(view)));
    }
    let canvas = Canvas::new(frame.width, ROW * bars.len() as f64 + 8.0);
    let size = |bar: &Bar| Bytes(bar.bytes).to_string();
    let names = bars
        .iter()
        .map(|bar| width(&bar.label, 12.0, false))
        .fold(0.0, f64::max)
        + 12.0;
    let numbers = bars
        .iter()
        .map(|bar| width(&size(bar), 12.0, true))
        .fold(0.0, f64::max)
        + 14.0;
    let left = names + numbers;
    let scale = (frame.width - left - 2.0) / most;
    let mut roles = 0;
    for (row, bar) in bars.iter().enumerate() {
        let y = row as f64 * ROW + 4.0;
        let total = bar.opacity > 0.5;
        if total && roles > 0 {
            canvas.line(
                &[(0.0, y - 4.0), (frame.width, y - 4.0)],
                Stroke::solid(Ink::Line, 1.0),
            );
        }
        roles = if total { 0 } else { roles + 1 };
        let (x, long) = (left + bar.from * scale, (bar.bytes * scale).max(1.0));
        canvas.hover(
            &format!(
                "{}: {}, {} of the largest",
                bar.label,
                size(bar),
                quantity(bar.bytes / most, "ratio")
            ),
            |canvas| {
                let look = Type::plain(Ink::Text);
                canvas.text(
                    (0.0, y + 11.0),
                    &bar.label,
                    if total { look.bold() } else { look },
                );
                let look = if total { look.bold() } else { look };
                canvas.text((left - 14.0, y + 11.0), &size(bar), look.align(Align::End));
                canvas.fill((x, y + 2.0), (long, 18.0), bar.ink, bar.opacity);
            },
        );
        if !total && bars.get(row + 1).is_some_and(|next| next.opacity <= 0.5) {
            canvas.line(
                &[(x + long, y + 20.0), (x + long, y + ROW + 2.0)],
                Stroke::solid(Ink::Soft, 0.8).faint(0.6),
            );
        }
    }
    let told: Vec<String> = bars
        .iter()
        .map(|bar| format!("{} {}", bar.label, size(bar)))
        .collect();
    Ok(canvas.finish(format!("{}.", told.join(", "))))
}
