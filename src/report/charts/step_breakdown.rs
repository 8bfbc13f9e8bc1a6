//! Where a step goes: an icicle, passes above operators, length is time.

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Axis, Canvas, Ink, Stroke, Svg, Type, spread, width};
use crate::report::values::{duration, quantity};
use crate::report::view::{Input, PASSES, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "step-breakdown",
    title: "Where a step goes",
    how_to_read: "Length is time: first the pass, then its operators, the longest first; grey is time outside all operators.",
    subject: Subject::Training,
    span: Span::Full,
    suite: "training",
    inputs,
    draw,
    table: None,
};

/// One block of the icicle, in shares of the step.
struct Block {
    label: String,
    from: f64,
    share: f64,
    seconds: f64,
    ink: Ink,
    pass: String,
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let operators = view.operator_metrics("step_seconds");
    let step = view.metric(&view.name("training", "step_seconds"));
    let time = Input::of_metrics("time by operator", operators.into_iter().map(|row| row.2));
    time.into_iter()
        .chain(Input::of_metrics("step", step))
        .collect()
}

/// The colour of a pass.
pub(super) fn ink(pass: &str) -> Ink {
    match pass {
        "forward" => Ink::Blue,
        "backward" => Ink::Orange,
        "optimizer" => Ink::Green,
        _ => Ink::Quiet,
    }
}

/// Passes, operators, and the seconds of the whole step.
fn blocks(view: &View<'_>) -> Option<(Vec<Block>, Vec<Block>, f64)> {
    let operators = view.operators();
    let inside: f64 = operators.iter().map(|operator| operator.seconds).sum();
    let step = view
        .value(&view.name("training", "step_seconds"))
        .unwrap_or(inside)
        .max(inside);
    if operators.is_empty() || step <= 0.0 {
        return None;
    }
    let mut from = 0.0;
    let mut rows = Vec::new();
    for operator in operators {
        let share = operator.seconds / step;
        let ink = ink(&operator.pass);
        rows.push(Block {
            label: operator.label,
            from,
            share,
            seconds: operator.seconds,
            ink,
            pass: operator.pass,
        });
        from += share;
    }
    let mut passes = Vec::new();
    for pass in PASSES {
        let members: Vec<&Block> = rows.iter().filter(|row| row.pass == pass).collect();
        let (share, seconds) = (
            members.iter().map(|row| row.share).sum(),
            members.iter().map(|row| row.seconds).sum(),
        );
        if let Some(first) = members.first() {
            passes.push(Block {
                label: pass.to_owned(),
                from: first.from,
                share,
                seconds,
                ink: ink(pass),
                pass: String::new(),
            });
        }
    }
    let rest = 1.0 - from;
    if rest > 0.0005 {
        let label = "outside operators".to_owned();
        passes.push(Block {
            label,
            from,
            share: rest,
            seconds: rest * step,
            ink: Ink::Quiet,
            pass: String::new(),
        });
    }
    Some((passes, rows, step))
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (passes, operators, step) = blocks(view).ok_or_else(|| super::reasons(&inputs(view)))?;
    let canvas = if frame.narrow {
        upright(frame, &passes, &operators, step)
    } else {
        flat(frame, &passes, &operators, step)
    };
    let told: Vec<String> = passes
        .iter()
        .map(|block| format!("{} {}", block.label, quantity(block.share, "ratio")))
        .collect();
    let largest = operators
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let largest = largest.map(|block| {
        format!(
            " Largest operator: {} {}, {}.",
            block.label,
            block.pass,
            quantity(block.share, "ratio")
        )
    });
    Ok(canvas.finish(format!(
        "A step takes {}: {}.{}",
        duration(step),
        told.join(", "),
        largest.unwrap_or_default()
    )))
}

fn told(block: &Block) -> String {
    let pass = if block.pass.is_empty() {
        String::new()
    } else {
        format!(", {}", block.pass)
    };
    format!(
        "{}{pass}: {}, {} of the step",
        block.label,
        duration(block.seconds),
        quantity(block.share, "ratio")
    )
}

/// Time runs to the right.
fn flat(frame: Frame, passes: &[Block], operators: &[Block], step: f64) -> Canvas {
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

/// Time runs down: for a narrow page.
fn upright(frame: Frame, passes: &[Block], operators: &[Block], step: f64) -> Canvas {
    const HEIGHT: f64 = 460.0;
    const HEAD: f64 = 20.0;
    const PASS: f64 = 74.0;
    const OPERATOR: f64 = 132.0;
    const LINE: f64 = 15.0;
    let canvas = Canvas::new(frame.width, HEAD + HEIGHT + 10.0);
    canvas.text(
        (0.0, 6.0),
        &format!("one step, {}, from top to bottom", duration(step)),
        Type::plain(Ink::Soft).size(11.0),
    );
    for block in passes {
        let (y, long) = (HEAD + block.from * HEIGHT, block.share * HEIGHT);
        canvas.hover(&told(block), |canvas| {
            canvas.fill(
                (0.0, y + 0.75),
                (PASS, (long - 1.5).max(0.5)),
                block.ink,
                0.42,
            );
            if long >= 32.0 && block.ink != Ink::Quiet {
                canvas.text((7.0, y + 12.0), &block.label, Type::plain(Ink::Text));
                canvas.text(
                    (7.0, y + 27.0),
                    &quantity(block.share, "ratio"),
                    Type::plain(Ink::Soft).size(11.0),
                );
            }
        });
    }
    let mut small = Vec::new();
    for block in operators {
        let (y, long) = (HEAD + block.from * HEIGHT, block.share * HEIGHT);
        canvas.hover(&told(block), |canvas| {
            canvas.fill(
                (PASS + 4.0, y + 0.75),
                (OPERATOR, (long - 1.5).max(0.5)),
                block.ink,
                0.2,
            );
            if long >= LINE {
                let middle = y + long / 2.0;
                canvas.text(
                    (PASS + 11.0, middle),
                    &block.label,
                    Type::plain(Ink::Text).size(11.0),
                );
                let share = Type::plain(Ink::Soft).size(11.0).align(Align::End);
                canvas.text(
                    (PASS + OPERATOR - 3.0, middle),
                    &quantity(block.share, "ratio"),
                    share,
                );
            }
        });
        if long < LINE {
            small.push(block);
        }
    }
    small.retain(|block| block.share >= 0.0005);
    let wanted: Vec<f64> = small
        .iter()
        .map(|block| HEAD + (block.from + block.share / 2.0) * HEIGHT)
        .collect();
    let edge = PASS + 4.0 + OPERATOR;
    for ((block, from), to) in small.iter().zip(&wanted).zip(spread(
        &wanted,
        &vec![LINE; wanted.len()],
        HEAD,
        HEAD + HEIGHT + 8.0,
    )) {
        let elbow = [
            (edge + 1.0, *from),
            (edge + 5.0, *from),
            (edge + 15.0, to),
            (edge + 19.0, to),
        ];
        canvas.line(&elbow, Stroke::solid(block.ink, 0.8).faint(0.7));
        let text = format!("{} {}", block.label, quantity(block.share, "ratio"));
        canvas.text((edge + 22.0, to), &text, Type::plain(Ink::Text).size(10.0));
    }
    canvas
}
