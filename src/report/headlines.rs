//! What the suites beside training found, in a few words: for the first screen of the page and for the terminal.

use std::fmt::Write;

use super::charts::generation::speeds;
use super::contests::{Contest, contests, ends, peer};
use super::values::{self, many, quantity};
use super::view::{View, at_threads};
use crate::record::{Metric, Run};
use crate::units::{Ratio, digits};

/// The product that stands for all, where it was measured; else the largest that was.
const CHOSEN: &str = "1024x1024x1024.nn";

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// The suite: `matmul`.
    pub suite: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The number that stands for it, and what it is.
    pub big: (String, String),
    /// Other numbers with their names.
    pub pairs: Vec<(String, String)>,
    /// All of it on a line.
    pub line: String,
}

/// The findings of a run, one for each suite beside training that it has.
pub fn headlines(run: &Run) -> Vec<Headline> {
    let view = View::new(run, None);
    [
        generation, matmul, batched, simd, scaling, tuning, memory, frequency, fleet,
    ]
    .into_iter()
    .filter_map(|suite| suite(&view))
    .collect()
}

/// What training on all ranks gains, and how fast they add up.
fn fleet(view: &View<'_>) -> Option<Headline> {
    let under = view.metrics_under("fleet.");
    let of = |part: &str, end: &str| {
        let is_it = |metric: &&&Metric| metric.name.contains(part) && metric.name.ends_with(end);
        values::known(under.iter().find(is_it)?.value)
    };
    let ranks = view.run.fleet.len();
    let weak = of(&format!(".weak.r{ranks}."), ".efficiency")?;
    let gbps = of("fleet.network.", ".gbps");
    let strong = of(&format!(".strong.r{ranks}."), ".efficiency");
    let pairs = [
        (
            "one batch shared",
            strong.map(|share| Ratio(share).to_string()),
        ),
        ("bytes of a sum", gbps.map(|gbps| quantity(gbps, "GB/s"))),
    ];
    let pairs: Vec<_> = pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    let named: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let ranks = many(ranks, "rank");
    Some(Headline {
        suite: "fleet",
        title: "Several processes",
        big: (
            Ratio(weak).to_string(),
            format!("of the speed of {ranks} that need not wait"),
        ),
        line: [
            vec![format!("efficiency {} on {ranks}", Ratio(weak))],
            named,
        ]
        .concat()
        .join(", "),
        pairs,
    })
}

/// From the slowest to the fastest size, and how many falls there are between neighbours.
fn scaling(view: &View<'_>) -> Option<Headline> {
    let under = view.metrics_under("scaling.");
    let of = |quantity: &'static str| {
        let known = under
            .iter()
            .filter(move |metric| metric.name.ends_with(quantity));
        known.filter_map(|metric| values::known(metric.value))
    };
    let (low, high) = (
        of(".mfu").min_by(f64::total_cmp)?,
        of(".mfu").max_by(f64::total_cmp)?,
    );
    let cliffs = of(".mfu_step").count();
    let points = of(".mfu").count();
    let line = format!(
        "MFU {} to {} over {}, {}",
        Ratio(low),
        Ratio(high),
        many(points, "size"),
        many(cliffs, "cliff")
    );
    Some(Headline {
        suite: "scaling",
        title: "As sizes grow",
        big: (
            format!("{:.0} to {:.0}", low * 100.0, high * 100.0),
            format!("% of the peak over {}", many(points, "size")),
        ),
        pairs: vec![("falls by more than a fifth".to_owned(), cliffs.to_string())],
        line,
    })
}

/// The fastest operation in memory, with each kind of stores, and a load's latency on each kind of pages.
fn memory(view: &View<'_>) -> Option<Headline> {
    let under = view.metrics_under("memory.");
    let threads = under.iter().filter_map(|metric| at_threads(&metric.name));
    let threads = threads.map(|parts| parts.1).max()?;
    let best = |operation: &str| {
        let (prefix, suffix) = (
            format!("memory.{operation}.dram."),
            format!(".t{threads}.gbps"),
        );
        let of = under
            .iter()
            .filter(|metric| metric.name.starts_with(&prefix) && metric.name.ends_with(&suffix));
        of.filter_map(|metric| values::known(metric.value))
            .max_by(f64::total_cmp)
    };
    let read = best("read")?;
    let mut pairs = Vec::new();
    for (operation, what) in [
        ("triad", "triad, regular stores"),
        ("triad_nt", "triad, non-temporal stores"),
    ] {
        pairs.extend(best(operation).map(|gbps| (what.to_owned(), quantity(gbps, "GB/s"))));
    }
    for (pages, what) in [("2mb", "a load, 2 MB pages"), ("4kb", "a load, 4 KB pages")] {
        let name = format!("memory.latency.{pages}.dram.t1.nanoseconds");
        let latency = view.value(&name);
        pairs.extend(latency.map(|ns| (what.to_owned(), quantity(ns, "ns"))));
    }
    let rest: Vec<String> = pairs
        .iter()
        .map(|(what, value)| format!("{what} {value}"))
        .collect();
    let on = many(threads as usize, "thread");
    Some(Headline {
        suite: "memory",
        title: "Memory",
        big: (digits(read), format!("GB/s read from memory on {on}")),
        line: format!(
            "reads {} on {on}; {}",
            quantity(read, "GB/s"),
            rest.join(", ")
        ),
        pairs,
    })
}

