//! How fast text is written.

use super::Headline;
use crate::report::charts::generation::speeds;
use crate::report::values::{many, quantity};
use crate::report::view::View;
use crate::units::Ratio;
use std::fmt::Write;

pub(super) fn generation(view: &View<'_>) -> Option<Headline> {
    let all = speeds(view);
    let most = all.iter().map(|one| one.threads).max()?;
    let one = all.iter().rev().find(|one| one.threads == most)?;
    let on = many(most as usize, "thread");
    let value = |rest: &str| {
        let name = format!("generation.{}.{rest}", one.case);
        view.value(&name)
    };
    let speed = quantity(value(&format!("b1.t{most}.tokens_per_second"))?, "tokens/s");
    let mut line = format!("one text {speed} on {on}");
    let mut pairs = Vec::new();
    if let Some(share) = value(&format!("b1.t{most}.share_of_bandwidth")) {
        let share = Ratio(share).to_string();
        let _ = write!(line, ", {share} of the speed of reading the weights");
        pairs.push(("of reading the weights".to_owned(), share));
    }
    if let Some((texts, Some(together))) = one.points.last().filter(|last| last.0 > 1.0) {
        let together = quantity(*together, "tokens/s");
        let _ = write!(line, "; {texts} at once {together}");
        pairs.push((format!("{texts} texts at once"), together));
    }
    if let Some(prompt) = value(&format!("prompt.t{most}.tokens_per_second")) {
        pairs.push(("reading a prompt".to_owned(), quantity(prompt, "tokens/s")));
    }
    Some(Headline {
        suite: "generation",
        title: "Generation",
        big: (speed, format!("one text, {}, on {on}", one.case)),
        pairs,
        line,
    })
}
