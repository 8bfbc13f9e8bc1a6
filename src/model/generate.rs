//! Writing text token by token.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{Compute, KvCache, Parameters, Shape, sample::choose};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token always; 1 samples from the model's own distribution.
    pub temperature: f32,
    /// Only the this many likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability; 1 for all.
    pub top_p: f32,
    /// Same seed, same text.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            seed: 0,
        }
    }
}

/// A text that is being written.
#[derive(Debug)]
pub struct Generator {
    cache: KvCache,
    context: usize,
    sampling: Sampling,
    random: ChaCha8Rng,
    history: Vec<u32>,
    pending: usize,
}

impl Generator {
    /// Starts from `prompt`, of which at least one token is needed.
    ///
    /// # Panics
    /// When the prompt is empty.
    pub fn new(shape: &Shape, sampling: Sampling, prompt: &[u32]) -> Generator {
        assert!(!prompt.is_empty(), "a text starts from at least one token");
        // Of a prompt that fills the context, the end is read.
        let start = prompt
            .len()
            .saturating_sub(shape.context.div_ceil(2).max(1));
        let start = if prompt.len() <= shape.context {
            0
        } else {
            start
        };
        Generator {
            cache: KvCache::new(shape),
            context: shape.context,
            sampling,
            random: ChaCha8Rng::seed_from_u64(sampling.seed),
            history: prompt[start..].to_vec(),
            pending: prompt.len() - start,
        }
    }

    /// The next token. Where the context is full, the last half of the text is read again as a new start.
    pub fn next(&mut self, compute: &Compute<'_>, parameters: &Parameters) -> u32 {
        if self.pending > self.cache.room() {
            let keep = self.context.div_ceil(2).min(self.history.len());
            self.history.drain(..self.history.len() - keep);
            self.cache.clear();
            self.pending = keep;
        }
        let unread = self.history.len() - self.pending;
        let mut logits: &[f32] = &[];
        for &token in &self.history[unread..] {
            logits = self.cache.read(compute, parameters, token);
        }
        let uniform = f64::from(self.random.next_u32()) / 4_294_967_296.0;
        let token = choose(logits, &self.sampling, uniform);
        self.history.push(token);
        self.pending = 1;
        token
    }
}
