//! The chain of operators, forward and backward.

use super::{
    Activations, Compute, Operator, Packed, Parameters, Pass, Scratch, Shape,
    block::Block,
    observer::{Observer, observed},
    ops::{
        dropout::{Dropout, Site},
        embedding,
        head::{Exponentials, Head, HeadGradients, Weighting},
        layernorm, linear, scalar_head,
    },
};
use crate::kernels::{attention::Heads, gemm::Epilogue};

/// Everything but parameters and gradients that a pass works with.
pub struct Workspace<'a> {
    /// Weights in panels.
    pub packed: &'a Packed,
    /// Kept for the backward pass.
    pub activations: &'a mut Activations,
    /// Free between operators.
    pub scratch: &'a mut Scratch,
    /// What is dropped in training; nothing in evaluation.
    pub dropout: Option<Dropout>,
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
    compute.switches.renew([&mut activations.streams[0]]);
    observed(
        observer,
        Operator::Embedding,
        Pass::Forward,
        embedding::cost(rows, d),
        || {
            let (wte, wpe) = (parameters.at(&layout.wte), parameters.at(&layout.wpe));
            let out = &mut activations.streams[0][..rows * d];
            embedding::forward(compute, tokens.inputs, tokens.length, wte, wpe, out);
            if let Some(dropout) = work.dropout {
                dropout.apply(compute, Site::Embedding, d, out);
            }
        },
    );
    for (index, layer) in layout.layers.iter().enumerate() {
        let block = Block {
            compute,
            parameters,
            packed: work.packed,
            index,
            layer,
            heads: heads(shape, tokens),
            d_ff: shape.d_ff,
            dropout: work.dropout,
        };
        let (before, after) = activations.streams.split_at_mut(index + 1);
        compute.switches.renew([&mut after[0]]);
        let (stream, out) = (&before[index][..rows * d], &mut after[0][..rows * d]);
        let kept = index % activations.layers.len();
        let kept = &mut activations.layers[kept];
        block.forward(stream, kept, out, work.scratch, observer);
    }
    let last = [&mut activations.ln_f, &mut activations.ln_f_statistics];
    compute.switches.renew(last);
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
            let stream = &activations.streams[layout.layers.len()][..rows * d];
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
    compute
        .switches
        .renew([&mut scratch.logits, &mut scratch.losses]);
    let head = head(
        shape,
        work.packed,
        activations,
        tokens,
        &mut scratch.logits,
        &mut scratch.losses,
        &mut [],
        &mut scratch.gemm,
        scratch.chunk,
    );
    head.run(compute, None, observer)
}

/// What a model says of each token of a micro-batch; 0 where a target is ignored.
#[derive(Debug)]
pub struct Outcomes<'a> {
    /// Cross-entropy of the target, its log-probability's opposite: rows.
    pub losses: &'a mut [f32],
    /// Entropy of what the target is drawn from: rows.
    pub entropies: &'a mut [f32],
    /// The number that the scalar head gives, at ignored targets too: rows. 0 without such a head.
    pub values: &'a mut [f32],
}

/// What a model whose forward pass was run says of each token.
pub fn outcomes(
    compute: &Compute<'_>,
    shape: &Shape,
    parameters: &Parameters,
    work: &mut Workspace<'_>,
    tokens: &Tokens<'_>,
    found: &mut Outcomes<'_>,
    observer: &mut dyn Observer,
) {
    let (activations, scratch) = (&*work.activations, &mut *work.scratch);
    let (rows, d) = (tokens.inputs.len(), shape.d_model);
    let head = head(
        shape,
        work.packed,
        activations,
        tokens,
        &mut scratch.logits,
        found.losses,
        found.entropies,
        &mut scratch.gemm,
        scratch.chunk,
    );
    head.run(compute, None, observer);
    match &parameters.layout.score {
        None => found.values.fill(0.0),
        Some(weight) => observed(
            observer,
            Operator::Head,
            Pass::Forward,
            scalar_head::cost(rows, d),
            || {
                let hidden = &activations.ln_f[..rows * d];
                scalar_head::forward(compute, hidden, parameters.at(weight), found.values);
            },
        ),
    }
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
    entropies: &'a mut [f32],
    workspace: &'a mut [f32],
    chunk: usize,
) -> Head<'a> {
    Head {
        hidden: &activations.ln_f[..tokens.targets.len() * shape.d_model],
        targets: tokens.targets,
        weight: packed.head(),
        logits,
        losses,
        entropies,
        workspace,
        chunk,
        vocab_size: shape.vocab_size,
    }
}

/// How a loss depends on what a model says of each token.
#[derive(Clone, Copy, Debug)]
pub struct Derivatives<'a> {
    /// By cross-entropies and entropies.
    pub weighting: Weighting<'a>,
    /// By the numbers of the scalar head: rows, or none where the loss does not depend on them.
    pub values: &'a [f32],
}

