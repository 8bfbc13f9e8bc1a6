//! Several processes as one trainer: how fast they add up messages, what training on all of them gains, and who is slow.
//!
//! Every rank runs the suite, and all do the same in the same order; rank 0 records what they came to together.

mod hosts;
mod names;
mod steps;
mod sums;
mod work;

use std::sync::Arc;

use super::{Context, Experiment, Suite, SuiteError};
use crate::fleet::Fleet as Ranks;
pub use names::Names;
pub use work::{Interplay, Pace, pace, work};

/// The other processes of a measurement.
#[derive(Clone, Debug)]
pub struct Companions {
    /// How they speak.
    pub fleet: Arc<Ranks>,
    /// Each rank for people: its host and process.
    pub names: Vec<String>,
}

/// The fleet suite.
#[derive(Debug)]
pub(super) struct Fleet;

impl Suite for Fleet {
    fn id(&self) -> &'static str {
        "fleet"
    }

    fn title(&self) -> &'static str {
        "How fast processes add up gradients, and what training on all of them gains (needs mpirun)"
    }

    fn how_to_read(&self) -> &'static str {
        "A sum lasts until the slowest rank has it. Weak scaling gives every rank a whole batch, strong scaling a share of one; the \
         efficiency is the speed of all ranks over that of as many that compute alone, at the same time. The communication share is what \
         a step waits for sums that backward did not hide."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        // What each can do, the sums by size, then steps alone and together.
        super::ceilings(experiment)
            + experiment.effort.of(10.0, 30.0, 60.0)
            + experiment.effort.of(30.0, 90.0, 300.0) * experiment.cases.len() as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let Some(companions) = context.companions.clone() else {
            let text = "The suite fleet is about several processes, and this was one: start it by mpirun or srun.";
            context.recorder.note("limits", text);
            return Ok(());
        };
        hosts::measure(context, &companions)?;
        context.keep()?;
        let network = sums::measure(context, &companions);
        context.keep()?;
        for case in &context.experiment.cases {
            if companions.fleet.any(context.stopped()) {
                break;
            }
            steps::measure(context, &companions, case, network)?;
            context.keep()?;
        }
        Ok(())
    }
}
