//! `loopos probe`: what this machine is, as text, JSON or a picture; also measures what it claims, records a machine, or shows a
//! recorded one.

mod verification;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::environment;
use super::outcome::{Exit, Failure};
use super::written;
use crate::bounded;
use crate::probe::{self, Machine, Source, Style};
use crate::report;
use crate::suites::record_machine;

/// The most bytes of a recording: the largest machines have some MB.
const LONGEST: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  loopos probe                         what this machine is
  loopos probe --explain               and where each fact was read
  loopos probe --verify                and whether it is true: caches, vector units, TLB, clocks, who shares a core
  loopos probe --svg topology.svg      a picture of packages, caches, cores and who shares them
  loopos probe --json | jq .summary    the same for programs
  loopos probe --record my-laptop.txt  everything the probe saw, in one text file to send to others
  loopos probe --from my-laptop.txt    what the probe says about a machine that was recorded";

/// What to type after `loopos probe`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print JSON: the `machine` of run.json; with --verify also the checks and the curves behind them
    #[arg(long)]
    json: bool,
    /// Measure what the machine claims: each claim beside a measurement and a verdict, in about half a minute
    #[arg(long, conflicts_with = "from")]
    verify: bool,
    /// Draw the topology with caches and who shares them to FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "verify", "explain"])]
    svg: Option<PathBuf>,
    /// Name the source of each fact
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// Write what the probe sees to FILE, without names, serials or paths that identify the machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "explain", "verify", "svg"])]
    record: Option<PathBuf>,
    /// Show the machine recorded in FILE instead of this one
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Writes the machine to stdout, or its recording to a file.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let source = match &arguments.from {
        Some(path) => recorded(path)?,
        None => Source::live(),
    };
    let machine = Machine::read(&source);
    if let Some(path) = &arguments.record {
        written::write(path, &probe::write_recording(&source))?;
        return Ok(Exit::Done);
    }
    if let Some(path) = &arguments.svg {
        draw(&machine, path)?;
        return Ok(Exit::Done);
    }
    let style = style(arguments.explain);
    let page = (!arguments.json).then(|| probe::page(&machine, style));
    if arguments.verify {
        return verification::run(&machine, page.map(|page| (page, style)));
    }
    let text = match page {
        Some(page) => page,
        None => serde_json::to_string_pretty(&record_machine(&machine))? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Writes the picture of the topology.
fn draw(machine: &Machine, path: &Path) -> Result<(), Failure> {
    let picture = report::topology(&record_machine(machine))
        .map_err(|reason| Failure::failed(format!("{}: {reason}", path.display())))?;
    written::write(path, &picture)
}

fn recorded(path: &Path) -> Result<Source, Failure> {
    let text = bounded::read(path, LONGEST).map_err(|error| {
        Failure::wrong_use(format!("{}: {error}", path.display()))
            .help("name a file that `loopos probe --record FILE` wrote")
    })?;
    probe::parse_recording(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", path.display())))
}

/// Columns of the page: narrow enough for most terminals and for a quotation in a mail.
const WIDTH: usize = 88;

fn style(explain: bool) -> Style {
    let colour = io::stdout().is_terminal() && environment::color();
    Style {
        width: WIDTH,
        colour,
        explain,
    }
}