impl Derivatives<'_> {
    /// The cross-entropy of every target counts `scale`.
    pub fn equal(scale: f32) -> Derivatives<'static> {
        Derivatives {
            weighting: Weighting::Equal(scale),
            values: &[],
        }
    }
}

/// The sum of the cross-entropies of a micro-batch whose forward pass was run, and the gradients of the loss that has these
/// `derivatives`: `gradients` are added to. `complete` is told from where on in their region nothing more is added: backward fills it from
/// its end to its beginning, block by block.
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
    derivatives: Derivatives<'_>,
    complete: &mut dyn FnMut(&[f32], usize),
    observer: &mut dyn Observer,
) -> f64 {
    let (rows, d) = (tokens.inputs.len(), shape.d_model);
    let layout = &parameters.layout;
    let (activations, scratch) = (&mut *work.activations, &mut *work.scratch);
    compute
        .switches
        .renew([&mut scratch.logits, &mut scratch.losses, &mut scratch.inner]);
    let loss = {
        let head = head(
            shape,
            work.packed,
            activations,
            tokens,
            &mut scratch.logits,
            &mut scratch.losses,
            &mut [],
            &mut scratch.gemm,
            scratch.chunk,
        );
        let [matrix] = gradients.at_mut([&layout.head]);
        let into = HeadGradients {
            weight: work.packed.head_backward(),
            hidden: &mut scratch.inner[..rows * d],
            matrix,
            weighting: derivatives.weighting,
            exponentials: Exponentials {
                matrix: parameters.at(&layout.head),
                sums: &mut scratch.sums,
                factors: &mut scratch.factors,
                // The gradient of the residual stream begins behind the head.
                scaled: &mut scratch.residual,
            },
        };
        head.run(compute, Some(into), observer)
    };
    backward_last_norm(
        compute,
        parameters,
        gradients,
        activations,
        scratch,
        (derivatives.values, rows),
        observer,
    );
    // Behind the last norm lie the scalar head and an untied head.
    complete(&gradients.values, layout.ln_f_weight.start);
    for (index, layer) in layout.layers.iter().enumerate().rev() {
        let block = Block {
            compute,
            parameters,
            packed: work.packed,
            index,
            layer,
            heads: heads(shape, tokens),
            d_ff: shape.d_ff,
            dropout: work.dropout,
        };
        let stream = &activations.streams[index][..rows * d];
        let buffers = activations.layers.len();
        let kept = &mut activations.layers[index % buffers];
        // Buffers that the blocks share still hold what the last block left.
        if buffers < layout.layers.len() && index + 1 < layout.layers.len() {
            block.forward_again(stream, kept, scratch, observer);
        }
        block.backward_mlp(kept, gradients, scratch, observer);
        block.backward_attention(stream, kept, gradients, scratch, observer);
        complete(&gradients.values, layer.ln_1_weight.start);
    }
    observed(
        observer,
        Operator::Embedding,
        Pass::Backward,
        embedding::cost(rows, d),
        || {
            let [dwte, dwpe] = gradients.at_mut([&layout.wte, &layout.wpe]);
            let dout = &mut scratch.residual[..rows * d];
            if let Some(dropout) = work.dropout {
                dropout.apply(compute, Site::Embedding, d, dout);
            }
            embedding::backward(compute, tokens.inputs, tokens.length, dout, dwte, dwpe);
        },
    );
    complete(&gradients.values, 0);
    loss
}

/// Adds to the gradient of the last layer norm's output, in `scratch.inner`, what comes from the scalar head by its `values`, if there are any.
fn backward_scalar_head(
    parameters: &Parameters,
    gradients: &mut Parameters,
    activations: &Activations,
    scratch: &mut Scratch,
    (values, rows): (&[f32], usize),
    observer: &mut dyn Observer,
) {
    let layout = &parameters.layout;
    let (Some(weight), false) = (&layout.score, values.is_empty()) else {
        return;
    };
    let d = layout.ln_f_weight.len();
    let cost = scalar_head::cost(rows, d) + scalar_head::cost(rows, d);
    observed(observer, Operator::Head, Pass::Backward, cost, || {
        let [dweight] = gradients.at_mut([weight]);
        let hidden = &activations.ln_f[..rows * d];
        let dhidden = &mut scratch.inner[..rows * d];
        let weight = parameters.at(weight);
        scalar_head::backward(hidden, weight, values, dhidden, dweight);
    });
}

/// From the gradient of the last layer norm's output in `scratch.inner`, with what comes from the scalar head by its `values`, to that of the
/// residual stream.
fn backward_last_norm(
    compute: &Compute<'_>,
    parameters: &Parameters,
    gradients: &mut Parameters,
    activations: &Activations,
    scratch: &mut Scratch,
    (values, rows): (&[f32], usize),
    observer: &mut dyn Observer,
) {
    backward_scalar_head(
        parameters,
        gradients,
        activations,
        scratch,
        (values, rows),
        observer,
    );
    let (layout, d) = (&parameters.layout, parameters.layout.ln_f_weight.len());
    let stream = &activations.streams[layout.layers.len()];
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
}
