//! (room to be built)

pub mod schedule;
