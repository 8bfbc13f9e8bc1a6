//! What tests of statistics share: noise that is the same in every run.

use super::bootstrap::Random;

/// Seeded noise.
pub(crate) struct Noise(Random);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// An index below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// A normal number of mean 0 and deviation 1: the sum of twelve uniform ones, less six.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12)
            .map(|_| self.0.below(1 << 20) as f64 / f64::from(1 << 20))
            .sum::<f64>()
            - 6.0
    }
}
