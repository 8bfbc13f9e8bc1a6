//! Statistics as pure functions: samples in, numbers with their uncertainty out; the same input gives the same bits.
//!
//! Nothing here measures, prints or draws. Every random choice comes from a seed that the caller names, so that a page
//! rebuilt from the same samples shows the same intervals.

pub mod bootstrap;
pub mod change_points;
pub mod compare;
pub mod effect;
pub mod fits;
pub mod forecast;
pub mod holm;
pub mod outliers;
pub mod staircase;
pub mod student;
pub mod summary;
pub mod verdict;

#[cfg(test)]
pub(crate) mod testing;

pub use bootstrap::Interval;
pub use compare::Comparison;
pub use effect::Effect;
pub use outliers::Label;
pub use summary::Summary;
pub use verdict::{Verdict, verdict};
