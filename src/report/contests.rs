//! Products that were computed by several implementations: read back from the names of the metrics.

use super::values;
use super::view::{View, at_threads};
use crate::record::Metric;

/// The names that our own variants begin with.
const OURS: [&str; 4] = ["avx512", "avx512vl", "avx2", "scalar"];

/// One implementation's speed.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// `avx512`, `avx2_packed`, `openblas`.
    pub(crate) variant: &'a str,
    /// GFLOP/s, where it has any.
    pub(crate) gflops: Option<f64>,
    /// Of the peak that belongs to it.
    share: Option<f64>,
    /// With how it was measured, or why not.
    pub(crate) metric: &'a Metric,
}

/// One product, or batch of them, on one number of threads.
#[derive(Clone, Debug)]
pub(crate) struct Contest<'a> {
    /// `1024x1024x1024.nn`.
    pub(crate) case: &'a str,
    /// How many threads.
    pub(crate) threads: u32,
    /// Everyone, in the order of the document.
    pub(crate) entries: Vec<Entry<'a>>,
    prefix: &'static str,
}

/// `PREFIX.CASE.VARIANT.tN.gflops`, gathered by case and threads in the order of the document.
pub(crate) fn contests<'a>(view: &View<'a>, prefix: &'static str) -> Vec<Contest<'a>> {
    let mut all: Vec<Contest<'a>> = Vec::new();
    for metric in view.metrics_under(prefix) {
        let Some((before, threads, "gflops")) = at_threads(&metric.name) else {
            continue;
        };
        let name = before
            .strip_prefix(prefix)
            .and_then(|name| name.strip_prefix('.'));
        let Some((case, variant)) = name.and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        let positive = |value: Option<f64>| values::known(value).filter(|value| *value > 0.0);
        let share = view.value(&format!("{before}.t{threads}.share_of_peak"));
        let entry = Entry {
            variant,
            gflops: positive(metric.value),
            share: positive(share),
            metric,
        };
        match all
            .iter_mut()
            .find(|contest| contest.case == case && contest.threads == threads)
        {
            Some(contest) => contest.entries.push(entry),
            None => all.push(Contest {
                case,
                threads,
                entries: vec![entry],
                prefix,
            }),
        }
    }
    all
}

/// The fewest and the most threads among `contests`: what a picture has room for.
pub(crate) fn ends(contests: &[Contest<'_>]) -> Vec<u32> {
    let counts = || contests.iter().map(|contest| contest.threads);
    let mut ends: Vec<u32> = counts().min().into_iter().chain(counts().max()).collect();
    ends.dedup();
    ends
}

/// Whether a variant is ours, whatever comes behind the instruction set's name.
pub(crate) fn is_ours(variant: &str) -> bool {
    let isa = variant.split('_').next().unwrap_or_default();
    OURS.contains(&isa)
}

impl Entry<'_> {
    /// Ours, whatever comes behind the instruction set's name.
    pub(crate) fn is_ours(&self) -> bool {
        is_ours(self.variant)
    }

    /// Ours under the conditions that peers have.
    fn is_plain(&self) -> bool {
        OURS.contains(&self.variant)
    }
}

impl<'a> Contest<'a> {
    /// The fastest of ours under the conditions that peers have.
    pub(crate) fn ours(&self) -> Option<&Entry<'a>> {
        fastest(self.entries.iter().filter(|entry| entry.is_plain()))
    }

    /// The fastest peer.
    pub(crate) fn best_peer(&self) -> Option<&Entry<'a>> {
        fastest(self.entries.iter().filter(|entry| !entry.is_ours()))
    }

    /// The entry of that variant.
    pub(crate) fn entry(&self, variant: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.variant == variant)
    }

    /// The highest peak that anyone was compared with, in GFLOP/s: one measure for all.
    pub(crate) fn peak(&self) -> Option<f64> {
        let peak = |entry: &Entry<'_>| Some(entry.gflops? / entry.share?);
        self.entries.iter().filter_map(peak).max_by(f64::total_cmp)
    }

    /// What part of that peak `entry` reaches.
    pub(crate) fn share(&self, entry: &Entry<'_>) -> Option<f64> {
        Some(entry.gflops? / self.peak()?)
    }

    /// How many times as fast as the fastest peer ours is, as it was measured round by round.
    pub(crate) fn lead(&self, view: &View<'a>) -> Option<&'a Metric> {
        let (prefix, case, threads) = (self.prefix, self.case, self.threads);
        let variant = self.ours()?.variant;
        let name = format!("{prefix}.{case}.{variant}.t{threads}.speedup_over_best_peer");
        view.metric(&name)
            .filter(|metric| values::known(metric.value).is_some())
    }

    /// `1024 x 1024 x 1024`, with the layout where it is not the usual one.
    pub(crate) fn label(&self) -> String {
        label(self.case)
    }
}

