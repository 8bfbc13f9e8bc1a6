//! A trainer among others: which part of a batch is its own, and what all of them agree on.

use std::ops::Range;
use std::sync::Arc;

use super::{Trainer, TrainerError};
use crate::fleet::Fleet;
use crate::train::data::Batch;
use crate::train::exchange::Exchange;
use crate::train::optimizer::grains;

impl Trainer {
    /// From now on shares every batch with the other ranks, whose trainers must have the same weights and do the same; and, where the plan
    /// says so, rank 0's moments.
    ///
    /// # Errors
    /// When there is no memory for a part of the moments.
    pub fn join(&mut self, fleet: Arc<Fleet>) -> Result<(), TrainerError> {
        let shares_optimizer = self.plan.sharing.optimizer && fleet.size() > 1;
        let exchange = Exchange::new(fleet, &self.parameters.layout, shares_optimizer);
        self.grains = grains(exchange.cut().parts());
        if shares_optimizer {
            self.share_moments(&exchange)?;
        }
        self.exchange = Some(exchange);
        Ok(())
    }

    /// The exchange with the other ranks, where there are any.
    pub fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    /// Whether any rank says yes: this one alone, where there are no others.
    pub fn any(&self, yes: bool) -> bool {
        self.exchange
            .as_ref()
            .map_or(yes, |exchange| exchange.fleet().any(yes))
    }

    /// The first rank whose weights are not those of rank 0; `None` where all agree, and where there are no others.
    pub fn stray(&self) -> Option<usize> {
        self.exchange.as_ref()?.stray(&self.parameters)
    }

    /// The sequences of a batch that are computed here.
    pub(super) fn rows(&self, batch: &Batch) -> Range<usize> {
        let all = batch.sequences;
        self.exchange
            .as_ref()
            .map_or(0..all, |exchange| exchange.rows(all))
    }
}
