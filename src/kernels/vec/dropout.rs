//! Dropout by a counter: whether a value is dropped is a function of key, step, site and place, and of nothing else.
//!
//! The random bits are those of Philox4x32-10 (J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", SC 2011), which holds no state: threads, micro-batches and the backward pass find the same mask each for
//! itself, and no mask is ever kept. The generator is whole numbers in plain Rust, compiled for the ISA that runs it, so that a
//! mask is the same on every ISA.

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// The mask of one site in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// Key of the generator: the seed of the run.
    pub key: u64,
    /// The step; masks repeat after 2^32 of them.
    pub step: u32,
    /// The place in the network.
    pub site: u32,
    /// Share of values dropped, in 0..1; the others are multiplied by `1 / (1 - rate)`.
    pub rate: f32,
}

/// `x *= mask`, where `x` is row `row` of the masked matrix. NaN stays NaN, kept or dropped. 60 integer operations a value.
pub fn dropout(isa: Isa, mask: DropoutMask, row: u32, x: &mut [f32]) {
    let residual = None;
    isa.run(Dropout {
        mask,
        row,
        residual,
        x,
    });
}

/// `x = residual + mask * x`, where `x` is row `row` of the masked matrix.
///
/// # Panics
/// When lengths differ.
pub fn dropout_add(isa: Isa, mask: DropoutMask, row: u32, residual: &[f32], x: &mut [f32]) {
    assert_eq!(residual.len(), x.len(), "lengths differ");
    let residual = Some(residual);
    isa.run(Dropout {
        mask,
        row,
        residual,
        x,
    });
}

/// Counters that go through the generator side by side, four values each.
const SIDE_BY_SIDE: usize = 16;
/// Values of a block.
const BLOCK: usize = 4 * SIDE_BY_SIDE;

struct Dropout<'a> {
    mask: DropoutMask,
    row: u32,
    residual: Option<&'a [f32]>,
    x: &'a mut [f32],
}

impl Op for Dropout<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (block, x) in self.x.chunks_mut(BLOCK).enumerate() {
            let factors = factors(self.mask, self.row, block as u32);
            map::update(
                s,
                &factors[..x.len()],
                x,
                #[inline(always)]
                |factor, x| s.mul(factor, x),
            );
            if let Some(residual) = self.residual {
                map::update(
                    s,
                    &residual[block * BLOCK..][..x.len()],
                    x,
                    #[inline(always)]
                    |residual, x| s.add(residual, x),
                );
            }
        }
    }
}

/// 0 where a value is dropped, else what it is multiplied by.
#[inline(always)]
fn factors(mask: DropoutMask, row: u32, block: u32) -> [f32; BLOCK] {
    // Rates are shares of 2^32; f64 holds both.
    let threshold = (f64::from(mask.rate) * 4_294_967_296.0) as u32;
    let kept = 1.0 / (1.0 - mask.rate);
    let first = block * SIDE_BY_SIDE as u32;
    let mut counters = [[0; SIDE_BY_SIDE], [row; _], [mask.step; _], [mask.site; _]];
    for (index, counter) in counters[0].iter_mut().enumerate() {
        *counter = first + index as u32;
    }
    let random = philox(counters, [mask.key as u32, (mask.key >> 32) as u32]);
    let mut factors = [0.0; BLOCK];
    for (factors, random) in factors.chunks_exact_mut(SIDE_BY_SIDE).zip(&random) {
        for (factor, random) in factors.iter_mut().zip(random) {
            *factor = if *random < threshold { 0.0 } else { kept };
        }
    }
    factors
}

/// Philox4x32-10 of counters side by side: word by word, not counter by counter.
#[inline(always)]
fn philox<const N: usize>(mut x: [[u32; N]; 4], mut key: [u32; 2]) -> [[u32; N]; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [
                key[0].wrapping_add(0x9E37_79B9),
                key[1].wrapping_add(0xBB67_AE85),
            ];
        }
        let mut next = [[0; N]; 4];
        for lane in 0..N {
            let first = u64::from(x[0][lane]) * 0xD251_1F53;
            let second = u64::from(x[2][lane]) * 0xCD9E_8D57;
            next[0][lane] = (second >> 32) as u32 ^ x[1][lane] ^ key[0];
            next[1][lane] = second as u32;
            next[2][lane] = (first >> 32) as u32 ^ x[3][lane] ^ key[1];
            next[3][lane] = first as u32;
        }
        x = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::isas;

    const MASK: DropoutMask = DropoutMask {
        key: 42,
        step: 7,
        site: 3,
        rate: 0.25,
    };

    fn mask_of(isa: Isa, mask: DropoutMask, row: u32, len: usize) -> Vec<f32> {
        let mut x = vec![1.0; len];
        dropout(isa, mask, row, &mut x);
        x
    }

    /// The known answers that Random123, the authors' own implementation, is tested with.
    #[test]
    fn the_bits_are_those_of_philox() {
        let answers = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in answers {
            assert_eq!(
                philox(counter.map(|word: u32| [word]), key),
                expected.map(|word: u32| [word])
            );
        }
    }

    #[test]
    fn a_mask_is_the_same_on_every_isa_and_for_every_length() {
        let whole = mask_of(Isa::forced("scalar").unwrap(), MASK, 5, 1_000);
        for isa in isas() {
            for len in [0, 1, 15, 16, 17, 63, 64, 65, 1_000] {
                assert_eq!(mask_of(isa, MASK, 5, len), whole[..len], "{}", isa.name());
            }
        }
        assert_eq!(whole[0], 1.0 / 0.75);
    }

    #[test]
    fn every_part_of_the_counter_makes_another_mask() {
        let isa = Isa::best();
        let base = mask_of(isa, MASK, 5, 384);
        for mask in [
            DropoutMask { key: 43, ..MASK },
            DropoutMask {
                key: 42 | 1 << 32,
                ..MASK
            },
            DropoutMask { step: 8, ..MASK },
            DropoutMask { site: 4, ..MASK },
        ] {
            assert_ne!(mask_of(isa, mask, 5, 384), base);
        }
        assert_ne!(mask_of(isa, MASK, 6, 384), base);
    }

    #[test]
    fn the_share_dropped_is_the_rate() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mask = DropoutMask { rate, ..MASK };
            let rows = (0..100).map(|row| mask_of(Isa::best(), mask, row, 1_000));
            let dropped = rows.flatten().filter(|x| *x == 0.0).count() as f64 / 1e5;
            // Six standard deviations of 100,000 draws.
            let bound = 6.0 * (f64::from(rate * (1.0 - rate)) / 1e5).sqrt();
            assert!(
                (dropped - f64::from(rate)).abs() <= bound,
                "{dropped} of {rate}"
            );
        }
    }

    #[test]
    fn adds_to_the_residual_and_keeps_what_is_no_number() {
        for isa in isas() {
            let residual: Vec<f32> = (0..131).map(|i| i as f32).collect();
            let mut x = vec![2.0; 131];
            x[70] = f32::NAN;
            dropout_add(isa, MASK, 1, &residual, &mut x);
            let mask = mask_of(isa, MASK, 1, 131);
            for (i, x) in x.iter().enumerate() {
                let expected = residual[i] + mask[i] * 2.0;
                assert!(*x == expected || i == 70 && x.is_nan(), "{i}: {x}");
            }
        }
    }
}
