//! English-like text by a grammar: the corpus of last resort, the same on every machine.
//!
//! Words are made of syllables and follow a law like Zipf's; subjects and verbs agree; each document has a topic, whose words
//! come back throughout it. So there is something to learn within a word, a sentence and a document.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ONSETS: [&str; 24] = [
    "b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "l", "m", "n", "p", "pl",
    "r", "s", "st", "t", "tr", "v", "w",
];
const NUCLEI: [&str; 10] = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou"];
const CODAS: [&str; 12] = [
    "", "", "l", "ll", "m", "n", "nd", "r", "rt", "st", "t", "ck",
];
const PLACES: [&str; 12] = [
    "in", "on", "under", "near", "behind", "above", "beside", "across", "beyond", "within",
    "against", "around",
];
const LINKS: [&str; 8] = [
    "and", "but", "so", "for", "while", "because", "although", "until",
];
const MANNERS: [&str; 10] = [
    "slowly",
    "often",
    "never",
    "always",
    "gladly",
    "rarely",
    "at last",
    "in vain",
    "by night",
    "once more",
];

/// Words of each class.
const NOUNS: usize = 1 << 13;
const VERBS: usize = 1 << 12;
const ADJECTIVES: usize = 1 << 12;

/// Documents of `bytes` bytes of text in all, or a little less.
pub(super) fn generate(seed: u64, bytes: usize) -> Vec<String> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let words = Words::new(&mut random);
    let mut documents = Vec::new();
    let mut left = bytes;
    loop {
        let document = document(&words, &mut random);
        let Some(after) = left.checked_sub(document.len()) else {
            return documents;
        };
        left = after;
        documents.push(document);
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A rank below a power of two, small ones far more often: each doubling is as likely as the one before. Whole numbers only,
    /// so that every machine makes the same text.
    fn rank(&mut self, end: usize) -> usize {
        let octave = self.below(end.ilog2() as usize);
        (1 << octave) - 1 + self.below(1 << octave)
    }
}

struct Words {
    nouns: Vec<String>,
    verbs: Vec<String>,
    adjectives: Vec<String>,
}

impl Words {
    fn new(random: &mut Random) -> Words {
        let mut list = |count, ending: &str| -> Vec<String> {
            (0..count).map(|rank| word(random, rank) + ending).collect()
        };
        Words {
            nouns: list(NOUNS, ""),
            verbs: list(VERBS, "e"),
            adjectives: list(ADJECTIVES, "y"),
        }
    }
}

/// A new word; frequent ones are short.
fn word(random: &mut Random, rank: usize) -> String {
    let syllables = 1 + usize::from(rank > 100) + usize::from(rank > 2_000) + random.below(2);
    let mut word = String::new();
    for _ in 0..syllables {
        word += random.pick(&ONSETS);
        word += random.pick(&NUCLEI);
        word += random.pick(&CODAS);
    }
    word
}

/// The words that one document comes back to.
struct Topic<'w> {
    words: &'w Words,
    nouns: Vec<usize>,
    verbs: Vec<usize>,
    people: Vec<String>,
}

impl<'w> Topic<'w> {
    fn new(words: &'w Words, random: &mut Random) -> Topic<'w> {
        Topic {
            words,
            nouns: (0..12).map(|_| random.rank(NOUNS)).collect(),
            verbs: (0..6).map(|_| random.rank(VERBS)).collect(),
            people: (0..4).map(|_| capitalized(&word(random, 0))).collect(),
        }
    }

    fn noun(&self, random: &mut Random) -> &'w str {
        let rank = if random.chance(2) {
            self.nouns[random.below(self.nouns.len())]
        } else {
            random.rank(NOUNS)
        };
        &self.words.nouns[rank]
    }

    fn verb(&self, random: &mut Random) -> &'w str {
        let rank = if random.chance(2) {
            self.verbs[random.below(self.verbs.len())]
        } else {
            random.rank(VERBS)
        };
        &self.words.verbs[rank]
    }
}

