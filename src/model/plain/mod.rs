//! The simple paths behind [`super::Switches`]: what the operators would be without their optimizations. Slow on purpose, right all the
//! same.

mod passes;
mod product;

pub(crate) use passes::{epilogue, token_losses};
pub(crate) use product::{copy_rows, multiply};
