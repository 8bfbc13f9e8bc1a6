//! How fast could it go: arithmetic, bandwidth, latency and frequency of this machine, measured.
//!
//! Every ceiling is the sum over threads of the median of short windows that ran at the same time, so that an interrupt or a stolen
//! moment costs one window and not the result. Other suites measure against these numbers, in the same process.

pub(super) mod arithmetic;
pub(super) mod bandwidth;
pub(super) mod latency;
pub(super) mod windows;

use super::quantity::GHZ;
use super::{Context, Experiment, Suite, SuiteError};

/// The suite of ceilings.
#[derive(Debug)]
pub(super) struct Ceilings;

impl Suite for Ceilings {
    fn id(&self) -> &'static str {
        "ceilings"
    }

    fn title(&self) -> &'static str {
        "How fast could it go"
    }

    fn how_to_read(&self) -> &'static str {
        "No program computes faster than the multiply-add ceiling of its instruction set and threads, or reads faster than the \
         bandwidth of the cache that holds its data. A step in the staircases is where a cache ends. Where more threads or wider \
         instructions lower the frequency, the ceiling grows less than they promise."
    }

    fn trains(&self) -> bool {
        false
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        experiment.effort.of(8.0, 20.0, 50.0) * experiment.threads.len() as f64 / 2.0
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        if context.recorder.value("frequency.tsc.ghz").is_some() {
            return Ok(());
        }
        clock(context);
        for measure in [arithmetic::measure, bandwidth::measure, latency::measure] {
            if context.stopped() {
                break;
            }
            measure(context)?;
            context.keep()?;
        }
        Ok(())
    }
}

fn clock(context: &mut Context) {
    let description = context.clock.describe();
    match context.clock.tsc() {
        Ok(rate) => {
            context
                .recorder
                .reading("frequency.tsc", GHZ, rate.0 / 1e9, description.clone())
        }
        Err(refusal) => context
            .recorder
            .missing("frequency.tsc", GHZ, refusal.to_string()),
    }
    context
        .recorder
        .note("method", format!("Clock: {description}."));
}
