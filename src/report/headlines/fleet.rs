//! A fleet: what training on all ranks gains, and how fast they add up.

use super::Headline;
use crate::record::Metric;
use crate::report::values::{self, many, quantity};
use crate::report::view::View;
use crate::units::Ratio;

/// What training on all ranks gains, and how fast they add up.
pub(super) fn fleet(view: &View<'_>) -> Option<Headline> {
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
