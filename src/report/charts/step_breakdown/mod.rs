//! Where a step goes: an icicle, passes above operators, length is time.

mod flat;
mod upright;

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Ink, Svg};
use crate::report::values::{duration, quantity};
use crate::report::view::{Input, Operator, PASSES, View};

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

impl Block {
    /// A block of the first row.
    fn group(label: &str, from: f64, share: f64, seconds: f64, ink: Ink) -> Self {
        Self {
            label: label.to_owned(),
            from,
            share,
            seconds,
            ink,
            pass: String::new(),
        }
    }
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let operators = view.operator_metrics("step_seconds");
    let step = view.metric(&view.name("training", "step_seconds"));
    let time = Input::of_metrics("time by operator", operators.into_iter().map(|row| row.2));
    // Where no operator was timed, as in post-training, the step alone says nothing about where it goes.
    let Some(time) = time else {
        return Vec::new();
    };
    std::iter::once(time)
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
    let step = view.step_seconds().filter(|_| !operators.is_empty())?;
    let mut from = 0.0;
    let mut rows = Vec::new();
    for operator in operators {
        let (share, ink) = (operator.seconds / step, ink(&operator.pass));
        let Operator {
            label,
            seconds,
            pass,
            ..
        } = operator;
        rows.push(Block {
            label,
            from,
            share,
            seconds,
            ink,
            pass,
        });
        from += share;
    }
    let mut passes = Vec::new();
    for pass in PASSES {
        let members: Vec<&Block> = rows.iter().filter(|row| row.pass == pass).collect();
        let Some(first) = members.first() else {
            continue;
        };
        let share = members.iter().map(|row| row.share).sum();
        let seconds = members.iter().map(|row| row.seconds).sum();
        passes.push(Block::group(pass, first.from, share, seconds, ink(pass)));
    }
    let rest = 1.0 - from;
    if rest > 0.0005 {
        passes.push(Block::group(
            "outside operators",
            from,
            rest,
            rest * step,
            Ink::Quiet,
        ));
    }
    Some((passes, rows, step))
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let (passes, operators, step) = blocks(view).ok_or_else(|| super::reasons(&inputs(view)))?;
    let canvas = if frame.narrow {
        upright::draw(frame, &passes, &operators, step)
    } else {
        flat::draw(frame, &passes, &operators, step)
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
