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
        map::in_place(
            s,
            self.logits,
            #[inline(always)]
            |x| exp_lanes(s, s.sub(x, shift)),
        );
        let sum = map::sum(
            s,
            self.logits,
            #[inline(always)]
            |x| x,
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
