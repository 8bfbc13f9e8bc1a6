//! Weights in panels: packed once a step, used by every micro-batch.

use super::{
    Compute, Layout, Operator, Parameters, Pass, Shape, Switches,
    observer::{Observer, observed},
    plain,
};
use crate::{
    kernels::{
        Cost, Isa,
        gemm::{Matrix, PackedRight, Right, pack_right, packed_right_len},
    },
    tensor::{Arena, Region, padded},
};

/// One weight matrix of k x n, in panels for the forward and for the backward pass.
#[derive(Debug)]
struct Weight {
    forward: Region,
    backward: Region,
    rows: usize,
    columns: usize,
}

/// The panels of every weight matrix.
#[derive(Debug)]
pub struct Packed {
    isa: Isa,
    /// Four for each layer, as [`Linear`] numbers them, then the head.
    weights: Vec<Weight>,
    /// Rows in one piece in place of panels, for products that go row by row.
    rows: bool,
}

/// The linear layers of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Linear {
    Qkv = 0,
    AttentionOut = 1,
    MlpUp = 2,
    MlpDown = 3,
}

impl Linear {
    const ALL: [Linear; 4] = [
        Linear::Qkv,
        Linear::AttentionOut,
        Linear::MlpUp,
        Linear::MlpDown,
    ];

    /// Inputs and outputs.
    fn sizes(self, shape: &Shape) -> (usize, usize) {
        let (d, f) = (shape.d_model, shape.d_ff);
        match self {
            Linear::Qkv => (d, 3 * d),
            Linear::AttentionOut => (d, d),
            Linear::MlpUp => (d, f),
            Linear::MlpDown => (f, d),
        }
    }
}

fn sizes(shape: &Shape) -> impl Iterator<Item = (usize, usize)> {
    let linear = Linear::ALL.map(|linear| linear.sizes(shape));
    let layers = std::iter::repeat_n(linear, shape.layers).flatten();
    layers.chain([(shape.d_model, shape.vocab_size)])
}

impl Packed {
    /// Values of arena that the panels of a model take.
    pub fn len(isa: Isa, shape: &Shape) -> usize {
        sizes(shape)
            .map(|(k, n)| padded(packed_right_len(isa, k, n)) + padded(packed_right_len(isa, n, k)))
            .sum()
    }

    /// Room for the panels of a model, from `arena`.
    pub fn new(isa: Isa, shape: &Shape, arena: &mut Arena, switches: Switches) -> Packed {
        let weights = sizes(shape)
            .map(|(rows, columns)| Weight {
                forward: arena.take(packed_right_len(isa, rows, columns)),
                backward: arena.take(packed_right_len(isa, columns, rows)),
                rows,
                columns,
            })
            .collect();
        Packed {
            isa,
            weights,
            rows: !switches.blocked_products,
        }
    }

    /// Packs the weights as they are now; `backward` packs for the backward pass too.
    pub fn update(
        &mut self,
        compute: &Compute<'_>,
        parameters: &Parameters,
        backward: bool,
        observer: &mut dyn Observer,
    ) {
        let elements: usize = self
            .weights
            .iter()
            .map(|weight| weight.rows * weight.columns)
            .sum();
        let copies = if backward { 2.0 } else { 1.0 };
        let cost = Cost::elementwise(elements, 0.0, copies, copies);
        observed(observer, Operator::Pack, Pass::Forward, cost, || {
            let sources = sources(&parameters.layout, parameters);
            let rows = self.rows;
            let pack = |source: Matrix<'_>, to: &mut [f32]| {
                if rows {
                    plain::copy_rows(compute.team, source, to);
                } else {
                    pack_right(compute.isa, compute.team, source, to);
                }
            };
            for (weight, source) in self.weights.iter_mut().zip(sources) {
                pack(source, &mut weight.forward);
                if backward {
                    pack(source.transposed(), &mut weight.backward);
                }
            }
        });
    }

    fn weight(&self, layer: usize, linear: Linear) -> &Weight {
        &self.weights[layer * Linear::ALL.len() + linear as usize]
    }

    /// W of a linear layer.
    pub(crate) fn forward(&self, layer: usize, linear: Linear) -> Right<'_> {
        self.right(self.weight(layer, linear), false)
    }

    /// The transpose of W of a linear layer.
    pub(crate) fn backward(&self, layer: usize, linear: Linear) -> Right<'_> {
        self.right(self.weight(layer, linear), true)
    }

    /// The head's d x V matrix.
    pub(crate) fn head(&self) -> Right<'_> {
        self.right(&self.weights[self.weights.len() - 1], false)
    }

    /// The head's V x d matrix.
    pub(crate) fn head_backward(&self) -> Right<'_> {
        self.right(&self.weights[self.weights.len() - 1], true)
    }

    fn right<'a>(&self, weight: &'a Weight, transposed: bool) -> Right<'a> {
        let (data, rows, columns) = if transposed {
            (&weight.backward, weight.columns, weight.rows)
        } else {
            (&weight.forward, weight.rows, weight.columns)
        };
        if self.rows {
            Right::Plain(Matrix::new(data, rows, columns))
        } else {
            Right::Packed(PackedRight::new(self.isa, data, rows, columns))
        }
    }
}

/// The weight matrices as inputs x outputs, in the order of the panels.
fn sources<'a>(layout: &'a Layout, parameters: &'a Parameters) -> impl Iterator<Item = Matrix<'a>> {
    let d = layout.ln_f_weight.len();
    let head = Matrix::new(parameters.at(&layout.head), layout.head.len() / d, d).transposed();
    let layers = layout.layers.iter().flat_map(move |layer| {
        let (qkv, out) = (&layer.c_attn_weight, &layer.attn_c_proj_weight);
        let (up, down) = (&layer.c_fc_weight, &layer.mlp_c_proj_weight);
        let f = up.len() / d;
        [(qkv, d, 3 * d), (out, d, d), (up, d, f), (down, f, d)]
            .map(|(range, rows, columns)| Matrix::new(parameters.at(range), rows, columns))
    });
    layers.chain([head])
}
