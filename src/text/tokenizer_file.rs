//! `tokenizer.json` as Hugging Face writes it for byte-level BPE, read without trust: what is wrong is named by its key.
//!
//! The `tokenizers` crate has a reader of its own, which panics on some damaged files (a merge longer than any token). This one
//! takes what GPT-2's kind of tokenizer needs, refuses what would split or change text otherwise, and hands the crate's builder
//! a vocabulary and merges that fit together.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokenizers::models::bpe::{BPE, Vocab};

use super::error::TextError;

/// Bytes of a file: ten times the largest vocabularies in use.
const LONGEST_FILE: usize = 256 << 20;

/// Tokens of a vocabulary, and merges.
const MOST_TOKENS: usize = 1 << 20;

/// Bytes of a token.
const LONGEST_TOKEN: usize = 1 << 12;

/// What a file holds.
#[derive(Debug)]
pub(super) struct File {
    /// The merging.
    pub(super) model: BPE,
    /// The spelling of each id: the vocabulary's, and those added to it.
    pub(super) tokens: Vec<String>,
}

/// What decides whether the file is of the right kind. Known before the large parts are looked at.
#[derive(serde::Deserialize)]
struct Outline {
    version: Option<String>,
    normalizer: Option<IgnoredAny>,
    pre_tokenizer: Option<Splitting>,
    model: Kind,
}

#[derive(serde::Deserialize)]
struct Splitting {
    #[serde(rename = "type")]
    kind: String,
    add_prefix_space: Option<bool>,
    use_regex: Option<bool>,
}

/// Older files do not say their model's type.
#[derive(serde::Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(serde::Deserialize)]
struct Content {
    added_tokens: Option<Vec<Added>>,
    model: Model,
}

#[derive(serde::Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(serde::Deserialize)]
struct Model {
    #[serde(default)]
    ignore_merges: bool,
    vocab: Ids,
    merges: Vec<Merge>,
}

/// Tokens with their ids, each token once.
struct Ids(HashMap<String, u32>);

/// Two tokens that become one: `["a", "b"]`, or `"a b"` in older files.
#[derive(Eq, Hash, PartialEq)]
struct Merge(String, String);

/// Reads a file.
///
/// # Errors
/// What is wrong, with its key.
pub(super) fn read(json: &str) -> Result<File, TextError> {
    if json.len() > LONGEST_FILE {
        return Err(wrong(format!("it is longer than {LONGEST_FILE} bytes")));
    }
    refuse_other_kinds(&parse(json)?)?;
    let content: Content = parse(json)?;
    let vocabulary = content.model.vocab.0;
    check_merges(&content.model.merges, &vocabulary)?;
    let tokens = tokens(&vocabulary, content.added_tokens.unwrap_or_default())?;
    let merges = content.model.merges.into_iter();
    let model = BPE::builder()
        .vocab_and_merges(
            vocabulary.into_iter().collect::<Vocab>(),
            merges.map(|Merge(one, other)| (one, other)).collect(),
        )
        .ignore_merges(content.model.ignore_merges)
        // Words are remembered by the encoder instead, in fewer bytes.
        .cache_capacity(0);
    let model = model.build().map_err(|error| wrong(error.to_string()))?;
    Ok(File { model, tokens })
}

fn wrong(what: impl Into<String>) -> TextError {
    TextError::Tokenizer { what: what.into() }
}

/// One pass over the text; an error names the key.
fn parse<'t, T: Deserialize<'t>>(json: &'t str) -> Result<T, TextError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let key = error.path().to_string();
        match key.as_str() {
            "." => wrong(error.inner().to_string()),
            key => wrong(format!("`{key}`: {}", error.inner())),
        }
    })?;
    reader.end().map_err(|error| wrong(error.to_string()))?;
    Ok(value)
}

fn refuse_other_kinds(outline: &Outline) -> Result<(), TextError> {
    let Outline {
        version,
        normalizer,
        pre_tokenizer,
        model,
    } = outline;
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if let Some(version) = version.as_ref().filter(|version| *version != "1.0") {
        return Err(wrong(format!(
            "`version` is {version}, and 1.0 can be read"
        )));
    }
    if let Some(kind) = model.kind.as_ref().filter(|kind| *kind != "BPE") {
        return Err(wrong(format!("`model.type` is {kind}")));
    }
    if normalizer.is_some() {
        return Err(wrong(
            "`normalizer`: it changes the text before splitting it",
        ));
    }
    let as_gpt2 = |split: &Splitting| {
        split.kind == "ByteLevel"
            && split.use_regex.unwrap_or(true)
            && split.add_prefix_space == Some(false)
    };
    if !pre_tokenizer.as_ref().is_some_and(as_gpt2) {
        return Err(wrong(
            "`pre_tokenizer`: it does not split text as GPT-2 does",
        ));
    }
    if model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err(wrong("`model.dropout`: it leaves out merges at random"));
    }
    if filled(&model.continuing_subword_prefix) || filled(&model.end_of_word_suffix) {
        return Err(wrong("`model`: it marks the beginnings or ends of words"));
    }
    Ok(())
}

