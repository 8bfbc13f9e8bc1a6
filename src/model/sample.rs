//! Choosing the next token from logits.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::kernels::{Isa, vec::softmax};

/// How the next token is chosen. The settings apply in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits of tokens that the text has already are divided by this where they are positive, and else multiplied (Keskar et al.,
    /// arXiv 1909.05858); 1 for no penalty.
    pub repetition_penalty: f32,
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
            repetition_penalty: 1.0,
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            seed: 0,
        }
    }
}

/// Tokens among which the likeliest are looked for first, where the probability decides how many there are.
const FIRST_LOOK: usize = 64;

/// Values summed at a time: the sum of a block is skipped as a whole when a token is picked.
const BLOCK: usize = 64;

/// Who chooses the tokens of one text.
#[derive(Debug)]
pub(super) struct Sampler {
    pub(super) sampling: Sampling,
    random: ChaCha8Rng,
    /// Which tokens the text has, by id.
    seen: Vec<bool>,
    logits: Vec<f32>,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling, vocab_size: usize) -> Sampler {
        Sampler {
            sampling,
            random: ChaCha8Rng::seed_from_u64(sampling.seed),
            seen: vec![false; vocab_size],
            logits: Vec::with_capacity(vocab_size),
        }
    }

    /// Notes tokens of the text.
    pub(super) fn see(&mut self, tokens: &[u32]) {
        for token in tokens {
            if let Some(seen) = self.seen.get_mut(*token as usize) {
                *seen = true;
            }
        }
    }

    /// Forgets the text, not the place in the sequence of random numbers.
    pub(super) fn forget(&mut self) {
        self.seen.fill(false);
    }

    /// The next token after these logits.
    pub(super) fn choose(&mut self, isa: Isa, logits: &[f32]) -> u32 {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        let penalty = self.sampling.repetition_penalty;
        if penalty != 1.0 {
            for (logit, _) in self
                .logits
                .iter_mut()
                .zip(&self.seen)
                .filter(|pair| *pair.1)
            {
                *logit *= if *logit > 0.0 { 1.0 / penalty } else { penalty };
            }
        }
        let uniform = f64::from(self.random.next_u32()) / 4_294_967_296.0;
        choose(isa, &mut self.logits, &self.sampling, uniform)
    }
}

/// The token at `uniform` in 0..1 of the distribution that temperature, top-k and top-p leave of `logits`, which are overwritten.
/// 0 of no logits.
fn choose(isa: Isa, logits: &mut [f32], sampling: &Sampling, uniform: f64) -> u32 {
    if sampling.temperature <= 0.0 {
        return largest(logits, 1).first().copied().unwrap_or(0);
    }
    logits
        .iter_mut()
        .for_each(|logit| *logit /= sampling.temperature);
    if sampling.top_k > 0 && sampling.top_k < logits.len() {
        let kept = largest(logits, sampling.top_k);
        let mut weights: Vec<f32> = kept.iter().map(|token| logits[*token as usize]).collect();
        softmax(isa, &mut weights);
        return pick(&kept, &weights, sampling.top_p, uniform);
    }
    softmax(isa, logits);
    if sampling.top_p >= 1.0 {
        return pick_of_all(logits, uniform);
    }
    let mut look = FIRST_LOOK;
    loop {
        let kept = largest(logits, look);
        let weights: Vec<f32> = kept.iter().map(|token| logits[*token as usize]).collect();
        let mass: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        if mass >= f64::from(sampling.top_p) || kept.len() == logits.len() || look >= logits.len() {
            return pick(&kept, &weights, sampling.top_p, uniform);
        }
        look *= 8;
    }
}

/// The ids of the `count` largest values, from the largest on; of equal ones the smaller ids come first, so that the choice depends
/// on the values alone. NaN is never among them.
fn largest(values: &[f32], count: usize) -> Vec<u32> {
    let value = |id: u32| values[id as usize];
    let descending = |a: &u32, b: &u32| value(*b).total_cmp(&value(*a)).then(a.cmp(b));
    let mut kept: Vec<u32> = Vec::with_capacity(2 * count.min(values.len()));
    let mut least = f32::NEG_INFINITY;
    for (id, candidate) in values.iter().enumerate() {
        // Of ids in rising order, an equal value comes too late.
        if *candidate > least || kept.len() < count && !candidate.is_nan() {
            kept.push(id as u32);
            if kept.len() == 2 * count {
                kept.select_nth_unstable_by(count - 1, descending);
                kept.truncate(count);
                least = value(kept[count - 1]);
            }
        }
    }
    kept.sort_unstable_by(descending);
    kept.truncate(count);
    kept
}

/// The token at `uniform` among the first that together have the share `top_p` of a probability of 1.
fn pick(tokens: &[u32], probabilities: &[f32], top_p: f32, uniform: f64) -> u32 {
    let mut mass = 0.0;
    let nucleus = probabilities
        .iter()
        .position(|probability| {
            mass += f64::from(*probability);
            mass >= f64::from(top_p)
        })
        .map_or(tokens.len(), |last| last + 1);
    let mut target = uniform * mass;
    for (token, probability) in tokens.iter().zip(&probabilities[..nucleus]) {
        target -= f64::from(*probability);
        if target < 0.0 {
            return *token;
        }
    }
    tokens[..nucleus].last().copied().unwrap_or(0)
}

