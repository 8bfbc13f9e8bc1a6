//! What the forward pass leaves for the backward pass, and the scratch that both work in: planned, then taken once.

use super::Shape;
use crate::{
    kernels::{Isa, attention::Heads, gemm},
    tensor::{Arena, Region, padded},
};

/// What one block leaves behind. Rows are the tokens of a micro-batch, d the width of the model.
#[derive(Debug)]
pub(crate) struct LayerActivations {
    /// Layer norm before the attention: rows x d.
    pub(crate) ln_1: Region,
    /// Mean and reciprocal deviation of its rows: rows x 2.
    pub(crate) ln_1_statistics: Region,
    /// Queries, keys, values: rows x 3 d.
    pub(crate) qkv: Region,
    /// Output of the attention: rows x d.
    pub(crate) attention: Region,
    /// Log sums of its rows: sequences x heads x length.
    pub(crate) log_sums: Region,
    /// The residual stream after the attention: rows x d.
    pub(crate) middle: Region,
    /// Layer norm before the MLP: rows x d.
    pub(crate) ln_2: Region,
    /// Mean and reciprocal deviation of its rows: rows x 2.
    pub(crate) ln_2_statistics: Region,
    /// After GELU: rows x d_ff.
    pub(crate) hidden: Region,
    /// Derivative of GELU there: rows x d_ff.
    pub(crate) hidden_slope: Region,
}

/// What a micro-batch leaves behind.
#[derive(Debug)]
pub struct Activations {
    /// The residual stream before each block and after the last: layers + 1 of rows x d. The first is token plus position.
    pub(crate) streams: Vec<Region>,
    /// One for each block, or one that the blocks share, where they are computed again in backward.
    pub(crate) layers: Vec<LayerActivations>,
    /// The last layer norm: rows x d.
    pub(crate) ln_f: Region,
    pub(crate) ln_f_statistics: Region,
    /// Most tokens that fit.
    pub(crate) rows: usize,
}

/// Buffers that hold nothing between operators.
#[derive(Debug)]
pub struct Scratch {
    /// Gradient of the residual stream: rows x d.
    pub(crate) residual: Region,
    /// Gradient of a layer norm's or an attention's output: rows x d.
    pub(crate) inner: Region,
    /// Gradient of queries, keys and values: rows x 3 d.
    pub(crate) qkv: Region,
    /// Gradient of the MLP's hidden layer: rows x d_ff.
    pub(crate) hidden: Region,
    /// Logits of a chunk of tokens: chunk x V.
    pub(crate) logits: Region,
    /// Sums of the exponentials of these, a value for each tile of a row.
    pub(crate) sums: Region,
    /// A factor for each token of a chunk.
    pub(crate) factors: Region,
    /// Loss of each token: rows.
    pub(crate) losses: Region,
    /// Partial sums of gains and biases.
    pub(crate) partial: Region,
    /// Panels of products.
    pub(crate) gemm: Region,
    /// Scratch of the attention, one part a worker.
    pub(crate) attention: Region,
    /// Tokens of a chunk of logits.
    pub(crate) chunk: usize,
}

/// The sizes from which both are planned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ActivationsPlan {
    /// The model.
    pub shape: Shape,
    /// The kernels' ISA.
    pub isa: Isa,
    /// Threads.
    pub workers: usize,
    /// Sequences of a micro-batch.
    pub sequences: usize,
    /// Longest sequence.
    pub length: usize,
    /// Tokens whose logits exist at once.
    pub chunk: usize,
    /// Only the inputs of blocks are kept; backward computes the rest again.
    pub recompute: bool,
}

/// Rows of a layer norm's gradient that are summed in one go; fixed, so that sums do not depend on the threads.
pub(crate) const PARTIAL_ROWS: usize = 64;

impl ActivationsPlan {
    fn rows(&self) -> usize {
        self.sequences * self.length
    }

