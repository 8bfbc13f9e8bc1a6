//! `loopos bench`: measure what a suite measures, keep it as run.json, and write the page.

mod document;
mod experiment;
mod folder;
mod forecast;
mod simulation;
mod summary;
mod together;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::builder::PossibleValue;

use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure, warn};
use super::ranks::Ranks;
use crate::measure::clock::Clock;
use crate::measure::turn::{Error as TurnError, Turn};
use crate::probe::Machine;
use crate::record::Run;
use crate::suites::{Context, Effort, Experiment, Host, Recorder, SUITES, Suite};
pub(super) use document::Document;
pub(super) use experiment::case_name;
use folder::Folder;
use forecast::Forecast;

const EXAMPLES: &str = "\
Examples:
  loopos bench --suite training                     train the small model on all threads and explain the speed
  loopos bench --suite training --quick             the same within two minutes
  loopos bench --suite training --config autoregressive_training --threads 1,2
  loopos bench --suite ceilings --isa avx2,scalar   how fast this machine could go
  loopos bench --suite matmul --threads 1           matrix products beside other libraries
  loopos bench --suite training --quick --counters simulate    cache misses without counters, by Valgrind
  loopos bench --suite training --set training.batch_size=64 --json > run.json
  mpirun -n 2 loopos bench --suite fleet --quick    sums over processes, and training on all of them (needs --features mpi)

Results: reports/runs/<id>/ with run.json, report.html and each picture as SVG; reports/latest/ is a copy of the newest.
Started by mpirun or srun, all processes measure the suite at the same time, and rank 0 keeps what each found.
Ctrl-C keeps what was measured until then. LOOPOS_ISA=avx512|avx512vl|avx2|scalar forces the instruction set.";

/// A wait for another measurement that is worth a line: shorter ones nobody notices.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to type after `loopos bench`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(long, value_name = "SUITE", value_parser = suites())]
    suite: String,
    /// Few samples: each suite within two minutes on two slow cores
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Many samples, the large configuration too, and every product in every layout
    #[arg(long)]
    full: bool,
    /// A configuration to train: a JSON file, or the name of a built-in one; may be repeated
    #[arg(long, value_name = "FILE")]
    config: Vec<String>,
    /// Override one key of every configuration; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Text to train on, a file or a folder [default: the source text of this program's dependencies]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Numbers of threads: `1,2,4` or `1-4` [default: one up to all that this process may use]
    #[arg(long, value_name = "LIST")]
    threads: Option<String>,
    /// Instruction sets, of which the first trains: `avx512,avx2` [default: all of this machine, the widest trains]
    #[arg(long, value_name = "LIST")]
    isa: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// Hardware counters: tried (`auto`, `perf`), simulated by Valgrind beside them, or left out
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = ["auto", "perf", "simulate", "off"])]
    counters: String,
    /// Write run.json to stdout instead of the summary
    #[arg(long)]
    json: bool,
}

/// A document and where its page is.
pub(super) type Measured = (Run, PathBuf);

/// What another command decides of a measurement.
pub(super) struct Choices {
    pub(super) overrides: Vec<String>,
    pub(super) data: Option<PathBuf>,
    pub(super) threads: Option<String>,
    pub(super) quick: bool,
    pub(super) full: bool,
    pub(super) out: PathBuf,
}

/// What `--suite` takes: the suites that exist, and all of them.
fn suites() -> Vec<PossibleValue> {
    let suite = |suite: &&dyn Suite| PossibleValue::new(suite.id()).help(suite.title());
    let all = PossibleValue::new("all").help("All of these");
    SUITES.iter().map(suite).chain([all]).collect()
}

impl Arguments {
    /// As if typed: this suite on this configuration.
    pub(super) fn of_suite(suite: &str, config: &str, choices: Choices) -> Self {
        Self {
            suite: suite.to_owned(),
            quick: choices.quick,
            full: choices.full,
            config: vec![config.to_owned()],
            overrides: choices.overrides,
            data: choices.data,
            threads: choices.threads,
            isa: None,
            out: choices.out,
            counters: "off".to_owned(),
            json: false,
        }
    }

    fn suites(&self) -> Vec<&'static dyn Suite> {
        let wanted = |suite: &&dyn Suite| self.suite == "all" || self.suite == suite.id();
        SUITES.iter().copied().filter(wanted).collect()
    }

    fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Full,
            _ => Effort::Normal,
        }
    }
}

/// Measures, writes the results, and says on stdout what was found.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let ranks = Ranks::join(None)?;
    let show = |(run, page): &Measured| print(arguments, run, page);
    let outcome = ranks.placed(|| measure(arguments, &ranks, &show));
    // Who was stopped may have left the others waiting.
    ranks.part(matches!(outcome, Ok((Exit::Done, _))));
    Ok(outcome?.0)
}