/// Both parts and the whole of each merge must be tokens, and no merge may be there twice.
fn check_merges(merges: &[Merge], vocabulary: &HashMap<String, u32>) -> Result<(), TextError> {
    let mut seen = HashSet::with_capacity(merges.len());
    let mut whole = String::new();
    for (index, merge) in merges.iter().enumerate() {
        let Merge(one, other) = merge;
        whole.clear();
        whole.push_str(one);
        whole.push_str(other);
        for token in [one, other, &whole] {
            if !vocabulary.contains_key(token) {
                return Err(wrong(format!(
                    "`model.merges[{index}]`: {token:?} is not in the vocabulary"
                )));
            }
        }
        if !seen.insert(merge) {
            return Err(wrong(format!(
                "`model.merges[{index}]`: {one:?} and {other:?} are merged twice"
            )));
        }
    }
    Ok(())
}

/// The spelling of each id, from 0 without holes.
fn tokens(vocabulary: &HashMap<String, u32>, added: Vec<Added>) -> Result<Vec<String>, TextError> {
    let mut all: HashMap<u32, String> = HashMap::with_capacity(vocabulary.len());
    for (token, id) in vocabulary {
        if let Some(other) = all.insert(*id, token.clone()) {
            return Err(wrong(format!(
                "`model.vocab`: {token:?} and {other:?} have the same id {id}"
            )));
        }
    }
    for (
        index,
        Added {
            id,
            content,
            special,
        },
    ) in added.into_iter().enumerate()
    {
        let no = |what: String| wrong(format!("`added_tokens[{index}]`: {what}"));
        if !special && content != super::END_OF_TEXT {
            return Err(no(format!(
                "{content:?} would split text otherwise than GPT-2"
            )));
        }
        if let Some(known) = vocabulary.get(&content).filter(|known| **known != id) {
            return Err(no(format!(
                "{content:?} has the id {known} in the vocabulary, not {id}"
            )));
        }
        match all.insert(id, content.clone()) {
            Some(other) if other != content => {
                return Err(no(format!(
                    "{content:?} and {other:?} have the same id {id}"
                )));
            }
            _ => {}
        }
    }
    let count = all.len() as u32;
    let spelling = |id| {
        let token = all.remove(&id);
        token.ok_or_else(|| wrong(format!("its ids have holes: nothing has the id {id}")))
    };
    (0..count).map(spelling).collect()
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(IdsVisitor)
    }
}