    fn heads(&self) -> Heads {
        Heads {
            sequences: self.sequences,
            length: self.length,
            heads: self.shape.heads,
            size: self.shape.d_model / self.shape.heads,
        }
    }

    /// Values of arena that [`ActivationsPlan::activations`] takes.
    pub fn activations_len(&self) -> usize {
        let rows = self.rows();
        let (d, f) = (rows * self.shape.d_model, rows * self.shape.d_ff);
        let layer = 4 * padded(d)
            + 2 * padded(2 * rows)
            + padded(3 * d)
            + padded(rows * self.shape.heads)
            + 2 * padded(f);
        let streams = (self.shape.layers + 1) * padded(d);
        streams + self.layers_kept() * layer + padded(d) + padded(2 * rows)
    }

    /// Blocks whose activations exist at once.
    fn layers_kept(&self) -> usize {
        if self.recompute { 1 } else { self.shape.layers }
    }

    /// Takes the activations from `arena`.
    pub fn activations(&self, arena: &mut Arena) -> Activations {
        let rows = self.rows();
        let (d, f) = (rows * self.shape.d_model, rows * self.shape.d_ff);
        let layer = |arena: &mut Arena| LayerActivations {
            ln_1: arena.take(d),
            ln_1_statistics: arena.take(2 * rows),
            qkv: arena.take(3 * d),
            attention: arena.take(d),
            log_sums: arena.take(rows * self.shape.heads),
            middle: arena.take(d),
            ln_2: arena.take(d),
            ln_2_statistics: arena.take(2 * rows),
            hidden: arena.take(f),
            hidden_slope: arena.take(f),
        };
        Activations {
            streams: (0..=self.shape.layers).map(|_| arena.take(d)).collect(),
            layers: (0..self.layers_kept()).map(|_| layer(arena)).collect(),
            ln_f: arena.take(d),
            ln_f_statistics: arena.take(2 * rows),
            rows,
        }
    }

    /// The buffers of scratch, in order, and their lengths.
    fn scratch_lens(&self) -> [usize; 11] {
        let rows = self.rows();
        let (d, f, v) = (self.shape.d_model, self.shape.d_ff, self.shape.vocab_size);
        // Every product of a step with its packed right operand, then the gradients of weights, whose operands are plain.
        let products = [
            (rows, 3 * d, d, true),
            (rows, d, 3 * d, true),
            (rows, f, d, true),
            (rows, d, f, true),
            (self.chunk, v, d, true),
            (self.chunk, d, v, true),
            (d, 3 * d, rows, false),
            (d, f, rows, false),
            (f, d, rows, false),
            (v, d, self.chunk, false),
        ];
        let gemm = products.map(|(m, n, k, packed)| gemm::workspace_len(self.isa, m, n, k, packed));
        [
            rows * d,
            rows * d,
            3 * rows * d,
            rows * f,
            self.chunk * v,
            self.chunk * gemm::tiles_across(self.isa, v),
            self.chunk,
            rows,
            rows.div_ceil(PARTIAL_ROWS) * 2 * d,
            gemm.into_iter().max().unwrap_or(0),
            self.workers * self.heads().scratch_len(self.isa),
        ]
    }

    /// Values of arena that [`ActivationsPlan::scratch`] takes.
    pub fn scratch_len(&self) -> usize {
        self.scratch_lens().into_iter().map(padded).sum()
    }

    /// Takes the scratch from `arena`.
    pub fn scratch(&self, arena: &mut Arena) -> Scratch {
        let [
            residual,
            inner,
            qkv,
            hidden,
            logits,
            sums,
            factors,
            losses,
            partial,
            gemm,
            attention,
        ] = self.scratch_lens().map(|len| arena.take(len));
        Scratch {
            residual,
            inner,
            qkv,
            hidden,
            logits,
            sums,
            factors,
            losses,
            partial,
            gemm,
            attention,
            chunk: self.chunk,
        }
    }
}
