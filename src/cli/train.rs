//! `loopos train`: train the model of a configuration on a text, with checkpoints that a killed run continues from.

mod explain;
mod processors;
mod time_limit;
mod traced;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGUSR1;

use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure, warn};
use super::preparation::{self, Prepared};
use super::profile;
use super::progress::Progress;
use super::ranks::Ranks;
use super::text_source::say;
use super::utf8;
use super::written::write;
use crate::config::{Algorithm, Config, ConfigError};
use crate::train::run::{RunError, Summary};
use crate::train::run_folder;
use crate::train::trace::About;
use crate::units::{Seconds, digits, grouped};
use processors::Processors;
use time_limit::TimeLimit;
use traced::Traced;

const EXAMPLES: &str = "\
Examples:
  loopos train --config autoregressive_training_small
  loopos train --config configs/autoregressive_training.json --data books/ --out models/books
  loopos train --config autoregressive_training --set training.max_steps=500 --set training.batch_size=16
  loopos train --resume --out models/books
  loopos train --init gpt2/ --data books/ --out models/tuned
  loopos train --config autoregressive_training --explain
  loopos train --config autoregressive_training --set training.max_steps=3 --out /tmp/run --trace step.json
  mpirun -n 2 loopos train --config autoregressive_training --out models/run
  loopos train --config ids.json --tokens ids.txt --set model.vocab_size=101

--init starts from the weights of a model: the folder of a run, one of its checkpoints, or a GPT-2 in Hugging Face's layout. Its
sizes and its tokenizer become those of the run; the rest comes from --config, or from autoregressive_training.
The run is kept in the output folder: checkpoints/, metrics.jsonl (a line for each step), config.json, tokenizer.json.
Ctrl-C saves a checkpoint and ends with exit code 130; a second Ctrl-C ends at once. --resume continues the run to the bit.
A profile that `loopos tune` made for this machine and configuration sets threads and micro-batch, unless the configuration does.
Started by mpirun or srun, the processes share every batch; rank 0 speaks and saves, and any number of them resumes (needs a build with
--features mpi). SIGUSR1 to mpirun saves and ends; of a Ctrl-C they see one second.
LOOPOS_ISA=avx512|avx512vl|avx2|scalar forces the instruction set.";

/// The built-in configuration of a run that starts from a model and names none.
const USUAL: &str = "autoregressive_training";

/// What to type after `loopos train`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A configuration: a JSON file, or the name of a built-in one (see `loopos configs list`)
    #[arg(long, value_name = "FILE", required_unless_present_any = ["resume", "init"])]
    config: Option<String>,
    /// Start from the weights of this model [default: data.pretrained_weights, or random ones]
    #[arg(long, visible_alias = "model", value_name = "DIR")]
    init: Option<PathBuf>,
    /// Text to train on, a file or a folder [default: data.input_file, or the source text of this program's dependencies]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Token ids to train on instead of text: a list as in 5,17,3, or a file of them [default: data.tokens]
    #[arg(long, value_name = "IDS|FILE", conflicts_with = "data")]
    tokens: Option<String>,
    /// Override one key of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Continue the run in the output folder from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// Print the plan of the run and why it is so: sizes, threads, schedule, memory. Does not train
    #[arg(long, conflicts_with = "resume")]
    explain: bool,
    /// Folder for the run [default: data.output_dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Worker threads [default: training.threads, or one for each core this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Take threads and micro-batch from this profile [default: the one that `loopos tune` made for this machine and configuration]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_profile", "resume"])]
    profile: Option<PathBuf>,
    /// Write the third step from now, operator by operator, to FILE, which Perfetto and chrome://tracing open
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    trace: Option<PathBuf>,
    /// Stop after the step at which so many seconds of training are over: saved, exit code 0, --resume goes on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_seconds: Option<Duration>,
    /// Refuse to train unless so many processes were started together [default: as many as mpirun or srun says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ranks: Option<u32>,
    /// Use no profile: threads and micro-batch are chosen by rule
    #[arg(long)]
    no_profile: bool,
}

