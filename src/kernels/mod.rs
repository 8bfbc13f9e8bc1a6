//! The arithmetic: safe slices in, safe slices out.
//!
//! A kernel neither allocates, detects, logs nor starts threads. The instruction set ([`Isa`]), the threads ([`Team`])
//! and the workspace are handed in by the caller; what a call costs is declared beside it as a [`Cost`].

pub mod isa;
pub mod team;

pub mod attention;
pub mod gemm;
pub mod vec;

mod cost;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod special_values;
#[cfg(test)]
pub(crate) mod testing;

pub use cost::Cost;
pub use isa::Isa;
pub use team::{Solo, Team};
