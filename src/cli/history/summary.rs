//! A history on a terminal: a line for each metric with its course, and the newest changes.

use std::fmt::Write;

use crate::record::Kept;
use crate::report::quantity;
use crate::report::timeline::{Course, Turn};
use crate::units::grouped;

/// Metrics shown; the page has more.
const METRICS: usize = 30;

/// Changes shown.
const CHANGES: usize = 10;

/// Columns of a course.
const COLUMNS: usize = 16;

/// The levels that a letter can show.
const BARS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// The machine, the others that there are, the metrics, the changes.
pub(super) fn text(kept: &Kept, machines: &[Kept], courses: &[Course]) -> String {
    let mut text = String::new();
    let day = |time: &str| time.chars().take(10).collect::<String>();
    let _ = writeln!(
        text,
        "machine    {} ({})",
        kept.machine.brand, kept.machine.fingerprint
    );
    let _ = writeln!(
        text,
        "runs       {}, {} to {}",
        grouped(kept.runs as i64),
        day(&kept.first),
        day(&kept.last)
    );
    if machines.len() > 1 {
        let _ = writeln!(
            text,
            "others     {} machines: --machine names one",
            machines.len() - 1
        );
    }
    for course in courses.iter().take(METRICS) {
        let Some(last) = course.timeline.points.last() else {
            continue;
        };
        let _ = writeln!(text, "{}", course.timeline.name);
        let unit = &course.timeline.unit;
        let level = course.level().map_or(String::new(), |level| {
            format!(", level {}", quantity(level, unit))
        });
        let _ = writeln!(
            text,
            "  {:<COLUMNS$}  {} in the last of {}{level}",
            bars(course),
            quantity(last.value, unit),
            grouped(course.timeline.points.len() as i64)
        );
    }
    if courses.len() > METRICS {
        let _ = writeln!(
            text,
            "and {} more: --only names some, --html shows them",
            courses.len() - METRICS
        );
    }
    changes(&mut text, courses);
    text
}

fn changes(text: &mut String, courses: &[Course]) {
    let mut all: Vec<(&Course, Turn)> = Vec::new();
    for course in courses {
        all.extend(course.turns().into_iter().map(|turn| (course, turn)));
    }
    all.sort_by(|one, other| {
        other.0.timeline.points[other.1.at]
            .started
            .cmp(&one.0.timeline.points[one.1.at].started)
    });
    let _ = writeln!(
        text,
        "changes    {}",
        if all.is_empty() {
            "none".to_owned()
        } else {
            grouped(all.len() as i64)
        }
    );
    for (course, turn) in all.iter().take(CHANGES) {
        let point = &course.timeline.points[turn.at];
        let change = turn
            .change()
            .map_or(String::new(), |change| format!("{:+.1} %", change * 100.0));
        let commit: String = point
            .commit
            .as_deref()
            .unwrap_or("unknown")
            .chars()
            .take(10)
            .collect();
        let _ = writeln!(
            text,
            "  {}  {change:>8} {:<8} {commit:<10}  {}",
            point
                .started
                .get(..16)
                .unwrap_or(&point.started)
                .replace('T', " "),
            turn.verdict.word(&course.timeline.unit),
            course.timeline.name
        );
    }
}

/// The course in letters: the median of each of some groups of runs, between the least and the greatest.
fn bars(course: &Course) -> String {
    let points = &course.timeline.points;
    let group = points.len().div_ceil(COLUMNS).max(1);
    let middle = |some: &[crate::record::Moment]| {
        let mut values: Vec<f64> = some.iter().map(|point| point.value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let medians: Vec<f64> = points.chunks(group).map(middle).collect();
    let (low, high) = medians
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let bar = |value: &f64| {
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    medians.iter().map(bar).collect()
}
