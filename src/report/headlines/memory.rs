//! Memory: its fastest operation, and what a load waits.

use super::Headline;
use crate::report::values::{self, many, quantity};
use crate::report::view::{View, at_threads};
use crate::units::digits;

/// The fastest operation in memory, with each kind of stores, and a load's latency on each kind of pages.
pub(super) fn memory(view: &View<'_>) -> Option<Headline> {
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
