//! Writing texts token by token, some at once.

use super::{Compute, KvCache, Sampling, Shape, Weights, sample::Sampler};
use crate::kernels::Isa;

/// Texts that are being written. Each comes out as it would alone.
#[derive(Debug)]
pub struct Generator {
    cache: KvCache,
    shape: Shape,
    texts: Vec<Text>,
}

/// One of them.
#[derive(Debug)]
struct Text {
    /// The tokens read, and then those still to be read.
    tokens: Vec<u32>,
    unread: usize,
    sampler: Sampler,
}

impl Generator {
    /// Starts a text from each prompt, of which at least one token is needed.
    ///
    /// # Panics
    /// When a prompt is empty.
    pub fn new(isa: Isa, shape: &Shape, starts: &[(&[u32], Sampling)]) -> Generator {
        let text = |(prompt, sampling): &(&[u32], Sampling)| {
            let mut sampler = Sampler::new(*sampling, shape.vocab_size);
            sampler.see(prompt);
            let tokens = end_of(prompt, shape.context).to_vec();
            Text {
                unread: tokens.len(),
                tokens,
                sampler,
            }
        };
        Generator {
            cache: KvCache::new(isa, shape, starts.len()),
            shape: *shape,
            texts: starts.iter().map(text).collect(),
        }
    }

    /// The next token of each of the texts named. Where the context is full, the last half of a text is read again as a new start.
    ///
    /// # Panics
    /// When a text is named twice.
    pub fn next(
        &mut self,
        compute: &Compute<'_>,
        weights: Weights<'_>,
        writing: &[usize],
    ) -> Vec<u32> {
        for &index in writing {
            let text = &mut self.texts[index];
            if text.unread > self.cache.room(index) {
                let keep = self.shape.context.div_ceil(2).min(text.tokens.len());
                text.tokens.drain(..text.tokens.len() - keep);
                text.unread = keep;
                self.cache.rewind(index, 0);
            }
        }
        let turns: Vec<(usize, &[u32])> = writing
            .iter()
            .map(|&index| {
                let Text { tokens, unread, .. } = &self.texts[index];
                (index, &tokens[tokens.len() - unread..])
            })
            .collect();
        let logits = self.cache.read(compute, weights, &turns);
        let mut chosen = Vec::with_capacity(writing.len());
        for (&index, logits) in writing
            .iter()
            .zip(logits.chunks_exact(self.shape.vocab_size))
        {
            let text = &mut self.texts[index];
            let token = text.sampler.choose(compute.isa, logits);
            text.sampler.see(&[token]);
            text.tokens.push(token);
            text.unread = 1;
            chosen.push(token);
        }
        chosen
    }

    /// Replaces a text by another; what both begin with is not read again. The random numbers go on.
    ///
    /// # Panics
    /// When `tokens` is empty.
    pub fn replace(&mut self, index: usize, tokens: &[u32]) {
        let text = &mut self.texts[index];
        text.sampler.forget();
        text.sampler.see(tokens);
        let tokens = end_of(tokens, self.shape.context);
        let read = &text.tokens[..self.cache.position(index).min(text.tokens.len())];
        let same = read.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        // The logits after the last token are wanted: it is read in any case.
        let same = same.min(tokens.len() - 1);
        self.cache.rewind(index, same);
        text.tokens = tokens.to_vec();
        text.unread = tokens.len() - same;
    }

    /// Chooses the tokens of a text otherwise from here on.
    pub fn set_temperature(&mut self, index: usize, temperature: f32) {
        self.texts[index].sampler.sampling.temperature = temperature;
    }
}

