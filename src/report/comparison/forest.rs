//! The results as a forest plot: one line each, improvement to the right, its interval, and the band that counts as the same.

use super::{Against, Row, Verdict};
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, clean, fit, width};

/// Lines of a picture; the table has all.
pub(super) const MOST: usize = 40;

const HEAD: f64 = 26.0;
const FOOT: f64 = 36.0;

/// Where the parts of a picture lie.
struct Frame {
    width: f64,
    narrow: bool,
    /// Between these the axis lies.
    left: f64,
    right: f64,
    /// Logarithm of the gain at the ends of the axis.
    reach: f64,
}

impl Frame {
    fn row(&self) -> f64 {
        if self.narrow { 42.0 } else { 26.0 }
    }

    fn at(&self, gain: f64) -> f64 {
        let share = (gain.ln() / self.reach).clamp(-1.0, 1.0);
        (self.left + self.right) / 2.0 + share * (self.right - self.left) / 2.0
    }
}

/// The picture of the results of `against`; `None` where none has an interval.
pub(super) fn draw(against: &Against, margin: f64, narrow: bool) -> Option<Svg> {
    let rows: Vec<&Row> = against
        .results()
        .filter(|row| row.change.is_ok())
        .take(MOST)
        .collect();
    let ends = rows.iter().filter_map(|row| row.change.as_ref().ok());
    let ends = ends.flat_map(|change| [change.gain.low, change.gain.high]);
    let reach = ends
        .map(|end| end.ln().abs())
        .filter(|end| end.is_finite())
        .fold(0.0, f64::max);
    if rows.is_empty() {
        return None;
    }
    let frame = Frame {
        width: if narrow { 336.0 } else { 1074.0 },
        narrow,
        left: if narrow { 6.0 } else { 420.0 },
        right: if narrow { 330.0 } else { 820.0 },
        // Twice the margin at least, a sixteenfold at most: beyond, intervals run into the border.
        reach: (reach * 1.08).clamp((1.0 + 2.0 * margin).ln(), 16f64.ln()),
    };
    let bottom = HEAD + frame.row() * rows.len() as f64;
    let canvas = Canvas::new(frame.width, bottom + FOOT);
    axis(&canvas, &frame, margin, bottom);
    for (index, row) in rows.iter().enumerate() {
        line(&canvas, &frame, row, HEAD + frame.row() * index as f64);
    }
    let told = rows.iter().map(|row| {
        format!(
            "{}: {}, {}",
            clean(&row.name),
            super::percent(row).unwrap_or_default(),
            row.word()
        )
    });
    Some(canvas.finish(told.collect::<Vec<_>>().join("; ")))
}

fn axis(canvas: &Canvas, frame: &Frame, margin: f64, bottom: f64) {
    let (from, to) = (frame.at(1.0 / (1.0 + margin)), frame.at(1.0 + margin));
    canvas.fill(
        (from, HEAD - 4.0),
        (to - from, bottom - HEAD + 8.0),
        Ink::Quiet,
        0.28,
    );
    for (index, label, gain) in ticks(frame) {
        let x = frame.at(if index < 0 { 1.0 / gain } else { gain });
        let stroke = if index == 0 {
            Stroke::solid(Ink::Soft, 1.2)
        } else {
            Stroke::solid(Ink::Line, 1.0)
        };
        canvas.line(&[(x, HEAD - 4.0), (x, bottom + 4.0)], stroke);
        // Half of the longest label: none may leave the picture.
        const HALF: f64 = 20.0;
        let align = if x + HALF > frame.width {
            Align::End
        } else if x < HALF {
            Align::Start
        } else {
            Align::Middle
        };
        let look = Type::plain(Ink::Soft).size(11.0).align(align);
        canvas.text((x, bottom + 14.0), &label, look);
    }
    let look = Type::plain(Ink::Soft).size(11.0);
    canvas.text((frame.left, 9.0), "\u{2190} worse by", look);
    canvas.text(
        (frame.right, 9.0),
        "better by \u{2192}",
        look.align(Align::End),
    );
}

/// The lines of the axis: number from the middle, what it says, and the gain there. In per cent up to twice as much, in doublings beyond.
fn ticks(frame: &Frame) -> Vec<(i32, String, f64)> {
    let most = frame.reach.exp();
    let doublings = most > 2.2;
    let step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5]
        .into_iter()
        .find(|step| (most - 1.0) / step <= if frame.narrow { 2.2 } else { 4.2 })
        .unwrap_or(1.0);
    let count = if doublings {
        most.log2()
    } else {
        (most - 1.0) / step
    };
    let tick = |index: i32| {
        let steps = f64::from(index.abs());
        let gain = if doublings {
            steps.exp2()
        } else {
            1.0 + step * steps
        };
        let label = match index {
            0 => "same".to_owned(),
            _ if doublings => format!("{gain} \u{d7}"),
            _ => format!("{:.*} %", usize::from(step < 0.01), step * 100.0 * steps),
        };
        (index, label, gain)
    };
    let count = count.floor() as i32;
    (-count..=count).map(tick).collect()
}

/// The colour of a verdict.
fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Better => Ink::Blue,
        Verdict::Worse => Ink::Red,
        Verdict::Same | Verdict::Inconclusive => Ink::Soft,
    }
}

fn line(canvas: &Canvas, frame: &Frame, row: &Row, top: f64) {
    let Ok(change) = &row.change else { return };
    let ink = ink(row.verdict);
    let text = super::percent(row).unwrap_or_default();
    let tip = format!("{}: {text}, {}", row.name, row.word());
    canvas.hover(&clean(&tip), |canvas| {
        let size = if frame.narrow { 11.0 } else { 12.0 };
        let centre = if frame.narrow {
            top + 30.0
        } else {
            top + frame.row() / 2.0
        };
        let look = Type::plain(Ink::Text).size(size);
        let word = row.word();
        if frame.narrow {
            let room = frame.width - width(word, size, true) - 12.0;
            canvas.text(
                (0.0, top + 12.0),
                &fit(&clean(&row.name), size, false, room),
                look.halo(),
            );
            let end = Type::plain(ink).size(size).bold().align(Align::End);
            canvas.text((frame.width, top + 12.0), word, end);
        } else {
            let name = fit(&clean(&row.name), size, false, frame.left - 14.0);
            canvas.text((0.0, centre), &name, look);
            canvas.text(
                (frame.right + 14.0, centre),
                word,
                Type::plain(ink).size(size).bold(),
            );
            let end = Type::plain(Ink::Soft).size(size).align(Align::End);
            canvas.text((frame.width, centre), &short(row), end);
        }
        let (from, to) = (frame.at(change.gain.low), frame.at(change.gain.high));
        canvas.line(&[(from, centre), (to, centre)], Stroke::solid(ink, 2.0));
        let opacity = if row.verdict == Verdict::Inconclusive {
            0.25
        } else {
            1.0
        };
        canvas.dot((frame.at(change.gain.estimate), centre), 4.2, ink, opacity);
    });
}

/// `-5.1 %`, or `2.6 x` where a value has at least doubled.
fn short(row: &Row) -> String {
    let ratio = row.change.as_ref().map(|change| change.ratio.estimate);
    ratio.map_or(String::new(), |ratio| match ratio {
        2.0.. => format!("{ratio:.1} \u{d7}"),
        _ => format!("{:+.1} %", (ratio - 1.0) * 100.0),
    })
}
