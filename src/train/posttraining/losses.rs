//! The losses of post-training with their derivatives, in f64: pure functions of what a model says of tokens and responses.
//!
//! Bradley and Terry, Biometrika 39 (1952); DPO: Rafailov et al., arXiv 2305.18290; PPO: Schulman et al., arXiv 1707.06347; GAE: the
//! same, arXiv 1506.02438; GRPO: Shao et al., arXiv 2402.03300; the estimate of the divergence: Schulman, "Approximating KL
//! divergence" (2020).

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// How unlikely it is that the chosen one of two rewards wins, `-ln sigmoid(chosen - rejected)`, and its derivative by the chosen
/// one; that by the rejected one is the opposite.
pub fn bradley_terry(chosen: f64, rejected: f64) -> (f64, f64) {
    let margin = chosen - rejected;
    (softplus(-margin), -sigmoid(-margin))
}

/// DPO's loss of a pair whose log-probability margin, policy less reference, chosen less rejected, is `margin`, and its derivative
/// by the margin.
pub fn dpo(margin: f64, beta: f64) -> (f64, f64) {
    let (loss, slope) = bradley_terry(beta * margin, 0.0);
    (loss, beta * slope)
}

/// What PPO's clipped objective says of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipped {
    /// The loss.
    pub loss: f64,
    /// Its derivative by the token's log-probability.
    pub slope: f64,
    /// The ratio is outside the range.
    pub clipped: bool,
}

/// `-min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)` with `r` the probability of a token now over the one at its rollout.
pub fn policy(log_probability: f64, old: f64, advantage: f64, epsilon: f64) -> Clipped {
    let ratio = (log_probability - old).exp();
    let free = -advantage * ratio;
    let bound = -advantage * ratio.clamp(1.0 - epsilon, 1.0 + epsilon);
    Clipped {
        loss: free.max(bound),
        slope: if free >= bound { free } else { 0.0 },
        clipped: (ratio - 1.0).abs() > epsilon,
    }
}

/// Half the squared error of a value, or of one that moved no further than `epsilon` from the old one where that is worse; and
/// its derivative by the value.
pub fn value(value: f64, old: f64, target: f64, epsilon: f64) -> (f64, f64) {
    let bounded = value.clamp(old - epsilon, old + epsilon);
    let (free, bound) = ((value - target).powi(2), (bounded - target).powi(2));
    if free >= bound {
        (0.5 * free, value - target)
    } else {
        (0.5 * bound, 0.0)
    }
}

/// An estimate of the divergence of the policy from the reference by one token that the policy chose: `e^d - d - 1` with `d` the
/// reference's log-probability less the policy's. Never negative, and right in the mean. With its derivative by the policy's.
pub fn divergence(log_probability: f64, reference: f64) -> (f64, f64) {
    let difference = reference - log_probability;
    (difference.exp() - difference - 1.0, 1.0 - difference.exp())
}

/// Generalized advantage estimation over one response: `values` are those of its states, after which comes none. The returns are
/// the advantages plus the values.
pub fn advantages(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> Vec<f64> {
    let mut advantages = vec![0.0; rewards.len()];
    let (mut next_value, mut next) = (0.0, 0.0);
    for index in (0..rewards.len()).rev() {
        let surprise = rewards[index] + gamma * next_value - values[index];
        next = surprise + gamma * lambda * next;
        next_value = values[index];
        advantages[index] = next;
    }
    advantages
}

/// Shifts and scales numbers to mean 0 and variance 1; equal ones become 0.
pub fn whiten(numbers: &mut [f64]) {
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let scale = 1.0 / (variance + 1e-8).sqrt();
    numbers.iter_mut().for_each(|x| *x = (*x - mean) * scale);
}

/// GRPO's advantages: each reward among those of its group of `size`, whitened.
pub fn group_advantages(rewards: &[f64], size: usize) -> Vec<f64> {
    let mut advantages = rewards.to_vec();
    advantages.chunks_mut(size.max(1)).for_each(whiten);
    advantages
}

/// The coefficient of the divergence after a step that came to `found`, steered to `target`: PPO-style fine-tuning's proportional
/// controller (Ziegler et al., arXiv 1909.08593), at most a tenth at a time.
pub fn steer(coefficient: f64, found: f64, target: f64) -> f64 {
    let error = (found / target - 1.0).clamp(-1.0, 1.0);
    coefficient * (1.0 + 0.1 * error)
}

#[cfg(test)]
mod tests;
