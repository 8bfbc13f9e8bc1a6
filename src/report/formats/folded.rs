//! Folded stacks of a training step, for flamegraph.pl, inferno and speedscope: case, pass, operator, microseconds.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Format;
use crate::record::Run;
use crate::report::values::{known, many};
use crate::report::view::{PASSES, at_threads};

/// The row of the list.
pub(super) const FORMAT: Format = Format {
    id: "folded",
    what: "The training step as folded stacks for flame graphs, in microseconds",
    files,
};

/// Times of one case at one thread count.
#[derive(Default)]
struct Step {
    whole: f64,
    parts: Vec<(String, f64)>,
}

fn files(run: &Run) -> Vec<(String, String)> {
    let mut steps: BTreeMap<(String, u32), Step> = BTreeMap::new();
    for metric in &run.metrics {
        let Some((subject, threads, "step_seconds")) = at_threads(&metric.name) else {
            continue;
        };
        let (Some(seconds), Some(subject)) =
            (known(metric.value), subject.strip_prefix("training."))
        else {
            continue;
        };
        let of_operator = subject
            .rsplit_once('.')
            .filter(|(_, pass)| PASSES.contains(pass));
        let case = of_operator.and_then(|(before, pass)| Some((before.rsplit_once('.')?, pass)));
        match case {
            Some(((case, operator), pass)) => {
                let step = steps.entry((case.to_owned(), threads)).or_default();
                step.parts
                    .push((format!("{pass};{}", frame(operator)), seconds));
            }
            None => {
                steps
                    .entry((subject.to_owned(), threads))
                    .or_default()
                    .whole = seconds
            }
        }
    }
    let mut text = String::new();
    for ((case, threads), step) in steps.iter().filter(|(_, step)| !step.parts.is_empty()) {
        let root = format!("{} on {}", frame(case), many(*threads as usize, "thread"));
        for (stack, seconds) in &step.parts {
            let _ = writeln!(text, "{root};{stack} {:.0}", seconds * 1e6);
        }
        let rest = step.whole - step.parts.iter().map(|part| part.1).sum::<f64>();
        if rest > 0.0 {
            let _ = writeln!(text, "{root};outside of operators {:.0}", rest * 1e6);
        }
    }
    vec![("step.folded".to_owned(), text)]
}

/// A name that ends no frame.
fn frame(name: &str) -> String {
    name.replace([';', '\n', '\r'], "_")
}
