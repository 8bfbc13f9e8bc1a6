//! The frequency of each kind of instructions on each number of active cores, and whole training steps beside it.

use maud::{Markup, html};

use super::heat::{Cell, Heat, Margins, Row, tables};
use super::{Chart, Frame, Span, Subject};
use crate::record::Metric;
use crate::report::draw::{Svg, clean};
use crate::report::values::{isa, known, many, quantity};
use crate::report::view::{Input, View, at_threads};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency-matrix",
    title: "Frequency by instructions and active cores",
    how_to_read: "GHz while every thread runs just these instructions. From left to right more cores share the turbo; from top to bottom \
                  instructions get wider and heavier, and may need a licence of lower frequency.",
    subject: Subject::Machine,
    span: Span::Full,
    suite: "frequency",
    inputs,
    draw,
    table: Some(steps),
};

const PREFIX: &str = "frequency.sustained.";
const STEPS: &str = "frequency.training.";

fn inputs(view: &View<'_>) -> Vec<Input> {
    let sustained = Input::of_metrics("frequency", view.metrics_under(PREFIX));
    let counted = Input::of_metrics("cycles", view.metrics_under("frequency.counted."));
    let steps = Input::of_metrics("training steps", view.metrics_under(STEPS));
    let Some(sustained) = sustained else {
        return Vec::new();
    };
    let rest = counted.into_iter().chain(steps);
    [sustained].into_iter().chain(rest).collect()
}

/// `avx512_heavy` is `AVX-512 heavy`.
pub(super) fn load(name: &str) -> String {
    match name.split_once('_') {
        Some((set, weight)) => format!("{} {weight}", isa(set)),
        None if name == "sse" => "SSE".to_owned(),
        None => isa(name),
    }
}

/// Loads and thread counts in the order of the document.
fn axes(metrics: &[&Metric]) -> (Vec<String>, Vec<u32>) {
    let (mut loads, mut threads) = (Vec::new(), Vec::new());
    for (before, count, _) in metrics.iter().filter_map(|metric| at_threads(&metric.name)) {
        let load = before.trim_start_matches(PREFIX).to_owned();
        if !loads.contains(&load) {
            loads.push(load);
        }
        if !threads.contains(&count) {
            threads.push(count);
        }
    }
    threads.sort_unstable();
    (loads, threads)
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let metrics = view.metrics_under(PREFIX);
    let (loads, threads) = axes(&metrics);
    let value = |load: &str, threads: u32| view.value(&format!("{PREFIX}{load}.t{threads}.ghz"));
    let all = metrics.iter().filter_map(|metric| known(metric.value));
    let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), ghz| {
        (low.min(ghz), high.max(ghz))
    });
    if low > high {
        return Err(super::reasons(&inputs(view)));
    }
    let cell = |load: &str, threads: u32| match value(load, threads) {
        None => Cell::empty("not measured"),
        Some(ghz) => Cell {
            text: format!("{ghz:.2}"),
            heat: Some((ghz - low) / (high - low).max(0.05 * high)),
            best: false,
            hover: clean(&format!(
                "{}, {}: {ghz:.3} GHz",
                self::load(load),
                many(threads as usize, "thread")
            )),
        },
    };
    let row = |load: &String| Row {
        label: clean(&self::load(load)),
        cells: threads.iter().map(|threads| cell(load, *threads)).collect(),
        end: None,
    };
    let heat = Heat {
        title: "GHz".to_owned(),
        columns: threads
            .iter()
            .map(|count| vec![many(*count as usize, "thread")])
            .collect(),
        end: None,
        rows: loads.iter().map(row).collect(),
    };
    let margins = Margins {
        label: 110.0,
        end: 0.0,
    };
    let canvas = tables(frame.width, frame.narrow, &[heat], margins);
    Ok(canvas.finish(format!("From {} to {} GHz.", digits(low), digits(high))))
}

/// Whole steps by instruction set.
fn steps(view: &View<'_>) -> Markup {
    let under = view.metrics_under(STEPS);
    let of = |metric: &&&Metric| metric.name.ends_with(".step_seconds");
    let rows: Vec<(String, Option<[String; 4]>, &str)> = under
        .iter()
        .filter(of)
        .filter_map(|metric| {
            let subject = metric.name.strip_suffix(".step_seconds")?;
            let set = subject.strip_prefix(STEPS)?.split('.').next()?;
            let value = |of: &str, unit: &str| {
                let value = view.value(&format!("{subject}.{of}"));
                value.map_or("\u{2013}".to_owned(), |value| quantity(value, unit))
            };
            let numbers = known(metric.value).map(|_| {
                [
                    value("step_seconds", "seconds"),
                    value("tokens_per_second", "tokens/s"),
                    value("ghz", "GHz"),
                    value("loss_difference", "nats"),
                ]
            });
            Some((clean(&isa(set)), numbers, metric.how.as_str()))
        })
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    html! {
        table.key {
            thead { tr { th { "Training steps in turns" } th.n { "a step" } th.n { "speed" } th.n { "clock" } th.n { "loss apart" } } }
            tbody { @for (set, numbers, how) in &rows { tr {
                td { (set) }
                @match numbers {
                    Some(numbers) => { @for number in numbers { td.n { (number) } } },
                    None => { td colspan="4" { (clean(how)) } },
                }
            } } }
        }
    }
}
