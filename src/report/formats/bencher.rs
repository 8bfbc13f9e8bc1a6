//! Bencher Metric Format: each subject with its quantities, each quantity with its interval.

use serde_json::{Map, Value, json};

use super::{Format, github};
use crate::record::Run;
use crate::report::values::known;

/// The row of the list.
pub(super) const FORMAT: Format = Format {
    id: "bencher",
    what: "The results in Bencher's JSON format",
    files,
};

fn files(run: &Run) -> Vec<(String, String)> {
    let mut document = Map::new();
    for metric in github::results(run) {
        let (subject, quantity) = metric
            .name
            .rsplit_once('.')
            .unwrap_or(("run", &metric.name));
        let mut measure = json!({ "value": metric.value });
        if let (Some(low), Some(high)) = (known(metric.low), known(metric.high)) {
            measure["lower_value"] = json!(low);
            measure["upper_value"] = json!(high);
        }
        let of_subject = document.entry(subject).or_insert_with(|| json!({}));
        of_subject[quantity] = measure;
    }
    vec![(
        "bencher.json".to_owned(),
        format!("{:#}\n", Value::from(document)),
    )]
}
