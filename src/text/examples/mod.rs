//! Worked problems and preferences: what a pretrained model is taught with, from JSON lines or from a built-in generator.

mod arithmetic;
mod lines;
mod parts;
mod preferences;
mod sentences;
mod worked;

pub use arithmetic::{arithmetic, corrupted, evaluate};
pub use lines::{Lines, LinesError, Skipped};
pub use parts::{Encoded, Parts, SPECIAL};
pub use preferences::{Pair, read_pairs};
pub use sentences::{rule, sentence, sentence_prompt, spoilt};
pub use worked::{Worked, read_worked};

use sha2::{Digest, Sha256};

use super::Key;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The random numbers of example `index` of the generator with this seed.
fn random(seed: u64, index: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(index);
    random
}

/// A number below `bound`.
fn below(random: &mut ChaCha8Rng, bound: u32) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// The fingerprint of examples that are made: what they are made by.
pub fn made_key(recipe: &str) -> Key {
    Sha256::digest(recipe).into()
}
