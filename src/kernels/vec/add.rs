//! Element-wise addition.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// `out = a + b`. Reads 8 bytes and writes 4 for one operation: bound by memory beyond L1.
///
/// # Panics
/// When lengths differ.
pub fn add(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    isa.run(Add { a, b, out });
}

/// `out += a`.
///
/// # Panics
/// When lengths differ.
pub fn add_assign(isa: Isa, a: &[f32], out: &mut [f32]) {
    isa.run(AddAssign { a, out });
}

struct Add<'a> {
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::zip(
            s,
            self.a,
            self.b,
            self.out,
            #[inline(always)]
            |a, b| s.add(a, b),
        );
    }
}

struct AddAssign<'a> {
    a: &'a [f32],
    out: &'a mut [f32],
}

impl Op for AddAssign<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        map::update(
            s,
            self.a,
            self.out,
            #[inline(always)]
            |a, out| s.add(out, a),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing;

    #[test]
    fn adds_every_element() {
        testing::for_lengths(|isa, a, b| {
            let expected: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + b).collect();
            let mut out = vec![f32::NAN; a.len()];
            super::add(isa, a, b, &mut out);
            assert_eq!(out, expected, "{}", isa.name());
            let mut out = b.to_vec();
            super::add_assign(isa, a, &mut out);
            assert_eq!(out, expected, "{}", isa.name());
        });
    }
}
