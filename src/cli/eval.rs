//! `loopos eval`: how well a trained model predicts a text, or answers problems.

mod answers;

use std::f64::consts::LN_2;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure};
use super::text_source::{self, Text, Vocabulary, say};
use super::trained::Trained;
use super::workers::Workers;
use crate::text::Tokens;
use crate::train::{Batch, Optimizer, Plan, Sharing, Trainer, tensor_file};
use crate::units::{Bytes, digits, grouped};

const EXAMPLES: &str = "\
Examples:
  loopos eval --model models/autoregressive_training --data test.txt
  loopos eval --model models/small/checkpoints/step-000500 --data books/
  loopos eval --model gpt2/ --tokens 464,3290,318 --logits logits.safetensors
  loopos eval --model models/chain_of_thought --show 3
  loopos eval --model models/rlhf --reference models/chain_of_thought

Says on stdout: the loss in nats a token, the perplexity, and the bits a byte of text, which models with different
tokenizers can be compared by. Without --data it is the text that the model was trained on.

The text is read in windows of --length tokens, each predicted from what stands before it in its window. --logits keeps, for
every token, the logits of the one after it, as the tensor `logits` (tokens x vocabulary, F32) of a safetensors file.

A model that was trained on worked problems (method chain_of_thought) writes its answers to those held out of its training, or to
those of --data, always taking the likeliest token; an answer counts where it is exactly the right one. --text asks for the loss on a
text instead. --reference says the divergence from the model that training started from, in nats a response: the mean log-probability of
what the model wrote, less what the other gives it.";

/// Sequences that are computed at a time, at most.
const SEQUENCES: usize = 32;

/// What to type after `loopos eval`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The model: a run's output folder, one of its checkpoints, or a GPT-2 in Hugging Face's layout
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text to predict, a file or a folder [default: the text that it was trained on]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Token ids to predict instead of text: a list as in 5,17,3, or a file of them
    #[arg(long, value_name = "IDS|FILE", conflicts_with = "data")]
    tokens: Option<String>,
    /// Tokens of a window [default: those of the sequences it was trained on, or all that it knows positions for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    length: Option<u32>,
    /// Measure the loss on a text, even of a model that answers problems
    #[arg(long)]
    text: bool,
    /// Problems to answer, at most [default: all that were held out]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    problems: Option<u32>,
    /// Say how far the answers have gone from this model, which training started from
    #[arg(long, value_name = "DIR", conflicts_with_all = ["text", "tokens", "logits"])]
    reference: Option<PathBuf>,
    /// Show this many answers as they are
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Write the logits to this safetensors file
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Worker threads [default: one for each core this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// Evaluates the model on the whole text.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let workers = Workers::new(arguments.threads.map(|threads| threads as usize))?;
    let mut trained = Trained::open(&arguments.model)?;
    let of_text = arguments.text || arguments.tokens.is_some() || arguments.logits.is_some();
    if trained.gives_rewards() && !of_text {
        let what = format!(
            "{} is a reward model: it says how good a response is, and writes none",
            arguments.model.display()
        );
        return Err(Failure::wrong_use(what)
            .help("the share of held-out pairs that it tells apart is validation_accuracy in its metrics.jsonl; --text asks for its loss on a text")
            .into());
    }
    if answers::wanted(arguments, &trained) {
        return answers::run(arguments, &trained, &workers);
    }
    let plan = plan(arguments, &trained, &workers)?;
    let text = text(arguments, &mut trained, &workers)?;
    if text.tokens.len() < 2 {
        return Err(Failure::no_data(
            "the text has fewer than two tokens: there is nothing to predict",
        )
        .into());
    }
    // Gradients and moments are planned too, but memory that is never touched is never taken.
    let mut trainer = Trainer::new(&plan, Arc::clone(&workers.pool), 0).map_err(Failure::failed)?;
    let [weights, ..] = trainer.restore(0);
    trained.fill(weights)?;
    let interrupt = Interrupt::install()?;
    let found = evaluate(&mut trainer, &text.tokens, interrupt.stop());
    let loss = found.nats / found.targets as f64;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "tokens         {}", grouped(found.targets as i64))?;
    writeln!(stdout, "loss           {loss:.4}")?;
    writeln!(stdout, "perplexity     {}", digits(loss.exp()))?;
    match text.bytes {
        Some(bytes) => {
            // Where only a part was predicted, it is taken to have its share of the bytes.
            let share = found.targets as f64 / (text.tokens.len() - 1) as f64;
            let bits = found.nats / LN_2 / (bytes as f64 * share);
            writeln!(stdout, "bits per byte  {bits:.4}")?;
        }
        None => writeln!(
            stdout,
            "bits per byte  unknown: without a tokenizer the ids have no bytes"
        )?,
    }
    if let Some(path) = &arguments.logits
        && !interrupt.stop().load(Ordering::Relaxed)
    {
        write_logits(path, &mut trainer, &text.tokens, interrupt.stop())?;
    }
    Ok(interrupt.exit())
}

