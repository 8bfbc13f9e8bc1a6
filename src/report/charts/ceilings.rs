//! The ceilings of the machine as a run measured them: arithmetic per instruction set, bandwidth per level.

use crate::record::Metric;
use crate::report::values;
use crate::report::view::{View, at_threads};

/// One ceiling at one thread count.
pub(crate) struct Ceiling<'a> {
    /// `AVX2`, `L2`.
    pub(crate) label: String,
    /// Threads that it was measured with.
    pub(crate) threads: u32,
    /// Its metric, with or without a value.
    pub(crate) metric: &'a Metric,
}

impl Ceiling<'_> {
    /// GFLOP/s or GB/s.
    pub(crate) fn value(&self) -> Option<f64> {
        values::known(self.metric.value).filter(|value| *value > 0.0)
    }
}

/// `ceiling.fma.<isa>.tN.gflops`, all of them.
pub(crate) fn arithmetic<'a>(view: &View<'a>) -> Vec<Ceiling<'a>> {
    under(view, "ceiling.fma.", "gflops", values::isa)
}

/// `ceiling.bandwidth.<level>.tN.gbps`, all of them.
pub(crate) fn bandwidth<'a>(view: &View<'a>) -> Vec<Ceiling<'a>> {
    under(view, "ceiling.bandwidth.", "gbps", values::words)
}

fn under<'a>(
    view: &View<'a>,
    prefix: &str,
    quantity: &str,
    label: fn(&str) -> String,
) -> Vec<Ceiling<'a>> {
    let found = view.metrics_under(prefix).into_iter().filter_map(|metric| {
        let (before, threads, last) = at_threads(&metric.name)?;
        let name = before.strip_prefix(prefix)?;
        (last == quantity).then(|| Ceiling {
            label: label(name),
            threads,
            metric,
        })
    });
    found.collect()
}

/// Of `ceilings`, those of the thread count nearest to `threads`, one for each label.
pub(crate) fn nearest<'a>(ceilings: Vec<Ceiling<'a>>, threads: Option<u32>) -> Vec<Ceiling<'a>> {
    let wanted = threads
        .or_else(|| ceilings.iter().map(|ceiling| ceiling.threads).max())
        .unwrap_or(1);
    let mut kept: Vec<Ceiling<'a>> = Vec::new();
    for ceiling in ceilings
        .into_iter()
        .filter(|ceiling| ceiling.value().is_some())
    {
        match kept.iter_mut().find(|known| known.label == ceiling.label) {
            Some(known) if known.threads.abs_diff(wanted) > ceiling.threads.abs_diff(wanted) => {
                *known = ceiling
            }
            Some(_) => {}
            None => kept.push(ceiling),
        }
    }
    kept
}
