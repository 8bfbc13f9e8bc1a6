//! Frequency, from the lightest load to the heaviest.

use super::Headline;
use crate::report::values;
use crate::report::view::{View, at_threads};
use crate::units::Ratio;

/// The frequency from the lightest load on the fewest threads to the heaviest on the most.
pub(super) fn frequency(view: &View<'_>) -> Option<Headline> {
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
