//! Multiplication by a scalar.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = factor * x`.
///
/// # Panics
/// When lengths differ.
pub fn scale(isa: Isa, factor: f32, x: &[f32], out: &mut [f32]) {
    isa.run(Scale { factor, x, out });
}

struct Scale<'a> {
    factor: f32,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        map::map(
            s,
            self.x,
            self.out,
            #[inline(always)]
            |x| s.mul(factor, x),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn scales_every_element() {
        testing::for_lengths(|isa, x, _| {
            let mut out = vec![f32::NAN; x.len()];
            super::scale(isa, -1.5, x, &mut out);
            let expected: Vec<f32> = x.iter().map(|x| -1.5 * x).collect();
            assert_eq!(out, expected, "{}", isa.name());
        });
    }
}