fn document(words: &Words, random: &mut Random) -> String {
    let topic = Topic::new(words, random);
    let mut text = format!("The {} of {}\n\n", topic.noun(random), topic.people[0]);
    for _ in 0..3 + random.below(20) {
        for sentence in 0..2 + random.below(6) {
            if sentence > 0 {
                text.push(' ');
            }
            text += &capitalized(&sentence_of(&topic, random));
        }
        text += "\n\n";
    }
    text
}

fn sentence_of(topic: &Topic<'_>, random: &mut Random) -> String {
    let mut sentence = clause(topic, random);
    if random.chance(3) {
        sentence = format!(
            "{sentence}, {} {}",
            random.pick(&LINKS),
            clause(topic, random)
        );
    }
    match random.below(12) {
        0 => format!(
            "\"{}!\" said {}.",
            capitalized(&sentence),
            topic.people[random.below(4)]
        ),
        1 => format!(
            "why did {} {} {}?",
            topic.people[random.below(4)],
            topic.verb(random),
            thing(topic, random).0
        ),
        2 => format!("in {}, {sentence}.", 1500 + random.below(500)),
        _ => sentence + ".",
    }
}

/// A subject, its verb, and what it is done to.
fn clause(topic: &Topic<'_>, random: &mut Random) -> String {
    let (subject, plural) = if random.chance(3) {
        (topic.people[random.below(4)].clone(), false)
    } else {
        thing(topic, random)
    };
    let verb = topic.verb(random);
    let verb = match (random.chance(2), plural) {
        (true, _) => format!("{verb}d"),
        (false, true) => verb.to_owned(),
        (false, false) => format!("{verb}s"),
    };
    let mut clause = format!("{subject} {verb} {}", thing(topic, random).0);
    if random.chance(2) {
        clause = format!(
            "{clause} {} {}",
            random.pick(&PLACES),
            thing(topic, random).0
        );
    }
    if random.chance(4) {
        clause = format!("{clause} {}", random.pick(&MANNERS));
    }
    clause
}

/// A noun with its article and adjective, and whether it is more than one.
fn thing(topic: &Topic<'_>, random: &mut Random) -> (String, bool) {
    let noun = topic.noun(random);
    let adjective = if random.chance(3) {
        format!("{} ", topic.words.adjectives[random.rank(ADJECTIVES)])
    } else {
        String::new()
    };
    match random.below(5) {
        0 => (format!("the {adjective}{noun}s"), true),
        1 => (format!("{} {adjective}{noun}s", 2 + random.below(98)), true),
        2 => (format!("a {adjective}{noun}"), false),
        3 => (
            format!(
                "the {noun} that {}s {}",
                topic.verb(random),
                topic.people[random.below(4)]
            ),
            false,
        ),
        _ => (format!("the {adjective}{noun}"), false),
    }
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_text_is_the_same_for_ever() {
        let text = generate(42, 200_000).concat();
        let hash = Sha256::digest(&text);
        let start: String = text.chars().take(60).collect();
        assert_eq!(hash[..4], [197, 130, 75, 28], "it begins with {start:?}");
        assert_ne!(generate(43, 200_000).concat(), text);
    }

    #[test]
    fn it_fills_what_is_asked_with_documents() {
        for bytes in [0, 10, 100_000, 1_000_000] {
            let documents = generate(1, bytes);
            let length: usize = documents.iter().map(String::len).sum();
            assert!(
                length <= bytes && length + 20_000 >= bytes,
                "{length} of {bytes}"
            );
            assert!(documents.iter().all(|document| document.is_ascii()
                && document.ends_with(".\n\n")
                || !document.is_empty()));
        }
    }

    #[test]
    fn it_fills_the_vocabulary_of_the_base_model() {
        let documents = generate(42, 3 << 20);
        let tokenizer = crate::text::Tokenizer::train(&documents, 16_000).unwrap();
        assert_eq!(tokenizer.vocab_size(), 16_000);
    }
}
