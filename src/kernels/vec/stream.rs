//! STREAM's operations (McCalpin, 1995) and a plain write, with regular and with non-temporal stores: how fast memory is written.
//!
//! A regular store first fetches the line that it overwrites; a non-temporal one goes past the caches and fetches nothing.
#![allow(
    unsafe_code,
    reason = "non-temporal stores take pointers, and only a volatile load keeps a copy from becoming a call of memcpy"
)]

use core::arch::x86_64::_mm_sfence;
use std::hint::black_box;

use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// What is done to every element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// `out = s`.
    Write,
    /// `out = a`.
    Copy,
    /// `out = s a`.
    Scale,
    /// `out = a + b`.
    Add,
    /// `out = a + s b`.
    Triad,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stores {
    /// Through the caches.
    Regular,
    /// Past them.
    NonTemporal,
}

/// The factor `s`: repeated passes over the same arrays neither grow nor become denormal, since no operation reads its output.
const FACTOR: f32 = 0.75;

/// Values of a cache line, and of the block that a turn of the loop works on.
const LINE: usize = 16;
const BLOCK: usize = 4 * LINE;

/// Does `operation` on whole arrays, `passes` times, in ascending order, with loads and stores of the ISA's width. Costs one or two
/// FLOP an element; it is bound by loads and stores everywhere.
///
/// # Panics
/// When arrays that the operation uses are not of equal length in whole cache lines of 64 bytes, or do not start on one.
pub fn stream(
    isa: Isa,
    (operation, stores): (Stream, Stores),
    [a, b]: [&[f32]; 2],
    out: &mut [f32],
    passes: usize,
) {
    let used = [a, b].into_iter().take(operation.reads());
    for array in used.chain([&*out]) {
        assert!(
            array.len() == out.len()
                && array.len().is_multiple_of(LINE)
                && array.as_ptr().addr().is_multiple_of(64),
            "not whole cache lines of one length"
        );
    }
    isa.run(Run {
        operation,
        stores,
        inputs: [a, b],
        out,
        passes,
    });
}

impl Stream {
    /// Arrays that it reads.
    pub fn reads(self) -> usize {
        match self {
            Stream::Write => 0,
            Stream::Copy | Stream::Scale => 1,
            Stream::Add | Stream::Triad => 2,
        }
    }
}

struct Run<'a> {
    operation: Stream,
    stores: Stores,
    inputs: [&'a [f32]; 2],
    out: &'a mut [f32],
    passes: usize,
}

impl Op for Run<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.stores {
            Stores::Regular => self.through::<S, false>(s),
            Stores::NonTemporal => self.through::<S, true>(s),
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn through<S: Simd, const PAST: bool>(self, s: S) {
        let factor = s.splat(black_box(FACTOR));
        match self.operation {
            Stream::Write => self.passes::<S, PAST, 0>(
                s,
                #[inline(always)]
                |_, _| factor,
            ),
            Stream::Copy => self.passes::<S, PAST, 1>(
                s,
                #[inline(always)]
                |a, _| a,
            ),
            Stream::Scale => self.passes::<S, PAST, 1>(
                s,
                #[inline(always)]
                |a, _| s.mul(a, factor),
            ),
            Stream::Add => self.passes::<S, PAST, 2>(
                s,
                #[inline(always)]
                |a, b| s.add(a, b),
            ),
            Stream::Triad => self.passes::<S, PAST, 2>(
                s,
                #[inline(always)]
                |a, b| s.fma(b, factor, a),
            ),
        }
    }

