//! Byte-level BPE as GPT-2 has it, trained to the vocabulary of a configuration and kept as a Hugging Face `tokenizer.json`.
//!
//! Words are `words.rs`, learning `bpe.rs`, reading the file `tokenizer_file.rs`; writing it and the merging are the `tokenizers` crate's. Every text can be encoded, and
//! decodes to itself. Text that spells the end-of-text token is text: only the program puts the token itself.

use std::collections::HashMap;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model};

use super::bpe::{self, WordCounts};
use super::error::TextError;
use super::tokenizer_file;
use super::tokens::Key;
use super::words;

/// The end of a document. A tokenizer trained here gives it the id 0.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Longer words (a wall of digits, encoded data) teach nothing and cost much.
const LONGEST_TRAINED_WORD: usize = 256;

/// Longer words are not worth remembering.
const LONGEST_CACHED_WORD: usize = 32;

/// Words remembered by one [`Encoder`].
const CACHED_WORDS: usize = 1 << 16;

/// Text to token ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    json: String,
    model: BPE,
    /// The bytes that each id stands for.
    pieces: Vec<Vec<u8>>,
    end_of_text: u32,
    characters: [char; 256],
}

impl Tokenizer {
    /// Trains on texts until the vocabulary has exactly `vocab_size` tokens. Deterministic, whatever the number of threads.
    ///
    /// Runs on the current rayon pool.
    pub fn train<T: AsRef<str> + Sync>(
        texts: &[T],
        vocab_size: usize,
    ) -> Result<Tokenizer, TextError> {
        if vocab_size < 257 {
            return Err(TextError::SmallVocabulary { wanted: vocab_size });
        }
        let learnt = bpe::learn(&count_words(texts), vocab_size);
        let reached = learnt.pieces.len() + bpe::SPECIAL as usize;
        if reached < vocab_size {
            return Err(TextError::Vocabulary {
                wanted: vocab_size,
                reached,
                bytes: texts.iter().map(|text| text.as_ref().len()).sum(),
            });
        }
        let characters = characters();
        let mut tokens = vec![END_OF_TEXT.to_owned()];
        tokens.extend(learnt.pieces.iter().map(|piece| spell(piece, &characters)));
        let token = |id: u32| tokens[id as usize].clone();
        let merges = learnt
            .merges
            .iter()
            .map(|pair| (token(pair.0), token(pair.1)));
        let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
        let model = BPE::builder().vocab_and_merges(vocabulary, merges.collect::<Merges>());
        let model = model.build().map_err(broken)?;
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(words::gpt2()));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        tokenizer.with_post_processor(Some(ByteLevel::default().trim_offsets(false)));
        let special = [AddedToken::from(END_OF_TEXT, true)];
        tokenizer.add_special_tokens(special).map_err(broken)?;
        Tokenizer::from_json(&tokenizer.to_string(false).map_err(broken)?)
    }

    /// Reads a `tokenizer.json`: byte-level BPE, split as GPT-2 splits, with an end-of-text token.
    pub fn from_json(json: &str) -> Result<Tokenizer, TextError> {
        let tokenizer_file::File { model, tokens } = tokenizer_file::read(json)?;
        let no = |what: &str| TextError::Tokenizer {
            what: what.to_owned(),
        };
        let end_of_text = tokens.iter().position(|token| token == END_OF_TEXT);
        let end_of_text = end_of_text.ok_or_else(|| no("it has no token <|endoftext|>"))? as u32;
        let characters = characters();
        let known = |character: &char| model.token_to_id(character.encode_utf8(&mut [0; 4]));
        if characters
            .iter()
            .any(|character| known(character).is_none())
        {
            return Err(no("it lacks some of the 256 bytes"));
        }
        let bytes: HashMap<char, u8> = characters.into_iter().zip(0..=255).collect();
        let piece = |token: String| {
            let spelt = token
                .chars()
                .map(|character| bytes.get(&character).copied());
            let piece: Option<Vec<u8>> = spelt.collect();
            piece.unwrap_or_else(|| token.into_bytes())
        };
        let pieces = tokens.into_iter().map(piece).collect();
        Ok(Tokenizer {
            json: json.to_owned(),
            model,
            pieces,
            end_of_text,
            characters,
        })
    }

    /// The `tokenizer.json` that [`Tokenizer::from_json`] reads.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of the `tokenizer.json`.
    pub fn key(&self) -> Key {
        Sha256::digest(&self.json).into()
    }

    /// Tokens in the vocabulary; ids are below it.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The id that ends a document.
    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// This tokenizer with special tokens, which get the next ids where it lacks them.
    ///
    /// # Errors
    /// When the file with them is none that [`Tokenizer::from_json`] reads.
    pub fn with_special(&self, tokens: &[&str]) -> Result<Tokenizer, TextError> {
        let broken = |error: serde_json::Error| TextError::Tokenizer {
            what: error.to_string(),
        };
        let mut file: serde_json::Value = serde_json::from_str(&self.json).map_err(broken)?;
        let mut next = self.vocab_size();
        for token in tokens {
            if self.special(token).is_some() {
                continue;
            }
            let added = serde_json::json!({
                "id": next, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            });
            match &mut file["added_tokens"] {
                serde_json::Value::Array(all) => all.push(added),
                none => *none = serde_json::Value::Array(vec![added]),
            }
            next += 1;
        }
        Tokenizer::from_json(&serde_json::to_string_pretty(&file).map_err(broken)?)
    }

    /// The id of a token by its spelling, where the vocabulary has it. No text becomes this token.
    pub fn special(&self, token: &str) -> Option<u32> {
        let place = self
            .pieces
            .iter()
            .position(|piece| piece == token.as_bytes())?;
        Some(place as u32)
    }

    /// The bytes that an id stands for, which may be part of a character; none for an id outside the vocabulary.
    pub fn piece(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// Ids of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encoder().encode(text)
    }

    /// An encoder for many texts, which remembers the words it has met.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder {
            tokenizer: self,
            known: HashMap::new(),
            ids: Vec::new(),
        }
    }

    /// Text of ids; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.piece(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Encodes texts one after the other; one thread's worth of memory of words.
