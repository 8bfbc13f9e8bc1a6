//! `loopos report`: makes the page and the pictures of runs again, from run.json alone, on any machine.

mod log;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;

use super::outcome::{Exit, Failure};
use super::runs::{self, FILE};
use super::written;
use crate::record::Run;
use crate::report::{self, formats};

const EXAMPLES: &str = "\
Examples:
  loopos report reports/latest                 the page of the newest run again
  loopos report run.json --out /tmp/page       the page of a run that was sent to you
  loopos report reports/runs/* --out pages     one folder for each run
  loopos report run.json --format csv          every table for a spreadsheet
  loopos report models/rlhf --out /tmp/page    losses and rewards of a training run, from its log

A RUN is a run.json, the folder that holds one, or the folder of a training run. Says on stdout where each page is.";

/// What to type after `loopos report`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files run.json, folders that hold one, or folders of training runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write into DIR, with several runs into one folder below it for each [default: beside run.json]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write files for another program instead of the page
    #[arg(long, value_name = "FORMAT", value_parser = names())]
    format: Option<String>,
}

/// What `--format` takes.
fn names() -> Vec<PossibleValue> {
    let name = |format: &formats::Format| PossibleValue::new(format.id).help(format.what);
    formats::ALL.into_iter().map(name).collect()
}

/// Writes report.html and the pictures of each run; reads all runs before it writes the first page.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut pages = Vec::new();
    for path in &arguments.runs {
        let file = if path.is_dir() {
            path.join(FILE)
        } else {
            path.clone()
        };
        let is_log = path.is_dir() && !file.is_file() && path.join(log::FILE).is_file();
        let run = if is_log {
            log::read(path)?
        } else {
            runs::read(&file)?
        };
        pages.push((run, file));
    }
    let several = pages.len() > 1;
    for (run, file) in &pages {
        let folder = match &arguments.out {
            Some(out) if several => out.join(folder_name(run)?),
            Some(out) => out.clone(),
            None => file.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let made = match arguments.format.as_deref().and_then(formats::find) {
            None => vec![report::write(run, &folder).map_err(Failure::failed)?],
            Some(format) => convert(run, format, &folder)?,
        };
        for file in made {
            writeln!(io::stdout(), "{}", file.display())?;
        }
    }
    Ok(Exit::Done)
}

/// Writes the files of a format into a folder.
fn convert(run: &Run, format: &formats::Format, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let files = (format.files)(run).into_iter();
    let write = |(name, content): (String, String)| {
        let path = folder.join(name);
        written::write(&path, &content).map(|()| path)
    };
    files.map(write).collect()
}

/// The run's id as the name of a folder: one that names another place is refused.
fn folder_name(run: &Run) -> Result<&str, Failure> {
    let mut parts = Path::new(&run.id).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(_)), None) => Ok(&run.id),
        _ => Err(
            Failure::wrong_use(format!("the run's id `{}` is no name for a folder", run.id))
                .help("give one run at a time, so that --out is its folder"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::cli::runs::testing::document;

    #[test]
    fn pages_go_beside_the_run_or_where_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, document().to_string()).unwrap();
        let beside = Arguments {
            runs: vec![folder.path().to_owned()],
            out: None,
            format: None,
        };
        assert_eq!(run(&beside).unwrap(), Exit::Done);
        assert!(folder.path().join("report.html").is_file());
        let out = folder.path().join("out");
        let twice = Arguments {
            runs: vec![path.clone(), path],
            out: Some(out.clone()),
            format: None,
        };

        assert_eq!(run(&twice).unwrap(), Exit::Done);
        assert!(out.join("20261122T141503-4f2a91/report.html").is_file());
        let table = Arguments {
            runs: vec![folder.path().to_owned()],
            out: Some(out.clone()),
            format: Some("csv".to_owned()),
        };
        assert_eq!(run(&table).unwrap(), Exit::Done);
        assert!(out.join("metrics.csv").is_file());
    }

    #[test]
    fn an_id_cannot_name_another_folder() {
        let mut value = document();
        for id in ["../up", "/root", "", ".."] {
            value["id"] = json!(id);
            let run: Run = serde_json::from_value(value.clone()).unwrap();
            assert!(folder_name(&run).is_err(), "{id}");
        }
    }
}
