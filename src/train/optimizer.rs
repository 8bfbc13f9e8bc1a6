//! Clipping by the global norm, then AdamW over every tensor.

use std::ops::Range;

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

/// Values whose squares are added up together, and the rank that they are a part of.
pub(super) type Grain = (usize, Range<usize>);

/// The parts of a region, each with its rank, cut into grains. Whoever has the same parts has the same norm, to the bit.
pub(super) fn grains(parts: impl Iterator<Item = Grain>) -> Vec<Grain> {
    parts
        .flat_map(|(rank, part)| {
            let starts = part.clone().step_by(GRAIN);
            starts.map(move |start| (rank, start..(start + GRAIN).min(part.end)))
        })
        .collect()
}

/// The sum of squares of each grain, in f64 in a fixed order, so that it does not depend on the threads; 0 for the grains of other ranks
/// than `only`, where one is named.
pub(super) fn squares(
    compute: &Compute<'_>,
    gradients: &Parameters,
    grains: &[Grain],
    only: Option<usize>,
    partial: &mut Vec<f64>,
    observer: &mut dyn Observer,
) {
    let values = &gradients.values;
    observer.enter(Operator::Clip, Pass::Optimizer);
    partial.resize(grains.len(), 0.0);
    for_parts(
        compute.team,
        [Parts::new(&mut partial[..], 1)],
        |index, [sum]| {
            let (rank, range) = &grains[index];
            sum[0] = match only {
                Some(own) if own != *rank => 0.0,
                _ => sum_of_squares(compute.isa, &values[range.clone()]),
            };
        },
    );
    let is_read = |(rank, _): &&Grain| only.is_none_or(|own| own == *rank);
    let read = grains.iter().filter(is_read).map(|(_, range)| range.len());
    observer.leave(
        Operator::Clip,
        Pass::Optimizer,
        Cost::elementwise(read.sum(), 2.0, 1.0, 0.0),
    );
}

/// Values that are updated together.
pub(super) struct Part<'a> {
    /// Where they lie in the region.
    pub(super) range: Range<usize>,
    /// The region of the weights.
    pub(super) weights: &'a mut Parameters,
    /// That of their gradients.
    pub(super) gradients: &'a mut Parameters,
    /// First and second moments of this range alone.
    pub(super) moments: [&'a mut [f32]; 2],
}

/// One update of every tensor, as far as it lies in the part; gradients are cleared. `count` is 1 in the first update, `norm` that of the
/// gradients of all parts.
pub(super) fn update(
    compute: &Compute<'_>,
    optimizer: &Optimizer,
    learning_rate: f32,
    count: u64,
    norm: f64,
    part: Part<'_>,
    observer: &mut dyn Observer,
) {
    observer.enter(Operator::Adamw, Pass::Optimizer);
    let gradient_scale = match optimizer.clip_norm {
        // As torch.nn.utils.clip_grad_norm_ has it.
        Some(limit) => (f64::from(limit) / (norm + 1e-6)).min(1.0) as f32,
        None => 1.0,
    };
    let Part {
        range: whole,
        weights,
        gradients,
        moments: [first, second],
    } = part;
    let Parameters { layout, values } = weights;
    for tensor in &layout.tensors {
        let start = tensor.range.start.max(whole.start);
        let end = tensor.range.end.min(whole.end);
        if start >= end {
            continue;
        }
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
        let own = start - whole.start..end - whole.start;
        let all = [
            &mut values[start..end],
            &mut gradients.values[start..end],
            &mut first[own.clone()],
            &mut second[own],
        ];
        let parts = all.map(|values| Parts::new(values, GRAIN));
        for_parts(compute.team, parts, |_, [p, g, m, v]| {
            adamw(compute.isa, step, p, g, m, v)
        });
    }
    let cost = Cost::elementwise(whole.len(), 13.0, 4.0, 4.0);
    observer.leave(Operator::Adamw, Pass::Optimizer, cost);
}