/// Measures, writes the results, and shows them, also where a suite failed on the way: how it ended, the document and its page.
pub(super) fn measure(
    arguments: &Arguments,
    ranks: &Ranks,
    show: &dyn Fn(&Measured) -> anyhow::Result<()>,
) -> anyhow::Result<(Exit, Option<Measured>)> {
    together::check(arguments, ranks)?;
    let machine = Machine::detect();
    let settings = experiment::settings(arguments, &machine)?;
    let document = Document::new(&machine, &arguments.suite, arguments.effort());
    // One process keeps what all found.
    let folder = ranks
        .is_first()
        .then(|| Folder::new(&arguments.out, &document.id))
        .transpose()?;
    let discard = || folder.iter().for_each(Folder::discard);
    let experiment = experiment::prepare(arguments, settings, || document.elapsed())
        .inspect_err(|_| discard())?;
    let interrupt = Interrupt::install()?;
    let turn = match ranks
        .is_first_here()
        .then(|| take_turn(interrupt.stop()))
        .transpose()
    {
        Ok(turn) => turn,
        Err(TurnError::Abandoned { .. }) => {
            discard();
            return Ok((interrupt.exit(), None));
        }
        Err(error @ TurnError::Unusable { .. }) => {
            warn(error);
            None
        }
    };
    let clock = Clock::best();
    let watcher = Watcher {
        stop: interrupt.stop(),
        document,
        folder: folder.as_ref(),
        experiment: &experiment,
        forecast: Forecast::new(
            arguments
                .suites()
                .iter()
                .map(|suite| suite.seconds(&experiment))
                .collect(),
            experiment.seconds,
        ),
    };
    let mut context = Context::new(&machine, &experiment, &clock, &watcher);
    context.companions = together::companions(ranks);
    if turn.is_none() && ranks.is_first_here() {
        let text =
            "Another measurement may have run at the same time: the lock could not be taken.";
        context.recorder.note("method", text);
    }
    let mut outcome = Ok(());
    for (place, suite) in arguments.suites().into_iter().enumerate() {
        if !watcher.stopped() && outcome.is_ok() {
            watcher.forecast.begins(place);
            context.recorder.note("method", suite.how_to_read());
            outcome = suite.run(&mut context);
            if interrupt.was_continued() {
                let text = format!(
                    "The program was stopped by a signal and continued while the suite {} measured: a sample that it stood still in \
                     is no measurement.",
                    suite.id()
                );
                context.recorder.note("limits", &text);
            }
        }
    }
    if arguments.counters == "simulate" {
        simulate(arguments, &mut context, &watcher);
    }
    if watcher.stopped() {
        let text = "The user stopped the run: it holds what was measured until then.";
        context.recorder.note("limits", text);
    }
    let measured = watcher.conclude(&context.recorder, ranks)?;
    measured.as_ref().map_or(Ok(()), show)?;
    outcome.map_err(Failure::failed)?;
    match (watcher.stopped(), measured) {
        (false, None) if !ranks.is_first() => Ok((Exit::Done, None)),
        (true, measured) => Ok((interrupt.exit(), measured)),
        (false, Some(measured)) => Ok((Exit::Done, Some(measured))),
        (false, None) => Err(Failure::no_data("nothing could be measured").into()),
    }
}

/// Simulates the caches for the first configuration.
fn simulate(arguments: &Arguments, context: &mut Context, watcher: &Watcher) {
    let Some(case) = context.experiment.cases.first() else {
        let text = "Nothing was simulated: --counters simulate is about a training step, and no suite of this run trains.";
        context.recorder.note("limits", text);
        return;
    };
    say(&format!(
        "simulating the caches under a step of {}: four runs of up to a minute",
        case.name
    ));
    let named = arguments
        .config
        .first()
        .map_or(experiment::SMALL, String::as_str);
    let mut again = vec!["--config".to_owned(), named.to_owned()];
    for text in &arguments.overrides {
        again.extend(["--set".to_owned(), text.clone()]);
    }
    let stopped = || watcher.stopped();
    simulation::record(
        &mut context.recorder,
        context.machine,
        case,
        &again,
        &stopped,
    );
}

/// Waits until no other loopos measures on this machine, and says so once where that takes long.
fn take_turn(stop: &AtomicBool) -> Result<Turn, TurnError> {
    let folder = std::env::temp_dir();
    let (start, mut told) = (Instant::now(), false);
    Turn::take(&folder, &mut || {
        if !told && start.elapsed() >= PATIENCE {
            say(&format!(
                "waiting for another measurement on this machine to end (it holds {}); Ctrl-C gives up",
                Turn::lock_file(&folder).display()
            ));
            told = true;
        }
        !stop.load(Ordering::Relaxed)
    })
}

/// The summary, or the document itself.
fn print(arguments: &Arguments, run: &Run, page: &std::path::Path) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, run).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(summary::text(run, page).as_bytes())?;
    }
    Ok(out.flush()?)
}

/// A line of progress.
fn say(text: &str) {
    // Nobody is left to be told when stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Shows progress, passes Ctrl-C on, and rewrites run.json after each case.
struct Watcher<'a> {
    stop: &'a AtomicBool,
    document: Document,
    /// None on a rank that keeps nothing.
    folder: Option<&'a Folder>,
    experiment: &'a Experiment,
    forecast: Forecast,
}

impl Watcher<'_> {
    /// Writes the page, if there is a number at all, with what other ranks found.
    fn conclude(&self, recorder: &Recorder, ranks: &Ranks) -> anyhow::Result<Option<Measured>> {
        let mut run = self.document.run(recorder, self.experiment);
        run.fleet = together::members(ranks, &run)?;
        let Some(folder) = self.folder else {
            return Ok(None);
        };
        if run.metrics.iter().any(|metric| metric.value.is_some()) {
            let page = folder.publish(&run)?;
            return Ok(Some((run, page)));
        }
        folder.discard();
        Ok(None)
    }
}

impl Host for Watcher<'_> {
    fn say(&self, text: &str) {
        if self.folder.is_some() {
            say(&format!("[{}] {text}", self.forecast));
        }
    }

    fn reached(&self, share: f64) {
        self.forecast.reached(share);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn keep(&self, recorder: &Recorder) -> Result<(), String> {
        let Some(folder) = self.folder else {
            return Ok(());
        };
        let run = self.document.run(recorder, self.experiment);
        folder.keep(&run).map_err(|error| error.to_string())
    }
}
