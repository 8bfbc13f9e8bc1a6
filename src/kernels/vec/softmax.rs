//! Softmax of a row.

use super::{exp_lanes, map};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `x = softmax(x)`; returns the logarithm of the sum of exponentials.
pub fn softmax(isa: Isa, x: &mut [f32]) -> f32 {
    isa.run(Softmax { x, scale: 1.0 })
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
            if x.is_empty() {
                return;
            }
            let sum: f64 = x.iter().map(|x| (8.0 * f64::from(*x)).exp()).sum();
            let mut out = x.to_vec();
            let log_sum = isa.run(super::Softmax {
                x: &mut out,
                scale: 8.0,
            });
            assert_close(log_sum, sum.ln(), 8.0 + sum.ln().abs(), 8, "log sum");
            for (x, got) in x.iter().zip(&out) {
                let expected = (8.0 * f64::from(*x)).exp() / sum;
                assert_close(*got, expected, expected, 64, "softmax");
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
