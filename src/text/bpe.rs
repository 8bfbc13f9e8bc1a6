//! Learning byte pair merges: the most frequent pair of neighbours becomes a token, again and again.
//!
//! As in Sennrich, Haddow and Birch (2016) and GPT-2, with ties decided by the lower ids, so that the same text always gives the
//! same merges. The trainer of the `tokenizers` crate is not used for that reason: where a token can be formed in two ways, it
//! decides by the order of a randomly seeded hash map (seen in 0.23.2: other merges at each run).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Two neighbouring tokens.
pub(super) type Pair = (u32, u32);

/// Words with how often they occur.
pub(super) type WordCounts<'t> = HashMap<&'t str, u64>;

/// The ids before those of the 256 bytes: the end of text.
pub(super) const SPECIAL: u32 = 1;

/// A pair that occurs once teaches nothing.
const LEAST_COUNT: i64 = 2;

/// What was learnt.
#[derive(Debug)]
pub(super) struct Learnt {
    /// The bytes of each token from the id [`SPECIAL`] on: first the 256 bytes, then the merged ones.
    pub(super) pieces: Vec<Vec<u8>>,
    /// The merges in order.
    pub(super) merges: Vec<Pair>,
}

/// Learns until there are `vocab_size` ids, or no pair occurs twice.
pub(super) fn learn(words: &WordCounts<'_>, vocab_size: usize) -> Learnt {
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut ids: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut merges = Vec::new();
    let mut state = State::new(words);
    while pieces.len() + (SPECIAL as usize) < vocab_size {
        let Some(pair) = state.most_frequent() else {
            break;
        };
        let piece = |id: u32| pieces[(id - SPECIAL) as usize].as_slice();
        let joined = [piece(pair.0), piece(pair.1)].concat();
        // The same bytes may be reached in two ways; they are one token.
        let id = *ids.entry(joined).or_insert_with_key(|joined| {
            pieces.push(joined.clone());
            SPECIAL + pieces.len() as u32 - 1
        });
        if state.merge(pair, id) {
            merges.push(pair);
        }
    }
    Learnt { pieces, merges }
}

struct State {
    words: Vec<Word>,
    pairs: HashMap<Pair, Occurrences, BuildHasherDefault<PairHasher>>,
    /// Pairs by count; an entry whose count has changed since is corrected when it comes up.
    queue: BinaryHeap<(i64, Reverse<Pair>)>,
    merged: std::collections::HashSet<Pair, BuildHasherDefault<PairHasher>>,
}

struct Word {
    tokens: Vec<u32>,
    count: i64,
}

#[derive(Default)]
struct Occurrences {
    count: i64,
    /// Words that have, or have had, the pair.
    words: Vec<u32>,
}

impl State {
    fn new(counts: &WordCounts<'_>) -> State {
        let word = |(word, count): (&&str, &u64)| Word {
            tokens: word.bytes().map(|byte| SPECIAL + u32::from(byte)).collect(),
            count: i64::try_from(*count).unwrap_or(i64::MAX),
        };
        let mut state = State {
            words: counts.iter().map(word).collect(),
            pairs: HashMap::default(),
            queue: BinaryHeap::new(),
            merged: Default::default(),
        };
        for (index, word) in state.words.iter().enumerate() {
            for pair in neighbours(&word.tokens) {
                let occurrences = state.pairs.entry(pair).or_default();
                occurrences.count = occurrences.count.saturating_add(word.count);
                occurrences.words.push(index as u32);
            }
        }
        let entry =
            |(pair, occurrences): (&Pair, &Occurrences)| (occurrences.count, Reverse(*pair));
        state.queue = state.pairs.iter().map(entry).collect();
        state
    }

    fn most_frequent(&mut self) -> Option<Pair> {
        loop {
            let (count, Reverse(pair)) = self.queue.pop()?;
            let now = self
                .pairs
                .get(&pair)
                .map_or(0, |occurrences| occurrences.count);
            if now == count && now >= LEAST_COUNT {
                return Some(pair);
            }
            if now >= LEAST_COUNT && now < count {
                self.queue.push((now, Reverse(pair)));
            }
        }
    }

