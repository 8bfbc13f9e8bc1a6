//! What a run learns from, as its configuration says: a text, or examples.

mod taught;

pub(crate) use taught::frozen;

use super::super::outcome::Failure;
use super::super::text_source::{self, Text, Vocabulary, no_tokenizer};
use super::super::workers::Workers;
use crate::config::Config;
use crate::text::examples::Parts;
use crate::text::{Key, Tokenizer};
use crate::train::Plan;
use crate::train::task::{NextToken, Task};

/// What a run learns.
pub(crate) struct Material {
    /// What made its tokens; none where ids were given.
    pub(crate) tokenizer: Option<Tokenizer>,
    /// What it learns.
    pub(crate) task: Box<dyn Task>,
    /// Its fingerprint.
    pub(crate) key: Key,
    /// Where it comes from, for people.
    pub(crate) source: String,
    /// The loss of a model that knows token frequencies only, where it is a text.
    pub(crate) unigram_entropy: Option<f64>,
}

/// Reads what the configuration names.
///
/// # Errors
/// When it is missing, holds nothing that can be used or does not fit the sizes.
pub(crate) fn material(
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    vocabulary: Vocabulary,
) -> Result<Material, Failure> {
    match config.algorithm() {
        None => next_token(config, workers, vocabulary),
        Some(algorithm) => {
            let Vocabulary::Known(tokenizer) = vocabulary else {
                return Err(no_tokenizer());
            };
            let (tokenizer, parts) = Parts::extend(&tokenizer).map_err(Failure::failed)?;
            taught::taught(config, algorithm, workers, plan, tokenizer, parts)
        }
    }
}

fn next_token(
    config: &Config,
    workers: &Workers,
    vocabulary: Vocabulary,
) -> Result<Material, Failure> {
    let Text {
        tokenizer,
        tokens,
        key,
        source,
        ..
    } = workers
        .pool
        .install(|| text_source::of(config, vocabulary))?;
    let data = super::dataset(config, tokens)?;
    Ok(Material {
        tokenizer,
        unigram_entropy: data.unigram_entropy(config.model.vocab_size),
        task: Box::new(NextToken::new(data)),
        key,
        source,
    })
}
