//! The way from nominal turbo to the cycles that were done: a waterfall of reasons.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, clean, fit};
use crate::report::values::{capital, words};
use crate::report::view::{Input, View, at_threads};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "frequency-lost",
    title: "Where turbo went",
    how_to_read: "The heaviest load on all threads for seconds: from the frequency that one core should reach down to the cycles that were \
                  really done. Each bar begins where the one above ends; a bar to the right is frequency gained.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "frequency",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "frequency.lost.";
const SUFFIX: &str = ".share_of_nominal";

const ROW: f64 = 24.0;
const LABEL: f64 = 118.0;
const VALUE: f64 = 62.0;

fn inputs(view: &View<'_>) -> Vec<Input> {
    Input::of_metrics("shares", view.metrics_under(PREFIX))
        .into_iter()
        .collect()
}

/// Reasons with their shares in the order of the document, without what is left.
fn reasons<'a>(view: &View<'a>) -> Vec<(&'a str, f64, &'a str)> {
    let under = view.metrics_under(PREFIX).into_iter();
    let shares = under.filter_map(|metric| {
        let (before, _, last) = at_threads(&metric.name)?;
        let reason = before.strip_prefix(PREFIX)?;
        let wanted = last == SUFFIX.trim_start_matches('.') && reason != "attained";
        let share = crate::report::values::known(metric.value)?;
        wanted.then_some((reason, share, metric.how.as_str()))
    });
    shares.collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let reasons = reasons(view);
    let nominal = view
        .metrics_under(&format!("{PREFIX}nominal."))
        .into_iter()
        .find_map(|metric| crate::report::values::known(metric.value))
        .filter(|ghz| *ghz > 0.0);
    let (Some(nominal), false) = (nominal, reasons.is_empty()) else {
        return Err(super::reasons(&inputs(view)));
    };
    let mut level = 1.0_f64;
    let ends: Vec<(f64, f64)> = reasons
        .iter()
        .map(|(_, share, _)| {
            let from = level;
            level -= share;
            (from, level)
        })
        .collect();
    let all = ends.iter().flat_map(|(from, to)| [*from, *to]);
    let (low, high) = all.fold((1.0_f64, 1.0_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    // The bars begin where something happens, or small losses would not be seen.
    let floor = (low - 0.25 * (high - low).max(0.02)).max(0.0);
    let left = LABEL;
    let width = (frame.width - LABEL - VALUE).max(40.0);
    let at = |share: f64| left + width * (share - floor) / (high - floor);
    let canvas = Canvas::new(frame.width, ROW * (reasons.len() + 2) as f64 + 8.0);
    let row = |index: usize, label: &str, (from, to): (f64, f64), value: &str, ink: Ink| {
        let y = 4.0 + ROW * index as f64;
        let (start, end) = (at(from.min(to)), at(from.max(to)));
        let label = fit(&clean(label), 12.0, false, LABEL - 8.0);
        canvas.text((0.0, y + ROW / 2.0), &label, Type::plain(Ink::Text));
        canvas.fill(
            (start, y + 4.0),
            ((end - start).max(1.0), ROW - 8.0),
            ink,
            0.75,
        );
        let look = Type::plain(Ink::Text).align(Align::End);
        canvas.text((frame.width, y + ROW / 2.0), value, look);
    };
    let whole = format!("{nominal:.2} GHz");
    row(0, "Nominal turbo", (floor, 1.0), &whole, Ink::Quiet);
    for (index, ((reason, share, how), ends)) in reasons.iter().zip(&ends).enumerate() {
        // Minus nothing is nothing.
        let percent = format!("{:.1} %", (-share * 1000.0).round() / 10.0 + 0.0);
        let ink = if *share >= 0.0 { Ink::Red } else { Ink::Green };
        canvas.hover(&clean(how), |_| {
            row(index + 1, &capital(&words(reason)), *ends, &percent, ink);
        });
        let x = at(ends.1);
        let y = 4.0 + ROW * (index + 2) as f64;
        canvas.line(&[(x, y - 4.0), (x, y + 4.0)], Stroke::solid(Ink::Soft, 1.0));
    }
    let done = format!("{:.2} GHz", level * nominal);
    row(
        reasons.len() + 1,
        "Cycles done",
        (floor, level),
        &done,
        Ink::Blue,
    );
    let told: Vec<String> = reasons
        .iter()
        .map(|(reason, share, _)| format!("{} {:.1} %", words(reason), share * 100.0))
        .collect();
    Ok(canvas.finish(clean(&format!(
        "Of {whole}: {}; left {done}.",
        told.join(", ")
    ))))
}
