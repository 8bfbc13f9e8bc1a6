//! The backward pass of a block.

use super::Block;
use crate::{
    kernels::gemm::{Epilogue, Matrix},
    model::{
        Operator, Parameters, Pass, Scratch,
        activations::LayerActivations,
        observer::{Observer, observed},
        ops::{attention, dropout::Site, layernorm, linear},
        packed::Linear,
    },
};

impl Block<'_> {
    /// The gradient of what was added to the stream at `site`, from that of the stream; `buffer` is used where values were dropped.
    fn gradient_at<'a>(&self, site: Site, stream: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
        let Some(dropout) = self.dropout else {
            return stream;
        };
        buffer.copy_from_slice(stream);
        dropout.apply(self.compute, site, self.width(), buffer);
        buffer
    }

    /// From the gradient of the block's output in `scratch.residual` to that of the stream between attention and MLP.
    pub(in crate::model) fn backward_mlp(
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
    pub(in crate::model) fn backward_attention(
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
