//! Text: where it comes from, the tokenizer that is trained on it, and its tokens, kept on disk between runs.

mod error;
mod map;
mod tokenizer;
mod tokens;
mod words;

pub use error::TextError;
pub use tokenizer::{END_OF_TEXT, Encoder, Tokenizer};
pub use tokens::{Key, Tokens};
