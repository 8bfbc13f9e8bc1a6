//! What each kernel or operator of a step brings into L1, into L2, and from memory.

use super::{Chart, Frame, Span, Subject};
use crate::record::Metric;
use crate::report::draw::{Align, Canvas, Ink, Svg, Type, clean, fit};
use crate::report::values::{capital, known, operator, quantity, words};
use crate::report::view::{Input, View, at_threads};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "cache-misses",
    title: "Cache misses by kernel and operator",
    how_to_read: "Lines that a level of the cache lacked, times 64 bytes, in one step: bars of one colour compare with each other. Much \
                  from memory beside little time is what prefetching hides.",
    subject: Subject::Training,
    span: Span::Full,
    suite: "training",
    inputs,
    draw,
    table: None,
};

/// Lines of a kernel and bytes of an operator, with heading and colour.
const LEVELS: [(&str, &str, &str, Ink); 3] = [
    ("l1d_misses", "bytes_into_l1", "into L1", Ink::Gold),
    ("l2_misses", "bytes_into_l2", "into L2", Ink::Purple),
    ("l3_misses", "bytes_from_memory", "from memory", Ink::Red),
];

/// Bytes of a line.
const LINE: f64 = 64.0;

/// Rows that are drawn; the table of numbers has all.
const ROWS: usize = 20;

/// Whether a counter's metric is about a kernel, and not about whole steps.
pub(crate) fn of_a_part(metric: &Metric) -> bool {
    let Some((before, ..)) = at_threads(&metric.name) else {
        return false;
    };
    before.contains(".simulated.")
}

/// Each number with whom it is about and its level: bytes of an operator, or lines of a kernel.
fn metrics<'a>(view: &View<'a>) -> Vec<(String, usize, &'a Metric, f64)> {
    let mut found = Vec::new();
    for (level, (_, bytes, ..)) in LEVELS.iter().enumerate() {
        for (name, pass, metric) in view.operator_metrics(bytes) {
            found.push((format!("{} {pass}", operator(name)), level, metric, 1.0));
        }
    }
    let simulated = view.case_name("counters", "simulated.");
    for metric in view.metrics_under(&simulated) {
        let Some((before, _, count)) = at_threads(&metric.name) else {
            continue;
        };
        let level = LEVELS.iter().position(|level| level.0 == count);
        if let (Some(kernel), Some(level)) = (before.strip_prefix(&simulated), level) {
            found.push((capital(&words(kernel)), level, metric, LINE));
        }
    }
    found
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let all = metrics(view);
    let of = |by_kernel: bool| {
        let kind = all.iter().filter(move |found| (found.3 > 1.0) == by_kernel);
        kind.map(|found| found.2)
    };
    [
        Input::of_metrics("bytes by kernel", of(true)),
        Input::of_metrics("bytes by operator", of(false)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A kernel or an operator with its bytes at each level.
struct Row {
    name: String,
    bytes: [Option<f64>; 3],
}

fn rows(view: &View<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (name, level, metric, factor) in metrics(view) {
        let Some(amount) = known(metric.value).filter(|amount| *amount >= 0.0) else {
            continue;
        };
        let place = rows.iter().position(|row| row.name == name);
        let place = place.unwrap_or_else(|| {
            let bytes = [None; 3];
            rows.push(Row { name, bytes });
            rows.len() - 1
        });
        rows[place].bytes[level] = Some(amount * factor);
    }
    let first = |row: &Row| row.bytes[0].unwrap_or(0.0);
    rows.sort_by(|one, other| first(other).total_cmp(&first(one)));
    rows.truncate(ROWS);
    rows
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const ROW: f64 = 26.0;
    const HEAD: f64 = 24.0;
    let rows = rows(view);
    if rows.is_empty() {
        return Err(format!(
            "{} `loopos bench --suite training --counters simulate` has Valgrind tell what the caches would miss.",
            super::reasons(&inputs(view))
        ));
    }
    let label = if frame.narrow { 84.0 } else { 200.0 };
    let value = if frame.narrow { 0.0 } else { 66.0 };
    let each = (frame.width - label) / LEVELS.len() as f64;
    let canvas = Canvas::new(frame.width, HEAD + ROW * rows.len() as f64 + 4.0);
    for (level, (_, _, heading, ink)) in LEVELS.iter().enumerate() {
        let x = label + each * level as f64;
        // A phone has no room for the whole of it.
        let short = heading.trim_start_matches("from ");
        let over = if frame.narrow { short } else { heading };
        canvas.text((x, 8.0), over, Type::plain(*ink).size(11.0).bold());
        let bytes = |row: &Row| row.bytes[level];
        let most = rows.iter().filter_map(bytes).fold(1.0, f64::max);
        for (index, row) in rows.iter().enumerate() {
            let y = HEAD + ROW * (index as f64 + 0.5);
            let Some(bytes) = row.bytes[level] else {
                canvas.text((x, y), "\u{2013}", Type::plain(Ink::Soft));
                continue;
            };
            let text = quantity(bytes, "bytes");
            canvas.hover(&format!("{} {heading}: {text}", row.name), |canvas| {
                let wide = (each - value - 14.0) * bytes / most;
                canvas.fill((x, y - 8.0), (wide.max(1.0), 16.0), *ink, 0.7);
                if value > 0.0 {
                    let look = Type::plain(Ink::Text).size(11.0).align(Align::End);
                    canvas.text((x + each - 10.0, y), &text, look);
                }
            });
        }
    }
    for (index, row) in rows.iter().enumerate() {
        let y = HEAD + ROW * (index as f64 + 0.5);
        let name = fit(&clean(&row.name), 12.0, false, label - 8.0);
        canvas.text((0.0, y), &name, Type::plain(Ink::Text));
    }
    let words = rows.iter().map(|row| {
        let parts = LEVELS.iter().zip(row.bytes);
        let parts = parts.filter_map(|((_, _, heading, _), bytes)| {
            Some(format!("{} {heading}", quantity(bytes?, "bytes")))
        });
        format!(
            "{}: {}",
            clean(&row.name),
            parts.collect::<Vec<_>>().join(", ")
        )
    });
    Ok(canvas.finish(words.collect::<Vec<_>>().join("; ")))
}
