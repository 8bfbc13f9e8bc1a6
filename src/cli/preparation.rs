//! What a training run needs, made ready and checked before its first step: threads, memory, disk, text, and the state it starts
//! from.

mod beginning;
mod examples;
mod forecast;
mod lesson;
mod material;
mod settings;
mod together;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::outcome::{Failure, warn};
use super::ranks::{Ranks, fingerprint};
use super::text_source::{Vocabulary, say};
use super::trained::{Trained, shape, tokenizer_of};
use super::workers::Workers;
use crate::atomic;
use crate::config::{Config, Parallel};
use crate::model::{Layout, Switches};
use crate::text::{Key, Tokenizer, Tokens};
use crate::train::checkpoint::Checkpoint;
use crate::train::data::Cut;
use crate::train::digest::hexadecimal;
use crate::train::run::{self, Events, Run, Settings};
use crate::train::run_folder::{self, RunFolder, RunFolderError};
use crate::train::state::{Identity, NO_TOKENIZER, State};
use crate::train::task::Task;
use crate::train::{Dataset, Optimizer, Plan, Sharing, Trainer};
use crate::units::{Bytes, grouped};
use beginning::beginning;
pub(crate) use beginning::sizes_of;
pub(crate) use examples::{is_bare, is_ruled, worked};
pub(crate) use forecast::{Forecast, check_memory};
pub(crate) use lesson::lesson;
pub(crate) use material::{Material, frozen, material};
pub(crate) use settings::settings;

/// A run that can go.
pub(crate) struct Prepared {
    /// What computes.
    pub(crate) workers: Workers,
    /// Where the run is kept, by this process; another rank may.
    folder: Option<RunFolder>,
    /// The path of that folder.
    pub(crate) path: PathBuf,
    /// How many processes share each batch.
    ranks: usize,
    /// What it learns.
    task: Box<dyn Task>,
    /// The model, with the weights of `state`.
    trainer: Trainer,
    /// What it will take of memory.
    forecast: Forecast,
    /// Where the run stands.
    pub(crate) state: State,
    /// The checkpoint of `state`.
    checkpoint: Option<PathBuf>,
    /// How long it is and what it does on the way.
    pub(crate) settings: Settings,
    /// The loss of a model that knows token frequencies only.
    pub(crate) unigram_entropy: Option<f64>,
}

/// Makes a run ready: everything that can be wrong is found here, before any work is lost.
///
/// # Errors
/// When memory, disk, text or the state to resume do not allow the run.
pub(crate) fn prepare(config: &Config, resume: bool, ranks: &Ranks) -> Result<Prepared, Failure> {
    together::check(config, ranks)?;
    if ranks.count() > 1 {
        ranks.same(&fingerprint(config)?)?;
    }
    let (process, processes) = ranks.place();
    let workers = Workers::among(config.training.threads, process, processes)?;
    let plan = Plan {
        sharing: Sharing {
            ranks: ranks.count(),
            optimizer: config.training.shard_optimizer,
        },
        ..plan(config, &workers)
    };
    check_memory(config, &plan, &workers)?;
    let folder = ranks.is_first().then(|| lock(config)).transpose()?;
    match start(config, &workers, &plan, folder.as_ref(), resume, ranks) {
        Ok(Start {
            task,
            unigram_entropy,
            forecast,
            trainer,
            state,
            checkpoint,
        }) => Ok(Prepared {
            settings: settings(config, &*task),
            unigram_entropy,
            workers,
            folder,
            path: folder_of(config).to_owned(),
            ranks: ranks.count(),
            task,
            forecast,
            trainer,
            state,
            checkpoint,
        }),
        Err(failure) => {
            if let Some(folder) = folder {
                folder.abandon();
            }
            Err(failure)
        }
    }
}

/// What depends on the folder.
struct Start {
    task: Box<dyn Task>,
    unigram_entropy: Option<f64>,
    forecast: Forecast,
    trainer: Trainer,
    state: State,
    checkpoint: Option<PathBuf>,
}