impl Arguments {
    /// The configuration with everything that the command line says about it.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = self.file()?;
        let pairs: Vec<_> = self
            .overrides
            .iter()
            .map(|text| Config::parse_override(text))
            .collect::<Result<_, _>>()
            .map_err(wrong_config)?;
        let set = |config: &mut Config, pairs: &[(&str, &str)]| {
            config
                .set_all(pairs)
                .map_err(|error| wrong_config(error).help("this comes from --set"))
        };
        set(&mut config, &pairs)?;
        self.start_from(&mut config, &pairs)?;
        if let Some(path) = &self.data {
            let given = Some(utf8(path)?);
            match config.algorithm() {
                None => {
                    config.data.input_file = given;
                    config.data.tokens = None;
                }
                Some(Algorithm::Supervised) => config.data.reasoning_examples = given,
                Some(_) => config.data.preference_data = given,
            }
        }
        if let Some(given) = &self.tokens {
            config.data.tokens = Some(given.clone());
            config.data.input_file = None;
        }
        if let Some(path) = &self.out {
            config.data.output_dir = Some(utf8(path)?);
        }
        if let Some(threads) = self.threads {
            config.training.threads = Some(threads as usize);
        }
        Ok(config)
    }

    /// Sets the keys that the model to start from decides.
    fn start_from(&self, config: &mut Config, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        let init = match &self.init {
            Some(path) => Some(utf8(path)?),
            None => config.data.pretrained_weights.clone(),
        };
        let Some(path) = init else {
            return match config.algorithm() {
                None => Ok(()),
                Some(_) => Err(Failure::wrong_use(
                    "data.pretrained_weights: there is no model to start from",
                )
                .help(
                    "name one by --init: the folder of a run, or a GPT-2 in Hugging Face's layout",
                )),
            };
        };
        if self.config.is_some() || !self.resume {
            config.method_ready().map_err(Failure::failed)?;
            let sizes = preparation::sizes_of(Path::new(&path), config, self.init.is_some())?;
            let sizes = sizes.iter().map(|(key, value)| (*key, value.as_str()));
            // What the user sets comes last.
            let all: Vec<_> = sizes.chain(pairs.iter().copied()).collect();
            config
                .set_all(&all)
                .map_err(|error| wrong_config(error).help("this comes from --set"))?;
        }
        config.data.pretrained_weights = Some(path);
        Ok(())
    }

    /// The configuration that everything else is said about.
    fn file(&self) -> Result<Config, Failure> {
        match (&self.config, &self.out) {
            (Some(name), _) => Config::find(name).map_err(wrong_config),
            (None, _) if !self.resume => Config::find(USUAL).map_err(wrong_config),
            (None, Some(folder)) => Config::load(&run_folder::config(folder)).map_err(|error| {
                wrong_config(error).help(
                    "--resume takes the configuration from the folder of a run, or from --config",
                )
            }),
            (None, None) => {
                let help = "add --out DIR, the folder of the run, or --config, its configuration";
                Err(Failure::wrong_use("--resume does not say which run to continue").help(help))
            }
        }
    }
}

fn wrong_config(error: ConfigError) -> Failure {
    Failure::wrong_use(error)
}

/// Trains, with the other processes that were started for it, and says on stdout what came of it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let ranks = Ranks::join(arguments.ranks.map(|count| count as usize))?;
    let outcome = train(arguments, &ranks);
    ranks.part(outcome.is_ok());
    outcome
}

fn train(arguments: &Arguments, ranks: &Ranks) -> anyhow::Result<Exit> {
    let mut config = arguments.config()?;
    config.method_ready().map_err(Failure::failed)?;
    // A run that goes on keeps what it began with.
    if !arguments.no_profile
        && !arguments.resume
        && let Some(line) = profile::apply(&mut config, arguments.profile.as_deref())?
    {
        say(&line);
    }
    if arguments.explain && !ranks.is_first() {
        return Ok(Exit::Done);
    }
    if arguments.explain {
        io::stdout()
            .lock()
            .write_all(explain::explain(&config)?.as_bytes())?;
        return Ok(Exit::Done);
    }
    let mut prepared = preparation::prepare(&config, arguments.resume, ranks)?;
    say(&prepared.describe());
    let interrupt = Interrupt::install()?;
    if ranks.count() > 1 {
        // mpirun hands this signal on; of Ctrl-C its processes see one second, then they are killed.
        interrupt.stop_at_also(SIGUSR1)?;
    }
    let begin = Instant::now();
    let mut progress = if ranks.is_first() {
        Progress::new(prepared.settings.steps, prepared.state.step)
    } else {
        Progress::quiet()
    };
    let pool = Arc::clone(&prepared.workers.pool);
    let mut watched = Processors::new(&mut progress, pool);
    let mut traced = Traced::new(&mut watched, arguments.trace.is_some());
    let mut timed = TimeLimit::new(&mut traced, arguments.max_seconds, interrupt.stop());
    let outcome = prepared.run(&mut timed).go(interrupt.stop());
    let trace = traced.take();
    progress.finish();
    let summary = outcome.map_err(|error| advise(error, &prepared, ranks))?;
    if !ranks.is_first() {
        return Ok(if summary.finished {
            Exit::Done
        } else {
            interrupt.exit()
        });
    }
    if let (Some(path), Some(trace)) = (&arguments.trace, trace) {
        let about = about(arguments, &config, &prepared);
        match trace.json(&about) {
            Some(json) => write(path, &json)?,
            None => warn("no trace: the run ended before its third step"),
        }
    }
    write_summary(
        &summary,
        &mut prepared,
        Seconds(begin.elapsed().as_secs_f64()),
    )?;
    Ok(if summary.finished {
        Exit::Done
    } else {
        interrupt.exit()
    })
}

