//! Responses of a model to many prompts, some at a time, with the batched KV cache.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Compute, Generator, Sampling, Shape, Weights};

/// How responses are written.
#[derive(Clone, Copy, Debug)]
pub struct Responses {
    /// Responses that are written together, at most.
    pub together: usize,
    /// The token that ends one.
    pub end: u32,
    /// Tokens of a response, at most.
    pub longest: usize,
}

impl Responses {
    /// The tokens that may follow a prompt of this length in a context.
    fn room(&self, shape: &Shape, prompt: usize) -> usize {
        self.longest.min((shape.context + 1).saturating_sub(prompt))
    }
}

/// A response to each prompt, the end included where it came. Each is what it would be alone. Where `stop` is raised, those that are
/// being written are left as they are, and the rest is empty.
pub fn respond(
    compute: &Compute<'_>,
    weights: Weights<'_>,
    shape: &Shape,
    prompts: &[(&[u32], Sampling)],
    how: &Responses,
    stop: &AtomicBool,
) -> Vec<Vec<u32>> {
    let mut responses = vec![Vec::new(); prompts.len()];
    let groups = prompts.chunks(how.together.max(1));
    for (prompts, responses) in groups.zip(responses.chunks_mut(how.together.max(1))) {
        let mut generator = Generator::new(compute.isa, shape, prompts);
        let mut writing: Vec<usize> = (0..prompts.len()).collect();
        loop {
            writing.retain(|&index| {
                let response: &Vec<u32> = &responses[index];
                response.last() != Some(&how.end)
                    && response.len() < how.room(shape, prompts[index].0.len())
            });
            if writing.is_empty() || stop.load(Ordering::Relaxed) {
                break;
            }
            let tokens = generator.next(compute, weights, &writing);
            for (&index, token) in writing.iter().zip(tokens) {
                responses[index].push(token);
            }
        }
    }
    responses
}