fn start(
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    folder: Option<&RunFolder>,
    resume: bool,
    ranks: &Ranks,
) -> Result<Start, Failure> {
    let mut origin = match folder {
        Some(folder) => Origin::read(config, plan, folder, resume)?,
        None => Origin::default(),
    };
    let size = config.model.vocab_size;
    let vocabulary = together::vocabulary(ranks, origin.vocabulary.take(), size)?;
    let Material {
        tokenizer,
        mut task,
        key,
        unigram_entropy,
        ..
    } = material(config, workers, plan, vocabulary)?;
    crate::tensor::return_freed_memory();
    let now = identity(config, workers, tokenizer.as_ref(), &key);
    ranks.same(&[
        ("text (its SHA-256)".to_owned(), now.data_sha256.clone()),
        (
            "tokenizer (its SHA-256)".to_owned(),
            now.tokenizer_sha256.clone(),
        ),
    ])?;
    let Origin {
        newest, beginning, ..
    } = origin;
    let state = together::state(ranks, state(now, newest.as_ref())?)?;
    if let Some(memory) = state.memory {
        task.recall(memory);
    }
    let forecast = Forecast::now(config, plan);
    let pool = Arc::clone(&workers.pool);
    let mut trainer = Trainer::new(plan, pool, config.training.seed).map_err(Failure::failed)?;
    if let Some(checkpoint) = &newest {
        run::restore(&mut trainer, checkpoint).map_err(Failure::failed)?;
    }
    if let Some(model) = &beginning {
        let [weights, ..] = trainer.restore(0);
        model.fill_grown(weights)?;
    }
    together::join(ranks, &mut trainer, state.updates)?;
    if let Some(folder) = folder {
        write_beside(folder, &state, tokenizer.as_ref())?;
    }
    Ok(Start {
        task,
        unigram_entropy,
        forecast,
        trainer,
        state,
        checkpoint: newest.map(|checkpoint| checkpoint.path),
    })
}

/// What the folder and the disk say of how the run begins; of several ranks the first alone reads it.
#[derive(Default)]
struct Origin {
    newest: Option<Checkpoint>,
    beginning: Option<Trained>,
    vocabulary: Option<Vocabulary>,
}

impl Origin {
    fn read(
        config: &Config,
        plan: &Plan,
        folder: &RunFolder,
        resume: bool,
    ) -> Result<Origin, Failure> {
        let newest = newest(folder, resume)?;
        check_space(plan, config.training.keep_checkpoints, folder)?;
        let mut beginning = match (&newest, &config.data.pretrained_weights) {
            (None, Some(path)) => Some(beginning(path, plan)?),
            _ => None,
        };
        let vocabulary = match (&newest, &mut beginning) {
            (Some(checkpoint), _) => {
                Vocabulary::of_model(tokenizer_of(folder.path(), &checkpoint.state.identity)?)
            }
            (None, Some(model)) => Vocabulary::of_model(model.tokenizer.take()),
            (None, None) => Vocabulary::Learnt(config.model.vocab_size),
        };
        Ok(Origin {
            newest,
            beginning,
            vocabulary: Some(vocabulary),
        })
    }
}

impl Prepared {
    /// The run, told to `events`.
    pub(crate) fn run<'a>(&'a mut self, events: &'a mut dyn Events) -> Run<'a> {
        Run {
            trainer: &mut self.trainer,
            task: &mut *self.task,
            settings: self.settings.clone(),
            folder: self.folder.as_ref(),
            state: self.state.clone(),
            checkpoint: self.checkpoint.take(),
            events,
        }
    }

    /// The memory of the trainer by role: in use, of what was planned.
    pub(crate) fn memory(&mut self) -> String {
        let roles = self.trainer.memory();
        let sum = |bytes: usize| Bytes(bytes as f64);
        let planned: usize = roles.iter().map(|role| role.planned).sum();
        let Some(peak) = roles.iter().map(|role| role.peak).sum::<Option<usize>>() else {
            return format!("{} planned", sum(planned));
        };
        let each = roles
            .iter()
            .map(|role| format!("{} {}", role.role, sum(role.peak.unwrap_or(0))));
        let each: Vec<_> = each.collect();
        format!(
            "{} of {} planned: {}",
            sum(peak),
            sum(planned),
            each.join(", ")
        )
    }

