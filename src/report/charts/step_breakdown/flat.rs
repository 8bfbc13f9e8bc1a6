//! The icicle of a wide page: time runs to the right.

use super::{Block, told};
use crate::report::charts::Frame;
use crate::report::draw::{Align, Axis, Canvas, Ink, Stroke, Type, spread, width};
use crate::report::values::quantity;

/// The icicle across `frame`.
pub(super) fn draw(frame: Frame, passes: &[Block], operators: &[Block], step: f64) -> Canvas {
    const TOP: f64 = 22.0;
    const PASS: f64 = 44.0;
    const OPERATOR: f64 = 66.0;
    let foot = TOP + PASS + 4.0 + OPERATOR;
    let labelled = |block: &Block| lines(block, frame.width * block.share).is_some();
    let outside = passes.iter().filter(|block| block.ink == Ink::Quiet);
    let small: Vec<&Block> = operators
        .iter()
        .chain(outside)
        .filter(|block| !labelled(block))
        .collect();
    let canvas = Canvas::new(
        frame.width,
        foot + if small.is_empty() { 4.0 } else { 64.0 },
    );
    scale(&canvas, step, TOP - 6.0);
    for (row, y, height, opacity) in [
        (passes, TOP, PASS, 0.42),
        (operators, TOP + PASS + 4.0, OPERATOR, 0.2),
    ] {
        for block in row {
            let (x, long) = (block.from * frame.width, block.share * frame.width);
            canvas.hover(&told(block), |canvas| {
                canvas.fill(
                    (x + 0.75, y),
                    ((long - 1.5).max(0.5), height),
                    block.ink,
                    opacity,
                );
                if let Some(lines) = lines(block, long) {
                    write(
                        canvas,
                        (x + 8.0, y + height / 2.0),
                        &lines,
                        &quantity(block.share, "ratio"),
                    );
                }
            });
        }
    }
    callouts(&canvas, foot, &small);
    canvas
}

/// The name of a block in one or two lines that fit into `room`.
fn lines(block: &Block, room: f64) -> Option<Vec<&str>> {
    let fits = |text: &str| width(text, 12.0, false) + 14.0 <= room;
    let share = fits(&quantity(block.share, "ratio"));
    if share && fits(&block.label) {
        return Some(vec![&block.label]);
    }
    let (first, second) = block.label.split_once(' ')?;
    (share && fits(first) && fits(second)).then(|| vec![first, second])
}

/// The lines of a name, its share under them, centred on the height of `place`.
fn write(canvas: &Canvas, place: (f64, f64), lines: &[&str], share: &str) {
    const LINE: f64 = 16.0;
    let first = place.1 - LINE * lines.len() as f64 / 2.0;
    for (row, line) in lines.iter().enumerate() {
        canvas.text(
            (place.0, first + row as f64 * LINE),
            line,
            Type::plain(Ink::Text),
        );
    }
    canvas.text(
        (place.0, first + lines.len() as f64 * LINE),
        share,
        Type::plain(Ink::Soft),
    );
}

/// Milliseconds along the upper edge.
fn scale(canvas: &Canvas, step: f64, y: f64) {
    let unit = if step < 1.0 { (1e3, "ms") } else { (1.0, "s") };
    for (value, label) in Axis::linear(0.0, step * unit.0, 8).ticks() {
        let x = value / (step * unit.0) * canvas.width;
        let last = x > canvas.width - 40.0;
        canvas.line(&[(x, y), (x, y + 4.0)], Stroke::solid(Ink::Soft, 1.0));
        let align = if *value == 0.0 {
            Align::Start
        } else if last {
            Align::End
        } else {
            Align::Middle
        };
        let text = if *value == 0.0 {
            format!("0 {}", unit.1)
        } else {
            label.clone()
        };
        canvas.text(
            (x, y - 8.0),
            &text,
            Type::plain(Ink::Soft).size(11.0).align(align),
        );
    }
}

/// Names of blocks too short to hold them, under the blocks, with a thin line to each.
fn callouts(canvas: &Canvas, top: f64, small: &[&Block]) {
    const SIZE: f64 = 11.0;
    let share = |block: &Block| quantity(block.share, "ratio");
    let room = |block: &Block| {
        width(&block.label, SIZE, false).max(width(&share(block), SIZE, false)) + 14.0
    };
    let mut told: Vec<&Block> = small.to_vec();
    told.sort_by(|a, b| b.share.total_cmp(&a.share));
    let mut used = 0.0;
    told.retain(|block| {
        used += room(block);
        used <= canvas.width && block.share >= 0.0005
    });
    let wanted: Vec<f64> = told
        .iter()
        .map(|block| (block.from + block.share / 2.0) * canvas.width)
        .collect();
    let sizes: Vec<f64> = told.iter().map(|block| room(block)).collect();
    for ((block, from), to) in
        told.iter()
            .zip(&wanted)
            .zip(spread(&wanted, &sizes, 0.0, canvas.width))
    {
        let elbow = [
            (*from, top + 1.0),
            (*from, top + 6.0),
            (to, top + 20.0),
            (to, top + 25.0),
        ];
        canvas.line(&elbow, Stroke::solid(block.ink, 0.8).faint(0.7));
        canvas.text(
            (to, top + 35.0),
            &block.label,
            Type::plain(Ink::Text).size(SIZE).align(Align::Middle),
        );
        canvas.text(
            (to, top + 50.0),
            &share(block),
            Type::plain(Ink::Soft).size(SIZE).align(Align::Middle),
        );
    }
}
