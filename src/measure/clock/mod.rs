//! The clock of every measurement: the time stamp counter where it can be trusted, else the system's monotonic clock.

mod tsc;

pub use tsc::Refusal;

use crate::units::{Hertz, Seconds};
use std::time::Instant;

/// A monotonic clock with its rate, its precision and its own cost.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    hertz: f64,
    precision: f64,
    overhead: f64,
}

#[derive(Debug)]
enum Source {
    Tsc(tsc::Tsc),
    Monotonic { epoch: Instant, refusal: Refusal },
}

/// A point in time, in ticks of the clock that gave it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticks(u64);

impl Clock {
    /// The best clock of this machine; calibrating it takes about 60 ms.
    pub fn best() -> Self {
        match tsc::Tsc::new() {
            Ok((counter, hertz)) => Self::characterised(Source::Tsc(counter), hertz),
            Err(refusal) => Self::monotonic(refusal),
        }
    }

    /// CLOCK_MONOTONIC, with the reason why nothing better is used.
    fn monotonic(refusal: Refusal) -> Self {
        Self::characterised(
            Source::Monotonic {
                epoch: Instant::now(),
                refusal,
            },
            1e9,
        )
    }

    fn characterised(source: Source, hertz: f64) -> Self {
        let mut clock = Self {
            source,
            hertz,
            precision: 0.0,
            overhead: 0.0,
        };
        let mut gaps: Vec<u64> = (0..1_000)
            .map(|_| {
                let before = clock.now();
                clock.now().0.saturating_sub(before.0)
            })
            .collect();
        gaps.sort_unstable();
        clock.overhead = gaps[gaps.len() / 2] as f64 / hertz;
        let mut steps: Vec<u64> = gaps
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .filter(|step| *step > 0)
            .collect();
        steps.sort_unstable();
        clock.precision = steps.first().copied().unwrap_or(gaps[0].max(1)) as f64 / hertz;
        clock
    }

    /// Now. Instructions before it have finished and instructions after it have not begun.
    #[inline]
    pub fn now(&self) -> Ticks {
        match &self.source {
            Source::Tsc(counter) => Ticks(counter.read()),
            Source::Monotonic { epoch, .. } => Ticks(epoch.elapsed().as_nanos() as u64),
        }
    }

    /// Seconds from `start` to `end`; zero if `end` came first.
    #[inline]
    pub fn seconds(&self, start: Ticks, end: Ticks) -> f64 {
        end.0.saturating_sub(start.0) as f64 / self.hertz
    }

    /// Seconds since `start`.
    #[inline]
    pub fn since(&self, start: Ticks) -> f64 {
        self.seconds(start, self.now())
    }

    /// Ticks per second.
    pub fn rate(&self) -> Hertz {
        Hertz(self.hertz)
    }

    /// Smallest step seen between readings.
    pub fn precision(&self) -> Seconds {
        Seconds(self.precision)
    }

    /// Median cost of one reading.
    pub fn overhead(&self) -> Seconds {
        Seconds(self.overhead)
    }

    /// Frequency of the time stamp counter.
    ///
    /// # Errors
    /// Why the time stamp counter is not used.
    pub fn tsc(&self) -> Result<Hertz, &Refusal> {
        match &self.source {
            Source::Tsc(_) => Ok(self.rate()),
            Source::Monotonic { refusal, .. } => Err(refusal),
        }
    }

    /// One sentence for the record: which clock, its rate, its precision and its cost.
    pub fn describe(&self) -> String {
        let qualities = format!(
            "precision {}, {} a reading",
            self.precision(),
            self.overhead()
        );
        match self.tsc() {
            Ok(rate) => format!(
                "time stamp counter at {rate}, calibrated against CLOCK_MONOTONIC; {qualities}"
            ),
            Err(refusal) => format!("CLOCK_MONOTONIC, because {refusal}; {qualities}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(clock: &Clock) {
        let start = clock.now();
        let mut last = start;
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last, "the clock ran backwards");
            last = now;
        }
        assert!(clock.seconds(start, last) > 0.0);
        assert_eq!(clock.seconds(last, start), 0.0);
        assert!(clock.precision().0 > 0.0 && clock.overhead().0 >= 0.0);
    }

    #[test]
    fn either_clock_runs_forward() {
        check(&Clock::best());
        let fallback = Clock::monotonic(Refusal::NotInvariant);
        check(&fallback);
        assert_eq!(fallback.rate(), Hertz(1e9));
        assert_eq!(fallback.tsc(), Err(&Refusal::NotInvariant));
        assert!(fallback.describe().starts_with("CLOCK_MONOTONIC, because"));
    }

    #[test]
    fn the_counter_agrees_with_the_system_clock() {
        // Two clocks over the same stretch, read in the same order: a wrong calibration is off by a factor, not by a per cent.
        let clock = Clock::best();
        let (system, start) = (Instant::now(), clock.now());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (ours, theirs) = (clock.since(start), system.elapsed().as_secs_f64());
        assert!(
            ours <= theirs * 1.01 && ours >= 0.0199,
            "{ours} against {theirs}"
        );
    }
}