    /// What is about to happen, for the log.
    pub(crate) fn describe(&self) -> String {
        let plan = self.trainer.plan();
        let count = |number: usize| grouped(number as i64);
        let parameters = count(Layout::new(&plan.shape).parameter_count());
        let memory = self.forecast.total();
        let steps = match (self.state.step, self.settings.steps) {
            (done, all) if done >= all => format!("all {} steps are done", grouped(all as i64)),
            (done, all) => format!(
                "steps {} to {}",
                grouped(done as i64 + 1),
                grouped(all as i64)
            ),
        };
        let (isa, threads) = (self.workers.isa.name(), self.workers.pool.cpus().len());
        let plural = if threads == 1 { "" } else { "s" };
        let ranks = match self.ranks {
            1 => String::new(),
            count => format!(" on each of {count} ranks"),
        };
        format!(
            "data: {}\n\
             model: {parameters} parameters; about {memory} of memory\n\
             run: {steps} of {} sequences x {} tokens, {} at a time; {isa}, {threads} thread{plural}{ranks}; kept in {}",
            self.task.describe(),
            plan.batch,
            plan.length,
            plan.micro_batch,
            self.path.display(),
        )
    }
}

/// A text cut as the configuration says.
///
/// # Errors
/// When it is too short for one sequence.
pub(crate) fn dataset(config: &Config, tokens: Tokens) -> Result<Dataset, Failure> {
    let cut = Cut {
        length: config.training.max_length,
        batch: config.training.batch_size,
        validation: config.training.validation_split,
        seed: config.training.seed,
    };
    Dataset::new(Arc::new(tokens), cut).map_err(Failure::wrong_use)
}

/// The sizes of the configuration, on these workers.
pub(crate) fn plan(config: &Config, workers: &Workers) -> Plan {
    let training = &config.training;
    // A pair is two sequences side by side.
    let sequences = if config.has_pairs() { 2 } else { 1 };
    let (batch, length) = (sequences * training.batch_size, training.max_length);
    let shape = shape(config);
    let by_sequences = training.parallel == Some(Parallel::Sequences);
    let threads = workers.pool.cpus().len();
    let automatic = || {
        let size = Plan::automatic_micro_batch(&shape, training.batch_size, sequences * length);
        match by_sequences {
            true => Plan::equal_shares(training.batch_size, size, threads),
            false => size,
        }
    };
    Plan {
        shape,
        batch,
        length,
        micro_batch: sequences * training.micro_batch.unwrap_or_else(automatic),
        optimizer: Optimizer {
            beta1: training.beta1 as f32,
            beta2: training.beta2 as f32,
            epsilon: training.epsilon as f32,
            weight_decay: training.weight_decay as f32,
            clip_norm: training.clip_norm.map(|norm| norm as f32),
        },
        dropout: training.dropout as f32,
        recompute: training.recompute,
        by_sequences,
        isa: workers.isa,
        caches: workers.caches,
        workers: threads,
        switches: Switches::default(),
        sharing: Sharing::default(),
    }
}

fn folder_of(config: &Config) -> &Path {
    Path::new(config.data.output_dir.as_deref().unwrap_or("models/run"))
}

fn lock(config: &Config) -> Result<RunFolder, Failure> {
    RunFolder::lock(folder_of(config)).map_err(|error| match &error {
        RunFolderError::Busy { .. } => {
            Failure::failed(&error).help("wait for it to end, or give another folder by --out")
        }
        _ => Failure::failed(&error).help("give a folder that can be written to by --out"),
    })
}

