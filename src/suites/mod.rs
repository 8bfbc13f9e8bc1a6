//! What is measured: one suite per question.

mod machine;

pub use machine::record_machine;
