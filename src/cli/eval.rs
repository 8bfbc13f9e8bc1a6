//! `loopos eval`: how well a trained model predicts a text.

use std::f64::consts::LN_2;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure};
use super::preparation;
use super::text_source;
use super::trained::Trained;
use super::workers::Workers;
use crate::text::Tokens;
use crate::train::named_tensors::tensors_mut;
use crate::train::{Batch, Trainer};
use crate::units::{digits, grouped};

const EXAMPLES: &str = "\
Examples:
  loopos eval --model models/autoregressive_training --data test.txt
  loopos eval --model models/small/checkpoints/step-000500 --data books/

Says on stdout: the loss in nats a token, the perplexity, and the bits a byte of text, which models with different
tokenizers can be compared by. Without --data it is the text that the model was trained on.";

/// What to type after `loopos eval`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder of a trained model: a run's output folder, or one of its checkpoints
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text to predict, a file or a folder [default: the text that it was trained on]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Worker threads [default: one for each core this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// Evaluates the model on the whole text.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let workers = Workers::new(arguments.threads.map(|threads| threads as usize))?;
    let Trained {
        mut config,
        tokenizer,
        checkpoint,
        ..
    } = Trained::open(&arguments.model)?;
    if let Some(path) = &arguments.data {
        config.data.input_file = Some(super::utf8(path)?);
    }
    let plan = preparation::plan(&config, &workers);
    let text = workers
        .pool
        .install(|| text_source::read(&config, Some(tokenizer)))?;
    if text.tokens.len() < 2 {
        return Err(Failure::no_data(
            "the text has fewer than two tokens: there is nothing to predict",
        )
        .into());
    }
    // Gradients and moments are planned too, but memory that is never touched is never taken.
    let mut trainer = Trainer::new(&plan, Arc::clone(&workers.pool), 0).map_err(Failure::failed)?;
    let [weights, ..] = trainer.restore(checkpoint.state.updates);
    checkpoint
        .read_model(&mut tensors_mut(weights, ""))
        .map_err(Failure::failed)?;
    let interrupt = Interrupt::install()?;
    let found = evaluate(&mut trainer, &text.tokens, interrupt.stop());
    let loss = found.nats / found.targets as f64;
    // Where only a part was predicted, it is taken to have its share of the bytes.
    let bytes = text.bytes as f64 * found.targets as f64 / (text.tokens.len() - 1) as f64;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "tokens         {}", grouped(found.targets as i64))?;
    writeln!(stdout, "loss           {loss:.4}")?;
    writeln!(stdout, "perplexity     {}", digits(loss.exp()))?;
    writeln!(stdout, "bits per byte  {:.4}", found.nats / LN_2 / bytes)?;
    Ok(interrupt.exit())
}

/// The sum of the losses over a text, in nats, and over how many tokens.
struct Sum {
    nats: f64,
    targets: usize,
}

/// Predicts each token but the first once, from what stands before it in windows of the planned length.
fn evaluate(trainer: &mut Trainer, tokens: &Tokens, stop: &AtomicBool) -> Sum {
    let plan = *trainer.plan();
    let mut sum = Sum {
        nats: 0.0,
        targets: 0,
    };
    let windows = (tokens.len() - 1).div_ceil(plan.length);
    for first in (0..windows).step_by(plan.micro_batch) {
        let mut batch = Batch::new(plan.micro_batch, plan.length);
        for row in 0..plan.micro_batch.min(windows - first) {
            fill(&mut batch, row, tokens, (first + row) * plan.length);
        }
        let targets = batch.counted();
        sum.nats += trainer.evaluate(&batch) * targets as f64;
        sum.targets += targets;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    sum
}

/// Puts the tokens from `start` into a row; at the end of the text the rest of the row does not count.
fn fill(batch: &mut Batch, row: usize, tokens: &Tokens, start: usize) {
    let count = batch.length.min(tokens.len() - 1 - start);
    let cells = row * batch.length..row * batch.length + count;
    tokens.copy(start, &mut batch.inputs[cells.clone()]);
    tokens.copy(start + 1, &mut batch.targets[cells]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::IGNORED;

    #[test]
    fn every_token_but_the_first_is_a_target_once() {
        let documents = [(0..17).collect(), (0..4).collect::<Vec<u32>>()];
        let tokens = Tokens::from_documents(&documents, 99, [0; 32]);
        let mut all = vec![0; tokens.len()];
        tokens.copy(0, &mut all);
        let mut seen = Vec::new();
        for start in (0..tokens.len() - 1).step_by(5) {
            let mut batch = Batch::new(2, 5);
            fill(&mut batch, 1, &tokens, start);
            assert!(batch.targets[..5].iter().all(|target| *target == IGNORED));
            let counted = batch.counted();
            assert_eq!(batch.inputs[5..5 + counted], all[start..start + counted]);
            seen.extend_from_slice(&batch.targets[5..5 + counted]);
        }
        assert_eq!(seen, all[1..]);
    }
}
