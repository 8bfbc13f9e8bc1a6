//! The forward pass of a block.

use super::Block;
use crate::{
    kernels::gemm::{Epilogue, Matrix, MatrixMut, Right},
    model::{
        Operator, Pass, Scratch,
        activations::LayerActivations,
        observer::{Observer, observed},
        ops::{attention, dropout::Site, layernorm, linear},
        packed::Linear,
    },
};

impl Block<'_> {
    /// `stream` is the residual stream before the block, `out` the one after it; `kept` receives what backward needs.
    pub(in crate::model) fn forward(
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
    pub(in crate::model) fn forward_again(
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
}
