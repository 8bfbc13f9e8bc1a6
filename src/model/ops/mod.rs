//! The operators, one per file: forward, backward, cost and a numeric check of the gradient.

pub mod attention;
pub mod dropout;
pub mod embedding;
pub mod head;
pub mod layernorm;
pub mod linear;
pub mod scalar_head;

#[cfg(test)]
pub(crate) mod testing;
