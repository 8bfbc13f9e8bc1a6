//! Worked examples for supervised training: read or made, held out or learnt, encoded.

use std::path::Path;

use super::super::outcome::{Failure, warn};
use super::super::text_source::say;
use crate::config::{BuiltInTask, Config};
use crate::text::examples::{
    Encoded, Lines, LinesError, Parts, Worked, arithmetic, made_key, read_worked, sentence,
    sentence_prompt,
};
use crate::text::{Key, Tokenizer};
use crate::train::posttraining::held_out;
use crate::units::grouped;

/// The seed of examples that are made: that of a run leaves them as they are, so that runs can be compared.
const SEED: u64 = 0;

/// Examples in tokens.
pub(crate) struct Examples {
    /// Those to be learnt.
    pub(crate) learnt: Vec<Encoded>,
    /// Those to be validated on.
    pub(crate) held_out: Vec<Encoded>,
    /// Their fingerprint.
    pub(crate) key: Key,
    /// Where they come from, for people.
    pub(crate) source: String,
}

/// The examples that the configuration names, without those that are too long, which are told.
///
/// # Errors
/// When they cannot be read or none is short enough.
pub(crate) fn examples(
    config: &Config,
    tokenizer: &Tokenizer,
    parts: Parts,
) -> Result<Examples, Failure> {
    let (all, key, source) = worked(config)?;
    let prompts: Vec<&str> = all.iter().map(|worked| worked.problem.as_str()).collect();
    let held = held_out(&prompts, config.training.validation_split);
    let mut encoder = tokenizer.encoder();
    let encoded = all.iter().map(|worked| {
        if is_bare(config) {
            parts.answer_alone(&mut encoder, worked)
        } else {
            parts.worked(&mut encoder, worked)
        }
    });
    let mut examples = Examples {
        learnt: Vec::new(),
        held_out: Vec::new(),
        key,
        source,
    };
    let (most, mut too_long) = (config.training.max_length, 0);
    for (encoded, held) in encoded.zip(held) {
        if encoded.ids.len() > most + 1 {
            too_long += 1;
        } else if held {
            examples.held_out.push(encoded);
        } else {
            examples.learnt.push(encoded);
        }
    }
    tell_too_long(too_long, all.len(), most);
    if examples.learnt.is_empty() {
        let what = format!("no example is left to learn from {}", examples.source);
        return Err(Failure::no_data(what).help("raise training.max_length, or give more examples"));
    }
    Ok(examples)
}

/// Says how many of `all` were left out as too long, where any were.
pub(super) fn tell_too_long(count: usize, all: usize, most: usize) {
    if count > 0 {
        let (count, all) = (grouped(count as i64), grouped(all as i64));
        warn(format!(
            "{count} of {all} examples are longer than training.max_length {most} and are left out"
        ));
    }
}

/// Whether examples are learnt without steps.
pub(crate) fn is_bare(config: &Config) -> bool {
    config.posttraining.answers_only
        || (config.data.reasoning_examples.is_none()
            && config.posttraining.task == BuiltInTask::Sentences)
}

/// The worked problems of the file that the configuration names, or those that are made.
///
/// # Errors
/// When the file cannot be read or has none.
pub(crate) fn worked(config: &Config) -> Result<(Vec<Worked>, Key, String), Failure> {
    if let Some(path) = &config.data.reasoning_examples {
        let read = lines(read_worked(Path::new(path)))?;
        return Ok((read.items, read.key, path.clone()));
    }
    let post = &config.posttraining;
    let count = grouped(post.examples as i64);
    let all = 0..post.examples as u64;
    let (worked, source): (Vec<Worked>, _) = match post.task {
        BuiltInTask::Arithmetic => (
            all.map(|index| arithmetic(SEED, index, post.difficulty))
                .collect(),
            format!("{count} made problems of {} operations", post.difficulty),
        ),
        BuiltInTask::Sentences => {
            let worked = |index| Worked {
                problem: sentence_prompt(SEED, index),
                reasoning: Vec::new(),
                answer: sentence(SEED, index, 0),
            };
            (all.map(worked).collect(), format!("{count} made sentences"))
        }
    };
    say(&format!("examples: {source}"));
    Ok((worked, made_key(&source), source))
}

/// Tells which lines were left out.
pub(super) fn lines<T>(read: Result<Lines<T>, LinesError>) -> Result<Lines<T>, Failure> {
    let read = read.map_err(|error| match &error {
        LinesError::Empty { .. } => Failure::no_data(&error),
        LinesError::Read { .. } => Failure::wrong_use(&error)
            .help("name a file of examples by --data, or set its key to null for made ones"),
    })?;
    if read.skipped.count > 0 {
        warn(&read.skipped);
    }
    Ok(read)
}
