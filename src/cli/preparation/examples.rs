//! Worked examples for supervised training: read or made, held out or learnt, encoded.

use std::path::Path;

use super::super::outcome::{Failure, warn};
use super::super::text_source::say;
use crate::config::{BuiltInTask, Config};
use crate::text::examples::{
    Encoded, Lines, LinesError, Pair, Parts, Worked, arithmetic, corrupted, made_key, read_pairs,
    read_worked, rule, sentence, sentence_prompt, spoilt,
};
use crate::text::{Encoder, Key, Tokenizer};
use crate::train::posttraining::{EncodedPair, Prompt, held_out};
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

/// Preferences in tokens.
pub(super) struct Pairs {
    /// Those to be learnt.
    pub(super) learnt: Vec<EncodedPair>,
    /// Those to be validated on.
    pub(super) held_out: Vec<EncodedPair>,
    /// Their fingerprint.
    pub(super) key: Key,
    /// Where they come from, for people.
    pub(super) source: String,
}

/// The preferences that the configuration names, or those that are made, without those that are too long, which are told.
///
/// # Errors
/// When they cannot be read or none is short enough.
pub(super) fn pairs(
    config: &Config,
    tokenizer: &Tokenizer,
    parts: Parts,
) -> Result<Pairs, Failure> {
    let mut encoder = tokenizer.encoder();
    let (prompts, encoded, key, source) = match &config.data.preference_data {
        Some(path) => {
            let read = lines(read_pairs(Path::new(path)))?;
            let encoded = read
                .items
                .iter()
                .map(|pair| parts.pair(&mut encoder, pair))
                .collect();
            let prompts = read.items.into_iter().map(|pair| pair.prompt).collect();
            (prompts, encoded, read.key, path.clone())
        }
        None => made_pairs(config, parts, &mut encoder),
    };
    let held = held_out(&prompts, config.training.validation_split);
    let mut pairs = Pairs {
        learnt: Vec::new(),
        held_out: Vec::new(),
        key,
        source,
    };
    let (all, most, mut too_long) = (encoded.len(), config.training.max_length, 0);
    for (pair, held) in encoded.into_iter().zip(held) {
        if pair.iter().any(|response| response.ids.len() > most) {
            too_long += 1;
        } else if held {
            pairs.held_out.push(pair);
        } else {
            pairs.learnt.push(pair);
        }
    }
    tell_too_long(too_long, all, most);
    if pairs.learnt.is_empty() {
        let what = format!("no pair is left to learn from {}", pairs.source);
        return Err(Failure::no_data(what).help("raise training.max_length, or give more pairs"));
    }
    Ok(pairs)
}

type MadePairs = (Vec<String>, Vec<EncodedPair>, Key, String);

fn made_pairs(config: &Config, parts: Parts, encoder: &mut Encoder<'_>) -> MadePairs {
    let post = &config.posttraining;
    let count = grouped(post.examples as i64);
    let (mut prompts, mut pairs) = (Vec::new(), Vec::new());
    for index in 0..post.examples as u64 {
        let (prompt, pair) = match post.task {
            BuiltInTask::Arithmetic => {
                let right = arithmetic(SEED, index, post.difficulty);
                let wrong = corrupted(SEED, index, &right);
                let pair = [&right, &wrong].map(|worked| parts.worked(encoder, worked));
                (right.problem, pair)
            }
            BuiltInTask::Sentences => {
                let pair = preferred(index);
                (pair.prompt.clone(), parts.pair(encoder, &pair))
            }
        };
        prompts.push(prompt);
        pairs.push(pair);
    }
    let source = match post.task {
        BuiltInTask::Arithmetic => {
            format!(
                "{count} made problems of {} operations, worked right and wrong",
                post.difficulty
            )
        }
        BuiltInTask::Sentences => format!("{count} made pairs of sentences, by the hidden rule"),
    };
    say(&format!("preferences: {source}"));
    (prompts, pairs, made_key(&source), source)
}