/// The sizes of the windows.
fn plan(arguments: &Arguments, trained: &Trained, workers: &Workers) -> Result<Plan, Failure> {
    let (shape, asked) = (
        trained.shape,
        arguments.length.map(|length| length as usize),
    );
    let length = asked.unwrap_or_else(|| trained.length());
    if length > shape.context {
        let what = format!(
            "--length {length} is more than the {} positions that the model knows",
            shape.context
        );
        return Err(Failure::wrong_use(what));
    }
    let micro_batch = Plan::automatic_micro_batch(&shape, SEQUENCES, length);
    Ok(Plan {
        shape,
        batch: micro_batch,
        length,
        micro_batch,
        optimizer: Optimizer::default(),
        dropout: 0.0,
        recompute: false,
        by_sequences: false,
        isa: workers.isa,
        caches: workers.caches,
        workers: workers.pool.cpus().len(),
        switches: crate::model::Switches::default(),
        sharing: Sharing::default(),
    })
}

/// The text or the ids asked for, or those that the model was trained on.
fn text(arguments: &Arguments, trained: &mut Trained, workers: &Workers) -> Result<Text, Failure> {
    let tokenizer = trained.tokenizer.take();
    if let Some(given) = &arguments.tokens {
        return text_source::read_ids(given, trained.shape.vocab_size, tokenizer);
    }
    let vocabulary = Vocabulary::of_model(tokenizer);
    workers
        .pool
        .install(|| match (&arguments.data, &trained.config) {
            (Some(path), _) => text_source::read(Some(&super::utf8(path)?), vocabulary),
            (None, Some(config)) => text_source::of(config, vocabulary),
            (None, None) => Err(Failure::wrong_use(
                "this model does not say which text it was trained on",
            )
            .help("give a text by --data, or token ids by --tokens")),
        })
}

/// Writes the logits of every token, window by window: they are never all in memory.
fn write_logits(
    path: &Path,
    trainer: &mut Trainer,
    tokens: &Tokens,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let plan = *trainer.plan();
    let dims = [tokens.len(), plan.shape.vocab_size];
    let mut starts = (0..tokens.len()).step_by(plan.length);
    let written = tensor_file::write_stream(path, "logits", &dims, |values| {
        let Some(start) = starts.next() else {
            return Ok(false);
        };
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut batch = Batch::new(1, plan.length.min(tokens.len() - start));
        tokens.copy(start, &mut batch.inputs);
        *values = trainer.logits(&batch);
        Ok(true)
    });
    match written {
        Ok(bytes) => {
            say(&format!(
                "logits: {}, {}",
                path.display(),
                Bytes(bytes as f64)
            ));
            Ok(())
        }
        // The exit code says that it was interrupted.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(Failure::failed(format!(
            "cannot write {}: {error}",
            path.display()
        ))),
    }
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
