//! Vector kernels: one operation per file, each written once over [`Simd`](crate::kernels::isa::Simd), beside its reference.
//!
//! They work on one thread and one slice; whoever calls them shares rows out among threads. Inputs with NaN give NaN, never
//! a plausible number.

#[cfg(test)]
mod accuracy;
mod adamw;
mod add;
mod chase;
mod clocked;
mod cross_entropy;
mod dropout;
mod exp;
mod fma_chain;
mod gelu;
mod hadamard;
mod layernorm;
pub(crate) mod map;
mod reduce;
mod relu;
mod scale;
mod softmax;
mod stream;
mod stream_read;
mod tanh;

pub use adamw::{AdamwStep, adamw};
pub use add::{add, add_assign};
pub use chase::{chase, chase_links, chase_links_through};
pub use clocked::{CLOCKED_CYCLES, PowerLoad, clocked};
pub use cross_entropy::{
    cross_entropy, cross_entropy_with_entropy, cross_entropy_with_gradient, weighted_gradient,
};
pub use dropout::{DropoutMask, dropout, dropout_add};
pub use exp::exp;
pub(crate) use exp::{exp_lanes, exp2_lanes};
pub use fma_chain::{fma_chain, fma_chain_flops};
pub(crate) use gelu::gelu_lanes;
pub use gelu::{gelu, gelu_backward};
pub use hadamard::hadamard;
pub use layernorm::{layernorm, layernorm_backward};
pub use reduce::{add_column_sums, dot, sum, sum_of_squares};
pub use relu::relu;
pub use scale::scale;
pub(crate) use softmax::Softmax;
pub use softmax::softmax;
pub use stream::{Stores, Stream, stream};
pub use stream_read::stream_read;
pub use tanh::tanh;
