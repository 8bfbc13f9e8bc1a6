//! The hyperbolic tangent.

use super::{exp_lanes, map};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = tanh(x)`, within 2 ULP everywhere; NaN stays NaN.
///
/// # Panics
/// When lengths differ.
pub fn tanh(isa: Isa, x: &[f32], out: &mut [f32]) {
    isa.run(Tanh { x, out });
}

struct Tanh<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Tanh<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::map(
            s,
            self.x,
            self.out,
            #[inline(always)]
            |x| tanh_lanes(s, x),
        );
    }
}

/// Up to 0.625 the odd polynomial of Cephes' `tanhf`, beyond it `sign(x) (1 - 2 / (e^(2|x|) + 1))`, where nothing cancels.
#[inline(always)]
pub(crate) fn tanh_lanes<S: Simd>(s: S, x: S::V) -> S::V {
    let (zero, one, two) = (s.splat(0.0), s.splat(1.0), s.splat(2.0));
    let square = s.mul(x, x);
    let mut p = s.splat(-5.704_988_7e-3);
    for coefficient in [
        2.063_908_8e-2,
        -5.373_971_6e-2,
        1.333_144_2e-1,
        -3.333_328e-1,
    ] {
        p = s.fma(p, square, s.splat(coefficient));
    }
    let near = s.fma(s.mul(p, square), x, x);
    // The second operand survives where one is NaN.
    let size = s.max(s.sub(zero, x), x);
    let far = s.sub(one, s.div(two, s.add(exp_lanes(s, s.add(size, size)), one)));
    let far = s.select_le(zero, x, far, s.sub(zero, far));
    s.select_le(size, s.splat(0.625), near, s.select_le(size, size, far, x))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn is_odd_and_saturates() {
        for isa in testing::isas() {
            let x = [-100.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 100.0];
            let mut out = [0.0; 8];
            super::tanh(isa, &x, &mut out);
            assert_eq!((out[0], out[7]), (-1.0, 1.0), "{}", isa.name());
            for i in 0..4 {
                assert_eq!(out[i], -out[7 - i], "{}", isa.name());
            }
        }
    }
}
