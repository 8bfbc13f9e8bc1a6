//! Training: data, optimizer steps, schedules, checkpoints.
//!
//! [`run`] is the loop; what it drives, asks and keeps lies in the other files.

pub mod data;
pub mod guard;
pub mod posttraining;
pub mod schedule;
pub mod task;

mod cut;
pub mod exchange;
pub mod objective;
mod optimizer;
mod order;
mod plan;
mod trainer;

pub mod budget;
pub mod run;

pub mod checkpoint;
pub(crate) mod digest;
mod disk_space;
pub mod hugging_face;
pub mod metrics_log;
pub mod named_tensors;
pub mod run_folder;
pub mod state;
pub mod tensor_file;
mod tensor_header;
pub mod trace;

pub use data::{Batch, Dataset};
pub use plan::{MemoryPlan, Optimizer, Plan, RoleMemory, Sharing};
pub use trainer::{StepReport, Trainer, TrainerError};
