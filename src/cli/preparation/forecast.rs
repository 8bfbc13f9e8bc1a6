//! What a run will take of memory: asked before it begins, and beside what this process may have.

use super::super::outcome::Failure;
use super::super::workers::Workers;
use crate::config::{Algorithm, Config, Judge};
use crate::measure::process;
use crate::tensor::Arena;
use crate::train::Plan;
use crate::train::budget::{self, Sizes};
use crate::units::Bytes;

/// Memory of training, by role, in bytes. What is mapped of a file, the program's own code and the tokens of a text, is not in it:
/// the system takes it back when it needs it.
pub(crate) struct Forecast {
    /// Each role and its bytes; the program itself first, where the system tells.
    pub(crate) roles: Vec<(&'static str, usize)>,
}

impl Forecast {
    /// As of now: what the run reads is read, and what it trains in is not yet taken.
    pub(crate) fn now(config: &Config, plan: &Plan) -> Forecast {
        let memory = plan.memory();
        let program = process::own_memory().map(|bytes| ("program", bytes.0 as usize));
        let arenas = memory.roles().into_iter();
        let arenas = arenas.map(|(role, bytes)| (role, Arena::resident_when_full(bytes)));
        let mut roles: Vec<_> = program.into_iter().chain(arenas).collect();
        // Their weights are read, and part of what the program holds; gradients and moments are never touched.
        let working = memory.panels + memory.activations + memory.scratch;
        match frozen_models(config) {
            0 => {}
            frozen => roles.push(("other models", frozen * working)),
        }
        Forecast { roles }
    }

    /// Bytes of all roles.
    pub(crate) fn total(&self) -> Bytes {
        Bytes(self.roles.iter().map(|(_, bytes)| *bytes as f64).sum())
    }
}

/// Models that a run asks and never updates: the reference of its policy, and the one that judges.
fn frozen_models(config: &Config) -> usize {
    let post = &config.posttraining;
    match config.algorithm() {
        Some(Algorithm::Ppo | Algorithm::Grpo) => {
            1 + usize::from(post.judge() == Judge::Model && post.reward_model.is_some())
        }
        Some(Algorithm::Dpo) => 1,
        Some(Algorithm::Supervised | Algorithm::RewardModel) | None => 0,
    }
}

/// Whether the planned model and those that the run asks beside it fit, before anything is read. Where it is not known how much memory
/// there is, the system decides when it is asked for.
pub(crate) fn check_memory(config: &Config, plan: &Plan, workers: &Workers) -> Result<(), Failure> {
    let frozen = frozen_models(config);
    let Some(usable) = workers.machine.usable_memory_bytes() else {
        return Ok(());
    };
    let program = process::own_memory().map_or(0, |bytes| bytes.0 as u64);
    let asked = Sizes {
        batch_size: plan.batch,
        micro_batch: plan.micro_batch,
        max_length: plan.length,
    };
    let needs = |sizes: Sizes| {
        let Sizes {
            batch_size: batch,
            micro_batch,
            max_length: length,
        } = sizes;
        let memory = Plan {
            batch,
            micro_batch,
            length,
            ..*plan
        }
        .memory();
        // Gradients and moments of models that are not updated are never touched, so that they take no memory.
        let asked = memory.total() - memory.gradients - memory.moments;
        program + (memory.total() + frozen * asked) as u64
    };
    budget::check(asked, usable, needs)
        .map_err(|error| Failure::wrong_use(error).help(error.advice(asked)))
}
