//! Where the time of all threads goes: what arrives as speed, and what more threads cost, reason by reason.

use super::speedup::over_threads;
use super::{Chart, Frame, Span, Subject};
use crate::record::Metric;
use crate::report::draw::{Align, Canvas, Ink, Svg, Type, clean};
use crate::report::values::{known, sentence};
use crate::report::view::{Input, View, at_threads};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "thread-efficiency",
    title: "Thread efficiency and what is lost",
    how_to_read: "All time of the threads in a step: blue arrives as speed (at 100 % each thread adds as much as the first), the rest \
                  is lost for the reasons below.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

/// Each reason with its name for people and its colour, in the order of the bars.
const REASONS: [(&str, &str, Ink); 6] = [
    (
        "serial",
        "serial part: one works, the others do not",
        Ink::Orange,
    ),
    ("waiting", "waiting at barriers, imbalance", Ink::Gold),
    ("frequency", "lower frequency", Ink::Purple),
    ("smt", "a shared core (SMT)", Ink::Green),
    ("memory", "shared caches and memory, and the rest", Ink::Sky),
    ("others", "other programs and guests", Ink::Red),
];

const BAR: f64 = 34.0;
const ROW: f64 = 22.0;
/// Most thread counts with a bar of their own.
const BARS: usize = 8;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let efficiency = view.series(&view.case_name("training", "thread_efficiency"));
    let efficiency = Input::of_series("efficiency", efficiency);
    let lost = efficiency
        .is_some()
        .then(|| Input::of_metrics("losses", view.metrics_under(&prefix(view))));
    efficiency.into_iter().chain(lost.flatten()).collect()
}

fn prefix(view: &View<'_>) -> String {
    view.case_name("training", "threads.")
}

/// The metric of a reason on that many threads.
fn share<'a>(view: &View<'a>, reason: &str, threads: f64) -> Option<&'a Metric> {
    let prefix = prefix(view);
    view.metrics_under(&prefix).into_iter().find(|metric| {
        at_threads(&metric.name).is_some_and(|(before, count, _)| {
            before.strip_prefix(&prefix) == Some(reason) && f64::from(count) == threads
        })
    })
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (points, most) = over_threads(view, "thread_efficiency")?;
    let mut bars: Vec<(f64, f64)> = points
        .into_iter()
        .filter_map(|(threads, share)| Some((threads, share?)))
        .filter(|(threads, _)| *threads > 1.0)
        .collect();
    let Some((_, at_most)) = bars.last().copied() else {
        return Err("No step on several threads was measured.".to_owned());
    };
    // The largest counts say most.
    bars.drain(..bars.len().saturating_sub(BARS));
    let told: Vec<_> = REASONS
        .iter()
        .filter_map(|reason| Some((reason, share(view, reason.0, most)?)))
        .collect();
    let lines = told.len().max(1) + 2;
    let canvas = Canvas::new(
        frame.width,
        BAR * bars.len() as f64 + 14.0 + ROW * lines as f64,
    );
    for (row, (threads, efficiency)) in bars.iter().enumerate() {
        bar(&canvas, view, BAR * row as f64, *threads, *efficiency);
    }
    let mut y = BAR * bars.len() as f64 + 14.0 + ROW / 2.0;
    let heading = Type::plain(Ink::Soft);
    canvas.text((0.0, y), &format!("on {most} threads"), heading);
    let right = heading.align(Align::End);
    canvas.text((canvas.width, y), "of the threads' time", right);
    y += ROW;
    legend(&canvas, y, Ink::Blue, "arrives as speed", &percent(at_most));
    let mut words = vec![format!("{} arrives as speed", percent(at_most))];
    for ((_, name, ink), metric) in &told {
        y += ROW;
        let value = known(metric.value).map_or("unknown".to_owned(), percent);
        canvas.hover(&clean(&sentence(&metric.how)), |canvas| {
            legend(canvas, y, *ink, name, &value);
        });
        words.push(format!("{value} {name}"));
    }
    if told.is_empty() {
        let rest = "lost; this run does not tell why";
        legend(&canvas, y + ROW, Ink::Quiet, rest, &percent(1.0 - at_most));
    }
    let words = words.join("; ");
    Ok(canvas.finish(format!("Of the time of {most} threads: {words}.")))
}

fn percent(share: f64) -> String {
    // Minus nothing is nothing.
    let tenths = (share * 1000.0).round() / 10.0 + 0.0;
    format!("{tenths:.1} %")
}

/// One number of threads: what arrives, then each loss that is one.
fn bar(canvas: &Canvas, view: &View<'_>, y: f64, threads: f64, efficiency: f64) {
    const LABEL: f64 = 76.0;
    let label = format!("{threads} threads");
    canvas.text((0.0, y + BAR / 2.0), &label, Type::plain(Ink::Text));
    let losses = REASONS.iter().filter_map(|(reason, name, ink)| {
        let share = known(share(view, reason, threads)?.value)?;
        (share > 0.0).then_some((*name, share, *ink))
    });
    let mut parts = vec![("arrives as speed", efficiency.max(0.0), Ink::Blue)];
    parts.extend(losses);
    // What was gained elsewhere, or a speed-up beyond the ideal, makes more than the whole.
    let sum: f64 = parts.iter().map(|part| part.1).sum();
    let (width, whole) = (canvas.width - LABEL, sum.max(1.0));
    canvas.fill((LABEL, y + 5.0), (width, BAR - 10.0), Ink::Quiet, 0.35);
    let mut x = LABEL;
    for (name, share, ink) in parts {
        let wide = width * share / whole;
        canvas.hover(&format!("{name}: {}", percent(share)), |canvas| {
            canvas.fill((x, y + 5.0), ((wide - 1.0).max(0.5), BAR - 10.0), ink, 0.8);
        });
        x += wide;
    }
    let inside = Type::plain(Ink::Card).bold();
    canvas.text((LABEL + 8.0, y + BAR / 2.0), &percent(efficiency), inside);
}

/// A swatch, what it stands for, and how much it is.
fn legend(canvas: &Canvas, y: f64, ink: Ink, name: &str, value: &str) {
    canvas.fill((0.0, y - 6.0), (12.0, 12.0), ink, 0.8);
    canvas.text((20.0, y), name, Type::plain(Ink::Text));
    let look = Type::plain(Ink::Text).align(Align::End);
    canvas.text((canvas.width, y), value, look);
}
