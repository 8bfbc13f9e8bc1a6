//! The sizes that are tried, and what a step at each needs.

use crate::train::Plan;
use crate::units::Bytes;

/// Tokens of a step where the batch is not what changes.
const TOKENS: usize = 1024;

/// Seconds that a step may be expected to take, at a half of the peak.
const LONGEST: f64 = 20.0;

/// The part of the memory of this process that a point may plan for.
const MEMORY: f64 = 0.8;

/// What changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dimension {
    Width,
    Layers,
    Length,
    Batch,
}

impl Dimension {
    /// Each, in the order of the page.
    pub(super) const ALL: [Dimension; 4] = [
        Dimension::Width,
        Dimension::Layers,
        Dimension::Length,
        Dimension::Batch,
    ];

    /// Its part of a metric's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dimension::Width => "d_model",
            Dimension::Layers => "layers",
            Dimension::Length => "length",
            Dimension::Batch => "batch",
        }
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Dimension::Width => "d_model",
            Dimension::Layers => "the number of layers",
            Dimension::Length => "the length of a sequence",
            Dimension::Batch => "the batch",
        }
    }

    /// Unit of its values.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Dimension::Width => "values",
            Dimension::Layers => "layers",
            Dimension::Length => "tokens",
            Dimension::Batch => "sequences",
        }
    }

    fn values(self) -> &'static [usize] {
        match self {
            Dimension::Width => &[128, 256, 384, 512, 768, 1024],
            Dimension::Layers => &[1, 2, 4, 6, 8, 12],
            Dimension::Length => &[64, 128, 256, 512, 1024, 2048],
            Dimension::Batch => &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        }
    }
}

/// One size of one dimension.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) dimension: Dimension,
    pub(super) value: usize,
    pub(super) plan: Plan,
}

/// Every point around `base`; `quick` takes every other, the ends included where their number is odd.
pub(super) fn points(base: &Plan, quick: bool) -> Vec<Point> {
    let stride = if quick { 2 } else { 1 };
    let of = |dimension: Dimension| {
        let values = dimension.values().iter().step_by(stride);
        values.map(move |value| Point {
            dimension,
            value: *value,
            plan: plan(base, dimension, *value),
        })
    };
    Dimension::ALL.into_iter().flat_map(of).collect()
}

/// `base` with one size changed; heads keep their size, the MLP its ratio, and the tokens of a step are the same unless the batch
/// changes.
fn plan(base: &Plan, dimension: Dimension, value: usize) -> Plan {
    let (mut shape, mut length) = (base.shape, base.length);
    match dimension {
        Dimension::Width => {
            let size = (shape.d_model / shape.heads).max(1);
            shape.d_ff = (shape.d_ff * value / shape.d_model).max(1);
            shape.heads = (value / size).max(1);
            // A width that the heads do not divide has one head of any size.
            if !value.is_multiple_of(shape.heads) {
                shape.heads = 1;
            }
            shape.d_model = value;
        }
        Dimension::Layers => shape.layers = value,
        Dimension::Length => length = value,
        Dimension::Batch => {}
    }
    shape.context = shape.context.max(length);
    let batch = match dimension {
        Dimension::Batch => value,
        _ => (TOKENS / length).max(1),
    };
    Plan {
        shape,
        batch,
        length,
        micro_batch: Plan::automatic_micro_batch(&shape, batch, length),
        ..*base
    }
}

impl Point {
    /// The step in words.
    pub(super) fn what(&self) -> String {
        let plan = &self.plan;
        format!(
            "d_model {}, {} layers, {} x {} tokens, {} sequences at a time",
            plan.shape.d_model, plan.shape.layers, plan.batch, plan.length, plan.micro_batch
        )
    }

    /// Why it is not measured: memory, or time at a half of `peak` FLOP/s.
    pub(super) fn refusal(&self, usable: Option<u64>, peak: Option<f64>) -> Option<String> {
        let needed = self.plan.memory().total() as f64;
        if let Some(usable) = usable
            && needed > usable as f64 * MEMORY
        {
            return Some(format!(
                "it needs {} of memory of the {} that this process can have",
                Bytes(needed),
                Bytes(usable as f64)
            ));
        }
        let seconds = self.plan.flops_per_step() / (peak? / 2.0);
        (seconds > LONGEST).then(|| {
            format!("a step would take about {seconds:.0} seconds, and {LONGEST:.0} are the limit")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::testing::tiny;

    #[test]
    fn one_size_changes_at_a_time_and_every_model_is_possible() {
        let base = tiny(4, 2).plan;
        let all = points(&base, false);
        assert_eq!(all.len(), 27);
        for point in &all {
            let (plan, shape) = (&point.plan, &point.plan.shape);
            assert!(shape.check().is_ok(), "{}", point.what());
            assert!(plan.batch.is_multiple_of(plan.micro_batch) && plan.length <= shape.context);
            let changed = [
                shape.d_model != base.shape.d_model,
                shape.layers != base.shape.layers,
                plan.length != base.length,
            ];
            let changed = changed.iter().filter(|changed| **changed).count();
            assert!(changed <= 1, "{}", point.what());
            if point.dimension == Dimension::Batch {
                assert_eq!((plan.batch, changed), (point.value, 0));
            } else {
                assert!(plan.batch * plan.length <= TOKENS.max(plan.length));
            }
        }
        assert!(points(&base, true).len() < all.len());
    }
}