/// A time as it is typed.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What the reader of a trace must know.
fn about(arguments: &Arguments, config: &Config, prepared: &Prepared) -> About {
    let file = arguments
        .config
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_stem);
    About {
        name: file
            .map_or("training".into(), |name| name.to_string_lossy())
            .into_owned(),
        isa: prepared.workers.isa.name(),
        threads: prepared.workers.pool.cpus().len(),
        tokens: config.training.batch_size * config.training.max_length,
    }
}

/// What the reader can do about a run that failed.
fn advise(error: RunError, prepared: &Prepared, ranks: &Ranks) -> Failure {
    let folder = prepared.path.display();
    let help = match &error {
        RunError::Diverged { last_good, .. } | RunError::Spoilt { last_good, .. } => {
            let kept = match last_good {
                Some(path) => format!("{} is from before and as it was", path.display()),
                None => format!("{folder} holds no checkpoint from before"),
            };
            format!(
                "{kept}; start again with a smaller training.learning_rate or a longer training.warmup_steps, or raise \
                 training.max_skips or training.spike_sigmas where the text is to blame"
            )
        }
        RunError::Stray { rank, .. } => format!(
            "the checkpoint before is whole: go on from it without the host of {}, whose memory or library is to blame",
            ranks.name(*rank)
        ),
        RunError::Checkpoint(_) | RunError::Log { .. } => {
            format!(
                "what was saved before is untouched: make room, then `loopos train --resume --out {folder}`"
            )
        }
    };
    Failure::failed(error).help(help)
}

fn write_summary(summary: &Summary, prepared: &mut Prepared, elapsed: Seconds) -> io::Result<()> {
    let (state, history) = (&summary.state, &summary.state.history);
    let mut stdout = io::stdout().lock();
    let word = if summary.finished {
        "trained"
    } else {
        "stopped after"
    };
    let (step, tokens) = (grouped(state.step as i64), grouped(state.tokens as i64));
    writeln!(
        stdout,
        "{word} {step} steps, {tokens} tokens; this time {elapsed}"
    )?;
    if let (Some(first), Some(last)) = (history.first_loss, history.last_loss) {
        writeln!(
            stdout,
            "loss             {first:.4} at first, {last:.4} at last"
        )?;
    }
    if let (Some(last), Some(best)) = (history.last_validation_loss, history.best_validation_loss) {
        let perplexity = digits(f64::from(last).exp());
        writeln!(
            stdout,
            "validation loss  {last:.4}, perplexity {perplexity}; lowest {best:.4}"
        )?;
    }
    if let Some(entropy) = prepared.unigram_entropy {
        writeln!(
            stdout,
            "unigram entropy  {entropy:.4}: the loss of knowing only how frequent each token is"
        )?;
    }
    writeln!(stdout, "memory           {}", prepared.memory())?;
    if let Some(checkpoint) = &summary.checkpoint {
        writeln!(stdout, "checkpoint       {}", checkpoint.display())?;
    }
    let folder = prepared.path.display();
    if summary.finished {
        writeln!(
            stdout,
            "try it           loopos generate --model {folder} --prompt \"Once\""
        )
    } else {
        writeln!(
            stdout,
            "go on            loopos train --resume --out {folder}"
        )
    }
}