/// The checkpoint to go on from: the newest that is whole, where the run is to be resumed.
fn newest(folder: &RunFolder, resume: bool) -> Result<Option<Checkpoint>, Failure> {
    let (checkpoints, path) = (folder.checkpoints(), folder.path().display());
    if !resume {
        return match checkpoints.list().map_err(Failure::failed)?.last() {
            None => Ok(None),
            Some((step, _)) => Err(Failure::wrong_use(format!(
                "{path} holds a run that has come to step {step}"
            ))
            .help("add --resume to go on with it, or give another folder by --out")),
        };
    }
    let (newest, refused) = checkpoints.latest().map_err(Failure::failed)?;
    refused.iter().for_each(warn);
    match &newest {
        Some(checkpoint) => {
            say(&format!("going on from {}", checkpoint.path.display()));
            checkpoints
                .set_aside_after(checkpoint.state.step)
                .map_err(Failure::failed)?;
        }
        None if refused.is_empty() => {
            say(&format!("{path} has no checkpoint yet: starting at step 1"))
        }
        None => {
            let help = "start again in another folder, by --out";
            return Err(Failure::failed(format!("no checkpoint in {path} can be used")).help(help));
        }
    }
    Ok(newest)
}

/// Room for all checkpoints that will be there at once: those kept and the one being written.
fn check_space(plan: &Plan, keep: usize, folder: &RunFolder) -> Result<(), Failure> {
    // A checkpoint holds all moments, also where ranks share them.
    let one = 3 * plan.memory().parameters as u64;
    let there = folder
        .checkpoints()
        .list()
        .map_err(Failure::failed)?
        .len()
        .min(keep);
    folder
        .require_space(one * (keep + 1 - there) as u64)
        .map_err(|error| {
            Failure::failed(error).help("free some space, or set training.keep_checkpoints lower")
        })
}

fn identity(
    config: &Config,
    workers: &Workers,
    tokenizer: Option<&Tokenizer>,
    text: &Key,
) -> Identity {
    Identity {
        config: config.effective(),
        tokenizer_sha256: tokenizer.map_or_else(
            || NO_TOKENIZER.to_owned(),
            |tokenizer| hexadecimal(&tokenizer.key()),
        ),
        data_sha256: hexadecimal(text),
        isa: workers.isa.name().to_owned(),
        l1_bytes: workers.caches.l1,
        threads: workers.pool.cpus().len(),
    }
}

/// The state to start from; a run to be resumed must be the same run.
fn state(now: Identity, newest: Option<&Checkpoint>) -> Result<State, Failure> {
    let Some(checkpoint) = newest else {
        return Ok(State::new(now));
    };
    let mut was = checkpoint.state.identity.clone();
    // A run of an earlier version does not name the keys that came since: they have their defaults.
    if let Ok(config) = Config::from_json(&was.config.to_string()) {
        was.config = config.effective();
    }
    let conflicts = was.conflicts(&now);
    if !conflicts.is_empty() {
        let what = format!(
            "{} is of another run: {}",
            checkpoint.path.display(),
            conflicts.join("; ")
        );
        return Err(Failure::wrong_use(what)
            .help("resume with the settings and the text of the run, or start a new one in another folder, by --out"));
    }
    was.rounding(&now).iter().for_each(warn);
    let mut state = checkpoint.state.clone();
    state.identity = now;
    Ok(state)
}

/// Puts configuration and tokenizer beside the checkpoints, so that the folder is all that using the model needs.
fn write_beside(
    folder: &RunFolder,
    state: &State,
    tokenizer: Option<&Tokenizer>,
) -> Result<(), Failure> {
    let config = format!("{:#}\n", state.identity.config);
    let tokenizer = tokenizer.map(|known| (run_folder::tokenizer(folder.path()), known.json()));
    let config = (run_folder::config(folder.path()), config.as_str());
    for (path, content) in [Some(config), tokenizer].into_iter().flatten() {
        let is_there = fs::read(&path).is_ok_and(|there| there == content.as_bytes());
        if !is_there {
            let failed =
                |error| Failure::failed(format!("cannot write {}: {error}", path.display()));
            atomic::write(&path, |file| file.write_all(content.as_bytes())).map_err(failed)?;
        }
    }
    Ok(())
}
