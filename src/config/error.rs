//! What is wrong with a configuration, told by the path of the key, and the valid key nearest to a misspelt one.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a file nor the name of a configuration that comes with the program.
    #[error("there is no configuration {name}: give a JSON file, or one of {}", built_in.join(", "))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The names that exist.
        built_in: Vec<&'static str>,
    },
    /// Not JSON, or a key that is there twice.
    #[error("not a valid JSON object: {message}")]
    Syntax {
        /// What and where (line and column).
        message: String,
    },
    /// An override that is not `key.path=value`.
    #[error(
        "`{text}` is not an override: write it as key.path=value, such as training.batch_size=16"
    )]
    Override {
        /// The text as given.
        text: String,
    },
    /// Keys or values that cannot be used: each with its path.
    #[error("{}", list(problems))]
    Problems {
        /// At least one, in the order of the file.
        problems: Vec<Problem>,
    },
    /// The same, in a file.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ConfigError>,
    },
}

/// One key that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Full path of the key: `training.batch_size`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> ConfigError {
        ConfigError::Problems {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// The candidate that `word` was probably meant to be; `None` where nothing is near.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
