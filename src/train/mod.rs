//! (room to be built)

mod digest;
pub mod schedule;
pub mod tensor_file;
