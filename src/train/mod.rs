//! Training: data, optimizer steps, schedules, checkpoints.

pub mod data;

pub use data::{Batch, Dataset};
