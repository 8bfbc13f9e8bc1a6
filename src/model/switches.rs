//! What makes a step fast, each part of which can be left out: the same mathematics by a simple path, so that its worth can be
//! measured.

use crate::tensor::{Arena, ArenaError, Region};

/// Optimizations that are on unless someone measures what they are worth. Each is asked for once an operator, never in a kernel; the
/// simple paths are in `model::plain`. Instruction set, threads and the sizes of micro-batches are chosen elsewhere, and so are no
/// switches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Switches {
    /// The products of all heads of an attention are shared out whole; off: one after the other, each computed by all threads.
    pub batched_products: bool,
    /// Products go by register tiles and cache blocks from packed panels; off: row by row through memory, in the same ISA.
    pub blocked_products: bool,
    /// Memory starts at cache lines and lies on huge pages; off: four bytes beside a line, on the smallest pages.
    pub aligned_pages: bool,
    /// Memory is taken once, as planned; off: every operator's results are allocated, zeroed, when it starts.
    pub planned_memory: bool,
    /// Bias, GELU, residual and loss are applied where a product's values are at hand; off: in passes of their own, with the logits
    /// of a whole micro-batch at once.
    pub fused_passes: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            batched_products: true,
            blocked_products: true,
            aligned_pages: true,
            planned_memory: true,
            fused_passes: true,
        }
    }
}

impl Switches {
    /// Memory for `len` values.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn arena(self, len: usize) -> Result<Arena, ArenaError> {
        if self.aligned_pages {
            Arena::new(len)
        } else {
            Arena::misaligned(len)
        }
    }

    /// An operator is about to overwrite `regions`: with planned memory where they are, else in memory allocated for it.
    pub(crate) fn renew<const N: usize>(self, regions: [&mut Region; N]) {
        if !self.planned_memory {
            regions
                .into_iter()
                .for_each(|region| *region = Region::allocated(region.len()));
        }
    }

    /// Whether products are done by the kernels, with all that follows fused into them.
    pub(crate) fn whole_products(self) -> bool {
        self.blocked_products && self.fused_passes
    }
}
