//! What single and batched products have in common.

use crate::report::contests::{Contest, peer};
use crate::report::values::{self, many};
use crate::report::view::View;

/// The contests on so many threads in which ours has a speed.
pub(super) fn with_ours<'c, 'a>(all: &'c [Contest<'a>], threads: u32) -> Vec<&'c Contest<'a>> {
    all.iter()
        .filter(|contest| contest.threads == threads && contest.ours().is_some())
        .collect()
}

/// `1.08x the best peer`, and the peer's name.
pub(super) fn lead(view: &View<'_>, contest: &Contest<'_>) -> Option<(String, String)> {
    let factor = values::known(contest.lead(view)?.value)?;
    let peer = peer(contest.best_peer()?.variant);
    Some((format!("{factor:.2}x the best peer"), peer))
}

/// How often ours is ahead of every peer.
pub(super) fn tally(
    view: &View<'_>,
    contests: &[&Contest<'_>],
    on: &str,
) -> Option<(String, String)> {
    let leads: Vec<f64> = contests
        .iter()
        .filter_map(|contest| contest.lead(view)?.value)
        .collect();
    let ahead = leads.iter().filter(|lead| **lead >= 1.0).count();
    let text = format!("in {ahead} of {}", many(leads.len(), "product"));
    (!leads.is_empty()).then(|| (format!("ahead on {on}"), text))
}