    #[inline(always)]
    fn passes<S: Simd, const PAST: bool, const READS: usize>(
        self,
        s: S,
        f: impl Fn(S::V, S::V) -> S::V,
    ) {
        let none = s.splat(0.0);
        let inputs = self.inputs.map(<[f32]>::as_ptr);
        let length = self.out.len();
        let whole = length / BLOCK * BLOCK;
        for _ in 0..self.passes {
            let out = black_box(self.out.as_mut_ptr());
            let to = Target::<S, PAST, READS> {
                s,
                inputs,
                out,
                none,
            };
            for block in (0..whole).step_by(BLOCK) {
                for place in (0..BLOCK).step_by(S::LANES) {
                    // SAFETY: a register of a block that lies in every array that is used, as `stream` has checked; so has it
                    // that they start on a cache line, of which a register is a part.
                    unsafe { to.at(block + place, &f) };
                }
            }
            for place in (whole..length).step_by(S::LANES) {
                // SAFETY: as above; the rest is whole lines.
                unsafe { to.at(place, &f) };
            }
        }
        if PAST {
            // SAFETY: SFENCE is part of SSE, which every x86-64 CPU has.
            unsafe { _mm_sfence() };
        }
    }
}

/// Where a pass reads and writes.
struct Target<S: Simd, const PAST: bool, const READS: usize> {
    s: S,
    inputs: [*const f32; 2],
    /// Exclusive: overlaps no input.
    out: *mut f32,
    /// Stands for an input that is not read.
    none: S::V,
}

impl<S: Simd, const PAST: bool, const READS: usize> Target<S, PAST, READS> {
    /// One register of output.
    ///
    /// # Safety
    /// - `place` and the register behind it lie in the output and the first `READS` inputs, aligned to a register.
    #[inline(always)]
    unsafe fn at(&self, place: usize, f: &impl Fn(S::V, S::V) -> S::V) {
        // SAFETY: the caller vouches for it.
        unsafe {
            let value = f(self.read::<0>(place), self.read::<1>(place));
            if PAST {
                self.s.stream_at(value, self.out.add(place));
            } else {
                self.s.store_at(value, self.out.add(place));
            }
        }
    }

    /// # Safety
    /// - As for [`Target::at`].
    #[inline(always)]
    unsafe fn read<const ARRAY: usize>(&self, place: usize) -> S::V {
        if ARRAY >= READS {
            return self.none;
        }
        // SAFETY: the caller vouches for it.
        unsafe { self.inputs[ARRAY].add(place).cast::<S::V>().read_volatile() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing;

    #[repr(align(64))]
    struct Lines([f32; LINE * 21]);

    #[test]
    fn every_operation_writes_what_it_says_and_nothing_else() {
        let a = Lines(std::array::from_fn(|place| place as f32));
        let b = Lines(std::array::from_fn(|place| 100.0 - place as f32));
        let expected = |operation, place: usize| match operation {
            Stream::Write => FACTOR,
            Stream::Copy => a.0[place],
            Stream::Scale => FACTOR * a.0[place],
            Stream::Add => a.0[place] + b.0[place],
            Stream::Triad => a.0[place] + FACTOR * b.0[place],
        };
        let operations = [
            Stream::Write,
            Stream::Copy,
            Stream::Scale,
            Stream::Add,
            Stream::Triad,
        ];
        for isa in testing::isas() {
            for operation in operations {
                for stores in [Stores::Regular, Stores::NonTemporal] {
                    for lines in [0, 1, 3, 4, 20] {
                        let (mut out, used) = (Lines([-1.0; LINE * 21]), lines * LINE);
                        let inputs = [&a.0[..used], &b.0[..used]];
                        stream(isa, (operation, stores), inputs, &mut out.0[..used], 2);
                        for (place, value) in out.0.into_iter().enumerate() {
                            let right = match place < used {
                                true => expected(operation, place),
                                false => -1.0,
                            };
                            // One rounding or two.
                            assert!(
                                (value - right).abs() <= 1e-5 * right.abs(),
                                "{} {operation:?} {stores:?} {lines}: {value} at {place}",
                                isa.name()
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "not whole cache lines")]
    fn arrays_of_different_length_are_refused() {
        let (a, mut out) = (Lines([1.0; LINE * 21]), Lines([0.0; LINE * 21]));
        let add = (Stream::Add, Stores::Regular);
        stream(
            Isa::best(),
            add,
            [&a.0, &a.0[LINE..]],
            &mut out.0[..LINE],
            1,
        );
    }
}
