//! GPT-2's pre-tokenization: text to the words within which BPE merges.
//!
//! The rule is the regular expression of GPT-2's `encoder.py`:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//! For ASCII it is followed by hand, which is many times faster than the expression; other text goes through the expression,
//! as it is in the `tokenizers` crate. A test compares the two.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// Text is looked at in segments of about this many bytes, each ASCII or not.
const SEGMENT: usize = 256;

/// GPT-2's splitting: no space is put before the text.
pub(super) fn gpt2() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// Calls `f` with each word, in order; joined they are the text.
pub(super) fn each<'t>(mut text: &'t str, mut f: impl FnMut(&'t str)) {
    while !text.is_empty() {
        let (segment, rest) = text.split_at(segment_end(text.as_bytes()));
        if segment.is_ascii() {
            each_ascii(segment, &mut f);
        } else {
            each_by_expression(segment, &mut f);
        }
        text = rest;
    }
}

/// The end of a first segment at which a word ends whatever precedes and follows: before white space with none after it, which
/// is a word of its own or, being a space, the beginning of one.
fn segment_end(text: &[u8]) -> usize {
    let ends = |pair: &[u8]| class(pair[0]) == Class::Space && pair[1].is_ascii_graphic();
    let from = SEGMENT.min(text.len());
    text[from..]
        .windows(2)
        .position(ends)
        .map_or(text.len(), |at| from + at)
}

fn each_by_expression<'t>(text: &'t str, f: &mut impl FnMut(&'t str)) {
    let mut words = PreTokenizedString::from(text);
    let split = gpt2().pre_tokenize(&mut words);
    debug_assert!(split.is_ok(), "the expression of GPT-2 cannot fail");
    for (_, (start, end), _) in words.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        f(&text[start..end]);
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Number,
        // \s: vertical tab included, unlike `is_ascii_whitespace`.
        b'\t'..=b'\r' | b' ' => Class::Space,
        _ => Class::Other,
    }
}

fn each_ascii<'t>(text: &'t str, f: &mut impl FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let end = start + ascii_word(&bytes[start..]);
        f(&text[start..end]);
        start = end;
    }
}

/// Length of the first word.
fn ascii_word(text: &[u8]) -> usize {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => return 2,
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => return 3,
        _ => {}
    }
    let space = usize::from(text[0] == b' ');
    match text.get(space).map(|byte| class(*byte)) {
        None | Some(Class::Space) => white_space(text),
        Some(kind) => space + run(&text[space..], kind),
    }
}

/// A run of white space leaves its last character to the word that follows.
fn white_space(text: &[u8]) -> usize {
    let length = run(text, Class::Space);
    if length == text.len() {
        length
    } else {
        (length - 1).max(1)
    }
}

fn run(text: &[u8], kind: Class) -> usize {
    text.iter()
        .position(|byte| class(*byte) != kind)
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        each(text, |word| words.push(word));
        words
    }

    fn by_expression(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        each_by_expression(text, &mut |word| words.push(word));
        words
    }

    #[test]
    fn words_are_those_of_gpt2() {
        assert_eq!(
            words("I'll say: it's 1st  rate."),
            [
                "I", "'ll", " say", ":", " it", "'s", " 1", "st", " ", " rate", "."
            ]
        );
        assert_eq!(
            words("a\n\n  b\t\x0b c  "),
            ["a", "\n\n ", " b", "\t\x0b", " c", "  "]
        );
        assert_eq!(words("naïve café"), ["naïve", " café"]);
        assert_eq!(words(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn ascii_by_hand_is_the_expression(text in "[ -~\\t-\\r]{0,60}|[ a'\\n.1slrve]{0,40}") {
            prop_assert_eq!(words(&text), by_expression(&text));
        }

        #[test]
        fn segments_do_not_show(line in "[ a-z'\\t-\\r.é\u{a0}]{0,30}", copies in 1usize..60) {
            let text = line.repeat(copies);
            prop_assert_eq!(words(&text), by_expression(&text));
        }

        #[test]
        fn words_join_to_the_text(text in any::<String>()) {
            prop_assert_eq!(words(&text).concat(), text);
        }
    }
}
