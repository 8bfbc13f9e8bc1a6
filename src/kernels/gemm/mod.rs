//! GEMM: `C = A B`, `C += A B`, with any strides, on packed panels and register tiles.
//!
//! The scheme is that of Goto and van de Geijn (ACM TOMS 34, 2008) as BLIS arranges it, with two changes. What is packed is
//! packed once, in parallel, before any tile is computed, so that no element is packed twice however the tiles are split among
//! threads; weights can be packed once and used by many calls ([`PackedRight`]). And operands are packed only where that pays
//! (module `operand`): rows of A whose steps lie side by side, and a small B, are read by the tiles where they lie. A B that only one
//! or two tasks read is packed by these tasks (module `source`). Tiles fetch what the tiles after them read (module `ahead`).
//!
//! ```text
//! pack B into panels of TILE_COLUMNS columns, A into panels of TILE_ROWS rows, or neither     (parallel, one pass each)
//! for each block of C, rows x columns                                                         (parallel, any order)
//!   for each slice of K that keeps the rows of a tile in L1 and the block of B in L2
//!     for each panel of A, for each panel of B:  tile += A panel x B panel                    (registers)
//!   bias, GELU, residual or product with a matrix, while the tile is in L1                    (epilogue)
//! ```
//!
//! Every element of C sums its products in the order of K whatever the blocks, so results do not depend on the number of
//! threads.

mod ahead;
mod batched;
mod block;
mod blocking;
mod direct;
mod epilogue;
mod gemv;
mod heights;
mod matrix;
mod multiply;
mod operand;
mod pack;
#[cfg(test)]
mod reference;
mod source;
mod tile;

pub use batched::{Product, batched};
pub use blocking::{Blocking, Caches};
pub(crate) use direct::Direct;
pub use epilogue::{Epilogue, tiles_across};
pub use gemv::gemv;
pub(crate) use heights::tile_rows;
pub use matrix::{Matrix, MatrixMut};
pub use multiply::{Right, Store, multiply, workspace_len};
pub use pack::{PackedRight, pack_right, packed_right_len};
#[cfg(test)]
pub(crate) use reference::gelu as reference_gelu;
pub(crate) use tile::{
    Tile, multiply_edge, multiply_edges, multiply_strided, multiply_tile, write_tile,
};
