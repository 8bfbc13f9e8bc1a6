//! Cross-entropy of a row of logits, and its gradient in place.

use super::{exp_lanes, map};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `-log softmax(logits)[target]` in nats.
///
/// # Panics
/// When `target` is no index of `logits`.
pub fn cross_entropy(isa: Isa, logits: &[f32], target: usize) -> f32 {
    isa.run(Loss { logits, target })
}

/// The same, and `logits` becomes `scale` times the gradient, `scale * (softmax(logits) - onehot(target))`.
///
/// # Panics
/// When `target` is no index of `logits`.
pub fn cross_entropy_with_gradient(isa: Isa, logits: &mut [f32], target: usize, scale: f32) -> f32 {
    isa.run(LossWithGradient {
        logits,
        target,
        scale,
    })
}

/// The loss of a target, as [`cross_entropy`], and the entropy of the distribution that it is drawn from, both in nats.
///
/// # Panics
/// When `target` is no index of `logits`.
pub fn cross_entropy_with_entropy(isa: Isa, logits: &[f32], target: usize) -> [f32; 2] {
    let partition = isa.run(Sums { logits });
    [partition.loss(logits[target]), partition.entropy()]
}

/// `logits` become the gradient of `weight` times the loss of `target` plus `entropy_weight` times the entropy H of the distribution p:
/// `weight * (p - onehot) - entropy_weight * p * (ln p + H)`.
///
/// # Panics
/// When `target` is no index of `logits`.
pub fn weighted_gradient(
    isa: Isa,
    logits: &mut [f32],
    target: usize,
    weight: f32,
    entropy_weight: f32,
) -> f32 {
    if entropy_weight == 0.0 {
        return cross_entropy_with_gradient(isa, logits, target, weight);
    }
    let partition = isa.run(Sums { logits });
    let loss = partition.loss(logits[target]);
    isa.run(WithEntropy {
        logits,
        partition,
        weight,
        entropy_weight,
    });
    logits[target] -= weight;
    loss
}

/// What loss and entropy follow from.
#[derive(Clone, Copy)]
struct Partition {
    largest: f32,
    /// Sum of `exp(x - largest)`.
    sum: f32,
    /// Sum of `exp(x - largest) (x - largest)`.
    first: f32,
}

struct Loss<'a> {
    logits: &'a [f32],
    target: usize,
}

impl Op for Loss<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let largest = map::max(s, self.logits);
        let shift = s.splat(largest);
        let sum = map::sum(
            s,
            self.logits,
            #[inline(always)]
            |x| exp_lanes(s, s.sub(x, shift)),
        );
        sum.ln() - (self.logits[self.target] - largest)
    }
}

struct LossWithGradient<'a> {
    logits: &'a mut [f32],
    target: usize,
    scale: f32,
}

impl Op for LossWithGradient<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let largest = map::max(s, self.logits);
        let above = self.logits[self.target] - largest;
        let shift = s.splat(largest);
        let sum = map::in_place_sum(
            s,
            self.logits,
            #[inline(always)]
            |x| exp_lanes(s, s.sub(x, shift)),
        );
        let factor = s.splat(self.scale / sum);
        map::in_place(
            s,
            self.logits,
            #[inline(always)]
            |x| s.mul(x, factor),
        );
        self.logits[self.target] -= self.scale;
        sum.ln() - above
    }
}

impl Partition {
    fn loss(self, target: f32) -> f32 {
        self.sum.ln() - (target - self.largest)
    }

    fn entropy(self) -> f32 {
        self.sum.ln() - self.first / self.sum
    }
}

struct Sums<'a> {
    logits: &'a [f32],
}

impl Op for Sums<'_> {
    type Output = Partition;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Partition {
        let largest = map::max(s, self.logits);
        let shift = s.splat(largest);
        let sum = map::sum(
            s,
            self.logits,
            #[inline(always)]
            |x| exp_lanes(s, s.sub(x, shift)),
        );
        let first = map::sum(
            s,
            self.logits,
            #[inline(always)]
            |x| {
                let above = s.sub(x, shift);
                s.mul(exp_lanes(s, above), above)
            },
        );
        Partition {
            largest,
            sum,
            first,
        }
    }
}

struct WithEntropy<'a> {
    logits: &'a mut [f32],
    partition: Partition,
    weight: f32,
    entropy_weight: f32,
}

impl Op for WithEntropy<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let partition = self.partition;
        let shift = s.splat(partition.largest);
        let share = s.splat(1.0 / partition.sum);
        // p (weight - entropy_weight (x - largest - ln sum + H)), where H - ln sum is -first / sum.
        let constant = self.weight + self.entropy_weight * (partition.first / partition.sum);
        let (constant, slope) = (s.splat(constant), s.splat(-self.entropy_weight));
        map::in_place(
            s,
            self.logits,
            #[inline(always)]
            |x| {
                let above = s.sub(x, shift);
                let p = s.mul(exp_lanes(s, above), share);
                s.mul(p, s.fma(slope, above, constant))
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{self, assert_close};

    #[test]
    fn agrees_with_the_definition() {
        testing::for_lengths(|isa, x, _| {
            let sum: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
            for target in 0..x.len().min(3) {
                let loss = sum.ln() - f64::from(x[target]);
                assert_close(
                    super::cross_entropy(isa, x, target),
                    loss,
                    4.0 + loss.abs(),
                    8,
                    "loss",
                );
                let mut gradient = x.to_vec();
                let got = super::cross_entropy_with_gradient(isa, &mut gradient, target, 0.25);
                assert_close(got, loss, 4.0 + loss.abs(), 8, "loss");
                for (i, got) in gradient.iter().enumerate() {
                    let p = f64::from(x[i]).exp() / sum;
                    let expected = 0.25 * (p - f64::from(u8::from(i == target)));
                    assert_close(*got, expected, 0.25, 64, "gradient");
                }
            }
        });
    }

    #[test]
    fn weights_and_entropy_agree_with_autograd() {
        let text = include_str!("../../../tests/fixtures/parity/posttraining.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in fixture["token"].as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let list = |key: &str| -> Vec<f64> {
                let numbers = case[key].as_array().unwrap().iter();
                numbers.map(|number| number.as_f64().unwrap()).collect()
            };
            let logits: Vec<f32> = list("logits").iter().map(|x| *x as f32).collect();
            let target = number("target") as usize;
            let (weight, entropy) = (number("weight"), number("entropy_weight"));
            for isa in testing::isas() {
                let [loss, h] = super::cross_entropy_with_entropy(isa, &logits, target);
                assert_close(loss, number("loss"), 16.0, 8, "loss");
                assert_close(h, number("entropy"), 16.0, 8, "entropy");
                let mut gradient = logits.clone();
                super::weighted_gradient(isa, &mut gradient, target, weight as f32, entropy as f32);
                for (found, expected) in gradient.iter().zip(list("slope")) {
                    assert_close(*found, expected, 4.0, 64, "gradient");
                }
            }
        }
    }

    #[test]
    fn nan_logits_give_a_nan_loss() {
        for isa in testing::isas() {
            let mut x = vec![0.5; 40];
            x[7] = f32::NAN;
            assert!(super::cross_entropy(isa, &x, 1).is_nan(), "{}", isa.name());
            assert!(
                super::cross_entropy_with_gradient(isa, &mut x, 1, 1.0).is_nan(),
                "{}",
                isa.name()
            );
        }
    }
}