struct IdsVisitor;

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = Ids;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens with their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ids, A::Error> {
        let mut ids = HashMap::new();
        while let Some(token) = entries.next_key::<String>()? {
            if token.len() > LONGEST_TOKEN {
                let what = format_args!("a token has more than {LONGEST_TOKEN} bytes");
                return Err(A::Error::custom(what));
            }
            if ids.len() == MOST_TOKENS {
                return Err(A::Error::custom(format_args!(
                    "more than {MOST_TOKENS} tokens"
                )));
            }
            let id = entries.next_value()?;
            if ids.insert(token.clone(), id).is_some() {
                return Err(A::Error::custom(format_args!("{token:?} is there twice")));
            }
        }
        Ok(Ids(ids))
    }
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two tokens, as [\"a\", \"b\"] or \"a b\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Merge, E> {
        match text.split_once(' ') {
            Some((one, other)) if !other.contains(' ') => Ok(Merge(one.into(), other.into())),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Merge, A::Error> {
        let no = |length| A::Error::invalid_length(length, &"two tokens");
        let one = tokens.next_element()?.ok_or_else(|| no(0))?;
        let other = tokens.next_element()?.ok_or_else(|| no(1))?;
        match tokens.next_element::<IgnoredAny>()? {
            Some(_) => Err(no(3)),
            None => Ok(Merge(one, other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tokenizers::Model as _;

    /// As GPT-2's own file has it: without a type, with empty marks, merges as text.
    fn old() -> Value {
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 4, "special": true, "content": "<|endoftext|>", "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": true}],
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
            "model": {"dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                "fuse_unk": false, "vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b", "ab a"]}
        })
    }

    fn refusal(pointer: &str, value: Value) -> String {
        let mut file = old();
        *file.pointer_mut(pointer).unwrap() = value;
        read(&file.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn old_and_new_files_are_read() {
        let read_old = read(&old().to_string()).unwrap();
        assert_eq!(read_old.tokens, ["a", "b", "ab", "aba", "<|endoftext|>"]);
        let ids = |file: &File| -> Vec<u32> {
            let tokens = file.model.tokenize("ababb").unwrap();
            tokens.iter().map(|token| token.id).collect()
        };
        assert_eq!(ids(&read_old), [2, 2, 1]);
        let mut new = old();
        new["model"]["type"] = "BPE".into();
        new["model"]["merges"] = json!([["a", "b"], ["ab", "a"]]);
        new["pre_tokenizer"]["use_regex"] = true.into();
        assert_eq!(ids(&read(&new.to_string()).unwrap()), [2, 2, 1]);
    }

    #[test]
    fn other_kinds_are_refused_in_words() {
        let cases = [
            ("/version", json!("2.0"), "`version` is 2.0"),
            ("/normalizer", json!({"type": "NFC"}), "changes the text"),
            ("/pre_tokenizer", json!(null), "as GPT-2 does"),
            (
                "/pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers": []}),
                "as GPT-2 does",
            ),
            (
                "/pre_tokenizer/add_prefix_space",
                json!(true),
                "as GPT-2 does",
            ),
            (
                "/model",
                json!({"type": "Unigram", "vocab": [["a", -1.0]]}),
                "`model.type` is Unigram",
            ),
            ("/model/dropout", json!(0.1), "at random"),
            ("/model/end_of_word_suffix", json!("</w>"), "ends of words"),
            (
                "/added_tokens/0",
                json!({"id": 4, "content": "  "}),
                "`added_tokens[0]`: \"  \" would split",
            ),
        ];
        for (pointer, value, words) in cases {
            let message = refusal(pointer, value);
            assert!(message.contains(words), "{pointer}: {message}");
        }
    }

    #[test]
    fn what_is_damaged_is_named_by_its_key() {
        let cases = [
            (
                "/model/vocab/ab",
                json!("2"),
                "`model.vocab.ab`: invalid type: string",
            ),
            (
                "/model/vocab/ab",
                json!(-1),
                "`model.vocab.ab`: invalid value",
            ),
            ("/model/vocab/ab", json!(1), "have the same id 1"),
            ("/model/vocab/ab", json!(9), "nothing has the id 2"),
            (
                "/model/vocab",
                json!(["a"]),
                "`model.vocab`: invalid type: sequence",
            ),
            (
                "/model/merges/1",
                json!("ab c"),
                "`model.merges[1]`: \"c\" is not in the vocabulary",
            ),
            (
                "/model/merges/1",
                json!("aba aba"),
                "\"abaaba\" is not in the vocabulary",
            ),
            (
                "/model/merges/1",
                json!("a b"),
                "`model.merges[1]`: \"a\" and \"b\" are merged twice",
            ),
            (
                "/model/merges/1",
                json!("ab a a"),
                "`model.merges[1]`: invalid value",
            ),
            (
                "/model/merges/0",
                json!(["a"]),
                "`model.merges[0]`: invalid length 1",
            ),
            (
                "/model/merges/0",
                json!(["a", "b", "c"]),
                "`model.merges[0]`: invalid length 3",
            ),
            (
                "/model/merges/0",
                json!(7),
                "`model.merges[0]`: invalid type: integer",
            ),
            (
                "/added_tokens/0/id",
                json!(1),
                "`added_tokens[0]`: \"<|endoftext|>\" and \"b\"",
            ),
            (
                "/added_tokens/0/content",
                json!("ab"),
                "\"ab\" has the id 2 in the vocabulary, not 4",
            ),
            (
                "/added_tokens/0",
                json!({"id": 4}),
                "`added_tokens[0]`: missing field `content`",
            ),
            (
                "/model/vocab",
                json!({"a".repeat(LONGEST_TOKEN + 1): 0}),
                "more than 4096 bytes",
            ),
        ];
        for (pointer, value, words) in cases {
            let message = refusal(pointer, value);
            assert!(message.contains(words), "{pointer}: {message}");
        }
        let text = old().to_string();
        for (from, to, words) in [
            (r#""b":1"#, r#""b":1,"b":1"#, "\"b\" is there twice"),
            (
                r#""normalizer""#,
                r#""version":"1.0","normalizer""#,
                "duplicate field `version`",
            ),
            (r#""padding""#, r#"padding"#, "line 1"),
        ] {
            assert!(text.contains(from), "{from}");
            let message = read(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        assert!(read(&format!("{text} x")).is_err());
        assert!(read(&format!("{{\"model\":{}", "[".repeat(100_000))).is_err());
    }
}
