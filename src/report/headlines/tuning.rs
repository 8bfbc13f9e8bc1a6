//! The sizes that train fastest.

use super::Headline;
use crate::report::values::{self, many};
use crate::report::view::View;
use crate::units::digits;

/// The sizes that train fastest.
pub(super) fn tuning(view: &View<'_>) -> Option<Headline> {
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
    if of(".chosen.shares").is_some_and(|shares| shares > 1.0) {
        let each = "sequences, each its own".to_owned();
        pairs.push(("threads share".to_owned(), each));
    }
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
