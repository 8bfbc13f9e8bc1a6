//! The line of the KV cache: the same tokens read with it, and the whole prefix again for each.

use crate::kernels::Team;
use crate::measure::clock::Clock;
use crate::model::{Compute, KvCache, Layout, Packed, Parameters, Unobserved, Weights};
use crate::tensor::{Arena, ArenaError};
use crate::train::Plan;

/// Tokens that are generated, at most.
const MOST: usize = 64;

/// A model that generates.
pub(super) struct Generation {
    plan: Plan,
    parameters: Parameters,
    packed: Packed,
    cache: KvCache,
}

impl Generation {
    /// A model of the planned sizes with the weights that `seed` gives.
    ///
    /// # Errors
    /// When the system refuses the memory.
    pub(super) fn new(plan: &Plan, seed: u64) -> Result<Generation, ArenaError> {
        let layout = Layout::new(&plan.shape);
        let mut parameters = Parameters::zeros(&layout, &mut Arena::new(layout.len)?);
        parameters.initialize(seed);
        let mut arena = Arena::new(Packed::len(plan.isa, &plan.shape))?;
        Ok(Generation {
            plan: *plan,
            parameters,
            packed: Packed::new(plan.isa, &plan.shape, &mut arena, plan.switches),
            cache: KvCache::new(plan.isa, &plan.shape, 1),
        })
    }

    /// The prompt's length, half of a text, and the tokens that are read one by one after it.
    pub(super) fn lengths(text: usize) -> (usize, usize) {
        let prompt = (text / 2).max(1);
        (prompt, (text - prompt).min(MOST))
    }

    /// Seconds for each token of the second half of `text` with the cache and without, and how far the last logits lie apart,
    /// relative to the largest.
    pub(super) fn pair(
        &mut self,
        team: &dyn Team,
        text: &[u32],
        clock: &Clock,
        swapped: bool,
    ) -> ((f64, f64), f64) {
        let compute = Compute {
            isa: self.plan.isa,
            caches: self.plan.caches,
            team,
            switches: self.plan.switches,
        };
        let parameters = &self.parameters;
        self.packed
            .update(&compute, parameters, false, &mut Unobserved);
        let mut read = |cached: bool| self.read(&compute, text, clock, cached);
        let (on, off) = if swapped {
            let off = read(false);
            (read(true), off)
        } else {
            (read(true), read(false))
        };
        let largest =
            on.1.iter()
                .fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let apart = on.1.iter().zip(&off.1).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0_f32, f32::max);
        ((on.0, off.0), f64::from(apart / largest))
    }

    /// Seconds for a token, and the last logits.
    fn read(
        &mut self,
        compute: &Compute<'_>,
        text: &[u32],
        clock: &Clock,
        cached: bool,
    ) -> (f64, Vec<f32>) {
        let weights = Weights {
            parameters: &self.parameters,
            packed: &self.packed,
        };
        let (prompt, tokens) = Generation::lengths(text.len());
        self.cache.rewind(0, 0);
        let mut logits = self.cache.read(compute, weights, &[(0, &text[..prompt])]);
        let begin = clock.now();
        for end in prompt..prompt + tokens {
            let from = if cached { end } else { 0 };
            self.cache.rewind(0, from);
            logits = self.cache.read(compute, weights, &[(0, &text[from..=end])]);
        }
        let seconds = clock.since(begin);
        (seconds / tokens.max(1) as f64, logits.to_vec())
    }
}
