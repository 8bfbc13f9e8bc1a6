//! `loopos compare`: runs beside a baseline, with a verdict for each result and an exit code for CI.

mod summary;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::outcome::{Exit, Failure, warn};
use super::runs;
use super::written::write;
use crate::report::comparison::{Arm, Comparison, Question, compare};

const EXAMPLES: &str = "\
Examples:
  loopos compare before/run.json after/run.json               two runs
  loopos compare base new --gate 5%                           all runs of two folders; exit code 3 where new is worse by 5 %
  loopos compare main branch --markdown comment.md --html page.html --junit gate.xml --gate 3%
  loopos compare a b --only 'gemm.*.gflops' --markdown -      other numbers than the usual results

To be trusted, measure several times and in turn, so that both sides feel the same machine:
  for i in 1 2 3 4 5; do ./old bench --suite training --out base; ./new bench --suite training --out new; done

A, B and C are each a run.json, the folder that holds one, or a folder of runs such as `loopos bench --out DIR` leaves. Runs of
different machines, microcodes, governors or configurations are refused with the differences named: exit code 2, or --anyway.
Exit codes with --gate: 0 no regression, 3 a result is worse for sure and its interval reaches the gate, 4 no result in common or
all of them inconclusive.";

/// What to type after `loopos compare`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The runs that others are compared with
    #[arg(value_name = "A")]
    baseline: PathBuf,
    /// The runs that are compared with them
    #[arg(required = true, value_name = "B")]
    candidates: Vec<PathBuf>,
    /// The loss from which a result is a regression: 5% or 5
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    gate: Option<f64>,
    /// Judge these metrics instead of the results of each suite; `*` stands for anything; may be repeated
    #[arg(long, value_name = "METRIC")]
    only: Vec<String>,
    /// Compare also what differs in machine, microcode, governor or configuration
    #[arg(long)]
    anyway: bool,
    /// Write Markdown for a pull request to FILE, or to stdout in place of the summary: -
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the verdicts as tests in JUnit's format
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A share that people write in per cent.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent < 100.0 => Ok(percent / 100.0),
        _ => Err("give more than 0 and less than 100 per cent, as in 5%".to_owned()),
    }
}

/// Compares, writes what was asked for, and says on stdout what came out.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let baseline = arm(&arguments.baseline)?;
    let candidates = arguments
        .candidates
        .iter()
        .map(|path| arm(path))
        .collect::<Result<Vec<_>, _>>()?;
    let question = Question {
        gate: arguments.gate,
        only: arguments.only.clone(),
    };
    let comparison = compare(&baseline, &candidates, question);
    permit(arguments, &comparison)?;
    if let Some(path) = &arguments.html {
        write(path, &comparison.page())?;
    }
    if let Some(path) = &arguments.junit {
        write(path, &comparison.junit())?;
    }
    let text = match arguments.markdown.as_deref() {
        Some(path) if path == Path::new("-") => comparison.markdown(),
        Some(path) => {
            write(path, &comparison.markdown())?;
            summary::text(&comparison)
        }
        None => summary::text(&comparison),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    conclude(&comparison)
}

/// The runs that `path` names.
fn arm(path: &Path) -> Result<Arm, Failure> {
    let runs = runs::files(path)?
        .iter()
        .map(|file| runs::read(file))
        .collect::<Result<_, _>>()?;
    Ok(Arm {
        name: path.display().to_string(),
        runs,
    })
}

/// Refuses what is not the same thing, or says so where the user wants it anyway.
fn permit(arguments: &Arguments, comparison: &Comparison) -> Result<(), Failure> {
    for against in &comparison.against {
        let forbidden: Vec<String> = against
            .forbidden()
            .map(|difference| {
                format!(
                    "{}: {} and {}",
                    difference.what, difference.baseline, difference.candidate
                )
            })
            .collect();
        if forbidden.is_empty() {
            continue;
        }
        let what = format!(
            "{} and {} are not of the same thing:\n  {}",
            comparison.baseline,
            against.name,
            forbidden.join("\n  ")
        );
        if !arguments.anyway {
            return Err(Failure::wrong_use(what).help(
                "measure both under the same conditions, or add --anyway to compare all the same",
            ));
        }
        warn(what);
    }
    Ok(())
}

/// How the command ends.
fn conclude(comparison: &Comparison) -> anyhow::Result<Exit> {
    let empty = comparison
        .against
        .iter()
        .all(|against| against.rows.is_empty());
    if empty {
        return Err(Failure::no_data("the runs have no number in common")
            .help("compare runs of the same suite, or look at --only")
            .into());
    }
    if comparison.question.gate.is_none() {
        return Ok(Exit::Done);
    }
    if comparison.failures().next().is_some() {
        return Ok(Exit::Regression);
    }
    if comparison.is_undecided() {
        return Err(Failure::no_data("no result could be decided")
            .help("measure both sides several times, in turn, and name the folders of their runs")
            .into());
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_a_percentage() {
        assert_eq!(
            [percent("5%"), percent("5"), percent(" 2.5 %")],
            [Ok(0.05), Ok(0.05), Ok(0.025)]
        );
        for wrong in ["", "%", "0", "-1%", "100%", "five", "nan"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
