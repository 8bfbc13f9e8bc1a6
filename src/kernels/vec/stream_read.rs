//! The read ceiling: loads and nothing else.
//!
//! A sum would do as well where arithmetic keeps up with loads, but client cores have one 512-bit adder for two 512-bit loads.
#![allow(
    unsafe_code,
    reason = "only a volatile load stays in the program when nobody uses its value"
)]

use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// Loads in one turn of the loop.
const UNROLLED: usize = 8;

/// Reads all of `x`, `passes` times, in ascending order, with the loads of the ISA's width.
///
/// # Panics
/// When `x` is not made of whole cache lines of 64 bytes, or does not start on one.
pub fn stream_read(isa: Isa, x: &[f32], passes: usize) {
    assert!(
        x.len().is_multiple_of(16) && x.as_ptr().addr().is_multiple_of(64),
        "not whole cache lines"
    );
    isa.run(StreamRead { x, passes });
}

struct StreamRead<'a> {
    x: &'a [f32],
    passes: usize,
}

impl Op for StreamRead<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        const { assert!(S::LANES <= 16) };
        for _ in 0..self.passes {
            let mut blocks = self.x.chunks_exact(UNROLLED * S::LANES);
            for block in &mut blocks {
                for place in 0..UNROLLED {
                    load::<S>(&block[place * S::LANES..(place + 1) * S::LANES]);
                }
                as_it_stands();
            }
            for lanes in blocks.remainder().chunks_exact(S::LANES) {
                load::<S>(lanes);
            }
        }
    }
}

/// Keeps the compiler from unrolling the loop further: a Zen 5 follows eight loads at their addresses, and sixteen get an eighth less
/// from L2.
#[inline(always)]
fn as_it_stands() {
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
}

/// One load of a whole register.
#[inline(always)]
fn load<S: Simd>(lanes: &[f32]) {
    let lanes = &lanes[..S::LANES];
    // SAFETY: the slice holds the register's values and lies aligned: it starts a multiple of the register behind a cache line.
    unsafe { lanes.as_ptr().cast::<S::V>().read_volatile() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing;

    #[repr(align(64))]
    struct Lines([f32; 16 * 64]);

    #[test]
    fn reads_whole_lines_of_any_count() {
        let lines = Lines([1.0; 16 * 64]);
        for count in [0, 1, 3, 8, 21, 64] {
            for isa in testing::isas() {
                stream_read(isa, &lines.0[..16 * count], 2);
            }
        }
    }

    #[test]
    #[should_panic(expected = "not whole cache lines")]
    fn a_part_of_a_line_is_refused() {
        stream_read(Isa::best(), &Lines([1.0; 16 * 64]).0[1..17], 1);
    }
}
