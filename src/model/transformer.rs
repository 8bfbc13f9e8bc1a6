//! The chain of operators, forward and backward.

use super::{
    Activations, Compute, Layer, Operator, Packed, Parameters, Pass, Scratch, Shape,
    activations::LayerActivations,
    observer::{Observer, observed},
    ops::{
        attention, embedding,
        head::{Head, HeadGradients},
        layernorm, linear,
    },
    packed::Linear,
};
use crate::kernels::{
    attention::Heads,
    gemm::{Epilogue, Matrix, MatrixMut},
};

/// Everything but parameters and gradients that a pass works with.
pub struct Workspace<'a> {
    /// Weights in panels.
    pub packed: &'a Packed,
    /// Kept for the backward pass.
    pub activations: &'a mut Activations,
    /// Free between operators.
    pub scratch: &'a mut Scratch,
}

/// A micro-batch of whole sequences.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// sequences x length ids.
    pub inputs: &'a [u32],
    /// The next token of each, or [`super::ops::head::IGNORED`].
    pub targets: &'a [u32],
    /// Tokens of a sequence.
    pub length: usize,
}

fn heads(shape: &Shape, tokens: &Tokens<'_>) -> Heads {
    Heads {
        sequences: tokens.inputs.len() / tokens.length,
        length: tokens.length,
        heads: shape.heads,
        size: shape.d_model / shape.heads,
    }
}

/// From tokens to the last layer norm.
///
/// # Panics
/// When a token is not in the vocabulary, or the micro-batch is larger than planned.
pub fn forward(
    compute: &Compute<'_>,
    shape: &Shape,
    parameters: &Parameters,
    work: &mut Workspace<'_>,
    tokens: &Tokens<'_>,
    observer: &mut dyn Observer,
) {
    let (rows, d) = (tokens.inputs.len(), shape.d_model);
    let layout = &parameters.layout;
    let activations = &mut *work.activations;
    assert!(
        rows <= activations.rows,
        "{rows} tokens in activations planned for {}",
        activations.rows
    );
    observed(
        observer,
        Operator::Embedding,
        Pass::Forward,
        embedding::cost(rows, d),
        || {
            let (wte, wpe) = (parameters.at(&layout.wte), parameters.at(&layout.wpe));
            embedding::forward(
                compute,
                tokens.inputs,
                tokens.length,
                wte,
                wpe,
                &mut activations.embedding[..rows * d],
            );
        },
    );
    let mut stream = &activations.embedding[..rows * d];
    for (index, (layer, kept)) in layout
        .layers
        .iter()
        .zip(&mut activations.layers)
        .enumerate()
    {
        let block = Block {
            compute,
            parameters,
            packed: work.packed,
            index,
            layer,
            heads: heads(shape, tokens),
            d_ff: shape.d_ff,
        };
        block.forward(stream, kept, work.scratch, observer);
        stream = &kept.out[..rows * d];
    }
    observed(
        observer,
        Operator::LayerNorm,
        Pass::Forward,
        layernorm::forward_cost(rows, d),
        || {
            let (gain, bias) = (
                parameters.at(&layout.ln_f_weight),
                parameters.at(&layout.ln_f_bias),
            );
            let (out, statistics) = (
                &mut activations.ln_f[..rows * d],
                &mut activations.ln_f_statistics[..2 * rows],
            );
            layernorm::forward(compute, stream, gain, bias, out, statistics);
        },
    );
}

/// The sum of the losses of a micro-batch whose forward pass was run.
pub fn evaluate(
    compute: &Compute<'_>,
    shape: &Shape,
    work: &mut Workspace<'_>,
    tokens: &Tokens<'_>,
    observer: &mut dyn Observer,
) -> f64 {
    let (activations, scratch) = (&*work.activations, &mut *work.scratch);
    let head = head(
        shape,
        work.packed,
        activations,
        tokens,
        &mut scratch.logits,
        &mut scratch.losses,
        &mut scratch.gemm,
        scratch.chunk,
    );
    head.run(compute, None, observer)
}

