//! Rectified linear unit.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = max(x, 0)`; NaN stays NaN.
///
/// # Panics
/// When lengths differ.
pub fn relu(isa: Isa, x: &[f32], out: &mut [f32]) {
    isa.run(Relu { x, out });
}

struct Relu<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Relu<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let zero = s.splat(0.0);
        map::map(
            s,
            self.x,
            self.out,
            #[inline(always)]
            |x| s.max(zero, x),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn clears_negative_elements() {
        testing::for_lengths(|isa, x, _| {
            let mut out = vec![f32::NAN; x.len()];
            super::relu(isa, x, &mut out);
            let expected: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
            assert_eq!(out, expected, "{}", isa.name());
        });
    }

    #[test]
    fn keeps_nan() {
        for isa in testing::isas() {
            let mut out = [0.0; 3];
            super::relu(isa, &[f32::NAN, -1.0, f32::INFINITY], &mut out);
            assert!(
                out[0].is_nan() && out[1] == 0.0 && out[2] == f32::INFINITY,
                "{} {out:?}",
                isa.name()
            );
        }
    }
}
