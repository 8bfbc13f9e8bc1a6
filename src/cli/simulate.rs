//! `loopos simulate`, which `loopos bench --counters simulate` runs under Valgrind: training steps of one micro-batch, and nothing else.
//!
//! The text is invented, as no access depends on what the tokens say except the row of the embedding. One step more is one step
//! more of the same accesses: the difference of two runs is a step without the start of the program.

use super::outcome::{Exit, Failure};
use super::preparation;
use super::workers::Workers;
use crate::config::Config;
use crate::model::Unobserved;
use crate::train::{Batch, Plan, Trainer};

const EXAMPLES: &str = "\
Example:
  LOOPOS_ISA=avx2 valgrind --tool=cachegrind --cache-sim=yes loopos simulate --config autoregressive_training_small --steps 2";

/// What to type after `loopos simulate`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The configuration whose model is trained: a JSON file, or the name of a built-in one
    #[arg(long, value_name = "FILE")]
    config: String,
    /// Override one key of it; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Steps
    #[arg(long, value_name = "N", default_value_t = 1)]
    steps: usize,
}

/// Trains so many steps on one thread; says nothing.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut config = Config::find(&arguments.config).map_err(Failure::wrong_use)?;
    let overrides: Vec<(&str, &str)> = arguments
        .overrides
        .iter()
        .map(|text| Config::parse_override(text))
        .collect::<Result<_, _>>()
        .map_err(Failure::wrong_use)?;
    config.set_all(&overrides).map_err(Failure::wrong_use)?;
    let workers = Workers::new(Some(1))?;
    let plan = one_micro_batch(preparation::plan(&config, &workers));
    preparation::check_memory(&config, &plan, &workers)?;
    let mut trainer =
        Trainer::new(&plan, workers.pool.clone(), config.training.seed).map_err(Failure::failed)?;
    let batch = invented(&plan);
    for _ in 0..arguments.steps {
        trainer.step(&batch, 1e-4, &mut Unobserved);
    }
    Ok(Exit::Done)
}

/// The same step with a batch of one micro-batch: the others repeat its accesses.
pub(super) fn one_micro_batch(plan: Plan) -> Plan {
    Plan {
        batch: plan.micro_batch,
        ..plan
    }
}

/// Tokens spread over the vocabulary.
fn invented(plan: &Plan) -> Batch {
    let mut batch = Batch::new(plan.batch, plan.length);
    let vocabulary = plan.shape.vocab_size.max(1) as u64;
    // Fibonacci hashing (Knuth, volume 3, 6.4): neighbours lie far apart.
    let token = |place: u64| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % vocabulary;
    let both = batch.inputs.iter_mut().zip(&mut batch.targets);
    for ((input, target), place) in both.zip(0..) {
        (*input, *target) = (token(place) as u32, token(place + 1) as u32);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_tokens_are_in_the_vocabulary_and_follow_each_other() {
        let config = Config::find("autoregressive_training_small").unwrap();
        let workers = Workers::new(Some(1)).unwrap();
        let plan = one_micro_batch(preparation::plan(&config, &workers));
        assert_eq!(plan.batch, plan.micro_batch);
        let batch = invented(&plan);
        assert_eq!(batch.counted(), plan.batch * plan.length);
        let most = plan.shape.vocab_size as u32;
        assert!(batch.inputs.iter().all(|token| *token < most));
        assert_eq!(batch.inputs[1..5], batch.targets[..4]);
    }
}
