//! One block of the transformer: attention and MLP, each with its layer norm and its residual, forward and backward.

use super::{
    Compute, Layer, Operator, Packed, Parameters, Pass, Scratch,
    activations::LayerActivations,
    observer::{Observer, observed},
    ops::{
        attention,
        dropout::{Dropout, Site},
        layernorm, linear,
    },
    packed::Linear,
};
use crate::kernels::{
    attention::Heads,
    gemm::{Epilogue, Matrix, MatrixMut, Right},
};

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

    /// `stream` is the residual stream before the block, `out` the one after it; `kept` receives what backward needs.
    pub(super) fn forward(
        &self,
        stream: &[f32],
        kept: &mut LayerActivations,
        out: &mut [f32],
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        self.forward_again(stream, kept, scratch, observer);
        self.forward_mlp_down(kept, out, scratch, observer);
    }

    /// All of the forward pass that backward needs: everything but the output.
    pub(super) fn forward_again(
        &self,
        stream: &[f32],
        kept: &mut LayerActivations,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        self.forward_attention(stream, kept, scratch, observer);
        self.forward_mlp_up(kept, scratch, observer);
    }

    /// `out = residual + dropout(x W + bias)`: what attention or MLP adds to the residual stream.
    #[allow(
        clippy::too_many_arguments,
        reason = "a layer's operands, each by name"
    )]
    fn add_to_stream(
        &self,
        site: Site,
        x: &[f32],
        weight: Right<'_>,
        bias: &[f32],
        residual: &[f32],
        out: &mut [f32],
        gemm: &mut [f32],
    ) {
        let (compute, rows, d) = (self.compute, self.rows(), self.width());
        let Some(dropout) = self.dropout else {
            let residual = Matrix::new(residual, rows, d);
            let epilogue = Epilogue::BiasResidual { bias, residual };
            return linear::forward(compute, rows, x, weight, epilogue, out, gemm);
        };
        linear::forward(compute, rows, x, weight, Epilogue::Bias(bias), out, gemm);
        dropout.add(compute, site, d, residual, out);
    }

    /// The gradient of what was added to the stream at `site`, from that of the stream; `buffer` is used where values were dropped.
    fn gradient_at<'a>(&self, site: Site, stream: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
        let Some(dropout) = self.dropout else {
            return stream;
        };
        buffer.copy_from_slice(stream);
        dropout.apply(self.compute, site, self.width(), buffer);
        buffer
    }

    /// From the stream before the block to the one between attention and MLP.
    fn forward_attention(
        &self,
        stream: &[f32],
        kept: &mut LayerActivations,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d) = (self.rows(), self.width());
        let (compute, layer, at) = (self.compute, self.layer, |range| self.parameters.at(range));
        let gemm = &mut scratch.gemm[..];
        self.compute
            .switches
            .renew([&mut kept.ln_1, &mut kept.ln_1_statistics]);
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
        self.compute.switches.renew([&mut kept.qkv]);
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
        self.compute
            .switches
            .renew([&mut kept.attention, &mut kept.log_sums]);
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
        self.compute.switches.renew([&mut kept.middle]);
        observed(
            observer,
            Operator::AttentionOut,
            Pass::Forward,
            linear::forward_cost(rows, d, d),
            || {
                let weight = self.packed.forward(self.index, Linear::AttentionOut);
                let (x, out) = (&kept.attention[..rows * d], &mut kept.middle[..rows * d]);
                let (site, bias) = (Site::Attention(self.index), at(&layer.attn_c_proj_bias));
                self.add_to_stream(site, x, weight, bias, stream, out, gemm);
            },
        );
    }

    /// From there to the hidden layer of the MLP.
    fn forward_mlp_up(
        &self,
        kept: &mut LayerActivations,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d, f) = (self.rows(), self.width(), self.d_ff);
        let (compute, layer, at) = (self.compute, self.layer, |range| self.parameters.at(range));
        let gemm = &mut scratch.gemm[..];
        self.compute
            .switches
            .renew([&mut kept.ln_2, &mut kept.ln_2_statistics]);
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
        self.compute
            .switches
            .renew([&mut kept.hidden, &mut kept.hidden_slope]);
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
    }

    /// From there to the block's output.
    fn forward_mlp_down(
        &self,
        kept: &LayerActivations,
        out: &mut [f32],
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d, f) = (self.rows(), self.width(), self.d_ff);
        let cost = linear::forward_cost(rows, f, d);
        observed(observer, Operator::MlpDown, Pass::Forward, cost, || {
            let weight = self.packed.forward(self.index, Linear::MlpDown);
            let (x, residual) = (&kept.hidden[..rows * f], &kept.middle[..rows * d]);
            let bias = self.parameters.at(&self.layer.mlp_c_proj_bias);
            let (site, gemm) = (Site::Mlp(self.index), &mut scratch.gemm);
            self.add_to_stream(site, x, weight, bias, residual, out, gemm);
        });
    }

    /// From the gradient of the block's output in `scratch.residual` to that of the stream between attention and MLP.
    pub(super) fn backward_mlp(
        &self,
        kept: &LayerActivations,
        gradients: &mut Parameters,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d, f) = (self.rows(), self.width(), self.d_ff);
        let (compute, layer) = (self.compute, self.layer);
        compute
            .switches
            .renew([&mut scratch.inner, &mut scratch.hidden]);
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
                let dy = self.gradient_at(Site::Mlp(self.index), residual, inner);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.hidden[..rows * f],
                    dy,
                    dweight,
                    dbias,
                    gemm,
                );
                let slope =
                    Epilogue::Multiply(Matrix::new(&kept.hidden_slope[..rows * f], rows, f));
                linear::backward_input(
                    compute,
                    rows,
                    dy,
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
    pub(super) fn backward_attention(
        &self,
        stream: &[f32],
        kept: &LayerActivations,
        gradients: &mut Parameters,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d) = (self.rows(), self.width());
        let (compute, layer) = (self.compute, self.layer);
        compute
            .switches
            .renew([&mut scratch.inner, &mut scratch.qkv]);
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
                // Nothing is in `dqkv` yet.
                let buffer = &mut dqkv[..rows * d];
                let dy = self.gradient_at(Site::Attention(self.index), residual, buffer);
                linear::backward_parameters(
                    compute,
                    rows,
                    &kept.attention[..rows * d],
                    dy,
                    dweight,
                    dbias,
                    gemm,
                );
                let weight = self.packed.backward(self.index, Linear::AttentionOut);
                linear::backward_input(compute, rows, dy, weight, Epilogue::None, inner, gemm);
            },
        );
        observed(
            observer,
            Operator::Attention,
            Pass::Backward,
            attention::backward_cost(self.heads),
            || {
                attention::backward(
                    compute,
                    self.heads,
                    &kept.qkv[..rows * 3 * d],
                    &kept.log_sums[..rows * self.heads.heads],
                    inner,
                    dqkv,
                    &mut scratch.attention,
                );
            },
        );
        self.backward_qkv(stream, kept, gradients, scratch, observer);
    }

    /// From the gradient of queries, keys and values in `scratch.qkv` to that of the stream before the block.
    fn backward_qkv(
        &self,
        stream: &[f32],
        kept: &LayerActivations,
        gradients: &mut Parameters,
        scratch: &mut Scratch,
        observer: &mut dyn Observer,
    ) {
        let (rows, d) = (self.rows(), self.width());
        let (compute, layer) = (self.compute, self.layer);
        compute.switches.renew([&mut scratch.inner]);
        let (gemm, residual) = (&mut scratch.gemm[..], &mut scratch.residual[..rows * d]);
        let (inner, dqkv) = (&mut scratch.inner[..rows * d], &scratch.qkv[..rows * 3 * d]);
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