#[derive(Debug)]
pub struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    /// Word to its place in `ids`.
    known: HashMap<String, (u32, u32)>,
    ids: Vec<u32>,
}

impl Encoder<'_> {
    /// Ids of a text.
    pub fn encode(&mut self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        words::each(text, |word| self.word(word, &mut ids));
        ids
    }

    fn word(&mut self, word: &str, out: &mut Vec<u32>) {
        if let Some(&(start, end)) = self.known.get(word) {
            out.extend_from_slice(&self.ids[start as usize..end as usize]);
            return;
        }
        let spelt = spell(word.as_bytes(), &self.tokenizer.characters);
        // Without dropout, and with every byte in the vocabulary, merging cannot fail.
        let tokens = self.tokenizer.model.tokenize(&spelt).unwrap_or_default();
        out.extend(tokens.iter().map(|token| token.id));
        if word.len() <= LONGEST_CACHED_WORD {
            if self.known.len() >= CACHED_WORDS {
                self.known.clear();
                self.ids.clear();
            }
            let start = self.ids.len() as u32;
            self.ids.extend(tokens.iter().map(|token| token.id));
            self.known
                .insert(word.to_owned(), (start, self.ids.len() as u32));
        }
    }
}

/// The printable character that stands for each byte, as in GPT-2's `bytes_to_unicode`: itself where it is printable in
/// Latin-1, else the next one from U+0100.
fn characters() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| {
        let code = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte as u32,
            _ => {
                next += 1;
                next - 1
            }
        };
        char::from_u32(code).unwrap_or_default()
    })
}

/// Bytes as the model sees them: a character for each.
fn spell(bytes: &[u8], characters: &[char; 256]) -> String {
    bytes
        .iter()
        .map(|byte| characters[usize::from(*byte)])
        .collect()
}

/// How often each word occurs.
fn count_words<T: AsRef<str> + Sync>(texts: &[T]) -> WordCounts<'_> {
    fn add<'t>(mut all: WordCounts<'t>, counts: WordCounts<'t>) -> WordCounts<'t> {
        for (word, count) in counts {
            *all.entry(word).or_default() += count;
        }
        all
    }
    texts
        .par_iter()
        .with_min_len(64)
        .fold(WordCounts::new, |mut counts, text| {
            words::each(text.as_ref(), |word| {
                if word.len() <= LONGEST_TRAINED_WORD {
                    *counts.entry(word).or_default() += 1;
                }
            });
            counts
        })
        .reduce(WordCounts::new, add)
}

