//! `loopos generate`: continue texts with a trained model, token by token.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::answer::Answer;
use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure};
use super::sampling::SamplingArguments;
use super::text_source::{self, say};
use super::trained::Trained;
use super::workers::Workers;
use crate::model::{Generator, Sampling};
use crate::text::Tokenizer;
use crate::units::digits;

const EXAMPLES: &str = "\
Examples:
  loopos generate --model models/autoregressive_training --prompt \"My fellow citizens\"
  loopos generate --model models/small --prompt \"fn main() {\" --max-tokens 200 --temperature 0
  loopos generate --model models/small --prompt \"The\" --samples 8 --seed 7 --top-k 40 --stop \".\"
  loopos generate --model gpt2/ --tokens 464,3290,318

A single text goes to stdout as it is made; several, of more prompts or --samples, are made together and come one after the other,
each under a line `== 2 of 8, seed 8`. Each sample takes the next seed, and is the text that it would be alone.
--tokens takes the prompt as ids; a model without a tokenizer prints ids, a line for each text, prompt included.
The same model, prompt, seed and settings give the same text.";

/// Texts that are made together, at most.
const TOGETHER: usize = 32;

/// What to type after `loopos generate`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The model: a run's output folder, one of its checkpoints, or a GPT-2 in Hugging Face's layout
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text to continue; may be repeated
    #[arg(
        long = "prompt",
        value_name = "TEXT",
        required_unless_present = "tokens"
    )]
    prompts: Vec<String>,
    /// Token ids to continue in place of texts: a list as in 5,17,3, or a file of them; may be repeated. How many tokens
    /// to make is --max-tokens
    #[arg(long, value_name = "IDS|FILE", conflicts_with = "prompts")]
    tokens: Vec<String>,
    /// How many tokens to add at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_tokens: usize,
    /// How many texts to make of each prompt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: u32,
    #[command(flatten)]
    sampling: SamplingArguments,
    /// Worker threads [default: one for each processor this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// What a text begins with.
struct Prompt {
    shown: String,
    ids: Vec<u32>,
}

/// A text that is being made.
struct Text<'a> {
    prompt: &'a Prompt,
    sampling: Sampling,
    answer: Answer,
    /// The continuation as far as it may be shown.
    shown: String,
    made: usize,
    ended: bool,
}

/// Writes each prompt and its continuation to stdout.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let workers = Workers::new(arguments.threads.map(|threads| threads as usize))?;
    let trained = Trained::open(&arguments.model)?;
    let prompts = prompts(arguments, &trained)?;
    let tokenizer = trained.tokenizer.as_ref();
    let end_of_text = tokenizer.map(Tokenizer::end_of_text);
    let vocab_size = trained.shape.vocab_size;
    let stops = arguments.sampling.stop_tokens(vocab_size, end_of_text)?;
    let ready = trained.ready(&workers)?;
    let interrupt = Interrupt::install()?;
    let mut texts = texts(arguments, &prompts);
    let (count, alone) = (texts.len(), texts.len() == 1);
    let mut stdout = io::stdout().lock();
    let begin = Instant::now();
    let mut made = 0;
    for (group, texts) in texts.chunks_mut(TOGETHER).enumerate() {
        if alone {
            write!(stdout, "{}", prompts[0].shown)?;
        }
        let starts: Vec<(&[u32], Sampling)> = texts
            .iter()
            .map(|text| (text.prompt.ids.as_slice(), text.sampling))
            .collect();
        let mut generator = Generator::new(workers.isa, &trained.shape, &starts);
        loop {
            let writing: Vec<usize> = (0..texts.len())
                .filter(|index| !texts[*index].ended && texts[*index].made < arguments.max_tokens)
                .collect();
            if writing.is_empty() || interrupt.stop().load(Ordering::Relaxed) {
                break;
            }
            let tokens = workers
                .pool
                .assemble(|| generator.next(&workers.compute(), ready.weights(), &writing));
            for (index, token) in writing.into_iter().zip(tokens) {
                let shown = texts[index].add(token, tokenizer, &stops);
                if alone {
                    stdout.write_all(shown.as_bytes())?;
                    stdout.flush()?;
                }
            }
        }
        made += texts.iter().map(|text| text.made).sum::<usize>();
        for (index, text) in texts.iter_mut().enumerate() {
            let rest = std::mem::take(&mut text.answer).finish();
            if alone {
                writeln!(stdout, "{rest}")?;
                continue;
            }
            if tokenizer.is_some() {
                let (number, seed) = (group * TOGETHER + index + 1, text.sampling.seed);
                writeln!(stdout, "== {number} of {count}, seed {seed}")?;
            }
            writeln!(stdout, "{}{}{rest}", text.prompt.shown, text.shown)?;
        }
        if interrupt.stop().load(Ordering::Relaxed) {
            break;
        }
    }
    let speed = made as f64 / begin.elapsed().as_secs_f64();
    say(&format!("{made} tokens, {} tokens/s", digits(speed)));
    Ok(interrupt.exit())
}

/// Every prompt as ids.
fn prompts(arguments: &Arguments, trained: &Trained) -> Result<Vec<Prompt>, Failure> {
    let vocab_size = trained.shape.vocab_size;
    let Some(tokenizer) = &trained.tokenizer else {
        if !arguments.prompts.is_empty() {
            return Err(text_source::no_tokenizer());
        }
        if !arguments.sampling.stops.is_empty() {
            let what = "--stop: this model has no tokenizer, so that its ids spell no text";
            return Err(Failure::wrong_use(what).help("give an id by --stop-token"));
        }
        let prompt = |given: &String| {
            let ids = text_source::ids(given, vocab_size)?;
            let shown = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            Ok(Prompt { shown, ids })
        };
        return arguments.tokens.iter().map(prompt).collect();
    };
    let of_text = arguments.prompts.iter().map(|text| {
        let mut ids = tokenizer.encode(text);
        if ids.is_empty() {
            // A text begins after the end of another.
            ids.push(tokenizer.end_of_text());
        }
        Ok(Prompt {
            shown: text.clone(),
            ids,
        })
    });
    let of_ids = arguments.tokens.iter().map(|given| {
        let ids = text_source::ids(given, vocab_size)?;
        let shown = tokenizer.decode(&ids);
        Ok(Prompt { shown, ids })
    });
    of_text.chain(of_ids).collect()
}

/// The texts to make: the samples of the first prompt, then those of the next.
fn texts<'a>(arguments: &Arguments, prompts: &'a [Prompt]) -> Vec<Text<'a>> {
    let samples = |prompt| {
        (0..u64::from(arguments.samples)).map(move |sample| Text {
            prompt,
            sampling: arguments.sampling.settings(sample),
            answer: Answer::new(&arguments.sampling.stops),
            shown: String::new(),
            made: 0,
            ended: false,
        })
    };
    prompts.iter().flat_map(samples).collect()
}

impl Text<'_> {
    /// Adds a token, and returns what may be shown from here on.
    fn add(&mut self, token: u32, tokenizer: Option<&Tokenizer>, stops: &[u32]) -> String {
        if stops.contains(&token) {
            self.ended = true;
            return String::new();
        }
        self.made += 1;
        let shown = match tokenizer {
            Some(tokenizer) => self.answer.push(tokenizer.piece(token)),
            None => format!(",{token}"),
        };
        self.ended = self.answer.is_stopped();
        self.shown.push_str(&shown);
        shown
    }
}
