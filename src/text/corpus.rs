//! A corpus: documents, and where they come from.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dependencies;
use super::error::TextError;
use super::files;
use super::generator;
use super::tokens::Key;
use crate::units::{Bytes, grouped};

/// Bytes of the default corpus, unless less is asked for: some four million tokens.
pub const DEFAULT_BYTES: usize = 16 << 20;

/// Below this the dependencies' sources are not worth training on, and text is generated instead.
const FEWEST_BYTES: usize = 1 << 20;

const GENERATOR_SEED: u64 = 42;

/// Where a text comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A file or a folder that the user named.
    Path {
        /// The file or folder.
        path: PathBuf,
        /// Text files read.
        files: usize,
        /// Files left out, being no UTF-8 text.
        skipped: usize,
    },
    /// The source text of this program's own dependencies, as Cargo.lock pins them.
    Dependencies {
        /// Crates whose text is in the corpus.
        crates: usize,
        /// Crates of Cargo.lock that are not unpacked here: text that another machine may have.
        missing: usize,
    },
    /// English-like text by a grammar.
    Generated {
        /// Its seed.
        seed: u64,
        /// Why the dependencies' sources were not used.
        reason: String,
    },
}

/// Text in documents, all of it in memory.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Where it comes from.
    pub source: Source,
    /// The documents, none empty, in a fixed order.
    pub documents: Vec<String>,
}

impl Corpus {
    /// The text at `data`, or the default corpus of at most `limit` bytes.
    ///
    /// `cargo_home` is where cargo keeps what it downloads: `CARGO_HOME`, else `.cargo` in the home folder.
    pub fn load(
        data: Option<&Path>,
        cargo_home: Option<&Path>,
        limit: usize,
    ) -> Result<Corpus, TextError> {
        match data {
            Some(path) => Corpus::from_path(path),
            None => Ok(Corpus::default_text(cargo_home, limit)),
        }
    }

    /// A UTF-8 text file, or every such file in a folder and the folders below it, by name.
    pub fn from_path(path: &Path) -> Result<Corpus, TextError> {
        let found = files::read(path)?;
        Ok(Corpus {
            source: Source::Path {
                path: path.to_owned(),
                files: found.files,
                skipped: found.skipped,
            },
            documents: found.documents,
        })
    }

    /// The source text of this program's dependencies where cargo has unpacked them, else generated text.
    pub fn default_text(cargo_home: Option<&Path>, limit: usize) -> Corpus {
        let reason = match cargo_home {
            None => "it is not known where cargo keeps its sources".to_owned(),
            Some(home) => {
                let found = dependencies::read(home, limit);
                let bytes: usize = found.documents.iter().map(String::len).sum();
                if bytes >= FEWEST_BYTES.min(limit / 2) && bytes > 0 {
                    return Corpus {
                        source: Source::Dependencies {
                            crates: found.crates,
                            missing: found.missing,
                        },
                        documents: found.documents,
                    };
                }
                format!(
                    "{} has too few sources of this program's dependencies",
                    home.display()
                )
            }
        };
        Corpus {
            source: Source::Generated {
                seed: GENERATOR_SEED,
                reason,
            },
            documents: generator::generate(GENERATOR_SEED, limit),
        }
    }

    /// Bytes of text.
    pub fn bytes(&self) -> usize {
        self.documents.iter().map(String::len).sum()
    }

    /// SHA-256 of the documents: the same for the same text, wherever it comes from.
    pub fn key(&self) -> Key {
        let mut hash = Sha256::new();
        for document in &self.documents {
            hash.update((document.len() as u64).to_le_bytes());
            hash.update(document);
        }
        hash.finalize().into()
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        let size = Bytes(self.bytes() as f64);
        let documents = grouped(self.documents.len() as i64);
        match &self.source {
            Source::Path {
                path,
                files,
                skipped,
            } => {
                let left_out = match skipped {
                    0 => String::new(),
                    1 => "; 1 file that is no UTF-8 text was left out".to_owned(),
                    _ => format!(
                        "; {} files that are no UTF-8 text were left out",
                        grouped(*skipped as i64)
                    ),
                };
                let files = if *files == 1 {
                    "1 file".to_owned()
                } else {
                    format!("{} files", grouped(*files as i64))
                };
                format!(
                    "{}: {size} in {files}, {documents} documents{left_out}",
                    path.display()
                )
            }
            Source::Dependencies { crates, missing } => {
                let absent = match missing {
                    0 => String::new(),
                    _ => format!("; {missing} more are not unpacked on this machine"),
                };
                format!(
                    "the source text of this program's own dependencies as pinned in Cargo.lock: {size} of {crates} crates, \
                     {documents} documents{absent}"
                )
            }
            Source::Generated { seed, reason } => {
                format!(
                    "English-like text made by a grammar from seed {seed}: {size}, {documents} documents ({reason})"
                )
            }
        }
    }
}