/// The token at `uniform` among all, by blocks.
fn pick_of_all(probabilities: &[f32], uniform: f64) -> u32 {
    let sums: Vec<f64> = probabilities
        .chunks(BLOCK)
        .map(|block| {
            let mut lanes = [0.0_f32; 8];
            for values in block.chunks(lanes.len()) {
                for (lane, value) in lanes.iter_mut().zip(values) {
                    *lane += value;
                }
            }
            f64::from(lanes.iter().sum::<f32>())
        })
        .collect();
    let mut target = uniform * sums.iter().sum::<f64>();
    let mut likely = 0;
    for (block, sum) in sums.iter().enumerate() {
        if target >= *sum {
            target -= sum;
            continue;
        }
        for (offset, value) in probabilities[block * BLOCK..]
            .iter()
            .take(BLOCK)
            .enumerate()
        {
            if *value > 0.0 {
                likely = block * BLOCK + offset;
            }
            target -= f64::from(*value);
            if target < 0.0 {
                return likely as u32;
            }
        }
        // Rounding left a crumb: the last token of the block that can come.
        return likely as u32;
    }
    largest(probabilities, 1).first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, isas};

    const PLAIN: Sampling = Sampling {
        repetition_penalty: 1.0,
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        seed: 0,
    };

    #[test]
    fn keeps_to_the_kept_tokens() {
        for isa in isas() {
            let of = |temperature, top_k, top_p, uniform| {
                let sampling = Sampling {
                    temperature,
                    top_k,
                    top_p,
                    ..PLAIN
                };
                choose(isa, &mut [1.0, 3.0, 2.0, 3.0, -5.0], &sampling, uniform)
            };
            assert_eq!(of(0.0, 0, 1.0, 0.9), 1);
            assert_eq!(of(1.0, 2, 1.0, 0.0), 1);
            assert_eq!(of(1.0, 2, 1.0, 0.999), 3);
            assert_eq!(of(1.0, 0, 0.3, 0.999), 1);
            assert_eq!(of(1.0, 0, 1.0, 0.999_999), 4);
            assert_eq!(of(1.0, 3, 1.0, 0.999), 2);
            assert_eq!(
                choose(
                    isa,
                    &mut [f32::NAN, 1.0],
                    &Sampling {
                        temperature: 0.0,
                        ..PLAIN
                    },
                    0.5
                ),
                1
            );
        }
    }

    #[test]
    fn the_largest_are_those_of_a_full_sort() {
        let mut random = Random::new(5);
        // Few different values, so that many are equal.
        let values: Vec<f32> = random
            .vec(1000)
            .iter()
            .map(|x| (x * 20.0).round())
            .collect();
        let mut order: Vec<u32> = (0..1000).collect();
        order.sort_by(|a, b| {
            values[*b as usize]
                .total_cmp(&values[*a as usize])
                .then(a.cmp(b))
        });
        for count in [1, 2, 7, 40, 999, 1000, 2000] {
            assert_eq!(largest(&values, count), order[..count.min(1000)]);
        }
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        let logits = [0.0_f32, 1.0, -1.0, 2.0];
        let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
        for isa in isas() {
            for (top_k, top_p) in [(0, 1.0), (3, 1.0), (0, 0.95)] {
                let sampling = Sampling {
                    top_k,
                    top_p,
                    ..PLAIN
                };
                let mut counts = [0.0; 4];
                for step in 0..1000 {
                    let uniform = (f64::from(step) + 0.5) / 1000.0;
                    counts[choose(isa, &mut logits.clone(), &sampling, uniform) as usize] += 1.0;
                }
                let all = if (top_k, top_p) == (0, 1.0) {
                    total
                } else {
                    total - (-1.0_f32).exp()
                };
                let left = usize::from(all < total);
                for (token, logit) in logits.iter().enumerate() {
                    let expected = if left == 1 && token == 2 {
                        0.0
                    } else {
                        1000.0 * logit.exp() / all
                    };
                    assert!(
                        (counts[token] - expected).abs() < 2.0,
                        "{counts:?} {token} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_penalty_turns_to_what_was_not_said_yet() {
        let greedy = Sampling {
            temperature: 0.0,
            repetition_penalty: 2.0,
            ..PLAIN
        };
        for isa in isas() {
            let mut sampler = Sampler::new(greedy, 3);
            assert_eq!(sampler.choose(isa, &[3.0, 2.0, -1.0]), 0);
            sampler.see(&[0]);
            assert_eq!(sampler.choose(isa, &[3.0, 2.0, -1.0]), 1);
            assert_eq!(sampler.choose(isa, &[-1.0, -1.5, -3.0]), 1);
            sampler.forget();
            assert_eq!(sampler.choose(isa, &[3.0, 2.0, -1.0]), 0);
        }
    }
}
