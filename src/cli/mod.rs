//! What a user types. The only room that prints, reads the environment or ends the program.
//!
//! One file per subcommand, each with `Arguments` (what may follow the word) and `run` (what it does): to add one, write the
//! file, its `mod` line and its row in `Command`. Results go to stdout, progress and log to stderr.

mod bench;
mod chat;
mod compare;
mod completions;
mod configs;
mod eval;
mod export;
mod generate;
mod history;
mod plan;
mod probe;
mod report;
mod simulate;
mod train;
mod tune;

mod answer;
mod environment;
mod interrupt;
mod outcome;
mod preparation;
mod profile;
mod progress;
mod ranks;
mod runs;
mod sampling;
mod text_source;
mod trained;
mod workers;
mod written;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use outcome::{Exit, Failure};

const EXIT_CODES: &str = "\
Results go to stdout, progress and log to stderr.
Exit codes: 0 done, 1 failed, 2 wrong use, 3 regression, 4 inconclusive or no data, 130 interrupted.";

/// Tells what this CPU really is, trains a transformer on it as fast as it can go, and shows where every lost cycle went.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The words, in the order in which a newcomer needs them.
#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what this machine is, and what of it this process may use
    Probe(probe::Arguments),
    /// Measure how fast this machine is and could be, and write the report
    Bench(bench::Arguments),
    /// Find the micro-batch and the threads that train fastest here, and keep them for training
    Tune(tune::Arguments),
    /// Train the model of a configuration on a text
    Train(train::Arguments),
    /// Tell how fast a configuration would train on more hosts than there are
    Plan(plan::Arguments),
    /// Continue texts with a trained model
    Generate(generate::Arguments),
    /// Talk with a trained model
    Chat(chat::Arguments),
    /// Tell how well a trained model predicts a text
    Eval(eval::Arguments),
    /// Write a trained model for Hugging Face's libraries
    Export(export::Arguments),
    /// List, check and show configurations
    Configs(configs::Arguments),
    /// Make the page and the pictures of a run again, from its run.json
    Report(report::Arguments),
    /// Tell whether a run is faster, slower or the same as another, and how sure that is
    Compare(compare::Arguments),
    /// Keep runs over months, and tell when a result changed
    History(history::Arguments),
    /// Write a completion script for your shell
    Completions(completions::Arguments),
    /// Train some steps of one micro-batch and say nothing: what `bench --counters simulate` runs under Valgrind
    #[command(hide = true)]
    Simulate(simulate::Arguments),
}

impl Command {
    fn run(&self) -> anyhow::Result<Exit> {
        match self {
            Command::Probe(arguments) => probe::run(arguments),
            Command::Bench(arguments) => bench::run(arguments),
            Command::Tune(arguments) => tune::run(arguments),
            Command::Train(arguments) => train::run(arguments),
            Command::Plan(arguments) => plan::run(arguments),
            Command::Generate(arguments) => generate::run(arguments),
            Command::Chat(arguments) => chat::run(arguments),
            Command::Eval(arguments) => eval::run(arguments),
            Command::Export(arguments) => export::run(arguments),
            Command::Configs(arguments) => configs::run(arguments),
            Command::Report(arguments) => report::run(arguments),
            Command::Compare(arguments) => compare::run(arguments),
            Command::History(arguments) => history::run(arguments),
            Command::Completions(arguments) => completions::run(arguments),
            Command::Simulate(arguments) => simulate::run(arguments),
        }
    }
}

/// Parses the command line, runs the command and says how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version arrive here too. Nobody is left to be told when the stream is closed.
            let _ = message.print();
            return if message.use_stderr() {
                Exit::WrongUse.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    cli.command
        .run()
        .unwrap_or_else(|error| outcome::report(&error))
        .into()
}

/// A path as text: the configuration, which keeps it, is JSON.
fn utf8(path: &Path) -> Result<String, Failure> {
    let refused = || Failure::wrong_use(format!("the path {} is not valid UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_word_and_every_argument_is_explained() {
        for command in Cli::command().get_subcommands() {
            assert!(
                command.get_about().is_some(),
                "{} has no description",
                command.get_name()
            );
            assert!(
                command.get_after_help().is_some(),
                "{} shows no example",
                command.get_name()
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {} is unexplained",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
