//! The ledger of optimizations: what each is claimed to give beside what it gave here.

use super::{Chart, Frame, Span, Subject};
use crate::record::{Metric, OPTIMIZATIONS, optimization};
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, clean, fit, width};
use crate::report::values::known;
use crate::report::view::{Input, View};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "ledger",
    title: "What each optimization is worth",
    how_to_read: "How many times as long the same work takes with that optimization switched off (blue, with its interval), beside what \
                  the original's document claims for it (orange); at 1 it makes no difference.",
    subject: Subject::Training,
    span: Span::Full,
    suite: "training",
    inputs,
    draw,
    table: None,
};

const ROW: f64 = 27.0;
const HEAD: f64 = 30.0;
const FOOT: f64 = 24.0;

/// One line of the ledger.
struct Row<'a> {
    id: &'static str,
    measured: Option<&'a Metric>,
    claimed: Option<&'a Metric>,
}

fn rows<'a>(view: &View<'a>) -> Vec<Row<'a>> {
    let row = |(id, _): &(&'static str, &str)| {
        let named = |quantity: &str| {
            let threads = view.threads.unwrap_or_default();
            view.metric(&view.case_name("ledger", &format!("{id}.t{threads}.{quantity}")))
        };
        Row {
            id,
            measured: named("speedup"),
            claimed: named("claimed"),
        }
    };
    let all = OPTIMIZATIONS.iter().map(row);
    all.filter(|row| row.measured.is_some()).collect()
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let rows = rows(view);
    let measured = rows.iter().filter_map(|row| row.measured);
    let claimed = rows.iter().filter_map(|row| row.claimed);
    [
        Input::of_metrics("measured", measured),
        Input::of_metrics("claimed", claimed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Value and ends of a metric, where they are positive numbers.
fn ends(metric: Option<&Metric>) -> Option<(f64, f64, f64)> {
    let metric = metric?;
    let positive = |value| known(value).filter(|value| *value > 0.0);
    let value = positive(metric.value)?;
    let low = positive(metric.low).unwrap_or(value).min(value);
    let high = positive(metric.high).unwrap_or(value).max(value);
    Some((low, value, high))
}

/// A logarithmic axis of factors.
struct Scale {
    left: f64,
    width: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(rows: &[Row<'_>], left: f64, width: f64) -> Scale {
        let all = rows
            .iter()
            .flat_map(|row| [ends(row.measured), ends(row.claimed)])
            .flatten();
        let (low, high) = all.fold((1.0_f64, 2.0_f64), |(low, high), (least, _, most)| {
            (low.min(least), high.max(most))
        });
        Scale {
            left,
            width,
            low: low.clamp(1e-3, 1.0) * 0.9,
            high: high.min(1e6) * 1.15,
        }
    }

    fn at(&self, factor: f64) -> f64 {
        let share = (factor / self.low).ln() / (self.high / self.low).ln();
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    /// 1, 2, 5, 10, .. as far as there is room for their labels.
    fn ticks(&self) -> Vec<f64> {
        let all = (0..7).flat_map(|power| [1.0, 2.0, 5.0].map(|head| head * 10f64.powi(power)));
        let all: Vec<f64> = all
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect();
        let room = |ticks: &[f64]| {
            ticks
                .windows(2)
                .all(|pair| self.at(pair[1]) - self.at(pair[0]) > 34.0)
        };
        if room(&all) {
            return all;
        }
        let tens = |tick: &f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
        all.into_iter().filter(tens).collect()
    }
}

fn times(factor: f64) -> String {
    format!("{}\u{d7}", digits(factor))
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let rows = rows(view);
    if rows.iter().all(|row| ends(row.measured).is_none()) {
        return Err(super::reasons(&inputs(view)));
    }
    let (label, value) = if frame.narrow {
        (136.0, 48.0)
    } else {
        (190.0, 178.0)
    };
    let height = HEAD + ROW * rows.len() as f64 + FOOT;
    let canvas = Canvas::new(frame.width, height);
    let scale = Scale::new(&rows, label, frame.width - label - value);
    legend(&canvas, frame, label);
    let bottom = height - FOOT;
    for tick in scale.ticks() {
        let x = scale.at(tick);
        let stroke = if tick == 1.0 {
            Stroke::solid(Ink::Soft, 1.2)
        } else {
            Stroke::solid(Ink::Line, 1.0)
        };
        canvas.line(&[(x, HEAD - 2.0), (x, bottom)], stroke);
        let look = Type::plain(Ink::Soft).size(11.0).align(Align::Middle);
        canvas.text((x, bottom + 11.0), &format!("{tick}\u{d7}"), look);
    }
    for (index, row) in rows.iter().enumerate() {
        let centre = HEAD + ROW * (index as f64 + 0.5);
        line(&canvas, row, centre, &scale, frame);
    }
    let words = rows.iter().map(|row| match ends(row.measured) {
        Some((_, factor, _)) => format!("{}: {}", optimization(row.id), times(factor)),
        None => format!("{}: not measured", optimization(row.id)),
    });
    Ok(canvas.finish(words.collect::<Vec<_>>().join("; ")))
}

fn legend(canvas: &Canvas, frame: Frame, label: f64) {
    let size = if frame.narrow { 11.0 } else { 12.0 };
    let mut x = if frame.narrow { 0.0 } else { label };
    canvas.dot((x + 5.0, 9.0), 4.0, Ink::Blue, 1.0);
    let look = Type::plain(Ink::Text).size(size);
    canvas.text((x + 14.0, 9.0), "measured here", look);
    x += 14.0 + width("measured here", size, false) + 22.0;
    canvas.fill((x, 5.0), (18.0, 8.0), Ink::Orange, 0.45);
    let look = Type::plain(Ink::Text).size(size);
    canvas.text((x + 24.0, 9.0), "claimed by the original", look);
}

fn line(canvas: &Canvas, row: &Row<'_>, centre: f64, scale: &Scale, frame: Frame) {
    let last = row.id == "all";
    let size = if frame.narrow { 11.0 } else { 12.0 };
    let name = fit(optimization(row.id), size, last, scale.left - 8.0);
    let told = [row.measured, row.claimed]
        .into_iter()
        .flatten()
        .map(|metric| clean(&metric.how))
        .collect::<Vec<_>>()
        .join(". ");
    canvas.hover(&told, |canvas| {
        let look = Type::plain(Ink::Text).size(size);
        let look = if last { look.bold() } else { look };
        canvas.text((0.0, centre), &name, look);
        if let Some((low, _, high)) = ends(row.claimed) {
            let (from, to) = (scale.at(low), scale.at(high));
            let from = from.min(to - 5.0);
            canvas.fill((from, centre - 5.0), (to - from, 10.0), Ink::Orange, 0.45);
        }
        let x = scale.left + scale.width + 10.0;
        match ends(row.measured) {
            Some((low, factor, high)) => {
                let (from, to) = (scale.at(low), scale.at(high));
                let stroke = Stroke::solid(Ink::Blue, 2.0);
                canvas.line(&[(from, centre), (to, centre)], stroke);
                canvas.dot((scale.at(factor), centre), 4.5, Ink::Blue, 1.0);
                let look = Type::plain(Ink::Blue).size(size).bold();
                canvas.text((x, centre), &times(factor), look);
                if !frame.narrow {
                    claimed(canvas, row, (x + 62.0, centre));
                }
            }
            None => {
                let look = Type::plain(Ink::Soft).size(size);
                let text = if frame.narrow { "none" } else { "not measured" };
                canvas.text((x, centre), text, look);
            }
        }
    });
}

/// The claim in figures.
fn claimed(canvas: &Canvas, row: &Row<'_>, at: (f64, f64)) {
    let text = match ends(row.claimed) {
        Some((low, _, high)) if low < high => format!("{} to {}", digits(low), times(high)),
        Some((_, factor, _)) => times(factor),
        None => "no figure".to_owned(),
    };
    let ink = if ends(row.claimed).is_some() {
        Ink::Orange
    } else {
        Ink::Soft
    };
    canvas.text(at, &text, Type::plain(ink).size(12.0));
}