fn broken(error: tokenizers::Error) -> TextError {
    TextError::Tokenizer {
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::sync::LazyLock;

    use super::*;

    const VOCABULARY: usize = 300;

    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        let texts: Vec<String> = (0..200)
            .map(|n| format!("It's the {n}th naïve line of the text; there they're.\n\n"))
            .collect();
        Tokenizer::train(&texts, VOCABULARY).unwrap()
    });

    fn crates() -> tokenizers::Tokenizer {
        let mut tokenizer: tokenizers::Tokenizer = TOKENIZER.json().parse().unwrap();
        tokenizer.set_encode_special_tokens(true);
        tokenizer
    }

    #[test]
    fn the_vocabulary_is_as_large_as_asked_and_the_end_of_text_is_0() {
        assert_eq!(
            (TOKENIZER.vocab_size(), TOKENIZER.end_of_text()),
            (VOCABULARY, 0)
        );
        assert_eq!(TOKENIZER.piece(0), END_OF_TEXT.as_bytes());
        assert_eq!(TOKENIZER.piece(VOCABULARY as u32), b"");
        let mut single: Vec<&[u8]> = (1..257).map(|id| TOKENIZER.piece(id)).collect();
        single.sort_unstable();
        assert!((0..=255u8).zip(single).all(|(byte, piece)| piece == [byte]));
    }

    #[test]
    fn training_is_deterministic_and_the_file_is_read_back() {
        let texts: Vec<String> = (0..300)
            .map(|n| format!("{} apples and {} pears, or {n} plums\n", n * 7, n % 13))
            .collect();
        let first = Tokenizer::train(&texts, 380).unwrap();
        for _ in 0..3 {
            assert!(Tokenizer::train(&texts, 380).unwrap().json() == first.json());
        }
        let again = Tokenizer::from_json(first.json()).unwrap();
        assert_eq!(
            (again.key(), again.encode(&texts[9])),
            (first.key(), first.encode(&texts[9]))
        );
    }

    #[test]
    fn text_that_spells_the_end_of_text_is_text() {
        let ids = TOKENIZER.encode("a<|endoftext|>b");
        assert!(!ids.contains(&TOKENIZER.end_of_text()));
        assert_eq!(TOKENIZER.decode(&ids), "a<|endoftext|>b");
    }

    #[test]
    fn too_little_text_names_the_size_it_fills() {
        let message = Tokenizer::train(&["one two three one two three"], 10_000)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("27 B of text fill a vocabulary of 2"),
            "{message}"
        );
        assert!(
            message
                .contains("not the 10,000 of model.vocab_size: set model.vocab_size to at most 2"),
            "{message}"
        );
        assert!(matches!(
            Tokenizer::train(&[""], 256),
            Err(TextError::SmallVocabulary { .. })
        ));
        assert!(matches!(
            Tokenizer::train::<&str>(&[], 258),
            Err(TextError::Vocabulary { reached: 257, .. })
        ));
    }

    #[test]
    fn other_tokenizers_are_refused() {
        let refusal = |from: &str, to: &str| {
            assert!(TOKENIZER.json().contains(from), "{from}");
            Tokenizer::from_json(&TOKENIZER.json().replace(from, to))
                .unwrap_err()
                .to_string()
        };
        assert!(
            refusal("\"add_prefix_space\":false", "\"add_prefix_space\":true")
                .contains("as GPT-2 does")
        );
        assert!(refusal("endoftext", "end").contains("no token <|endoftext|>"));
        assert!(
            refusal("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}")
                .contains("changes the text")
        );
        for text in ["", "{}", "[]", "{\"version\":\"1.0\"}"] {
            assert!(Tokenizer::from_json(text).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn damaged_files_are_refused_or_usable(at in any::<prop::sample::Index>(), to in "[ -~]") {
            let mut json = TOKENIZER.json().to_owned();
            let at = at.index(json.len());
            if json.is_char_boundary(at) && json.is_char_boundary(at + 1) {
                json.replace_range(at..at + 1, &to);
            }
            if let Ok(tokenizer) = Tokenizer::from_json(&json) {
                tokenizer.decode(&tokenizer.encode("It's the 7th naïve line."));
            }
        }

        #[test]
        fn ids_are_those_of_the_crate_and_decode_to_the_text(text in any::<String>(), line in "[ a-z'é\n]{0,60}") {
            let crates = crates();
            for text in [text, line] {
                let ids = TOKENIZER.encode(&text);
                let theirs = crates.encode(text.as_str(), false).unwrap();
                prop_assert_eq!(theirs.get_ids(), ids.as_slice());
                prop_assert_eq!(TOKENIZER.decode(&ids), text);
            }
        }
    }
}
