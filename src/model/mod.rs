//! The model: GPT-2's transformer, forward and backward, as a visible chain of operators.
//!
//! No IO, no clocks: whoever wants to time an operator hands in an [`Observer`].

mod activations;
mod block;
mod generate;
mod kv_cache;
mod observer;
mod packed;
mod parameters;
mod plain;
mod product;
mod sample;
mod shape;
mod switches;
mod transformer;

pub mod ops;

pub use activations::{Activations, ActivationsPlan, Scratch};
pub use generate::Generator;
pub use kv_cache::{KvCache, Weights};
pub use observer::{Observer, Operator, Pass, Unobserved};
pub use ops::dropout::Dropout;
pub use ops::head::Weighting;
pub use packed::Packed;
pub use parameters::{Layer, Layout, Parameters, TensorInfo};
pub use sample::Sampling;
pub use shape::{Shape, ShapeError};
pub use switches::Switches;
pub use transformer::{
    Derivatives, Outcomes, Tokens, Workspace, backward_and_loss, evaluate, forward, logits,
    outcomes,
};

use crate::kernels::{Isa, Team, gemm::Caches};

/// What every operator computes with: the instruction set, the caches and the threads.
#[derive(Clone, Copy)]
pub struct Compute<'a> {
    /// The ISA of every kernel.
    pub isa: Isa,
    /// Caches that a thread can count on.
    pub caches: Caches,
    /// The threads.
    pub team: &'a dyn Team,
    /// What of the optimizations is on.
    pub switches: Switches,
}
