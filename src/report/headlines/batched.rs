//! Many small products beside peers.

use super::Headline;
use super::products::{lead, tally, with_ours};
use crate::report::contests::{contests, ends};
use crate::report::values::many;
use crate::report::view::View;
use crate::units::digits;
use std::fmt::Write;

pub(super) fn batched(view: &View<'_>) -> Option<Headline> {
    let all = contests(view, "batched");
    let here = with_ours(&all, *ends(&all).last()?);
    let contest = here.first()?;
    let ours = contest.ours()?;
    let on = many(contest.threads as usize, "thread");
    let name = format!(
        "batched.{}.{}.t{}.speedup_over_loop",
        contest.case, ours.variant, contest.threads
    );
    let speed = digits(ours.gflops?);
    let mut line = format!("{} {speed} GFLOP/s on {on}", contest.label());
    let mut pairs = Vec::new();
    if let Some(gain) = view.value(&name) {
        pairs.push(("one call over many".to_owned(), format!("{gain:.2}x")));
        let _ = write!(line, ", {gain:.2}x one call each");
    }
    if let Some((over, peer)) = lead(view, contest) {
        let _ = write!(line, ", {over}");
        pairs.push((peer, over));
    }
    pairs.extend(tally(view, &here, &on));
    Some(Headline {
        suite: "batched",
        title: "Many small products",
        big: (
            speed.clone(),
            format!("GFLOP/s, {} on {on}", contest.label()),
        ),
        line,
        pairs,
    })
}
