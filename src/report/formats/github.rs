//! The custom formats of github-action-benchmark: one file for numbers that should be high, one for those that should be low.

use serde_json::json;

use super::Format;
use crate::record::{Better, Metric, Run};
use crate::report::comparison::{Role, role};
use crate::report::values::known;

/// The row of the list.
pub(super) const FORMAT: Format = Format {
    id: "github",
    what: "The results for github-action-benchmark, as customBiggerIsBetter and customSmallerIsBetter",
    files,
};

fn files(run: &Run) -> Vec<(String, String)> {
    let file = |name: &str, better| (format!("{name}.json"), document(run, better));
    vec![
        file("github-bigger-is-better", Better::Higher),
        file("github-smaller-is-better", Better::Lower),
    ]
}

/// The results of a run, or all its numbers where it has none.
pub(super) fn results(run: &Run) -> Vec<&Metric> {
    let of = |wanted| {
        run.metrics.iter().filter(move |metric| {
            role(metric, &[]) == Some(wanted) && known(metric.value).is_some()
        })
    };
    let results: Vec<&Metric> = of(Role::Result).collect();
    if results.is_empty() {
        of(Role::Detail).collect()
    } else {
        results
    }
}

fn document(run: &Run, better: Better) -> String {
    let entries = results(run)
        .into_iter()
        .filter(|metric| metric.better == better)
        .map(|metric| {
            let mut entry =
                json!({ "name": metric.name, "unit": metric.unit, "value": metric.value });
            if let (Some(value), Some(low), Some(high)) =
                (known(metric.value), known(metric.low), known(metric.high))
            {
                entry["range"] = json!(format!("\u{b1} {:.3}", (value - low).max(high - value)));
            }
            entry["extra"] = json!(format!(
                "{}; run {} on {}",
                metric.how, run.id, run.machine.summary.brand
            ));
            entry
        });
    format!(
        "{:#}\n",
        serde_json::Value::from(entries.collect::<Vec<_>>())
    )
}