/// Two sentences that the hidden rule tells apart. In one pair of three the first is spoilt: a reward model that had seen whole sentences
/// alone would have no idea of others, and a policy would find out.
fn preferred(index: u64) -> Pair {
    let whole = sentence(SEED, index, 1);
    let first = match index % 3 {
        0 => spoilt(&whole, index / 3),
        _ => whole,
    };
    let mut others = (2..).map(|which| sentence(SEED, index, which));
    let differs = |other: &String| rule(other) != rule(&first);
    // Of all sentences one in six has the worth of another; the search does not go on for ever.
    let other = others.find(differs).unwrap_or_default();
    let (chosen, rejected) = if rule(&first) > rule(&other) {
        (first, other)
    } else {
        (other, first)
    };
    Pair {
        prompt: sentence_prompt(SEED, index),
        chosen,
        rejected,
    }
}

/// Prompts in tokens.
pub(super) struct Prompts {
    /// Those that are not held out.
    pub(super) prompts: Vec<Prompt>,
    /// A rule can check the responses.
    pub(super) checkable: bool,
    /// Their fingerprint.
    pub(super) key: Key,
    /// Where they come from, for people.
    pub(super) source: String,
}

/// What a policy responds to: the prompts of the preferences that the configuration names, or else the problems of
/// [`worked`].
///
/// # Errors
/// When they cannot be read, or none leaves room for a response.
pub(super) fn prompts(
    config: &Config,
    tokenizer: &Tokenizer,
    parts: Parts,
) -> Result<Prompts, Failure> {
    let mut encoder = tokenizer.encoder();
    let (asked, key, source, checkable): (Vec<(String, Option<String>)>, _, _, _) =
        match &config.data.preference_data {
            Some(path) => {
                let read = lines(read_pairs(Path::new(path)))?;
                let asked = read
                    .items
                    .into_iter()
                    .map(|pair| (pair.prompt, None))
                    .collect();
                (asked, read.key, path.clone(), false)
            }
            None => {
                let (all, key, source) = worked(config)?;
                let answer = |worked: Worked| {
                    let known = !is_ruled(config);
                    (worked.problem, known.then_some(worked.answer))
                };
                (all.into_iter().map(answer).collect(), key, source, true)
            }
        };
    let bare = config.data.preference_data.is_some() || is_bare(config);
    let texts: Vec<&str> = asked.iter().map(|(prompt, _)| prompt.as_str()).collect();
    let held = held_out(&texts, config.training.validation_split);
    let (all, mut prompts) = (asked.len(), Vec::new());
    let most = config.training.max_length;
    let mut too_long = 0;
    for ((text, answer), held) in asked.into_iter().zip(held) {
        let ids = match bare {
            true => parts.bare_question(&mut encoder, &text),
            false => parts.question(&mut encoder, &text),
        };
        if ids.len() + config.posttraining.response_length > most {
            too_long += 1;
        } else if !held {
            prompts.push(Prompt { ids, answer });
        }
    }
    tell_too_long(too_long, all, most);
    if prompts.is_empty() {
        let what = format!(
            "no prompt of {source} leaves room for a response of posttraining.response_length {} tokens",
            config.posttraining.response_length
        );
        return Err(Failure::no_data(what)
            .help("raise training.max_length, or lower posttraining.response_length"));
    }
    Ok(Prompts {
        prompts,
        checkable,
        key,
        source,
    })
}

/// Whether responses are judged by the hidden rule of sentences.
pub(crate) fn is_ruled(config: &Config) -> bool {
    config.data.reasoning_examples.is_none() && config.posttraining.task == BuiltInTask::Sentences
}

/// Says how many of `all` were left out as too long, where any were.
fn tell_too_long(count: usize, all: usize, most: usize) {
    if count > 0 {
        let (count, all) = (grouped(count as i64), grouped(all as i64));
        warn(format!(
            "{count} of {all} examples are longer than training.max_length {most} and are left out"
        ));
    }
}

/// Whether examples are learnt without steps.
pub(crate) fn is_bare(config: &Config) -> bool {
    config.posttraining.answers_only || is_ruled(config)
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
fn lines<T>(read: Result<Lines<T>, LinesError>) -> Result<Lines<T>, Failure> {
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
