//! How fast data come and go: bandwidth of reading and writing, latency alone and under load, on both kinds of pages.
//!
//! What `ceilings` measures of memory is what other suites compare with: reads alone. Here is the rest: what a store costs that
//! fetches its line first, and one that does not; what 4 KB pages cost; what a load waits while others use the memory; and, where
//! memory has several nodes, what each is to each.

mod bandwidth;
mod latency;
mod loaded;
mod nodes;
mod streams;

use super::ceilings::latency::Pages;
use super::{Context, Experiment, Suite, SuiteError};

/// The suite of memory.
#[derive(Debug)]
pub(super) struct Memory;

impl Suite for Memory {
    fn id(&self) -> &'static str {
        "memory"
    }

    fn title(&self) -> &'static str {
        "How fast do data come and go: bandwidth, latency, and latency under load"
    }

    fn how_to_read(&self) -> &'static str {
        "Useful GB/s count what an operation reads and writes; bus GB/s also the lines that regular stores fetch only to overwrite them. \
         Non-temporal stores fetch nothing and leave nothing in the caches: they win beyond the last cache and lose within. The same \
         staircase on 4 KB and 2 MB pages shows the price of translation. Latency under load climbs where memory has no more to give."
    }

    fn trains(&self) -> bool {
        false
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        experiment.effort.of(15.0, 35.0, 100.0) * experiment.threads.len().min(2) as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let parts = [
            bandwidth::levels,
            bandwidth::staircases,
            latency::staircases,
            loaded::curves,
            cores,
            nodes::matrix,
        ];
        for part in parts {
            if context.stopped() {
                break;
            }
            part(context)?;
            context.keep()?;
        }
        Ok(())
    }
}

/// The way of a cache line from each CPU to each other one.
fn cores(context: &mut Context) -> Result<(), SuiteError> {
    if context.cpus(usize::MAX).len() < 2 {
        let text = "Memory: this process may use one CPU, so that there is no map from CPU to CPU.";
        context.recorder.note("machine", text);
        return Ok(());
    }
    context.say("memory: ways from CPU to CPU");
    let most = context.experiment.effort.of(12, 32, 64);
    super::verify::cores::map(context, "memory", most)
}

/// Both kinds of pages with their part of a metric's name.
const PAGES: [(Pages, &str); 2] = [(Pages::Large, "2mb"), (Pages::Small, "4kb")];

/// The fewest and the most threads of the experiment.
fn ends(context: &Context) -> Vec<usize> {
    let threads = &context.experiment.threads;
    let mut ends: Vec<usize> = threads.first().into_iter().copied().collect();
    ends.extend(threads.last());
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::Effort;
    use crate::suites::testing::Quiet;

    #[test]
    fn stopping_at_once_measures_nothing() {
        let (machine, clock) = (Machine::detect(), Clock::best());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![1, 2],
            isas: Isa::available(),
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        };
        let host = Quiet {
            stop_after: Some(0),
            ..Quiet::default()
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        assert_eq!(ends(&context), [1, 2]);
        Memory.run(&mut context).unwrap();
        assert!(context.recorder.metrics().is_empty() && context.recorder.series().is_empty());
    }
}