/// A case's name for people: cubes as a power, products with the sign for it, the layout where something is transposed.
fn label(case: &str) -> String {
    let (sizes, layout) = case.rsplit_once('.').unwrap_or((case, ""));
    let parts: Vec<&str> = sizes.split('x').collect();
    let (count, product) = match parts.len() {
        4 => (Some(parts[0]), &parts[1..]),
        _ => (None, &parts[..]),
    };
    let sizes = match product {
        [m, k, n] if m == k && k == n => format!("{m}\u{b3}"),
        _ => product.join("\u{d7}"),
    };
    let count = count.map_or(String::new(), |count| format!("{count} of "));
    let layout = match layout {
        "nt" => " AB\u{1d40}",
        "tn" => " A\u{1d40}B",
        _ => "",
    };
    format!("{count}{sizes}{layout}")
}

/// A peer as its makers write it: `OpenBLAS`, `MKL, batch`.
pub(crate) fn peer(variant: &str) -> String {
    let (name, batch) = match variant.strip_suffix("_batch") {
        Some(name) => (name, ", batch"),
        None => (variant, ""),
    };
    let name = match name {
        "openblas" => "OpenBLAS",
        "onednn" => "oneDNN",
        "mkl" => "MKL",
        "blis" => "BLIS",
        other => other,
    };
    format!("{name}{batch}")
}

fn fastest<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>>) -> Option<&'e Entry<'a>> {
    entries
        .filter(|entry| entry.gflops.is_some())
        .max_by(|one, other| {
            one.gflops
                .unwrap_or(0.0)
                .total_cmp(&other.gflops.unwrap_or(0.0))
        })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn names_are_read_back() {
        let run = sample::typical();
        let view = View::new(&run, None);
        let all = contests(&view, "gemm");
        assert_eq!(ends(&all), [1, 2]);
        let cube = all
            .iter()
            .find(|contest| contest.case == "1024x1024x1024.nn" && contest.threads == 1)
            .unwrap();
        assert_eq!(cube.ours().unwrap().variant, "avx512");
        assert_eq!(cube.best_peer().unwrap().variant, "onednn");
        assert!(cube.entry("avx512_packed").unwrap().is_ours());
        assert!(
            cube.share(cube.ours().unwrap())
                .is_some_and(|share| share < 1.0)
        );
        assert!(cube.lead(&view).is_some());
        assert!(contests(&view, "tea").is_empty());
    }

    #[test]
    fn peers_are_spelled_as_their_makers_do() {
        assert_eq!(peer("onednn"), "oneDNN");
        assert_eq!(peer("mkl_batch"), "MKL, batch");
        assert_eq!(peer("gemm"), "gemm");
    }

    #[test]
    fn labels_are_short() {
        for (case, wanted) in [
            ("1024x1024x1024.nn", "1024\u{b3}"),
            ("4096x1536x384.nt", "4096\u{d7}1536\u{d7}384 AB\u{1d40}"),
            ("256x128x48x128.nn", "256 of 128\u{d7}48\u{d7}128"),
            ("64x64x64x64.nn", "64 of 64\u{b3}"),
            ("ragged.nt", "ragged AB\u{1d40}"),
            ("", ""),
        ] {
            assert_eq!(label(case), wanted);
        }
    }
}
