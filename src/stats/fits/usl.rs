//! The universal scalability law: `S(n) = n / (1 + a (n - 1) + b n (n - 1))`, with contention `a` and coherence `b`
//! (Gunther, "Guerrilla Capacity Planning", 2007). Coherence makes the curve turn down after its peak.

use super::{Point, constraining, interval};
use crate::stats::bootstrap::Interval;

/// The fitted law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// Waiting for what only one thread can have, never negative.
    pub contention: Interval,
    /// Keeping the threads' copies the same, never negative.
    pub coherence: Interval,
}

impl Usl {
    /// Speed-up that the law predicts for `threads`.
    pub fn speedup(&self, threads: usize) -> f64 {
        let n = threads as f64;
        n / (1.0 + self.contention.estimate * (n - 1.0) + self.coherence.estimate * n * (n - 1.0))
    }

    /// Threads at which the law is largest; `None` where nothing makes it turn down.
    pub fn peak_threads(&self) -> Option<f64> {
        let (contention, coherence) = (self.contention.estimate, self.coherence.estimate);
        (coherence > 0.0).then(|| ((1.0 - contention).max(0.0) / coherence).sqrt().max(1.0))
    }

    /// Least squares on `n / S - 1 = a (n - 1) + b n (n - 1)`, both constrained to be at least zero; the intervals resample
    /// the rounds of each point. `None` with fewer than two points above one thread (two unknowns) or if a speed-up is
    /// not positive.
    pub fn fit(points: &[Point], seed: u64) -> Option<Self> {
        let points = constraining(points);
        if points.len() < 2 {
            return None;
        }
        let contention = interval(&points, seed, |pairs| coefficients(pairs).0)?;
        let coherence = interval(&points, seed, |pairs| coefficients(pairs).1)?;
        Some(Self {
            contention,
            coherence,
        })
    }
}

fn coefficients(points: &[(f64, f64)]) -> (f64, f64) {
    let (mut uu, mut uv, mut vv, mut uy, mut vy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(n, speedup) in points {
        let (u, v, y) = (n - 1.0, n * (n - 1.0), n / speedup - 1.0);
        uu += u * u;
        uv += u * v;
        vv += v * v;
        uy += u * y;
        vy += v * y;
    }
    let determinant = uu * vv - uv * uv;
    if determinant.abs() > 1e-9 * uu * vv {
        let contention = (uy * vv - vy * uv) / determinant;
        let coherence = (vy * uu - uy * uv) / determinant;
        if contention >= 0.0 && coherence >= 0.0 {
            return (contention, coherence);
        }
    }
    // The best point of the quadrant lies on an edge: whichever single coefficient leaves the smaller residual.
    let only_contention = (uy / uu).max(0.0);
    let only_coherence = (vy / vv).max(0.0);
    let gain_contention = 2.0 * only_contention * uy - only_contention * only_contention * uu;
    let gain_coherence = 2.0 * only_coherence * vy - only_coherence * only_coherence * vv;
    if gain_contention >= gain_coherence {
        (only_contention, 0.0)
    } else {
        (0.0, only_coherence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: impl Fn(f64) -> f64, counts: &[usize]) -> Vec<Point> {
        let noise = [0.99, 1.0, 1.01, 0.995, 1.005, 1.0, 1.0];
        let point = |n: &usize| Point {
            threads: *n,
            speedups: noise.iter().map(|x| x * law(*n as f64)).collect(),
        };
        counts.iter().map(point).collect()
    }

    #[test]
    fn both_coefficients_come_back() {
        let law = |n: f64| n / (1.0 + 0.03 * (n - 1.0) + 0.002 * n * (n - 1.0));
        let fit = Usl::fit(&points(law, &[1, 2, 4, 8, 16]), 5).unwrap();
        assert!((fit.contention.estimate - 0.03).abs() < 1e-12);
        assert!((fit.coherence.estimate - 0.002).abs() < 1e-12);
        assert!(fit.contention.low <= 0.03 && fit.contention.high >= 0.03);
        assert!((fit.peak_threads().unwrap() - (0.97f64 / 0.002).sqrt()).abs() < 1e-6);
        assert!((fit.speedup(32) - law(32.0)).abs() < 1e-9);
    }

    #[test]
    fn coefficients_never_go_below_zero() {
        // Perfect scaling, and better than perfect: nothing to blame.
        for factor in [1.0, 1.1] {
            let fit = Usl::fit(&points(|n| 1.0 + (n - 1.0) * factor, &[2, 4, 8]), 5).unwrap();
            assert_eq!(
                (fit.contention.estimate, fit.coherence.estimate),
                (0.0, 0.0),
                "factor {factor}"
            );
            assert_eq!(fit.peak_threads(), None);
        }
        // Pure coherence: contention stays at its bound.
        let fit = Usl::fit(&points(|n| n / (1.0 + 0.01 * n * (n - 1.0)), &[2, 4, 8]), 5).unwrap();
        assert!(
            fit.contention.estimate.abs() < 1e-9 && (fit.coherence.estimate - 0.01).abs() < 1e-9
        );
    }

    #[test]
    fn two_unknowns_need_two_points() {
        assert_eq!(Usl::fit(&points(|n| n, &[1, 2]), 5), None);
    }
}
