//! JSON lines, read without trust: what is no example is left out, counted, and named by file, line and reason.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::json;
use crate::text::Key;

/// Bytes of a line; a longer one is no example.
const LONGEST_LINE: usize = 1 << 20;

/// Skipped lines that are named one by one.
const NAMED: usize = 5;

/// The examples of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines<T> {
    /// The examples, in the order of the file.
    pub items: Vec<T>,
    /// The lines that are none.
    pub skipped: Skipped,
    /// SHA-256 of the file.
    pub key: Key,
}

/// Lines that were left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Skipped {
    path: PathBuf,
    /// How many.
    pub count: usize,
    /// The number of each of the first, from 1, and why it was left out.
    first: Vec<(usize, String)>,
}

/// Why a file gives no examples.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No line of it is an example.
    #[error("{} has no example that can be used{}", path.display(), reasons(skipped))]
    Empty {
        /// The file.
        path: PathBuf,
        /// Its lines.
        skipped: Skipped,
    },
}

fn reasons(skipped: &Skipped) -> String {
    if skipped.count == 0 {
        ": it is empty".to_owned()
    } else {
        format!("\n{skipped}")
    }
}

impl Skipped {
    /// Leaves out the line of this number, from 1.
    pub fn add(&mut self, line: usize, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push((line, reason.into()));
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, plural) = (self.path.display(), if self.count == 1 { "" } else { "s" });
        write!(f, "{path}: {} line{plural} left out", self.count)?;
        for (line, reason) in &self.first {
            write!(f, "\n{path}:{line}: {reason}")?;
        }
        if self.count > self.first.len() {
            write!(f, "\nand {} more", self.count - self.first.len())?;
        }
        Ok(())
    }
}

/// Reads every line by `parse`, which says why one is no example. Empty lines are nothing.
///
/// # Errors
/// When the file cannot be read or has no example.
pub(super) fn read<T>(
    path: &Path,
    parse: impl Fn(&Map<String, Value>) -> Result<T, String>,
) -> Result<Lines<T>, LinesError> {
    let unreadable = |source| LinesError::Read {
        path: path.to_owned(),
        source,
    };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut skipped = Skipped {
        path: path.to_owned(),
        ..Skipped::default()
    };
    let (mut items, mut line, mut digest) = (Vec::new(), Vec::new(), Sha256::new());
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        digest.update(&line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match object(&line).and_then(|object| parse(&object)) {
            Ok(item) => items.push(item),
            Err(reason) => skipped.add(number, reason),
        }
    }
    if items.is_empty() {
        let path = path.to_owned();
        return Err(LinesError::Empty { path, skipped });
    }
    Ok(Lines {
        items,
        skipped,
        key: digest.finalize().into(),
    })
}

fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    if line.len() > LONGEST_LINE {
        return Err(format!("it is longer than {LONGEST_LINE} bytes"));
    }
    match json::parse(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

/// The text under `key`, without space around it; a number is taken as it is written.
pub(super) fn text(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    let text = match object.get(key) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(format!("`{key}` is no text")),
        None => return Err(format!("`{key}` is missing")),
    };
    if text.is_empty() {
        return Err(format!("`{key}` is empty"));
    }
    Ok(text)
}
