//! From a configuration's text to tokens, for the commands that read text.

use std::io::{self, Write};
use std::path::Path;

use super::environment;
use super::outcome::{Failure, is_quiet, warn};
use crate::bounded;
use crate::config::Config;
use crate::text::{self, Corpus, DEFAULT_BYTES, Key, TextError, Tokenizer, Tokens};
use crate::units::grouped;

/// The most bytes of a `tokenizer.json`: GPT-2's has 2 MB, those of 250,000 tokens some 20.
const LONGEST_TOKENIZER: u64 = 64 << 20;

/// A text in tokens.
pub(crate) struct Text {
    /// The tokenizer that made them; none where ids were given.
    pub(crate) tokenizer: Option<Tokenizer>,
    /// The tokens.
    pub(crate) tokens: Tokens,
    /// Where the text comes from, for people.
    pub(crate) source: String,
    /// SHA-256 of the text.
    pub(crate) key: Key,
    /// Bytes of the text; unknown of ids without a tokenizer.
    pub(crate) bytes: Option<usize>,
}

/// What encodes a text.
pub(crate) enum Vocabulary {
    /// A tokenizer that there is.
    Known(Box<Tokenizer>),
    /// One of this many tokens that is trained on the text, unless it is known already.
    Learnt(usize),
    /// None: the model has seen ids alone.
    Missing,
}

impl Vocabulary {
    /// That of a model, which has a tokenizer or not.
    pub(crate) fn of_model(tokenizer: Option<Tokenizer>) -> Vocabulary {
        tokenizer.map_or(Vocabulary::Missing, |known| {
            Vocabulary::Known(Box::new(known))
        })
    }

    fn known(self) -> Option<Tokenizer> {
        match self {
            Vocabulary::Known(tokenizer) => Some(*tokenizer),
            Vocabulary::Learnt(_) | Vocabulary::Missing => None,
        }
    }
}

/// The text or the ids that a configuration names, or else the default text. Runs on the current rayon pool.
///
/// # Errors
/// As [`read`] and [`read_ids`].
pub(crate) fn of(config: &Config, vocabulary: Vocabulary) -> Result<Text, Failure> {
    match &config.data.tokens {
        Some(given) => read_ids(given, config.model.vocab_size, vocabulary.known()),
        None => read(config.data.input_file.as_deref(), vocabulary),
    }
}

/// Reads a text, or the default one, and encodes it. Runs on the current rayon pool.
///
/// # Errors
/// When the text is missing, empty or too small for the vocabulary.
pub(crate) fn read(data: Option<&str>, vocabulary: Vocabulary) -> Result<Text, Failure> {
    let data = data.map(Path::new);
    let corpus =
        Corpus::load(data, environment::cargo_home().as_deref(), DEFAULT_BYTES).map_err(no_text)?;
    let (source, key, bytes) = (corpus.describe(), corpus.key(), corpus.bytes());
    say(&format!("text: {source}"));
    let cache = environment::cache_folder();
    let (tokenizer, tokens, warnings) = match vocabulary {
        Vocabulary::Known(tokenizer) => {
            let (tokens, warnings) =
                text::tokens_of(&corpus, &tokenizer, cache.as_deref()).map_err(no_text)?;
            (*tokenizer, tokens, warnings)
        }
        Vocabulary::Learnt(size) => {
            let count = grouped(size as i64);
            say(&format!(
                "tokenizer: {count} tokens, trained on this text unless it is known already"
            ));
            let made = text::prepare(&corpus, size, cache.as_deref()).map_err(no_text)?;
            (made.tokenizer, made.tokens, made.warnings)
        }
        Vocabulary::Missing => return Err(no_tokenizer()),
    };
    warnings.iter().for_each(warn);
    Ok(Text {
        tokenizer: Some(tokenizer),
        tokens,
        source,
        key,
        bytes: Some(bytes),
    })
}

/// A text of the ids that `given` lists or names a file of, each below `vocab_size`.
///
/// # Errors
/// When there is no such file, or something in it is no id of the vocabulary.
pub(crate) fn read_ids(
    given: &str,
    vocab_size: usize,
    tokenizer: Option<Tokenizer>,
) -> Result<Text, Failure> {
    let ids = ids(given, vocab_size)?;
    let source = format!("{} token ids", grouped(ids.len() as i64));
    say(&format!("text: {source}"));
    let bytes = tokenizer.as_ref().map(|tokenizer| {
        let end = tokenizer.end_of_text();
        let of_text = ids.iter().filter(|id| **id != end);
        of_text.map(|id| tokenizer.piece(*id).len()).sum()
    });
    let key = text::ids::key(&ids);
    Ok(Text {
        tokenizer,
        tokens: Tokens::from_ids(ids, key),
        source,
        key,
        bytes,
    })
}

/// The ids that `given` lists, as in `5,17`, or that the file of this name holds.
///
/// # Errors
/// When it is neither, or an id is not below `vocab_size`.
pub(crate) fn ids(given: &str, vocab_size: usize) -> Result<Vec<u32>, Failure> {
    let is_list = |c: char| c.is_ascii_digit() || c.is_whitespace() || c == ',';
    let (text, place) = if given.chars().all(is_list) {
        (given.to_owned(), "--tokens")
    } else {
        let unreadable = |error| {
            Failure::wrong_use(format!("cannot read {given}: {error}"))
                .help("--tokens takes ids, as in 5,17,3, or the name of a file with some")
        };
        (std::fs::read_to_string(given).map_err(unreadable)?, given)
    };
    let ids = text::ids::parse(&text, vocab_size)
        .map_err(|error| Failure::wrong_use(format!("{place}: {error}")))?;
    if ids.is_empty() {
        return Err(Failure::no_data(format!("{place}: there is no token id")));
    }
    Ok(ids)
}

/// Text is given for a model that has no tokenizer.
pub(crate) fn no_tokenizer() -> Failure {
    Failure::wrong_use("this model has no tokenizer: it reads token ids, not text")
        .help("give ids by --tokens 5,17,3 or by --tokens FILE")
}

/// Loads the tokenizer of a trained model.
///
/// # Errors
/// When the file is missing or is no tokenizer of ours.
pub(crate) fn load_tokenizer(path: &Path) -> Result<Tokenizer, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot use {}: {error}", path.display()))
    };
    let json = bounded::read_text(path, LONGEST_TOKENIZER).map_err(|error| broken(&error))?;
    Tokenizer::from_json(&json).map_err(|error| broken(&error))
}

/// A line of log; rank 0 speaks for all.
pub(crate) fn say(text: &str) {
    if is_quiet() {
        return;
    }
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