/// All of a prompt, or of one longer than the context its end, so that there is room to go on.
fn end_of(prompt: &[u32], context: usize) -> &[u32] {
    assert!(!prompt.is_empty(), "a text starts from at least one token");
    if prompt.len() <= context {
        return prompt;
    }
    &prompt[prompt.len() - context.div_ceil(2)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            ActivationsPlan, Layout, Packed, Parameters, Tokens, Unobserved, Workspace, forward,
            logits, ops::testing::compute,
        },
        tensor::Arena,
    };

    const SHAPE: Shape = Shape {
        vocab_size: 53,
        context: 21,
        d_model: 35,
        heads: 5,
        layers: 2,
        d_ff: 67,
        tied: true,
        scalar_head: false,
    };

    fn model(compute: &Compute<'_>) -> (Parameters, Packed) {
        let layout = Layout::new(&SHAPE);
        let mut parameters = Parameters::zeros(&layout, &mut Arena::new(layout.len).unwrap());
        parameters.initialize(4);
        // Larger weights, so that tokens differ in likelihood and positions matter.
        for tensor in layout.tensors.iter().filter(|tensor| tensor.decay) {
            parameters.values[tensor.range.clone()]
                .iter_mut()
                .for_each(|value| *value *= 8.0);
        }
        let mut arena = Arena::new(Packed::len(compute.isa, &SHAPE)).unwrap();
        let mut packed = Packed::new(compute.isa, &SHAPE, &mut arena, compute.switches);
        packed.update(compute, &parameters, false, &mut Unobserved);
        (parameters, packed)
    }

    /// Texts of this many tokens each.
    fn write(
        compute: &Compute<'_>,
        weights: Weights<'_>,
        starts: &[(&[u32], Sampling)],
        count: usize,
    ) -> Vec<Vec<u32>> {
        let mut generator = Generator::new(compute.isa, &SHAPE, starts);
        let all: Vec<usize> = (0..starts.len()).collect();
        let mut texts = vec![Vec::new(); starts.len()];
        for _ in 0..count {
            let tokens = generator.next(compute, weights, &all);
            texts
                .iter_mut()
                .zip(tokens)
                .for_each(|(text, token)| text.push(token));
        }
        texts
    }

    #[test]
    fn texts_come_out_together_as_they_do_alone() {
        let long: Vec<u32> = (0..40).map(|n| n * 7 % 53).collect();
        let prompts: [&[u32]; 5] = [&[1], &[2, 3, 4, 5, 6, 7], &long, &[52], &long[..20]];
        let starts: Vec<(&[u32], Sampling)> = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, seed)| {
                let (repetition_penalty, top_k, top_p) =
                    [(1.0, 0, 1.0), (1.3, 7, 1.0), (1.0, 0, 0.9)][seed as usize % 3];
                let sampling = Sampling {
                    repetition_penalty,
                    temperature: 1.0,
                    top_k,
                    top_p,
                    seed,
                };
                (*prompt, sampling)
            })
            .collect();
        compute(|compute| {
            let (parameters, packed) = model(compute);
            let weights = Weights {
                parameters: &parameters,
                packed: &packed,
            };
            // Beyond the context, so that every text starts anew at least once.
            let together = write(compute, weights, &starts, 30);
            for (start, text) in starts.iter().zip(&together) {
                assert_eq!(
                    write(compute, weights, &[*start], 30),
                    std::slice::from_ref(text)
                );
            }
            assert_ne!(together[0], together[3]);
        });
    }

    #[test]
    fn logits_are_those_of_the_training_pass() {
        let inputs: Vec<u32> = (0..21).map(|n| n * 11 % 53).collect();
        compute(|compute| {
            let (parameters, packed) = model(compute);
            let weights = Weights {
                parameters: &parameters,
                packed: &packed,
            };
            let plan = ActivationsPlan {
                shape: SHAPE,
                isa: compute.isa,
                workers: 1,
                sequences: 1,
                length: 21,
                chunk: 21,
                recompute: false,
            };
            let mut activations =
                plan.activations(&mut Arena::new(plan.activations_len()).unwrap());
            let mut scratch = plan.scratch(&mut Arena::new(plan.scratch_len()).unwrap());
            let mut work = Workspace {
                packed: &packed,
                activations: &mut activations,
                scratch: &mut scratch,
                dropout: None,
            };
            let tokens = Tokens {
                inputs: &inputs,
                targets: &inputs,
                length: 21,
            };
            forward(
                compute,
                &SHAPE,
                &parameters,
                &mut work,
                &tokens,
                &mut Unobserved,
            );
            let mut expected = Vec::new();
            logits(compute, &SHAPE, &mut work, &tokens, &mut expected);
            let mut cache = KvCache::new(compute.isa, &SHAPE, 2);
            let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            for (index, expected) in expected.chunks(53).enumerate() {
                let found = cache.read(compute, weights, &[(1, &inputs[index..=index])]);
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 1e-4 * largest,
                        "{found} {expected}"
                    );
                }
            }
            // A prompt at once gives the bits of its tokens one by one.
            let last = cache.read(compute, weights, &[(0, &inputs)]).to_vec();
            cache.rewind(1, 20);
            assert_eq!(cache.read(compute, weights, &[(1, &inputs[20..])]), last);
        });
    }

    #[test]
    fn a_replaced_text_goes_on_as_if_it_were_new() {
        let (first, second): (&[u32], &[u32]) = (&[1, 2, 3, 4], &[1, 2, 9]);
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        compute(|compute| {
            let (parameters, packed) = model(compute);
            let weights = Weights {
                parameters: &parameters,
                packed: &packed,
            };
            let mut generator = Generator::new(compute.isa, &SHAPE, &[(first, greedy)]);
            for text in [first, second, first] {
                generator.replace(0, text);
                let found: Vec<u32> = (0..9)
                    .flat_map(|_| generator.next(compute, weights, &[0]))
                    .collect();
                assert_eq!([found], write(compute, weights, &[(text, greedy)], 9)[..]);
            }
        });
    }
}