/// The frequency from the lightest load on the fewest threads to the heaviest on the most.
fn frequency(view: &View<'_>) -> Option<Headline> {
    let under = view.metrics_under("frequency.sustained.");
    let known = |metric: &&crate::record::Metric| values::known(metric.value);
    let (first, last) = (
        under.first().and_then(known)?,
        under.last().and_then(known)?,
    );
    let lost = view.metrics_under("frequency.lost.").into_iter();
    let mut lost: Vec<(String, f64)> = lost
        .filter_map(|metric| {
            let (before, _, last) = at_threads(&metric.name)?;
            let reason = before.strip_prefix("frequency.lost.")?;
            let wanted = last == "share_of_nominal" && reason != "attained";
            let share = values::known(metric.value)?;
            wanted.then(|| (values::words(reason), share))
        })
        .collect();
    lost.sort_by(|one, other| other.1.total_cmp(&one.1));
    let pairs: Vec<(String, String)> = lost
        .into_iter()
        .take(3)
        .filter(|(_, share)| *share > 0.0005)
        .map(|(reason, share)| (format!("lost to {reason}"), Ratio(share).to_string()))
        .collect();
    let rest: Vec<String> = pairs
        .iter()
        .map(|(reason, share)| format!("{share} {reason}"))
        .collect();
    Some(Headline {
        suite: "frequency",
        title: "Frequency",
        big: (
            format!("{first:.2} to {last:.2}"),
            "GHz, scalar on the fewest threads to the heaviest load on all".to_owned(),
        ),
        line: format!(
            "{first:.2} GHz scalar, {last:.2} heaviest on all threads; {}",
            rest.join(", ")
        ),
        pairs,
    })
}

/// The sizes that train fastest.
fn tuning(view: &View<'_>) -> Option<Headline> {
    let under = view.metrics_under("tuning.");
    let of = |quantity: &str| {
        let metric = under
            .iter()
            .find(|metric| metric.name.ends_with(quantity))?;
        values::known(metric.value)
    };
    let micro = of(".chosen.micro_batch")? as usize;
    let on = many(of(".chosen.threads")? as usize, "thread");
    let speed = under
        .iter()
        .find(|metric| metric.name.contains(".chosen.t") && metric.unit == "tokens/s")
        .and_then(|metric| values::known(metric.value));
    let mut pairs = vec![("threads".to_owned(), on.clone())];
    if let Some(batch) = of(".advised.batch") {
        pairs.push((
            "batch from which speed hardly rises".to_owned(),
            many(batch as usize, "sequence"),
        ));
    }
    let speed = speed.map_or(String::new(), |speed| {
        format!(", {} tokens/s", digits(speed))
    });
    let sequences = many(micro, "sequence");
    Some(Headline {
        suite: "tuning",
        title: "Tuned for this machine",
        big: (micro.to_string(), format!("sequences at a time{speed}")),
        pairs,
        line: format!("{on}, {sequences} at a time{speed}"),
    })
}

fn generation(view: &View<'_>) -> Option<Headline> {
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

fn matmul(view: &View<'_>) -> Option<Headline> {
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

/// How often ours is ahead of every peer.
fn tally(view: &View<'_>, contests: &[&Contest<'_>], on: &str) -> Option<(String, String)> {
    let leads: Vec<f64> = contests
        .iter()
        .filter_map(|contest| contest.lead(view)?.value)
        .collect();
    let ahead = leads.iter().filter(|lead| **lead >= 1.0).count();
    let text = format!("in {ahead} of {}", many(leads.len(), "product"));
    (!leads.is_empty()).then(|| (format!("ahead on {on}"), text))
}

fn batched(view: &View<'_>) -> Option<Headline> {
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

/// The contests on so many threads in which ours has a speed.
fn with_ours<'c, 'a>(all: &'c [Contest<'a>], threads: u32) -> Vec<&'c Contest<'a>> {
    all.iter()
        .filter(|contest| contest.threads == threads && contest.ours().is_some())
        .collect()
}

/// `1.08x the best peer`, and the peer's name.
fn lead(view: &View<'_>, contest: &Contest<'_>) -> Option<(String, String)> {
    let factor = values::known(contest.lead(view)?.value)?;
    let peer = peer(contest.best_peer()?.variant);
    Some((format!("{factor:.2}x the best peer"), peer))
}

fn simd(view: &View<'_>) -> Option<Headline> {
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

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn each_suite_says_a_line() {
        let run = sample::typical();
        let all = headlines(&run);
        let suites: Vec<&str> = all.iter().map(|headline| headline.suite).collect();
        assert_eq!(
            suites,
            [
                "generation",
                "matmul",
                "batched",
                "simd",
                "scaling",
                "tuning",
                "memory",
                "frequency",
                "fleet"
            ]
        );
        let line = "on 2 threads, 80.0 % of the speed of reading the weights; 16 at once";
        for (headline, part) in [
            (&all[0], line),
            (&all[1], "1024\u{b3}"),
            (&all[1], "of peak on 1 thread"),
            (&all[1], "x the best peer"),
            (&all[1], "; "),
            (&all[2], "256 of 128\u{d7}48\u{d7}128"),
            (&all[3], "512 MiB on 2 threads"),
            (&all[6], "a load, 4 KB pages"),
            (&all[7], "9.0 % lost to licence"),
            (
                &all[8],
                "efficiency 93.0 % on 4 ranks, one batch shared 61.0 %",
            ),
        ] {
            assert!(headline.line.contains(part), "{part}: {}", headline.line);
        }
        assert!(headlines(&sample::nothing()).is_empty());
        assert!(headlines(&sample::unavailable()).is_empty());
    }

    #[test]
    fn working_sets_are_spelled_out() {
        assert_eq!(set_label("16k"), "16 KiB");
        assert_eq!(set_label("8m"), "8 MiB");
        assert_eq!(set_label(""), "");
    }
}
