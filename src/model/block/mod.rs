//! One block of the transformer: attention and MLP, each with its layer norm and its residual.

mod backward;
mod forward;

use super::{Compute, Layer, Packed, Parameters, ops::dropout::Dropout};
use crate::kernels::attention::Heads;

/// One block of the transformer and what it computes with.
pub(super) struct Block<'a> {
    pub(super) compute: &'a Compute<'a>,
    pub(super) parameters: &'a Parameters,
    pub(super) packed: &'a Packed,
    pub(super) index: usize,
    pub(super) layer: &'a Layer,
    pub(super) heads: Heads,
    pub(super) d_ff: usize,
    pub(super) dropout: Option<Dropout>,
}

impl Block<'_> {
    fn rows(&self) -> usize {
        self.heads.rows()
    }

    fn width(&self) -> usize {
        self.heads.width()
    }
}
