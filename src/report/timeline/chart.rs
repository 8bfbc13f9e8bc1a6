//! One metric over the runs of a machine: a dot a run, its levels as lines, a mark at each change.

use super::{Course, Verdict};
use crate::report::draw::{Align, Axis, Canvas, Ink, Point, Stroke, Svg, Type};
use crate::report::values::{parts, quantity};

/// Dots up to which each run has one; beyond, a line is drawn.
const DOTS: usize = 300;

/// The picture; `None` without a point.
pub(super) fn draw(course: &Course, narrow: bool) -> Option<Svg> {
    let points = &course.timeline.points;
    let unit = &course.timeline.unit;
    let last = points.last()?;
    // The scale of the largest value: all ticks in the same unit.
    let values = points.iter().map(|point| point.value);
    let (low, high) = values
        .clone()
        .fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    let factor = factor(high.abs().max(low.abs()), unit);
    let shown: Vec<Point> = values
        .enumerate()
        .map(|(run, value)| (run as f64, Some(value * factor.0)))
        .collect();
    let canvas = Canvas::new(
        if narrow { 336.0 } else { 1074.0 },
        if narrow { 220.0 } else { 250.0 },
    );
    let room = (high - low).max(high.abs() * 0.02) * 0.12;
    let floor = if low >= 0.0 {
        (low - room).max(0.0)
    } else {
        low - room
    };
    let y = Axis::linear(floor * factor.0, (high + room) * factor.0, 5);
    let end = (points.len() - 1) as f64;
    let x = Axis::at(-0.5, end + 0.5, &dates(course, narrow));
    let mut plot = canvas.plot(canvas.bounds(), 12.0, (x, ""), (y, &factor.1));
    if points.len() > DOTS {
        plot.curve(&shown, Stroke::solid(Ink::Blue, 1.0).faint(0.45));
    } else {
        for (place, point) in shown.iter().zip(points) {
            let tip = format!("{}: {}", point.started, quantity(point.value, unit));
            canvas.hover(&tip, |canvas| {
                let at = plot.at(place.0, place.1.unwrap_or_default());
                canvas.dot(at, 2.6, Ink::Blue, 0.55);
            });
        }
    }
    for level in &course.levels {
        let value = level.median * factor.0;
        let (from, to) = (level.range.start as f64 - 0.4, level.range.end as f64 - 0.6);
        canvas.line(
            &[plot.at(from, value), plot.at(to, value)],
            Stroke::solid(Ink::Text, 1.8),
        );
    }
    let turns = course.turns();
    for turn in &turns {
        let ink = match turn.verdict {
            Verdict::Better => Ink::Green,
            _ => Ink::Red,
        };
        plot.mark(turn.at as f64 - 0.5, Stroke::dashed(ink, 1.4));
        let (x, _) = plot.at(turn.at as f64 - 0.5, 0.0);
        let change = turn
            .change()
            .map_or(String::new(), |change| format!("{:+.1} %", change * 100.0));
        let fits = turns.len() <= if narrow { 3 } else { 10 };
        if fits {
            let left = x > plot.area.x + plot.area.width - 60.0;
            let look = Type::plain(ink).size(11.0).bold().halo();
            let look = if left { look.align(Align::End) } else { look };
            let place = (x + if left { -5.0 } else { 5.0 }, plot.area.y + 8.0);
            canvas.text(place, &change, look);
        }
    }
    let told = format!(
        "{} runs, {} changes, {} in the last",
        points.len(),
        turns.len(),
        quantity(last.value, unit)
    );
    Some(canvas.finish(told))
}

/// What values are multiplied with to be in the unit that people read, and that unit.
fn factor(largest: f64, unit: &str) -> (f64, String) {
    if unit == "ratio" {
        return (100.0, "%".to_owned());
    }
    let steps: &[(f64, &str)] = match unit {
        "bytes" => &[
            (1024.0 * 1024.0 * 1024.0, "GiB"),
            (1024.0 * 1024.0, "MiB"),
            (1024.0, "KiB"),
        ],
        "seconds" => &[(1.0, "s"), (1e-3, "ms"), (1e-6, "\u{b5}s"), (1e-9, "ns")],
        _ => return (1.0, parts(1.0, unit).1),
    };
    let found = steps
        .iter()
        .find(|(size, _)| largest >= *size)
        .or(steps.last());
    found.map_or((1.0, String::new()), |(size, name)| {
        (1.0 / size, (*name).to_owned())
    })
}

/// The days of some runs, as far apart as there is room.
fn dates(course: &Course, narrow: bool) -> Vec<(f64, String)> {
    let points = &course.timeline.points;
    let most = if narrow { 3 } else { 8 };
    let step = points.len().div_ceil(most).max(1);
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for (index, point) in points.iter().enumerate().skip(step / 2).step_by(step) {
        let day: String = point.started.chars().take(10).collect();
        if ticks.last().is_none_or(|last| last.1 != day) {
            ticks.push((index as f64, day));
        }
    }
    ticks
}
