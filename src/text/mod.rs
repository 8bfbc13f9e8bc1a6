//! Text: where it comes from, the tokenizer that is trained on it, and its tokens, kept on disk between runs.
//!
//! [`Corpus`] to [`prepare`] to [`Tokens`], which `train::data` cuts into batches. A further source of text is one file here and a
//! row in [`Source`].

mod bpe;
mod cache;
mod corpus;
mod dependencies;
mod error;
pub mod examples;
mod files;
mod generator;
pub mod ids;
mod map;
mod tokenizer;
mod tokenizer_file;
mod tokens;
mod words;

pub use cache::{Prepared, prepare, tokens_of};
pub use corpus::{Corpus, DEFAULT_BYTES, Source};
pub use error::TextError;
pub use tokenizer::{END_OF_TEXT, Encoder, Tokenizer};
pub use tokens::{Key, Tokens};
