//! The icicle of a narrow page: time runs down, names stand beside.

use super::{Block, told};
use crate::report::charts::Frame;
use crate::report::draw::{Align, Canvas, Ink, Stroke, Type, fit, spread};
use crate::report::values::{duration, quantity};

/// Height of a whole step.
const HEIGHT: f64 = 460.0;
/// Room for the line above.
const HEAD: f64 = 20.0;
/// Width of the column of passes.
const PASS: f64 = 74.0;
/// Left edge of the column of operators, and its width.
const LEFT: f64 = PASS + 4.0;
const OPERATOR: f64 = 132.0;
/// Height of a line of text.
const LINE: f64 = 15.0;

/// The icicle down `frame`.
pub(super) fn draw(frame: Frame, passes: &[Block], operators: &[Block], step: f64) -> Canvas {
    let canvas = Canvas::new(frame.width, HEAD + HEIGHT + 10.0);
    let head = format!("one step, {}, from top to bottom", duration(step));
    canvas.text((0.0, 6.0), &head, Type::plain(Ink::Soft).size(11.0));
    for block in passes {
        canvas.hover(&told(block), |canvas| pass(canvas, block));
    }
    let mut small = Vec::new();
    for block in operators {
        canvas.hover(&told(block), |canvas| operator(canvas, block));
        if block.share * HEIGHT < LINE && block.share >= 0.0005 {
            small.push(block);
        }
    }
    callouts(&canvas, &small);
    canvas
}

/// Upper edge and height of a block.
fn extent(block: &Block) -> (f64, f64) {
    (HEAD + block.from * HEIGHT, block.share * HEIGHT)
}

fn share(block: &Block) -> String {
    quantity(block.share, "ratio")
}

fn pass(canvas: &Canvas, block: &Block) {
    let (y, long) = extent(block);
    canvas.fill(
        (0.0, y + 0.75),
        (PASS, (long - 1.5).max(0.5)),
        block.ink,
        0.42,
    );
    if long >= 2.0 * LINE && block.ink != Ink::Quiet {
        canvas.text((7.0, y + 12.0), &block.label, Type::plain(Ink::Text));
        canvas.text(
            (7.0, y + 27.0),
            &share(block),
            Type::plain(Ink::Soft).size(11.0),
        );
    }
}

fn operator(canvas: &Canvas, block: &Block) {
    let (y, long) = extent(block);
    canvas.fill(
        (LEFT, y + 0.75),
        (OPERATOR, (long - 1.5).max(0.5)),
        block.ink,
        0.2,
    );
    if long >= LINE {
        let middle = y + long / 2.0;
        let label = fit(&block.label, 11.0, false, OPERATOR - 58.0);
        canvas.text(
            (LEFT + 7.0, middle),
            &label,
            Type::plain(Ink::Text).size(11.0),
        );
        let look = Type::plain(Ink::Soft).size(11.0).align(Align::End);
        canvas.text((LEFT + OPERATOR - 7.0, middle), &share(block), look);
    }
}

/// Names of blocks too low to hold them, at the right, with a thin line to each.
fn callouts(canvas: &Canvas, small: &[&Block]) {
    const EDGE: f64 = LEFT + OPERATOR;
    let middle = |block: &&Block| HEAD + (block.from + block.share / 2.0) * HEIGHT;
    let wanted: Vec<f64> = small.iter().map(middle).collect();
    let places = spread(
        &wanted,
        &vec![LINE; wanted.len()],
        HEAD,
        HEAD + HEIGHT + 8.0,
    );
    for ((block, from), to) in small.iter().zip(&wanted).zip(places) {
        let elbow = [
            (EDGE + 1.0, *from),
            (EDGE + 5.0, *from),
            (EDGE + 15.0, to),
            (EDGE + 19.0, to),
        ];
        canvas.line(&elbow, Stroke::solid(block.ink, 0.8).faint(0.7));
        let text = format!("{} {}", block.label, share(block));
        let text = fit(&text, 10.0, false, canvas.width - EDGE - 22.0);
        canvas.text((EDGE + 22.0, to), &text, Type::plain(Ink::Text).size(10.0));
    }
}
