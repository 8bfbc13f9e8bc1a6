//! The exponential function.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = e^x`, within 2 ULP for x in -87.3..=88.3. Below, the smallest normal number 1.2e-38; above, 2.4e38; NaN stays NaN.
///
/// # Panics
/// When lengths differ.
pub fn exp(isa: Isa, x: &[f32], out: &mut [f32]) {
    isa.run(Exp { x, out });
}

struct Exp<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Exp<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::map(
            s,
            self.x,
            self.out,
            #[inline(always)]
            |x| exp_lanes(s, x),
        );
    }
}

/// `e^x = 2^n e^r` with n the nearest integer to x / ln 2 and |r| <= ln 2 / 2, where ln 2 is subtracted in two parts (Cody
/// and Waite) and `e^r` is `1 + r + r^2 q(r)`, q of degree 4 with the least largest relative error of the whole, 3e-9.
#[inline(always)]
pub(crate) fn exp_lanes<S: Simd>(s: S, x: S::V) -> S::V {
    // The second operand survives where one is NaN.
    let x = s.min(s.splat(88.376_26), s.max(s.splat(-87.336_54), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let coefficients = [
        1.381_461e-3,
        8.368_71e-3,
        4.166_838_7e-2,
        0.166_665_2,
        0.499_999_94,
        1.0,
        1.0,
    ];
    s.scale_exp2(polynomial(s, coefficients, r), n)
}

/// `2^x` for |x| <= 126, within 2 ULP; NaN stays NaN. The polynomial of degree 6 has the least largest relative error, 2e-9.
#[inline(always)]
pub(crate) fn exp2_lanes<S: Simd>(s: S, x: S::V) -> S::V {
    let n = s.round(x);
    let coefficients = [
        1.534_581_2e-4,
        1.339_993_1e-3,
        9.618_489e-3,
        5.550_328_8e-2,
        0.240_226_47,
        std::f32::consts::LN_2,
        1.0,
    ];
    s.scale_exp2(polynomial(s, coefficients, s.sub(x, n)), n)
}

/// By Horner's rule, the highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, coefficients: [f32; N], x: S::V) -> S::V {
    let mut p = s.splat(coefficients[0]);
    for c in &coefficients[1..] {
        p = s.fma(p, x, s.splat(*c));
    }
    p
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn is_within_two_ulp() {
        let x: Vec<f32> = (0..40_000)
            .map(|i| -87.3 + i as f32 * (87.3 + 88.3) / 40_000.0)
            .collect();
        for isa in testing::isas() {
            let mut out = vec![0.0; x.len()];
            super::exp(isa, &x, &mut out);
            for (x, got) in x.iter().zip(out) {
                let expected = f64::from(*x).exp();
                let ulp = f64::from(f32::from_bits((expected as f32).to_bits() + 1))
                    - f64::from(expected as f32);
                let error = (f64::from(got) - expected).abs() / ulp;
                assert!(
                    error <= 2.0,
                    "{}: exp({x}) = {got}, {error} ULP off",
                    isa.name()
                );
            }
        }
    }

    #[test]
    fn saturates_and_keeps_nan() {
        for isa in testing::isas() {
            let mut out = [0.0; 5];
            super::exp(
                isa,
                &[f32::NEG_INFINITY, -200.0, 0.0, 1000.0, f32::NAN],
                &mut out,
            );
            assert!(
                out[0] < 1.3e-38 && out[1] < 1.3e-38 && out[2] == 1.0 && out[3] > 2.3e38,
                "{} {out:?}",
                isa.name()
            );
            assert!(out[4].is_nan(), "{} {out:?}", isa.name());
        }
    }
}
