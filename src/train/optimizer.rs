//! Clipping by the global norm, then AdamW over every tensor.

use super::plan::Optimizer;
use crate::{
    kernels::{
        Cost,
        team::{Parts, for_parts},
        vec::{AdamwStep, adamw, sum_of_squares},
    },
    model::{Compute, Observer, Operator, Parameters, Pass},
};

/// Values of one task: large enough to start, small enough to share out.
const GRAIN: usize = 1 << 16;

/// The norm of all gradients together. Parts are summed in f64 in a fixed order, so it does not depend on the threads.
pub(super) fn global_norm(
    compute: &Compute<'_>,
    gradients: &Parameters,
    partial: &mut Vec<f64>,
    observer: &mut dyn Observer,
) -> f64 {
    let values = &gradients.values;
    observer.enter(Operator::Clip, Pass::Optimizer);
    partial.resize(values.len().div_ceil(GRAIN), 0.0);
    for_parts(
        compute.team,
        [Parts::new(&mut partial[..], 1)],
        |part, [sum]| {
            let end = ((part + 1) * GRAIN).min(values.len());
            sum[0] = sum_of_squares(compute.isa, &values[part * GRAIN..end]);
        },
    );
    observer.leave(
        Operator::Clip,
        Pass::Optimizer,
        Cost::elementwise(values.len(), 2.0, 1.0, 0.0),
    );
    partial.iter().sum::<f64>().sqrt()
}

/// One update of every tensor; gradients are cleared. `count` is 1 in the first update, `norm` that of the gradients.
#[allow(
    clippy::too_many_arguments,
    reason = "an update has this many parts, and each is named"
)]
pub(super) fn update(
    compute: &Compute<'_>,
    optimizer: &Optimizer,
    learning_rate: f32,
    count: u64,
    norm: f64,
    [parameters, gradients, first, second]: [&mut Parameters; 4],
    observer: &mut dyn Observer,
) {
    observer.enter(Operator::Adamw, Pass::Optimizer);
    let gradient_scale = match optimizer.clip_norm {
        // As torch.nn.utils.clip_grad_norm_ has it.
        Some(limit) => (f64::from(limit) / (norm + 1e-6)).min(1.0) as f32,
        None => 1.0,
    };
    for tensor in &parameters.layout.tensors {
        let step = AdamwStep {
            learning_rate,
            beta1: optimizer.beta1,
            beta2: optimizer.beta2,
            epsilon: optimizer.epsilon,
            weight_decay: if tensor.decay {
                optimizer.weight_decay
            } else {
                0.0
            },
            count,
            gradient_scale,
        };
        let all = [
            &mut parameters.values,
            &mut gradients.values,
            &mut first.values,
            &mut second.values,
        ];
        let parts = all.map(|values| Parts::new(&mut values[tensor.range.clone()], GRAIN));
        for_parts(compute.team, parts, |_, [p, g, m, v]| {
            adamw(compute.isa, step, p, g, m, v)
        });
    }
    let cost = Cost::elementwise(parameters.values.len(), 13.0, 4.0, 4.0);
    observer.leave(Operator::Adamw, Pass::Optimizer, cost);
}
