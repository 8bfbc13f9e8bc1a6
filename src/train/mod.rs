//! Training: data, optimizer steps, schedules, checkpoints.

pub mod data;
mod optimizer;
mod plan;
mod trainer;

pub use data::{Batch, Dataset};
pub use plan::{MemoryPlan, Optimizer, Plan};
pub use trainer::{StepReport, Trainer, TrainerError};
