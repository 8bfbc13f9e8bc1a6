//! Softmax of a row, plain and under a causal mask.

use super::{exp_lanes, map};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `x = softmax(x)`; returns the logarithm of the sum of exponentials.
pub fn softmax(isa: Isa, x: &mut [f32]) -> f32 {
    isa.run(Softmax { x, scale: 1.0 })
}

/// Row `i` of an attention matrix: `x = softmax(scale * x)` over its first `visible` values, 0 over the others. Returns the
/// logarithm of the sum of exponentials.
pub fn causal_softmax(isa: Isa, x: &mut [f32], visible: usize, scale: f32) -> f32 {
    let (seen, hidden) = x.split_at_mut(visible);
    hidden.fill(0.0);
    isa.run(Softmax { x: seen, scale })
}

/// `x = softmax(scale * x)`; gives the logarithm of the sum of exponentials.
pub(crate) struct Softmax<'a> {
    pub(crate) x: &'a mut [f32],
    pub(crate) scale: f32,
}

impl Op for Softmax<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        // The largest value is subtracted, so that no exponential overflows.
        let largest = self.scale * map::max(s, self.x);
        let (scale, shift) = (s.splat(self.scale), s.splat(-largest));
        let sum = map::in_place_sum(
            s,
            self.x,
            #[inline(always)]
            |x| exp_lanes(s, s.fma(x, scale, shift)),
        );
        let factor = s.splat(1.0 / sum);
        map::in_place(
            s,
            self.x,
            #[inline(always)]
            |x| s.mul(x, factor),
        );
        largest + sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{self, assert_close};

    #[test]
    fn agrees_with_the_definition() {
        testing::for_lengths(|isa, x, _| {
            for visible in [x.len() / 2, x.len()] {
                if visible == 0 {
                    continue;
                }
                let sum: f64 = x[..visible]
                    .iter()
                    .map(|x| (8.0 * f64::from(*x)).exp())
                    .sum();
                let mut out = x.to_vec();
                let log_sum = super::causal_softmax(isa, &mut out, visible, 8.0);
                assert_close(log_sum, sum.ln(), 8.0 + sum.ln().abs(), 8, "log sum");
                for (i, got) in out.iter().enumerate() {
                    let expected = if i < visible {
                        (8.0 * f64::from(x[i])).exp() / sum
                    } else {
                        0.0
                    };
                    assert_close(*got, expected, expected, 64, "softmax");
                }
            }
        });
    }

    #[test]
    fn does_not_overflow() {
        for isa in testing::isas() {
            let mut x = [1000.0, 999.0, -1000.0];
            super::softmax(isa, &mut x);
            assert!(
                (x[0] - 0.731_058_6).abs() < 1e-6 && x[2] < 1e-30,
                "{} {x:?}",
                isa.name()
            );
        }
    }
}