    /// Replaces a pair wherever it occurs; says whether it is the first time that this pair is merged.
    fn merge(&mut self, pair: Pair, id: u32) -> bool {
        let mut places = self.pairs.remove(&pair).unwrap_or_default().words;
        places.sort_unstable();
        places.dedup();
        let mut new = Vec::new();
        for place in places {
            let word = &mut self.words[place as usize];
            for old in neighbours(&word.tokens).filter(|old| *old != pair) {
                if let Some(occurrences) = self.pairs.get_mut(&old) {
                    occurrences.count -= word.count;
                }
            }
            replace(&mut word.tokens, pair, id);
            for pair in neighbours(&word.tokens) {
                let occurrences = self.pairs.entry(pair).or_default();
                occurrences.count += word.count;
                if pair.0 == id || pair.1 == id {
                    occurrences.words.push(place);
                    new.push(pair);
                }
            }
        }
        new.sort_unstable();
        new.dedup();
        for pair in new {
            self.queue.push((self.pairs[&pair].count, Reverse(pair)));
        }
        self.merged.insert(pair)
    }
}

fn neighbours(tokens: &[u32]) -> impl Iterator<Item = Pair> {
    tokens.windows(2).map(|pair| (pair[0], pair[1]))
}

/// Puts `id` for each occurrence of the pair, from the left.
fn replace(tokens: &mut Vec<u32>, pair: Pair, id: u32) {
    let (mut from, mut to) = (0, 0);
    while from < tokens.len() {
        let found = tokens[from] == pair.0 && tokens.get(from + 1) == Some(&pair.1);
        tokens[to] = if found { id } else { tokens[from] };
        from += 1 + usize::from(found);
        to += 1;
    }
    tokens.truncate(to);
}

/// Hashes a pair of ids with one multiplication: nobody chooses ids to make them collide.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: count every pair anew before each merge.
    fn by_definition(words: &WordCounts<'_>, vocab_size: usize) -> Vec<Pair> {
        let bytes = |word: &str| word.bytes().map(|byte| SPECIAL + u32::from(byte)).collect();
        let mut words: Vec<(Vec<u32>, u64)> = words
            .iter()
            .map(|(word, count)| (bytes(word), *count))
            .collect();
        let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut merges: Vec<Pair> = Vec::new();
        while pieces.len() + 1 < vocab_size {
            let mut counts: HashMap<Pair, u64> = HashMap::new();
            for (tokens, count) in &words {
                neighbours(tokens).for_each(|pair| *counts.entry(pair).or_default() += count);
            }
            let best = counts
                .iter()
                .filter(|(_, count)| **count >= 2)
                .max_by_key(|(pair, count)| (**count, Reverse(**pair)));
            let Some((&pair, _)) = best else { break };
            let joined = [
                &pieces[pair.0 as usize - 1][..],
                &pieces[pair.1 as usize - 1],
            ]
            .concat();
            let at = pieces
                .iter()
                .position(|piece| *piece == joined)
                .unwrap_or_else(|| {
                    pieces.push(joined);
                    pieces.len() - 1
                });
            words
                .iter_mut()
                .for_each(|(tokens, _)| replace(tokens, pair, SPECIAL + at as u32));
            if !merges.contains(&pair) {
                merges.push(pair);
            }
        }
        merges
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first_and_ties_go_to_the_lower_ids() {
        let words = WordCounts::from([("aab", 3), ("xy", 3), ("xyz", 1)]);
        let learnt = learn(&words, 260);
        let id = |byte: u8| SPECIAL + u32::from(byte);
        // xy occurs 4 times; aa and ab 3 times each, aa being lower, after which ab is no more.
        assert_eq!(
            learnt.merges,
            [(id(b'x'), id(b'y')), (id(b'a'), id(b'a')), (258, id(b'b'))]
        );
        assert_eq!(
            learnt.pieces[256..],
            [b"xy".to_vec(), b"aa".to_vec(), b"aab".to_vec()]
        );
        assert_eq!(learn(&words, 1_000).pieces.len(), 259);
        assert!(learn(&WordCounts::new(), 1_000).merges.is_empty());
    }

    proptest! {
        #[test]
        fn merges_are_those_of_the_definition(words in prop::collection::hash_map("[abc]{1,9}", 1u64..6, 0..30), size in 257usize..330) {
            let words: WordCounts<'_> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            prop_assert_eq!(learn(&words, size).merges, by_definition(&words, size));
        }
    }
}
