//! `loopos generate`: continue a text with a trained model, token by token.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::interrupt::Interrupt;
use super::outcome::Exit;
use super::text_source::{self, say};
use super::trained::Trained;
use super::workers::Workers;
use crate::model::{Generator, Sampling};
use crate::units::digits;

const EXAMPLES: &str = "\
Examples:
  loopos generate --model models/autoregressive_training --prompt \"My fellow citizens\"
  loopos generate --model models/small --prompt \"fn main() {\" --tokens 200 --temperature 0
  loopos generate --model models/small/checkpoints/step-000500 --prompt \"The\" --seed 7 --top-k 40

The text goes to stdout as it is made. The same model, prompt, seed and settings give the same text.";

/// What to type after `loopos generate`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder of a trained model: a run's output folder, or one of its checkpoints
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// How many tokens to add at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    tokens: usize,
    /// Below 1 safer, above 1 wilder; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = temperature)]
    temperature: f32,
    /// Choose among the K likeliest tokens only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Choose among the likeliest tokens that share this much of the probability
    #[arg(long, value_name = "P", value_parser = share)]
    top_p: Option<f32>,
    /// Seed of the choices
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Worker threads [default: one for each processor this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err("must be 0 or more".to_owned())
    }
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1.0 {
        Ok(value)
    } else {
        Err("must be above 0 and at most 1".to_owned())
    }
}

/// Writes the prompt and its continuation to stdout, each token as it comes.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let workers = Workers::new(arguments.threads.map(|threads| threads as usize))?;
    let trained = Trained::open(&arguments.model)?;
    let parameters = trained.parameters()?;
    let tokenizer = trained
        .tokenizer
        .as_ref()
        .ok_or_else(text_source::no_tokenizer)?;
    let mut prompt = tokenizer.encode(&arguments.prompt);
    if prompt.is_empty() {
        // A text begins after the end of another.
        prompt.push(tokenizer.end_of_text());
    }
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k.unwrap_or(0) as usize,
        top_p: arguments.top_p.unwrap_or(1.0),
        seed: arguments.seed,
    };
    let interrupt = Interrupt::install()?;
    let mut generator = Generator::new(&trained.shape, sampling, &prompt);
    let mut text = Utf8Stream::default();
    let mut stdout = io::stdout().lock();
    write!(stdout, "{}", arguments.prompt)?;
    let begin = Instant::now();
    let mut made = 0;
    while made < arguments.tokens && !interrupt.stop().load(Ordering::Relaxed) {
        let token = workers
            .pool
            .assemble(|| generator.next(&workers.compute(), &parameters));
        if token == tokenizer.end_of_text() {
            break;
        }
        made += 1;
        stdout.write_all(text.push(tokenizer.piece(token)).as_bytes())?;
        stdout.flush()?;
    }
    writeln!(stdout, "{}", text.finish())?;
    let speed = made as f64 / begin.elapsed().as_secs_f64();
    say(&format!("{made} tokens, {} tokens/s", digits(speed)));
    Ok(interrupt.exit())
}

/// Bytes of tokens to text: a character may be spread over several tokens.
#[derive(Default)]
struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes and returns the characters that are complete; what can never become one is shown as `U+FFFD`.
    fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let is_last = used + chunk.invalid().len() == self.pending.len();
            if is_last && may_become_a_character(chunk.invalid()) {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            used += chunk.invalid().len();
        }
        self.pending.drain(..used);
        text
    }

    /// What is left when no more bytes come.
    fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether these bytes are the beginning of a character, by the error that more bytes would mend.
fn may_become_a_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_appear_when_they_are_complete() {
        let mut stream = Utf8Stream::default();
        let pieces: [&[u8]; 6] = [b"a\xe2", b"\x82", b"\xac!", b"\xff", b"\xc3(", b"\xf0\x9f"];
        let shown: Vec<_> = pieces.iter().map(|piece| stream.push(piece)).collect();
        assert_eq!(shown, ["a", "", "\u{20ac}!", "\u{fffd}", "\u{fffd}(", ""]);
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(
            temperature("-0.1").is_err()
                && temperature("inf").is_err()
                && temperature("nan").is_err()
        );
        assert!(share("0").is_err() && share("1.01").is_err() && share("x").is_err());
        assert_eq!((temperature("0"), share("1")), (Ok(0.0), Ok(1.0)));
    }
}
