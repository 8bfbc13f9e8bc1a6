//! Matrix products beside peers.

use super::Headline;
use super::products::{lead, tally, with_ours};
use crate::report::contests::{Contest, contests, ends};
use crate::report::values::many;
use crate::report::view::View;
use crate::units::Ratio;

/// The product that stands for all, where it was measured; else the largest that was.
const CHOSEN: &str = "1024x1024x1024.nn";

pub(super) fn matmul(view: &View<'_>) -> Option<Headline> {
    let all = contests(view, "gemm");
    let mut found: Option<Headline> = None;
    for threads in ends(&all) {
        let here: Vec<&Contest<'_>> = with_ours(&all, threads);
        let chosen = here.iter().find(|contest| contest.case == CHOSEN);
        let Some(contest) = chosen.or_else(|| here.last()) else {
            continue;
        };
        let Some(share) = contest.ours().and_then(|ours| contest.share(ours)) else {
            continue;
        };
        let on = many(threads as usize, "thread");
        let lead = lead(view, contest);
        let over = lead
            .as_ref()
            .map_or(String::new(), |(over, _)| format!(", {over}"));
        let line = format!("{} {} of peak on {on}{over}", contest.label(), Ratio(share));
        let headline = found.get_or_insert_with(|| Headline {
            suite: "matmul",
            title: "Matrix products",
            big: (
                format!("{:.1}", share * 100.0),
                format!("% of the peak, {} on {on}", contest.label()),
            ),
            pairs: Vec::new(),
            line: String::new(),
        });
        if !headline.line.is_empty() {
            headline.line.push_str("; ");
        }
        headline.line.push_str(&line);
        if let Some((over, _)) = lead {
            headline.pairs.push((format!("on {on}"), over));
        }
        headline.pairs.extend(tally(view, &here, &on));
    }
    found
}
