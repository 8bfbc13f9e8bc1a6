//! What a step makes smaller, where that is not the mean cross-entropy of its targets.

use crate::model::{Derivatives, Outcomes, Weighting};

/// A loss of what the model says of tokens. It is asked for each micro-batch and adds up over them; sequences that it compares with each
/// other must lie in one.
pub trait Objective: Send {
    /// The loss of a micro-batch, and its derivatives, which come as zeros.
    fn derive(&mut self, found: Found<'_>, into: Slopes<'_>) -> f64;
}

/// What the model says of each token of a micro-batch: whole sequences, row by row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// The place of the first token in the batch.
    pub first: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Cross-entropies of the targets, 0 where one is ignored.
    pub losses: &'a [f32],
    /// Entropies of what the targets are drawn from.
    pub entropies: &'a [f32],
    /// Numbers of the scalar head, 0 without one.
    pub values: &'a [f32],
}

/// The loss's derivatives by what was found.
#[derive(Debug)]
pub struct Slopes<'a> {
    /// By the cross-entropy of each target, which is its log-probability's opposite.
    pub losses: &'a mut [f32],
    /// By each entropy.
    pub entropies: &'a mut [f32],
    /// By each number of the scalar head.
    pub values: &'a mut [f32],
}

/// What a model said of some tokens, and how a loss depends on it.
#[derive(Clone, Debug, Default)]
pub struct TokenBuffers {
    /// Cross-entropies of the targets, 0 where one is ignored.
    pub losses: Vec<f32>,
    /// Entropies of what the targets are drawn from.
    pub entropies: Vec<f32>,
    /// Numbers of the scalar head, 0 without one.
    pub values: Vec<f32>,
    /// The derivatives by the three.
    by: [Vec<f32>; 3],
}

impl TokenBuffers {
    /// Forgets all tokens, not their memory.
    pub(super) fn clear(&mut self) {
        self.losses.clear();
        self.entropies.clear();
        self.values.clear();
    }

    /// Room for more tokens.
    pub(super) fn grow(&mut self, rows: usize) -> Outcomes<'_> {
        let more = |values: &mut Vec<f32>| values.resize(values.len() + rows, 0.0);
        let start = self.losses.len();
        [&mut self.losses, &mut self.entropies, &mut self.values]
            .into_iter()
            .for_each(more);
        Outcomes {
            losses: &mut self.losses[start..],
            entropies: &mut self.entropies[start..],
            values: &mut self.values[start..],
        }
    }

    /// What was found at `place`, and where the derivatives go, which are zeros.
    pub(super) fn split<'a>(&'a mut self, place: Found<'a>) -> (Found<'a>, Slopes<'a>) {
        let rows = self.losses.len();
        for by in &mut self.by {
            by.clear();
            by.resize(rows, 0.0);
        }
        let found = Found {
            losses: &self.losses,
            entropies: &self.entropies,
            values: &self.values,
            ..place
        };
        let [losses, entropies, values] = &mut self.by;
        let into = Slopes {
            losses,
            entropies,
            values,
        };
        (found, into)
    }

    /// The derivatives as the model takes them.
    pub(super) fn derivatives(&self) -> Derivatives<'_> {
        let [losses, entropies, values] = &self.by;
        Derivatives {
            weighting: Weighting::Each { losses, entropies },
            values,
        }
    }
}
