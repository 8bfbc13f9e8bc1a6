//! How long a measurement has taken and what is left, suite by suite.

use std::cell::Cell;
use std::fmt;
use std::time::Instant;

use crate::units::Seconds;

/// Below this share of a suite, what it took until now says little about the rest.
const TELLING: f64 = 0.05;

/// What the suites of a run should take, and where the run is.
#[derive(Debug)]
pub(super) struct Forecast {
    begin: Instant,
    /// Seconds of each suite as it expects them itself.
    expected: Vec<f64>,
    /// Seconds that all of them may take.
    limit: Option<f64>,
    now: Cell<Place>,
}

/// Where the run is: which suite, when it began, in seconds since the run's begin, and how much of it is done.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    suite: usize,
    began: f64,
    share: f64,
}

impl Forecast {
    /// Of suites that expect to take so many seconds each, under a limit for all where there is one.
    pub(super) fn new(expected: Vec<f64>, limit: Option<f64>) -> Self {
        Self {
            begin: Instant::now(),
            expected,
            limit,
            now: Cell::default(),
        }
    }

    /// The suite of that number begins.
    pub(super) fn begins(&self, suite: usize) {
        let began = self.begin.elapsed().as_secs_f64();
        self.now.set(Place {
            suite,
            began,
            share: 0.0,
        });
    }

    /// That share of it is done.
    pub(super) fn reached(&self, share: f64) {
        let mut now = self.now.get();
        now.share = share.clamp(0.0, 1.0);
        self.now.set(now);
    }

    /// Seconds left after `elapsed`, of the suite of now and of those behind it.
    fn left(&self, elapsed: f64) -> f64 {
        let now = self.now.get();
        let here = elapsed - now.began;
        let expected = self.expected.get(now.suite).copied().unwrap_or_default();
        let rest = if now.share > TELLING {
            here * (1.0 - now.share) / now.share
        } else {
            expected - here
        };
        let later: f64 = self.expected.iter().skip(now.suite + 1).sum();
        let left = rest.max(0.0) + later;
        self.limit
            .map_or(left, |limit| left.min((limit - elapsed).max(0.0)))
    }

    /// What stands before a line of progress.
    fn words(&self, elapsed: f64) -> String {
        let left = self.left(elapsed);
        let elapsed = Seconds(elapsed.round());
        if left < 1.0 {
            // What was expected is over: how much longer, nobody knows.
            return format!("{elapsed}, nearly done");
        }
        format!("{elapsed}, about {} left", Seconds(rounded(left)))
    }
}

/// As precise as a forecast is: seconds below half a minute, then tens.
fn rounded(seconds: f64) -> f64 {
    let step = if seconds < 30.0 { 1.0 } else { 10.0 };
    (seconds / step).round() * step
}

impl fmt::Display for Forecast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words(self.begin.elapsed().as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_counts_until_the_suite_tells_its_share() {
        let forecast = Forecast::new(vec![20.0, 300.0, 60.0], None);
        assert_eq!(forecast.left(5.0), 375.0);
        forecast.now.set(Place {
            suite: 1,
            began: 30.0,
            share: 0.0,
        });
        assert_eq!(forecast.left(130.0), 260.0);
        // A quarter took 50 s: three more quarters, then the suite behind it.
        forecast.reached(0.25);
        assert_eq!(forecast.left(80.0), 150.0 + 60.0);
        assert_eq!(forecast.words(80.0), "80.0 s, about 3 min 30 s left");
    }

    #[test]
    fn a_forecast_that_was_too_short_says_so() {
        let forecast = Forecast::new(vec![20.0], None);
        assert_eq!(forecast.left(50.0), 0.0);
        assert_eq!(forecast.words(50.0), "50.0 s, nearly done");
    }

    #[test]
    fn a_limit_cuts_it() {
        let forecast = Forecast::new(vec![200.0], Some(105.0));
        assert_eq!(forecast.left(100.0), 5.0);
        assert_eq!(forecast.left(200.0), 0.0);
    }
}
