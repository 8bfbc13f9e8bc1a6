//! Amdahl's law: `S(n) = 1 / (s + (1 - s) / n)`, with the serial share `s` (Amdahl, 1967).

use super::{Point, constraining, interval};
use crate::stats::bootstrap::Interval;

/// The fitted law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amdahl {
    /// Share of the one-thread time that more threads do not shorten. Below zero where threads help each other
    /// (more cache in total): the number is reported as it is fitted.
    pub serial_fraction: Interval,
}

impl Amdahl {
    /// Speed-up that the law predicts for `threads`.
    pub fn speedup(&self, threads: usize) -> f64 {
        let serial = self.serial_fraction.estimate;
        1.0 / (serial + (1.0 - serial) / threads as f64)
    }

    /// Least squares on `1 / S - 1 / n = s (1 - 1 / n)`, exact in `s`; the interval resamples the rounds of each point.
    /// `None` without a point above one thread or if a speed-up is not positive.
    pub fn fit(points: &[Point], seed: u64) -> Option<Self> {
        let serial_fraction = interval(&constraining(points), seed, serial_fraction)?;
        Some(Self { serial_fraction })
    }
}

fn serial_fraction(points: &[(f64, f64)]) -> f64 {
    let (mut xy, mut xx) = (0.0, 0.0);
    for (threads, speedup) in points {
        let x = 1.0 - 1.0 / threads;
        xy += x * (1.0 / speedup - 1.0 / threads);
        xx += x * x;
    }
    xy / xx
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(threads: usize, speedup: f64) -> Point {
        let noise = [0.98, 1.0, 1.02, 0.99, 1.01, 1.0, 1.0];
        Point {
            threads,
            speedups: noise.iter().map(|n| n * speedup).collect(),
        }
    }

    #[test]
    fn the_serial_share_comes_back() {
        let law = |n: f64| 1.0 / (0.05 + 0.95 / n);
        let points: Vec<Point> = [1, 2, 4, 8].map(|n| point(n, law(n as f64))).to_vec();
        let fit = Amdahl::fit(&points, 1).unwrap();
        assert!((fit.serial_fraction.estimate - 0.05).abs() < 1e-12);
        assert!(fit.serial_fraction.low < 0.05 && fit.serial_fraction.high > 0.05);
        assert!((fit.speedup(16) - law(16.0)).abs() < 1e-9);
    }

    #[test]
    fn two_threads_are_enough_and_one_is_not() {
        let fit = Amdahl::fit(
            &[
                point(1, 1.0),
                Point {
                    threads: 2,
                    speedups: vec![1.8, 1.9, 1.85],
                },
            ],
            1,
        )
        .unwrap();
        // S = 1.85: s = 2 / 1.85 - 1
        assert!((fit.serial_fraction.estimate - (2.0 / 1.85 - 1.0)).abs() < 1e-12);
        // With three rounds the resampled medians reach both extremes.
        assert!((fit.serial_fraction.low - (2.0 / 1.9 - 1.0)).abs() < 1e-12);
        assert!((fit.serial_fraction.high - (2.0 / 1.8 - 1.0)).abs() < 1e-12);
        assert_eq!(Amdahl::fit(&[point(1, 1.0)], 1), None);
        assert_eq!(Amdahl::fit(&[], 1), None);
        assert_eq!(
            Amdahl::fit(
                &[Point {
                    threads: 2,
                    speedups: vec![]
                }],
                1
            ),
            None
        );
        assert_eq!(
            Amdahl::fit(
                &[Point {
                    threads: 2,
                    speedups: vec![0.0; 9]
                }],
                1
            ),
            None
        );
    }
}
