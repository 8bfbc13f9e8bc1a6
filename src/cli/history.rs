//! `loopos history`: runs kept over months in one file, and the changes among them.

mod summary;

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use super::environment;
use super::outcome::{Exit, Failure, shown};
use super::runs;
use super::written::write;
use crate::history::{History, HistoryError};
use crate::probe::Machine;
use crate::record::Kept;
use crate::report::timeline::{self, Course};
use crate::units::grouped;

const EXAMPLES: &str = "\
Examples:
  loopos history add reports                        keep all runs in reports/runs; a run is kept once
  loopos history                                    the results of this machine, and when they changed
  loopos history --html history.html --only 'training.*.tokens_per_second'
  loopos history --machine 5ab0 --file team.sqlite  another machine, by the beginning of its fingerprint
  loopos history export - | gzip > history.gz       everything as lines of JSON
  gunzip -c history.gz | loopos history import -

The history is one SQLite file. Machines are told apart by their fingerprint: CPU, microcode, caches, instruction sets, memory.";

/// The file in the folder for data.
const FILE: &str = "history.sqlite";

/// Runs that are read and kept at a time.
const BATCH: usize = 50;

/// What to type after `loopos history`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    view: View,
}

/// What is shown.
#[derive(clap::Args, Debug)]
struct View {
    #[command(flatten)]
    place: Place,
    /// The machine, by the beginning of its fingerprint [default: this one, else that of the newest run]
    #[arg(long, value_name = "FINGERPRINT")]
    machine: Option<String>,
    /// Show these metrics instead of the results of each suite; `*` stands for anything; may be repeated
    #[arg(long, value_name = "METRIC")]
    only: Vec<String>,
    /// Write a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Which history.
#[derive(clap::Args, Clone, Debug)]
struct Place {
    /// The history [default: history.sqlite in ~/.local/share/loopos or $XDG_DATA_HOME/loopos]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What to do with a history.
#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Keep runs
    Add {
        /// Files run.json, folders that hold one, or folders of such folders
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Write all runs as lines of JSON
    Export {
        /// Where to, or - for stdout
        #[arg(value_name = "OUT")]
        out: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Keep the runs of an export
    Import {
        /// Where from, or - for stdin
        #[arg(value_name = "IN")]
        from: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it, and says on stdout what came of it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.action {
        None => show(&arguments.view),
        Some(Action::Add { runs, place }) => add(runs, place),
        Some(Action::Export { out, place }) => export(out, place),
        Some(Action::Import { from, place }) => import(from, place),
    }
}

/// The history's file.
fn file(place: &Place) -> Result<PathBuf, Failure> {
    let usual = || environment::data_folder().map(|folder| folder.join(FILE));
    place.file.clone().or_else(usual).ok_or_else(|| {
        Failure::wrong_use("there is no home folder to keep the history in")
            .help("name its file by --file FILE")
    })
}

/// Opens a history that exists.
fn existing(place: &Place) -> Result<History, Failure> {
    let path = file(place)?;
    if !path.exists() {
        return Err(
            Failure::no_data(format!("there is no history in {}", path.display()))
                .help("`loopos history add reports` keeps the runs of a folder"),
        );
    }
    History::open(&path).map_err(|error| failed(error, place))
}

/// Opens a history, or begins one.
fn begun(place: &Place) -> Result<History, Failure> {
    let path = file(place)?;
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(|error| {
            Failure::failed(format!("cannot make {}: {error}", folder.display()))
                .help("name another file by --file FILE")
        })?;
    }
    History::open(&path).map_err(|error| failed(error, place))
}

fn failed(error: HistoryError, place: &Place) -> Failure {
    match (error, file(place)) {
        (error @ (HistoryError::Import { .. } | HistoryError::Newer { .. }), _) => {
            Failure::wrong_use(error)
        }
        (error @ (HistoryError::Damaged { .. } | HistoryError::Database(_)), Ok(path)) => {
            Failure::failed(format!("{}: {error}", path.display()))
        }
        (other, _) => Failure::failed(other),
    }
}

fn add(runs: &[PathBuf], place: &Place) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for path in runs {
        files.extend(runs::files(path)?);
    }
    let mut history = begun(place)?;
    let mut new = 0;
    for some in files.chunks(BATCH) {
        let runs = some
            .iter()
            .map(|file| runs::read(file))
            .collect::<Result<Vec<_>, _>>()?;
        new += history.add(&runs).map_err(|error| failed(error, place))?;
    }
    tell(files.len(), new, place)
}

fn import(from: &Path, place: &Place) -> anyhow::Result<Exit> {
    let mut history = begun(place)?;
    let (count, new) = if from == Path::new("-") {
        history
            .import(&mut io::stdin().lock())
            .map_err(|error| failed(error, place))?
    } else {
        let open = |error: io::Error| Failure::wrong_use(format!("{}: {error}", from.display()));
        history
            .import(&mut BufReader::new(File::open(from).map_err(open)?))
            .map_err(|error| failed(error, place))?
    };
    tell(count, new, place)
}

fn tell(count: usize, new: usize, place: &Place) -> anyhow::Result<Exit> {
    let (new, known) = (grouped(new as i64), grouped((count - new) as i64));
    writeln!(
        io::stdout(),
        "{new} new runs kept, {known} known before: {}",
        file(place)?.display()
    )?;
    Ok(Exit::Done)
}

fn export(out: &Path, place: &Place) -> anyhow::Result<Exit> {
    let history = existing(place)?;
    if out == Path::new("-") {
        let mut stdout = io::stdout().lock();
        match history.export(&mut stdout) {
            Err(HistoryError::Stream(error)) => return Err(error.into()),
            other => other.map_err(|error| failed(error, place))?,
        };
        stdout.flush()?;
        return Ok(Exit::Done);
    }
    let mut text = Vec::new();
    let count = history
        .export(&mut text)
        .map_err(|error| failed(error, place))?;
    write(out, &String::from_utf8_lossy(&text))?;
    writeln!(
        io::stdout(),
        "{} runs: {}",
        grouped(count as i64),
        out.display()
    )?;
    Ok(Exit::Done)
}

fn show(view: &View) -> anyhow::Result<Exit> {
    let place = &view.place;
    let history = existing(place)?;
    let machines = history.machines().map_err(|error| failed(error, place))?;
    let kept = pick(&machines, view.machine.as_deref())?;
    let fingerprint = &kept.machine.fingerprint;
    let metrics = history
        .metrics(fingerprint)
        .map_err(|error| failed(error, place))?;
    let chosen = timeline::chosen(&metrics, &view.only);
    if chosen.is_empty() {
        return Err(Failure::no_data("no metric of this machine fits")
            .help("look at --only, or add runs")
            .into());
    }
    let mut courses = Vec::with_capacity(chosen.len());
    for metric in chosen {
        courses.push(Course::of(
            history
                .timeline(fingerprint, metric)
                .map_err(|error| failed(error, place))?,
        ));
    }
    if let Some(path) = &view.html {
        write(path, &timeline::page(kept, &courses))?;
    }
    let text = summary::text(kept, &machines, &courses);
    io::stdout().lock().write_all(shown(&text).as_bytes())?;
    Ok(Exit::Done)
}

/// The machine that is meant: the one named, else this one, else that of the newest run.
fn pick<'a>(machines: &'a [Kept], named: Option<&str>) -> Result<&'a Kept, Failure> {
    let Some(newest) = machines.first() else {
        return Err(Failure::no_data("the history holds no run")
            .help("`loopos history add reports` keeps the runs of a folder"));
    };
    let Some(name) = named else {
        let here = Machine::detect().fingerprint();
        return Ok(machines
            .iter()
            .find(|kept| kept.machine.fingerprint == here)
            .unwrap_or(newest));
    };
    let mut fitting = machines
        .iter()
        .filter(|kept| kept.machine.fingerprint.starts_with(name));
    let known = || {
        let lines = machines
            .iter()
            .map(|kept| format!("{} {}", kept.machine.fingerprint, kept.machine.brand));
        lines.collect::<Vec<_>>().join("; ")
    };
    match (fitting.next(), fitting.next()) {
        (Some(kept), None) => Ok(kept),
        (None, _) => Err(Failure::wrong_use(format!(
            "no machine's fingerprint begins with `{name}`"
        ))
        .help(format!("known: {}", known()))),
        _ => Err(Failure::wrong_use(format!(
            "several machines' fingerprints begin with `{name}`"
        ))
        .help(format!("known: {}", known()))),
    }
}
