//! How a command ends: the exit codes, errors that carry one, and how an error is shown to a person.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::builder::styling::{AnsiColor, Style};

use super::environment;

/// What the shell that started us is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// The work is done.
    Done,
    /// It was tried and failed.
    Failed,
    /// It was asked for in a way that cannot work: a flag, a configuration, the environment.
    WrongUse,
    /// A result is worse than the limit that was set.
    Regression,
    /// There is no data, or too little to decide.
    NoData,
    /// A signal of this number ended it early; what it had was kept.
    Interrupted(u8),
}

impl Exit {
    /// The number, by the convention 128 + signal for an interruption.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::WrongUse => 2,
            Exit::Regression => 3,
            Exit::NoData => 4,
            Exit::Interrupted(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An error with its exit code and what the reader can do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    help: Option<String>,
}

impl Failure {
    fn new(exit: Exit, what: impl fmt::Display) -> Failure {
        Failure {
            exit,
            what: what.to_string(),
            help: None,
        }
    }

    /// The request itself is wrong: exit code 2.
    pub(crate) fn wrong_use(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::WrongUse, what)
    }

    /// A right request that failed: exit code 1.
    pub(crate) fn failed(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::Failed, what)
    }

    /// Nothing to work on: exit code 4.
    pub(crate) fn no_data(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::NoData, what)
    }

    /// Adds what the reader can do.
    pub(crate) fn help(mut self, help: impl fmt::Display) -> Failure {
        self.help = Some(help.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// Shows an error on stderr and says which exit code it means.
///
/// A reader of stdout that went away (`loopos .. | head`) is not an error.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        return Exit::Done;
    }
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>());
    // Rooms name the file that they could not use: what comes bare is from writing the result.
    let place = if error.is::<io::Error>() {
        "cannot write to stdout: "
    } else {
        ""
    };
    say(
        "error",
        AnsiColor::Red,
        &format!("{place}{}", sentence(error)),
    );
    if let Some(help) = failure.and_then(|failure| failure.help.as_deref()) {
        say("help", AnsiColor::Cyan, help);
    }
    failure.map_or(Exit::Failed, |failure| failure.exit)
}

/// Shows something that the reader should know and that does not end the command.
pub(crate) fn warn(text: impl fmt::Display) {
    say("warning", AnsiColor::Yellow, &text.to_string());
}

/// Shows why this process ends where nobody waits for its outcome.
pub(crate) fn last_words(text: impl fmt::Display) {
    say("error", AnsiColor::Red, &text.to_string());
}

/// The causes from the outside in, without repeating one that the previous already quotes.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_kind = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(of_kind))
}

/// Who speaks, where rank 0 of several speaks for all.
static NAME: OnceLock<String> = OnceLock::new();

/// From now on this process speaks up with warnings and errors only, each under its name.
pub(crate) fn speak_as(name: String) {
    // It is said once: a process has one rank.
    let _ = NAME.set(name);
}

/// Whether another process speaks for this one.
pub(crate) fn is_quiet() -> bool {
    NAME.get().is_some()
}

fn say(label: &str, color: AnsiColor, text: &str) {
    let style = if io::stderr().is_terminal() && environment::color() {
        color.on_default().bold()
    } else {
        Style::new()
    };
    let (name, colon) = NAME.get().map_or(("", ""), |name| (name, ": "));
    // Nobody is left to be told when stderr is closed. In one write: the lines of several processes meet on one terminal.
    let line = format!("{style}{label}:{style:#} {name}{colon}{}\n", shown(text));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// A text as a terminal shows it: what it would obey, such as the beginning of a command or a change of direction, is spelt out. A file
/// of a stranger may be quoted in it.
pub(crate) fn shown(text: &str) -> String {
    let is_obeyed = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelt_out() {
        assert_eq!(
            shown("a\u{1b}[2J\r\u{9b}\u{202e}\n\tb \u{5e9}"),
            "a\\u{1b}[2J\\u{d}\\u{9b}\\u{202e}\n\tb \u{5e9}"
        );
    }

    #[test]
    fn codes_follow_the_table() {
        let exits = [
            Exit::Done,
            Exit::Failed,
            Exit::WrongUse,
            Exit::Regression,
            Exit::NoData,
            Exit::Interrupted(2),
        ];
        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }

    #[test]
    fn an_error_keeps_its_code_under_context() {
        let error = anyhow::Error::new(Failure::wrong_use("no such key")).context("configs/a.json");
        assert_eq!(report(&error), Exit::WrongUse);
        assert_eq!(sentence(&error), "configs/a.json: no such key");
        assert_eq!(report(&anyhow::anyhow!("disk on fire")), Exit::Failed);
    }

    #[test]
    fn a_cause_already_quoted_is_not_repeated() {
        let inner = io::Error::other("no space");
        let error = anyhow::Error::new(inner).context("writing a.txt: no space");
        assert_eq!(sentence(&error), "writing a.txt: no space");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe))
            .context("writing the result");
        assert_eq!(report(&error), Exit::Done);
    }
}
