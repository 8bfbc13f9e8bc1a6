//! Element-wise product.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = a * b`, element by element.
///
/// # Panics
/// When lengths differ.
pub fn hadamard(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    isa.run(Hadamard { a, b, out });
}

struct Hadamard<'a> {
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Hadamard<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::zip(
            s,
            self.a,
            self.b,
            self.out,
            #[inline(always)]
            |a, b| s.mul(a, b),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn multiplies_every_element() {
        testing::for_lengths(|isa, a, b| {
            let mut out = vec![f32::NAN; a.len()];
            super::hadamard(isa, a, b, &mut out);
            let expected: Vec<f32> = a.iter().zip(b).map(|(a, b)| a * b).collect();
            assert_eq!(out, expected, "{}", isa.name());
        });
    }
}
