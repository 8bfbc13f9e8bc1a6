//! From a configuration's text to tokens, for the commands that read text.

use std::io::{self, Write};
use std::path::Path;

use super::environment;
use super::outcome::{Failure, warn};
use crate::config::Config;
use crate::text::{self, Corpus, DEFAULT_BYTES, Key, TextError, Tokenizer, Tokens};
use crate::units::grouped;

/// A text in tokens.
pub(crate) struct Text {
    /// The tokenizer that made them.
    pub(crate) tokenizer: Tokenizer,
    /// The tokens.
    pub(crate) tokens: Tokens,
    /// Where the text comes from, for people.
    pub(crate) source: String,
    /// SHA-256 of the text.
    pub(crate) key: Key,
    /// Bytes of the text.
    pub(crate) bytes: usize,
}

/// Reads the text that the configuration names, or the default one, and encodes it: by `tokenizer` where there is one, else by
/// one that is trained on it. Runs on the current rayon pool.
///
/// # Errors
/// When the text is missing, empty or too small for the vocabulary.
pub(crate) fn read(config: &Config, tokenizer: Option<Tokenizer>) -> Result<Text, Failure> {
    let data = config.data.input_file.as_deref().map(Path::new);
    let corpus =
        Corpus::load(data, environment::cargo_home().as_deref(), DEFAULT_BYTES).map_err(no_text)?;
    let (source, key, bytes) = (corpus.describe(), corpus.key(), corpus.bytes());
    say(&format!("text: {source}"));
    let cache = environment::cache_folder();
    let (tokenizer, tokens, warnings) = match tokenizer {
        Some(tokenizer) => {
            let (tokens, warnings) = text::tokens_of(&corpus, &tokenizer, cache.as_deref());
            (tokenizer, tokens, warnings)
        }
        None => {
            let count = grouped(config.model.vocab_size as i64);
            say(&format!(
                "tokenizer: {count} tokens, trained on this text unless it is known already"
            ));
            let made = text::prepare(&corpus, config.model.vocab_size, cache.as_deref())
                .map_err(no_text)?;
            (made.tokenizer, made.tokens, made.warnings)
        }
    };
    warnings.iter().for_each(warn);
    Ok(Text {
        tokenizer,
        tokens,
        source,
        key,
        bytes,
    })
}

/// Loads the tokenizer of a trained model.
///
/// # Errors
/// When the file is missing or is no tokenizer of ours.
pub(crate) fn load_tokenizer(path: &Path) -> Result<Tokenizer, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot use {}: {error}", path.display()))
    };
    let json = std::fs::read_to_string(path).map_err(|error| broken(&error))?;
    Tokenizer::from_json(&json).map_err(|error| broken(&error))
}

/// A line of log.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told when stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A text that is not there or does not fit the configuration is wrong use; one without a word is no data.
fn no_text(error: TextError) -> Failure {
    match &error {
        TextError::Empty { .. } => Failure::no_data(error),
        TextError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::wrong_use(error)
                .help("name a UTF-8 text file, or a folder with some, by --data or data.input_file")
        }
        TextError::Vocabulary { .. } | TextError::SmallVocabulary { .. } => {
            Failure::wrong_use(error)
        }
        _ => Failure::failed(error),
    }
}
