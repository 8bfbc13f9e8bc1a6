//! (room to be built)

pub mod budget;
pub mod checkpoint;
mod digest;
mod disk_space;
pub mod metrics_log;
pub mod run;
pub mod run_folder;
pub mod schedule;
pub mod state;
pub mod tensor_file;