/// Appends the logits of a micro-batch whose forward pass was run, rows x V.
pub fn logits(
    compute: &Compute<'_>,
    shape: &Shape,
    work: &mut Workspace<'_>,
    tokens: &Tokens<'_>,
    out: &mut Vec<f32>,
) {
    let (d, v) = (shape.d_model, shape.vocab_size);
    let (scratch, hidden) = (
        &mut *work.scratch,
        &work.activations.ln_f[..tokens.inputs.len() * d],
    );
    for hidden in hidden.chunks(scratch.chunk * d) {
        let (count, start) = (hidden.len() / d, out.len());
        out.resize(start + count * v, 0.0);
        let head = work.packed.head();
        linear::forward(
            compute,
            count,
            hidden,
            head,
            Epilogue::None,
            &mut out[start..],
            &mut scratch.gemm,
        );
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of the scratch are borrowed one by one"
)]
fn head<'a>(
    shape: &Shape,
    packed: &'a Packed,
    activations: &'a Activations,
    tokens: &Tokens<'a>,
    logits: &'a mut [f32],
    losses: &'a mut [f32],
    workspace: &'a mut [f32],
    chunk: usize,
) -> Head<'a> {
    Head {
        hidden: &activations.ln_f[..tokens.targets.len() * shape.d_model],
        targets: tokens.targets,
        weight: packed.head(),
        logits,
        losses,
        workspace,
        chunk,
        vocab_size: shape.vocab_size,
    }
}

/// The sum of the losses of a micro-batch whose forward pass was run, and its gradients: every token's loss counts `scale`, and
/// `gradients` are added to.
#[allow(
    clippy::too_many_arguments,
    reason = "what a backward pass needs, each by name"
)]
pub fn backward_and_loss(
    compute: &Compute<'_>,
    shape: &Shape,
    parameters: &Parameters,
    gradients: &mut Parameters,
    work: &mut Workspace<'_>,
    tokens: &Tokens<'_>,
    scale: f32,
    observer: &mut dyn Observer,
) -> f64 {
    let (rows, d) = (tokens.inputs.len(), shape.d_model);
    let layout = &parameters.layout;
    let (activations, scratch) = (&*work.activations, &mut *work.scratch);
    let loss = {
        let head = head(
            shape,
            work.packed,
            activations,
            tokens,
            &mut scratch.logits,
            &mut scratch.losses,
            &mut scratch.gemm,
            scratch.chunk,
        );
        let [matrix] = gradients.at_mut([&layout.head]);
        let into = HeadGradients {
            weight: work.packed.head_backward(),
            hidden: &mut scratch.inner[..rows * d],
            matrix,
            scale,
        };
        head.run(compute, Some(into), observer)
    };
    let stream = activations
        .layers
        .last()
        .map_or(&activations.embedding, |layer| &layer.out);
    observed(
        observer,
        Operator::LayerNorm,
        Pass::Backward,
        layernorm::backward_cost(rows, d),
        || {
            let residual = &mut scratch.residual[..rows * d];
            residual.fill(0.0);
            let [dgain, dbias] = gradients.at_mut([&layout.ln_f_weight, &layout.ln_f_bias]);
            let (gain, statistics) = (
                parameters.at(&layout.ln_f_weight),
                &activations.ln_f_statistics[..2 * rows],
            );
            let dy = &scratch.inner[..rows * d];
            layernorm::backward(
                compute,
                &stream[..rows * d],
                gain,
                statistics,
                dy,
                residual,
                dgain,
                dbias,
                &mut scratch.partial,
            );
        },
    );
    for (index, layer) in layout.layers.iter().enumerate().rev() {
        let block = Block {
            compute,
            parameters,
            packed: work.packed,
            index,
            layer,
            heads: heads(shape, tokens),
            d_ff: shape.d_ff,
        };
        let before = if index == 0 {
            &activations.embedding
        } else {
            &activations.layers[index - 1].out
        };
        block.backward_mlp(&activations.layers[index], gradients, scratch, observer);
        block.backward_attention(
            &before[..rows * d],
            &activations.layers[index],
            gradients,
            scratch,
            observer,
        );
    }
    observed(
        observer,
        Operator::Embedding,
        Pass::Backward,
        embedding::cost(rows, d),
        || {
            let [dwte, dwpe] = gradients.at_mut([&layout.wte, &layout.wpe]);
            embedding::backward(
                compute,
                tokens.inputs,
                tokens.length,
                &scratch.residual[..rows * d],
                dwte,
                dwpe,
            );
        },
    );
    loss
}

/// One block of the transformer and what it computes with.
struct Block<'a> {
    compute: &'a Compute<'a>,
    parameters: &'a Parameters,
    packed: &'a Packed,
    index: usize,
    layer: &'a Layer,
    heads: Heads,
    d_ff: usize,
}

