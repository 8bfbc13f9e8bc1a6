//! The hook through which a step can be watched without the model knowing a clock.

use crate::kernels::Cost;

/// The operators of a step.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operator {
    /// Weights into panels, once a step.
    Pack,
    /// Token and position embedding.
    Embedding,
    /// Layer norms.
    LayerNorm,
    /// Projection to queries, keys and values.
    Qkv,
    /// Scores, softmax, weighted values.
    Attention,
    /// Projection after the attention, with the residual.
    AttentionOut,
    /// First linear layer of the MLP, with GELU.
    MlpUp,
    /// Second linear layer of the MLP, with the residual.
    MlpDown,
    /// Logits, softmax and cross-entropy.
    Head,
    /// Global norm of the gradient.
    Clip,
    /// Parameter update.
    Adamw,
}

impl Operator {
    /// Every operator, in the order of a step.
    pub const ALL: [Operator; 11] = [
        Operator::Pack,
        Operator::Embedding,
        Operator::LayerNorm,
        Operator::Qkv,
        Operator::Attention,
        Operator::AttentionOut,
        Operator::MlpUp,
        Operator::MlpDown,
        Operator::Head,
        Operator::Clip,
        Operator::Adamw,
    ];

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Pack => "pack",
            Operator::Embedding => "embedding",
            Operator::LayerNorm => "layernorm",
            Operator::Qkv => "qkv",
            Operator::Attention => "attention",
            Operator::AttentionOut => "attention_out",
            Operator::MlpUp => "mlp_up",
            Operator::MlpDown => "mlp_down",
            Operator::Head => "head",
            Operator::Clip => "clip",
            Operator::Adamw => "adamw",
        }
    }
}

/// The passes of a step.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Pass {
    /// From tokens to the loss.
    Forward,
    /// From the loss to gradients.
    Backward,
    /// From gradients to parameters.
    Optimizer,
}

impl Pass {
    /// Every pass, in order.
    pub const ALL: [Pass; 3] = [Pass::Forward, Pass::Backward, Pass::Optimizer];

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Optimizer => "optimizer",
        }
    }
}

/// Someone who watches a step.
pub trait Observer: Send {
    /// `operator` begins.
    fn enter(&mut self, operator: Operator, pass: Pass);
    /// It ended and did this work.
    fn leave(&mut self, operator: Operator, pass: Pass, cost: Cost);
}

/// No one watches.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn enter(&mut self, _: Operator, _: Pass) {}
    fn leave(&mut self, _: Operator, _: Pass, _: Cost) {}
}

/// Runs `work` between `enter` and `leave`.
pub(crate) fn observed<R>(
    observer: &mut dyn Observer,
    operator: Operator,
    pass: Pass,
    cost: Cost,
    work: impl FnOnce() -> R,
) -> R {
    observer.enter(operator, pass);
    let result = work();
    observer.leave(operator, pass, cost);
    result
}
