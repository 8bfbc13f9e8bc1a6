//! The time stamp counter: whether it may be used, how fast it ticks, and how it is read in order.
//!
//! Reading follows Intel's "How to Benchmark Code Execution Times" (Paoloni, 2010) and the SDM, volume 2B, RDTSCP: RDTSCP waits
//! until all earlier instructions have executed, the LFENCE behind it keeps later ones from starting early.
#![allow(unsafe_code, reason = "RDTSCP has no safe intrinsic")]

use core::arch::x86_64::{__rdtscp, _mm_lfence};
use std::time::{Duration, Instant};

/// Calibration windows, their length, and how far their slopes may lie apart.
const WINDOWS: usize = 3;
const WINDOW: Duration = Duration::from_millis(20);
const TOLERANCE: f64 = 1e-3;

/// Why the time stamp counter is not used as a clock.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// CPUID leaf 8000_0001H, EDX bit 27 is clear.
    #[error("the CPU has no RDTSCP instruction (CPUID 0x80000001)")]
    NoRdtscp,
    /// CPUID leaf 8000_0007H, EDX bit 8 is clear: the rate may follow the core clock, or stop while the core sleeps.
    #[error("the time stamp counter is not announced as invariant (CPUID 0x80000007)")]
    NotInvariant,
    /// Calibration windows disagree.
    #[error("three calibrations of the time stamp counter differ by {:.2} %", spread * 100.0)]
    Unsteady {
        /// Largest minus smallest rate, over the median.
        spread: f64,
    },
}

/// Proof that the counter may be read and ticks at a steady rate.
#[derive(Debug)]
pub(super) struct Tsc(());

impl Tsc {
    /// Checks and calibrates the counter: the token and its ticks per second.
    pub(super) fn new() -> Result<(Self, f64), Refusal> {
        let cpuid = raw_cpuid::CpuId::new();
        if !cpuid
            .get_extended_processor_and_feature_identifiers()
            .is_some_and(|leaf| leaf.has_rdtscp())
        {
            return Err(Refusal::NoRdtscp);
        }
        if !cpuid
            .get_advanced_power_mgmt_info()
            .is_some_and(|leaf| leaf.has_invariant_tsc())
        {
            return Err(Refusal::NotInvariant);
        }
        let counter = Self(());
        let hertz = counter.calibrate()?;
        Ok((counter, hertz))
    }

    /// The counter, read after everything before it and before everything behind it.
    #[inline]
    pub(super) fn read(&self) -> u64 {
        let mut processor = 0;
        // SAFETY: `Self` exists only if CPUID announces RDTSCP, and `processor` is a valid place for its third result.
        let ticks = unsafe { __rdtscp(&mut processor) };
        // SAFETY: LFENCE is part of SSE2, which every x86-64 CPU has.
        unsafe { _mm_lfence() };
        ticks
    }

    fn calibrate(&self) -> Result<f64, Refusal> {
        let mut start = self.anchor();
        let rates = [(); WINDOWS].map(|()| {
            std::thread::sleep(WINDOW);
            let end = self.anchor();
            let rate = (end.0 - start.0) as f64 / (end.1 - start.1).as_secs_f64();
            start = end;
            rate
        });
        steady(rates)
    }

    /// Both clocks at the same moment: of several attempts, the one in which least time passed between the two readings of
    /// the counter, so that being descheduled in between does not matter.
    fn anchor(&self) -> (u64, Instant) {
        let attempt = |_| {
            let before = self.read();
            let system = Instant::now();
            let after = self.read();
            (
                after.saturating_sub(before),
                before + after.saturating_sub(before) / 2,
                system,
            )
        };
        let best = (0..16).map(attempt).min_by_key(|(gap, _, _)| *gap);
        best.map_or_else(
            || (self.read(), Instant::now()),
            |(_, ticks, system)| (ticks, system),
        )
    }
}

/// The median rate, if the rates lie within [`TOLERANCE`].
fn steady(mut rates: [f64; WINDOWS]) -> Result<f64, Refusal> {
    rates.sort_unstable_by(f64::total_cmp);
    let median = rates[WINDOWS / 2];
    let spread = (rates[WINDOWS - 1] - rates[0]) / median;
    if spread > TOLERANCE {
        Err(Refusal::Unsteady { spread })
    } else {
        Ok(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_disagree_are_refused() {
        assert_eq!(steady([2.5e9, 2.5001e9, 2.4999e9]), Ok(2.5e9));
        let refusal = steady([2.5e9, 2.6e9, 2.5e9]).unwrap_err();
        assert_eq!(refusal, Refusal::Unsteady { spread: 0.04 });
        assert_eq!(
            refusal.to_string(),
            "three calibrations of the time stamp counter differ by 4.00 %"
        );
    }
}