impl Block<'_> {
    fn rows(&self) -> usize {
        self.heads.rows()
    }

    fn width(&self) -> usize {
        self.heads.width()
    }

    /// `stream` is the residual stream before the block; `kept` receives all that the block computes.
    fn forward(
        &self,
        stream: &[f32],
        kept: &mut LayerActivations,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d, f) = (self.rows(), self.width(), self.d_ff);
        let (compute, layer, at) = (self.compute, self.layer, |range| self.parameters.at(range));
        let gemm = &mut scratch.gemm[..];
        observed(
            observer,
            Operator::LayerNorm,
            Pass::Forward,
            layernorm::forward_cost(rows, d),
            || {
                let (out, statistics) = (
                    &mut kept.ln_1[..rows * d],
                    &mut kept.ln_1_statistics[..2 * rows],
                );
                layernorm::forward(
                    compute,
                    stream,
                    at(&layer.ln_1_weight),
                    at(&layer.ln_1_bias),
                    out,
                    statistics,
                );
            },
        );
        observed(
            observer,
            Operator::Qkv,
            Pass::Forward,
            linear::forward_cost(rows, d, 3 * d),
            || {
                let (weight, bias) = (
                    self.packed.forward(self.index, Linear::Qkv),
                    Epilogue::Bias(at(&layer.c_attn_bias)),
                );
                linear::forward(
                    compute,
                    rows,
                    &kept.ln_1[..rows * d],
                    weight,
                    bias,
                    &mut kept.qkv[..rows * 3 * d],
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::Attention,
            Pass::Forward,
            attention::forward_cost(self.heads),
            || {
                let (out, log_sums) = (
                    &mut kept.attention[..rows * d],
                    &mut kept.log_sums[..rows * self.heads.heads],
                );
                attention::forward(
                    compute,
                    self.heads,
                    &kept.qkv[..rows * 3 * d],
                    out,
                    log_sums,
                    &mut scratch.attention,
                );
            },
        );
        observed(
            observer,
            Operator::AttentionOut,
            Pass::Forward,
            linear::forward_cost(rows, d, d),
            || {
                let weight = self.packed.forward(self.index, Linear::AttentionOut);
                let (bias, residual) = (at(&layer.attn_c_proj_bias), Matrix::new(stream, rows, d));
                let epilogue = Epilogue::BiasResidual { bias, residual };
                linear::forward(
                    compute,
                    rows,
                    &kept.attention[..rows * d],
                    weight,
                    epilogue,
                    &mut kept.middle[..rows * d],
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::LayerNorm,
            Pass::Forward,
            layernorm::forward_cost(rows, d),
            || {
                let (out, statistics) = (
                    &mut kept.ln_2[..rows * d],
                    &mut kept.ln_2_statistics[..2 * rows],
                );
                layernorm::forward(
                    compute,
                    &kept.middle[..rows * d],
                    at(&layer.ln_2_weight),
                    at(&layer.ln_2_bias),
                    out,
                    statistics,
                );
            },
        );
        observed(
            observer,
            Operator::MlpUp,
            Pass::Forward,
            linear::forward_cost(rows, d, f),
            || {
                let derivative = MatrixMut::new(&mut kept.hidden_slope[..rows * f], rows, f);
                let epilogue = Epilogue::BiasGelu {
                    bias: at(&layer.c_fc_bias),
                    derivative,
                };
                let weight = self.packed.forward(self.index, Linear::MlpUp);
                linear::forward(
                    compute,
                    rows,
                    &kept.ln_2[..rows * d],
                    weight,
                    epilogue,
                    &mut kept.hidden[..rows * f],
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::MlpDown,
            Pass::Forward,
            linear::forward_cost(rows, f, d),
            || {
                let weight = self.packed.forward(self.index, Linear::MlpDown);
                let residual = Matrix::new(&kept.middle[..rows * d], rows, d);
                let epilogue = Epilogue::BiasResidual {
                    bias: at(&layer.mlp_c_proj_bias),
                    residual,
                };
                linear::forward(
                    compute,
                    rows,
                    &kept.hidden[..rows * f],
                    weight,
                    epilogue,
                    &mut kept.out[..rows * d],
                    gemm,
                );
            },
        );
    }

    /// From the gradient of the block's output in `scratch.residual` to that of the stream between attention and MLP.
    fn backward_mlp(
        &self,
        kept: &LayerActivations,
        gradients: &mut Parameters,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d, f) = (self.rows(), self.width(), self.d_ff);
        let (compute, layer) = (self.compute, self.layer);
        let (gemm, residual) = (&mut scratch.gemm[..], &mut scratch.residual[..rows * d]);
        let (inner, hidden) = (
            &mut scratch.inner[..rows * d],
            &mut scratch.hidden[..rows * f],
        );
        observed(
            observer,
            Operator::MlpDown,
            Pass::Backward,
            linear::backward_cost(rows, f, d),
            || {
                let [dweight, dbias] =
                    gradients.at_mut([&layer.mlp_c_proj_weight, &layer.mlp_c_proj_bias]);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.hidden[..rows * f],
                    residual,
                    dweight,
                    dbias,
                    gemm,
                );
                let slope =
                    Epilogue::Multiply(Matrix::new(&kept.hidden_slope[..rows * f], rows, f));
                linear::backward_input(
                    compute,
                    rows,
                    residual,
                    self.packed.backward(self.index, Linear::MlpDown),
                    slope,
                    hidden,
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::MlpUp,
            Pass::Backward,
            linear::backward_cost(rows, d, f),
            || {
                let [dweight, dbias] = gradients.at_mut([&layer.c_fc_weight, &layer.c_fc_bias]);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.ln_2[..rows * d],
                    hidden,
                    dweight,
                    dbias,
                    gemm,
                );
                linear::backward_input(
                    compute,
                    rows,
                    hidden,
                    self.packed.backward(self.index, Linear::MlpUp),
                    Epilogue::None,
                    inner,
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::LayerNorm,
            Pass::Backward,
            layernorm::backward_cost(rows, d),
            || {
                let [dgain, dbias] = gradients.at_mut([&layer.ln_2_weight, &layer.ln_2_bias]);
                let (gain, statistics) = (
                    self.parameters.at(&layer.ln_2_weight),
                    &kept.ln_2_statistics[..2 * rows],
                );
                layernorm::backward(
                    compute,
                    &kept.middle[..rows * d],
                    gain,
                    statistics,
                    inner,
                    residual,
                    dgain,
                    dbias,
                    &mut scratch.partial,
                );
            },
        );
    }

    /// On to the gradient of the stream before the block.
    fn backward_attention(
        &self,
        stream: &[f32],
        kept: &LayerActivations,
        gradients: &mut Parameters,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d) = (self.rows(), self.width());
        let (compute, layer) = (self.compute, self.layer);
        let (gemm, residual) = (&mut scratch.gemm[..], &mut scratch.residual[..rows * d]);
        let (inner, dqkv) = (
            &mut scratch.inner[..rows * d],
            &mut scratch.qkv[..rows * 3 * d],
        );
        observed(
            observer,
            Operator::AttentionOut,
            Pass::Backward,
            linear::backward_cost(rows, d, d),
            || {
                let [dweight, dbias] =
                    gradients.at_mut([&layer.attn_c_proj_weight, &layer.attn_c_proj_bias]);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.attention[..rows * d],
                    residual,
                    dweight,
                    dbias,
                    gemm,
                );
                let weight = self.packed.backward(self.index, Linear::AttentionOut);
                linear::backward_input(
                    compute,
                    rows,
                    residual,
                    weight,
                    Epilogue::None,
                    inner,
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::Attention,
            Pass::Backward,
            attention::backward_cost(self.heads),
            || {
                let (qkv, out) = (&kept.qkv[..rows * 3 * d], &kept.attention[..rows * d]);
                let log_sums = &kept.log_sums[..rows * self.heads.heads];
                attention::backward(
                    compute,
                    self.heads,
                    qkv,
                    out,
                    log_sums,
                    inner,
                    dqkv,
                    &mut scratch.attention,
                );
            },
        );
        observed(
            observer,
            Operator::Qkv,
            Pass::Backward,
            linear::backward_cost(rows, d, 3 * d),
            || {
                let [dweight, dbias] = gradients.at_mut([&layer.c_attn_weight, &layer.c_attn_bias]);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.ln_1[..rows * d],
                    dqkv,
                    dweight,
                    dbias,
                    gemm,
                );
                linear::backward_input(
                    compute,
                    rows,
                    dqkv,
                    self.packed.backward(self.index, Linear::Qkv),
                    Epilogue::None,
                    inner,
                    gemm,
                );
            },
        );
        observed(
            observer,
            Operator::LayerNorm,
            Pass::Backward,
            layernorm::backward_cost(rows, d),
            || {
                let [dgain, dbias] = gradients.at_mut([&layer.ln_1_weight, &layer.ln_1_bias]);
                let (gain, statistics) = (
                    self.parameters.at(&layer.ln_1_weight),
                    &kept.ln_1_statistics[..2 * rows],
                );
                layernorm::backward(
                    compute,
                    stream,
                    gain,
                    statistics,
                    inner,
                    residual,
                    dgain,
                    dbias,
                    &mut scratch.partial,
                );
            },
        );
    }
}
