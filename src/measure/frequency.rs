//! The frequency at which this core runs, without counters and without rights.
//!
//! A chain of dependent integer additions takes exactly one core cycle each on every x86-64 core, so that
//! `additions / seconds` is the core clock. Windows of about 30 us keep most of them free of interrupts and of time stolen by
//! a hypervisor; the median of many windows drops the rest, where one long window would count it (a loaded virtual machine showed
//! a long window wrong by a factor of two to six, and short ones right to 0.1 %). The method is avx-turbo's (Downs).
#![allow(
    unsafe_code,
    reason = "the chain must be exactly these instructions: inline assembly"
)]

use super::clock::Clock;
use crate::units::Hertz;
use std::arch::asm;

/// Additions in one pass of the unrolled loop.
const UNROLLED: u64 = 96;

/// Passes of the loop in one window: 96,000 cycles, 30 us at 3.2 GHz.
const PASSES: u64 = 1_000;

/// Core cycles of one window.
pub const WINDOW_CYCLES: u64 = UNROLLED * PASSES;

/// Runs one window on the calling thread and gives the frequency that it saw.
pub fn window(clock: &Clock) -> Hertz {
    let start = clock.now();
    chain(PASSES, 1);
    let seconds = (clock.since(start) - clock.overhead().0).max(clock.precision().0);
    Hertz(WINDOW_CYCLES as f64 / seconds)
}

/// `count` windows, one after the other.
pub fn windows(clock: &Clock, count: usize) -> Vec<f64> {
    (0..count).map(|_| window(clock).0).collect()
}

/// Runs a window of dependent multiplications, about as long as one of additions: how many a second. A multiplication takes three cycles on
/// most cores, and the same number at any frequency: what both chains show is the core's clock, what one alone shows is a fault of it.
pub fn products_a_second(clock: &Clock) -> f64 {
    let start = clock.now();
    products(PASSES / 3);
    let seconds = (clock.since(start) - clock.overhead().0).max(clock.precision().0);
    (UNROLLED * (PASSES / 3)) as f64 / seconds
}

/// 3 to the power of `passes * 96`, each multiplication waiting for the one before; wraps around.
fn products(passes: u64) -> u64 {
    if passes == 0 {
        return 1;
    }
    let mut product: u64 = 1;
    // SAFETY: touches only the three registers it declares and the flags; the loop ends after `passes` >= 1 turns.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            ".rept 96",
            "imul {product}, {factor}",
            ".endr",
            "dec {passes}",
            "jnz 2b",
            product = inout(reg) product,
            factor = in(reg) 3u64,
            passes = inout(reg) passes => _,
            options(nomem, nostack),
        );
    }
    product
}

/// Adds `step` to zero `passes * 96` times, each addition waiting for the one before; wraps around.
///
/// Register operands, because newer cores carry out additions of small constants at rename, in no time at all.
pub(super) fn chain(passes: u64, step: u64) -> u64 {
    if passes == 0 {
        return 0;
    }
    let mut sum: u64 = 0;
    // SAFETY: touches only the three registers it declares and the flags; the loop ends after `passes` >= 1 turns.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            ".rept 96",
            "add {sum}, {step}",
            ".endr",
            "dec {passes}",
            "jnz 2b",
            sum = inout(reg) sum,
            step = in(reg) step,
            passes = inout(reg) passes => _,
            options(nomem, nostack),
        );
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_makes_every_addition() {
        assert_eq!(chain(PASSES, 1), WINDOW_CYCLES);
        assert_eq!(chain(7, 3), 7 * UNROLLED * 3);
        assert_eq!(chain(0, 5), 0);
    }

    #[test]
    fn the_chain_makes_every_multiplication() {
        assert_eq!(products(0), 1);
        assert_eq!(products(7), 3u64.wrapping_pow(7 * 96));
        assert!(products_a_second(&Clock::best()) > 0.0);
    }

    #[test]
    fn windows_are_plausible_frequencies() {
        let clock = Clock::best();
        let samples = windows(&clock, 64);
        assert_eq!(samples.len(), 64);
        // Not a judgement by the clock: no x86-64 core adds dependent integers at more than ten per nanosecond, however idle
        // the machine, so that a larger figure means that the chain was not dependent or not executed.
        assert!(
            samples.iter().all(|hertz| *hertz > 0.0 && *hertz < 1e10),
            "{samples:?}"
        );
    }
}
