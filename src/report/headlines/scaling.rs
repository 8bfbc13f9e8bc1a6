//! Sizes: from the slowest to the fastest, and how many falls there are between neighbours.

use super::Headline;
use crate::report::values::{self, many};
use crate::report::view::View;
use crate::units::Ratio;

/// From the slowest to the fastest size, and how many falls there are between neighbours.
pub(super) fn scaling(view: &View<'_>) -> Option<Headline> {
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
