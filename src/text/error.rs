//! What can be wrong with text, a tokenizer or their files.

use std::io;
use std::path::PathBuf;

use crate::units::{Bytes, grouped};

/// Why there is no text, no tokenizer or no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing to train on.
    #[error("{} holds no text: {what}; give a UTF-8 text file, or a folder with some", path.display())]
    Empty {
        /// What was given.
        path: PathBuf,
        /// What was found there.
        what: String,
    },
    /// The text has too few different words for the vocabulary.
    #[error(
        "{} of text fill a vocabulary of {} tokens, not the {} of model.vocab_size: \
         set model.vocab_size to at most {reached}, or give more text",
        Bytes(*bytes as f64), grouped(*reached as i64), grouped(*wanted as i64)
    )]
    Vocabulary {
        /// Tokens asked for.
        wanted: usize,
        /// Tokens that the text gives.
        reached: usize,
        /// Bytes of text that the tokenizer was trained on.
        bytes: usize,
    },
    /// A vocabulary that cannot hold every byte.
    #[error("a vocabulary of {wanted} tokens is too small: 256 bytes and the end of text need 257")]
    SmallVocabulary {
        /// Tokens asked for.
        wanted: usize,
    },
    /// Not a tokenizer that this program can use.
    #[error("it is no byte-level BPE tokenizer: {what}")]
    Tokenizer {
        /// What is wrong with it.
        what: String,
    },
}
