//! `loopos generate`: continue a text with a trained model, token by token.

use std::path::PathBuf;

use super::outcome::Exit;

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
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("must be 0 or more".to_owned()) }
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err("must be above 0 and at most 1".to_owned()) }
}
