//! From a configuration to the settings of a run: how long it is, its learning rates, what is left out.

use crate::config::{Config, Rule};
use crate::train::guard::Guard;
use crate::train::run::Settings;
use crate::train::schedule::Schedule;
use crate::train::task::Task;

/// How long the run is and what it does on the way.
pub(crate) fn settings(config: &Config, task: &dyn Task) -> Settings {
    let training = &config.training;
    let all = task.steps(training.num_epochs);
    let steps = training.max_steps.map_or(all, |most| most.min(all));
    Settings {
        steps: steps as u64,
        validation_every: training.validation_every.map(|every| every as u64),
        validation_batches: training.validation_batches,
        checkpoint_every: training.checkpoint_every.map(|every| every as u64),
        keep_checkpoints: training.keep_checkpoints,
        schedule: schedule(config, steps),
        guard: Guard {
            spike_sigmas: training.spike_sigmas,
            window: training.spike_window,
            most_skips: training.max_skips as u32,
        },
    }
}

/// The configuration's schedule for a run of `steps`.
fn schedule(config: &Config, steps: usize) -> Schedule {
    let rate = config.training.learning_rate;
    match config.training.schedule.rule() {
        Rule::Constant => Schedule::Constant { rate },
        Rule::WarmupCosine { min_ratio } => Schedule::WarmupCosine {
            peak: rate,
            min: rate * min_ratio,
            warmup: config.warmup_steps(steps) as u64,
            steps: steps as u64,
        },
        Rule::CosineRestarts {
            min_ratio,
            first,
            growth,
        } => Schedule::CosineRestarts {
            max: rate,
            min: rate * min_ratio,
            first: first as f64,
            growth,
        },
        Rule::Plateau {
            min_ratio,
            factor,
            patience,
            threshold,
        } => Schedule::Plateau {
            rate,
            factor,
            patience,
            threshold,
            min: rate * min_ratio,
        },
        Rule::OneCycle {
            rising,
            start_divisor,
            end_divisor,
        } => Schedule::OneCycle {
            max: rate,
            steps: steps as u64,
            rising,
            start_divisor,
            end_divisor,
        },
        Rule::Exponential {
            min_ratio,
            gamma,
            every,
        } => Schedule::Exponential {
            rate,
            gamma,
            every: every as u64,
            min: rate * min_ratio,
        },
    }
}
