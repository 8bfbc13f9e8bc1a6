//! GELU in its tanh form: `x (1 + tanh u) / 2` with `u = sqrt(2/pi) (x + 0.044715 x^3)` (Hendrycks and Gimpel, arXiv
//! 1606.08415), computed as `x sigmoid(2 u)`.

use super::{exp2_lanes, map};
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = gelu(x)`, within 13 ULP of the value, or of 2^-8 where the value is smaller; NaN stays NaN.
///
/// # Panics
/// When lengths differ.
pub fn gelu(isa: Isa, x: &[f32], out: &mut [f32]) {
    isa.run(Gelu { x, out });
}

/// `gradient *= gelu'(x)`: the gradient of the output becomes that of the input.
///
/// # Panics
/// When lengths differ.
pub fn gelu_backward(isa: Isa, x: &[f32], gradient: &mut [f32]) {
    isa.run(GeluBackward { x, gradient });
}

struct Gelu<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Gelu<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::map(
            s,
            self.x,
            self.out,
            #[inline(always)]
            |x| gelu_lanes(s, x).0,
        );
    }
}

struct GeluBackward<'a> {
    x: &'a [f32],
    gradient: &'a mut [f32],
}

impl Op for GeluBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::update(
            s,
            self.x,
            self.gradient,
            #[inline(always)]
            |x, gradient| s.mul(gradient, gelu_lanes(s, x).1),
        );
    }
}

/// `gelu(x)` and its derivative: with `q = sigmoid(2 u) = 1 / (1 + 2^w)`, `x q` and `q + x q (1 - q) 2 u'`.
#[inline(always)]
pub(crate) fn gelu_lanes<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    const TWICE_C: f32 = 1.595_769_2; // 2 sqrt(2 / pi)
    const CUBIC: f32 = 0.044_715;
    // 2 sqrt(2 / pi) / ln 2, and 0.044715 of it.
    const TWICE_C_LOG2_E: f32 = 2.302_208_2;
    const CUBIC_LOG2_E: f32 = 0.102_943_24;
    // Beyond, the sigmoid is 0 or 1 and nothing below may overflow: |w| stays below 123.
    const END: f32 = 9.9;
    let one = s.splat(1.0);
    // The second operand survives where one is NaN.
    let x = s.max(s.splat(-END), x);
    let t = s.min(s.splat(END), x);
    let square = s.mul(t, t);
    let per_t = s.fma(square, s.splat(-CUBIC_LOG2_E), s.splat(-TWICE_C_LOG2_E));
    let w = s.mul(t, per_t);
    let q = s.reciprocal(s.add(one, exp2_lanes(s, w)));
    let value = s.mul(x, q);
    let twice_slope = s.fma(square, s.splat(3.0 * TWICE_C * CUBIC), s.splat(TWICE_C));
    let derivative = s.fma(s.mul(value, s.sub(one, q)), twice_slope, q);
    (value, derivative)
}

#[cfg(test)]
mod tests {
    use crate::kernels::{
        gemm::reference_gelu as reference,
        testing::{self, assert_close},
    };

    #[test]
    fn agrees_with_the_definition() {
        let x: Vec<f32> = (-1000..=1000).map(|i| i as f32 * 0.0101).collect();
        for isa in testing::isas() {
            let (mut out, mut slope) = (vec![0.0; x.len()], vec![1.0; x.len()]);
            super::gelu(isa, &x, &mut out);
            super::gelu_backward(isa, &x, &mut slope);
            for ((x, out), slope) in x.iter().zip(out).zip(slope) {
                let (value, derivative) = reference(f64::from(*x));
                assert_close(out, value, f64::from(x.abs()), 12, "gelu");
                assert_close(slope, derivative, 1.0 + f64::from(x * x), 16, "gelu'");
            }
        }
    }

    #[test]
    fn ends_are_flat_and_nan_stays() {
        for isa in testing::isas() {
            let mut out = [0.0; 4];
            super::gelu(isa, &[f32::MIN, f32::MAX, 0.0, f32::NAN], &mut out);
            assert!(
                out[0].abs() < 1e-30 && out[1] == f32::MAX && out[2] == 0.0 && out[3].is_nan(),
                "{} {out:?}",
                isa.name()
            );
            let mut slope = [1.0; 3];
            super::gelu_backward(isa, &[f32::MIN, f32::MAX, 50.0], &mut slope);
            assert!(
                slope[0].abs() < 1e-30 && slope[1] == 1.0 && slope[2] == 1.0,
                "{} {slope:?}",
                isa.name()
            );
        }
    }
}
