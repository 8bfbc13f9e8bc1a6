//! Laws fitted to what was measured: what share of a speed-up is serial, what contention and coherence cost, and what a sum over ranks.

pub mod all_reduce;
pub mod amdahl;
pub mod usl;

pub use all_reduce::AllReduce;
pub use amdahl::Amdahl;
pub use usl::Usl;

use super::bootstrap::{Interval, interval_of};
use super::summary::median;

/// Speed-ups measured at one thread count, one per interleaved round.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Threads; one thread has speed-up 1 by definition and constrains nothing.
    pub threads: usize,
    /// Real T1 / TN of each round.
    pub speedups: Vec<f64>,
}

/// The points that constrain a law: those above one thread.
fn constraining(points: &[Point]) -> Vec<&Point> {
    points.iter().filter(|point| point.threads > 1).collect()
}

/// The interval of one coefficient: `coefficient` maps (threads, median speed-up) pairs to it, and the rounds of each point
/// are resampled. `None` without points or if a speed-up is not positive.
fn interval(
    points: &[&Point],
    seed: u64,
    coefficient: impl Fn(&[(f64, f64)]) -> f64,
) -> Option<Interval> {
    if points.is_empty() {
        return None;
    }
    let groups: Vec<&[f64]> = points
        .iter()
        .map(|point| point.speedups.as_slice())
        .collect();
    interval_of(&groups, seed, |drawn| {
        let pair = |(point, speedups): (&&Point, &Vec<f64>)| {
            let speedup = median(speedups).filter(|speedup| *speedup > 0.0)?;
            Some((point.threads as f64, speedup))
        };
        let pairs: Vec<(f64, f64)> = points.iter().zip(drawn).map(pair).collect::<Option<_>>()?;
        Some(coefficient(&pairs))
    })
}
