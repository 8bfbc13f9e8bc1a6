//! A corpus: documents, and where they come from.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dependencies;
use super::error::TextError;
use super::files::Files;
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

/// Text in documents, none empty, in a fixed order. What a user names is read anew whenever it is asked for, so that it may be
/// larger than memory; other text is kept.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Where it comes from.
    pub source: Source,
    documents: Documents,
    count: usize,
    bytes: usize,
    key: Key,
}

#[derive(Clone, Debug)]
enum Documents {
    Kept(Vec<String>),
    OnDisk(Files),
}

impl Documents {
    fn visit(&self, f: &mut dyn FnMut(&str) -> Result<(), TextError>) -> Result<(), TextError> {
        match self {
            Documents::Kept(documents) => documents.iter().try_for_each(|document| f(document)),
            Documents::OnDisk(files) => files.visit(f),
        }
    }
}

impl Corpus {
    /// Reads all documents once, for what is known of them.
    fn survey(source: Source, documents: Documents) -> Result<Corpus, TextError> {
        let (mut hash, mut count, mut bytes) = (Sha256::new(), 0, 0);
        documents.visit(&mut |document| {
            hash.update((document.len() as u64).to_le_bytes());
            hash.update(document);
            count += 1;
            bytes += document.len();
            Ok(())
        })?;
        let key = hash.finalize().into();
        Ok(Corpus {
            source,
            documents,
            count,
            bytes,
            key,
        })
    }

    /// Documents that are there already.
    ///
    /// # Errors
    /// None: reading what is in memory does not fail.
    pub(super) fn of(source: Source, documents: Vec<String>) -> Result<Corpus, TextError> {
        Corpus::survey(source, Documents::Kept(documents))
    }

    /// Calls `f` with each document in turn, of which no more than one need be in memory.
    ///
    /// # Errors
    /// Those of `f`, and when a file can no longer be read or has changed.
    pub fn visit(&self, f: &mut dyn FnMut(&str) -> Result<(), TextError>) -> Result<(), TextError> {
        self.documents.visit(f)
    }

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
            None => Corpus::default_text(cargo_home, limit),
        }
    }

    /// A UTF-8 text file, or every such file in a folder and the folders below it, by name.
    pub fn from_path(path: &Path) -> Result<Corpus, TextError> {
        let files = Files::find(path)?;
        let source = Source::Path {
            path: path.to_owned(),
            files: files.count(),
            skipped: files.skipped,
        };
        let empty = files.empty();
        let corpus = Corpus::survey(source, Documents::OnDisk(files))?;
        if corpus.count == 0 {
            return Err(empty);
        }
        Ok(corpus)
    }

    /// The source text of this program's dependencies where cargo has unpacked them, else generated text.
    ///
    /// # Errors
    /// None: this text is in memory.
    pub fn default_text(cargo_home: Option<&Path>, limit: usize) -> Result<Corpus, TextError> {
        let reason = match cargo_home {
            None => "it is not known where cargo keeps its sources".to_owned(),
            Some(home) => {
                let found = dependencies::read(home, limit);
                let bytes: usize = found.documents.iter().map(String::len).sum();
                if bytes >= FEWEST_BYTES.min(limit / 2) && bytes > 0 {
                    let source = Source::Dependencies {
                        crates: found.crates,
                        missing: found.missing,
                    };
                    return Corpus::of(source, found.documents);
                }
                format!(
                    "{} has too few sources of this program's dependencies",
                    home.display()
                )
            }
        };
        let source = Source::Generated {
            seed: GENERATOR_SEED,
            reason,
        };
        Corpus::of(source, generator::generate(GENERATOR_SEED, limit))
    }

    /// Bytes of text.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// SHA-256 of the documents: the same for the same text, wherever it comes from.
    pub fn key(&self) -> Key {
        self.key
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        let size = Bytes(self.bytes() as f64);
        let documents = grouped(self.count as i64);
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
