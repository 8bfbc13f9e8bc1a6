//! Vector kernels beside the bandwidth of the level that they work in.

use super::Headline;
use crate::report::values::{self, many};
use crate::report::view::{View, at_threads};
use crate::units::Ratio;

pub(super) fn simd(view: &View<'_>) -> Option<Headline> {
    let shares = shares(view);
    let most = shares.iter().map(|share| share.threads).max()?;
    // The working sets come from L1 to memory: the last is the largest.
    let set = shares.last()?.set;
    let mut here: Vec<&Share<'_>> = shares
        .iter()
        .filter(|share| share.threads == most && share.set == set)
        .collect();
    here.sort_by(|one, other| other.share.total_cmp(&one.share));
    let (best, least) = (here.first()?, here.last()?);
    let middle = here[here.len() / 2].share;
    let on = many(most as usize, "thread");
    let named =
        |share: &Share<'_>| format!("{} {}", values::words(share.kernel), Ratio(share.share));
    Some(Headline {
        suite: "simd",
        title: "Vector kernels",
        big: (
            format!("{:.1}", middle * 100.0),
            format!(
                "% of the bandwidth at {} on {on}, median kernel",
                set_label(set)
            ),
        ),
        line: format!(
            "{} of the bandwidth at {} on {on} (median kernel), least {}",
            Ratio(middle),
            set_label(set),
            named(least)
        ),
        pairs: vec![
            ("nearest to it".to_owned(), named(best)),
            ("farthest from it".to_owned(), named(least)),
        ],
    })
}

/// A kernel's share of bandwidth in its fastest instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Share<'a> {
    /// `gelu`.
    pub(crate) kernel: &'a str,
    /// `256k`.
    pub(crate) set: &'a str,
    /// How many threads.
    pub(crate) threads: u32,
    /// `avx2`.
    pub(crate) isa: &'a str,
    /// Of the bandwidth.
    pub(crate) share: f64,
}

/// `simd.KERNEL.SET.ISA.tN.share_of_bandwidth`, of each the instruction set that goes farthest.
pub(crate) fn shares<'a>(view: &View<'a>) -> Vec<Share<'a>> {
    let mut all: Vec<Share<'a>> = Vec::new();
    for metric in view.metrics_under("simd.") {
        let Some((before, threads, "share_of_bandwidth")) = at_threads(&metric.name) else {
            continue;
        };
        let parts: Vec<&str> = before.split('.').collect();
        let ([_, kernel, set, isa], Some(share)) = (&parts[..], values::known(metric.value)) else {
            continue;
        };
        let new = Share {
            kernel,
            set,
            threads,
            isa,
            share,
        };
        match all.iter_mut().find(|known| {
            (known.kernel, known.set, known.threads) == (new.kernel, new.set, new.threads)
        }) {
            Some(known) if known.share < share => *known = new,
            Some(_) => {}
            None => all.push(new),
        }
    }
    all
}

/// `256 KiB` for `256k`.
pub(crate) fn set_label(set: &str) -> String {
    match set.split_at_checked(set.len().saturating_sub(1)) {
        Some((number, "k")) => format!("{number} KiB"),
        Some((number, "m")) => format!("{number} MiB"),
        _ => set.to_owned(),
    }
}
