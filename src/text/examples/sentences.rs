//! Little sentences with a hidden rule: a prompt names an animal, a response is a line of words about it, and who prefers one line
//! to another counts the words that the rule likes and dislikes. The rule is in no prompt: it can be learnt from preferences alone.

use super::{below, random};

/// Whom a sentence is about.
const ANIMALS: [&str; 16] = [
    "fox", "hen", "cow", "dog", "cat", "owl", "bee", "ant", "pig", "rat", "hare", "crow", "deer",
    "seal", "wolf", "toad",
];

/// What it is like: the first third is liked by the rule, the second disliked.
const WORDS: [&str; 12] = [
    "warm", "kind", "glad", "calm", "cold", "grim", "sour", "dull", "tall", "soft", "slow", "dark",
];

/// Words of a sentence.
const LENGTH: usize = 6;

/// Prompt `index` of the generator with this seed.
pub fn sentence_prompt(seed: u64, index: u64) -> String {
    let random = &mut random(seed, index);
    ANIMALS[below(random, ANIMALS.len() as u32) as usize].to_owned()
}

/// Response `which` to that prompt: each word as likely as any other.
pub fn sentence(seed: u64, index: u64, which: u64) -> String {
    let random = &mut random(seed ^ (0x0005_e27e + which), index);
    let words: Vec<&str> = (0..LENGTH)
        .map(|_| WORDS[below(random, WORDS.len() as u32) as usize])
        .collect();
    words.join(" ")
}

/// A sentence that ends early, in the middle of a word too, or from some word on is spelt backwards: what a policy may come to write
/// and no teacher did.
pub fn spoilt(sentence: &str, index: u64) -> String {
    let (at, backwards) = (index as usize / 2, index % 2 == 1);
    if !backwards {
        let kept = 1 + at % sentence.len().max(1);
        return sentence.chars().take(kept).collect();
    }
    let spell = |(place, word): (usize, &str)| match place < at % LENGTH {
        true => word.to_owned(),
        false => word.chars().rev().collect(),
    };
    let words: Vec<String> = sentence.split(' ').enumerate().map(spell).collect();
    words.join(" ")
}

/// What the hidden rule says of a response: words it likes less words it dislikes, in -6..=6. Words beyond the sixth do not count,
/// those that are none of the language count as disliked.
pub fn rule(response: &str) -> f64 {
    let third = WORDS.len() / 3;
    let worth = |word: &str| match WORDS.iter().position(|known| *known == word) {
        Some(place) if place < third => 1.0,
        Some(place) if place >= 2 * third => 0.0,
        Some(_) | None => -1.0,
    };
    response.split_whitespace().take(LENGTH).map(worth).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_counts_words() {
        assert_eq!(rule("warm kind glad calm warm warm warm warm warm"), 6.0);
        assert_eq!(rule("cold grim tall soft nonsense"), -3.0);
        assert_eq!(rule(""), 0.0);
    }

    #[test]
    fn sentences_are_even_and_their_own() {
        let mean: f64 = (0..2000)
            .map(|index| rule(&sentence(1, index, 0)))
            .sum::<f64>()
            / 2000.0;
        assert!(mean.abs() < 0.2, "{mean}");
        assert_eq!(sentence(1, 7, 0), sentence(1, 7, 0));
        assert_ne!(sentence(1, 7, 0), sentence(1, 7, 1));
        assert_eq!(sentence(1, 7, 0).split(' ').count(), LENGTH);
        let spoilt = |index| spoilt("warm kind glad", index);
        assert_eq!([0, 12, 26].map(spoilt), ["w", "warm ki", "warm kind glad"]);
        assert_eq!([1, 3].map(spoilt), ["mraw dnik dalg", "warm dnik dalg"]);
        assert!(ANIMALS.contains(&sentence_prompt(1, 7).as_str()));
    }
}
