//! What tests of suites share: a host that keeps quiet, and a model of a few thousand weights.

use super::{Case, Host, Recorder};
use crate::kernels::Isa;
use crate::kernels::gemm::Caches;
use crate::model::{Shape, Switches};
use crate::text::Tokens;
use crate::train::data::Cut;
use crate::train::{Optimizer, Plan, Sharing};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Remembers what it was told; stops the suite after a number of questions, if asked to.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    pub(super) said: RefCell<Vec<String>>,
    pub(super) kept: Cell<usize>,
    pub(super) stop_after: Option<usize>,
    pub(super) asked: Cell<usize>,
}

impl Host for Quiet {
    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.into());
    }

    fn stopped(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.stop_after.is_some_and(|most| self.asked.get() > most)
    }

    fn keep(&self, _: &Recorder) -> Result<(), String> {
        self.kept.set(self.kept.get() + 1);
        Ok(())
    }
}

/// A model of a few thousand weights and a text that it can learn, in batches of `batch` sequences of 16 tokens on one thread.
pub(super) fn tiny(batch: usize, micro_batch: usize) -> Case {
    let shape = Shape {
        vocab_size: 64,
        context: 16,
        d_model: 32,
        heads: 2,
        layers: 1,
        d_ff: 48,
        tied: true,
        scalar_head: false,
    };
    let plan = Plan {
        shape,
        batch,
        length: 16,
        micro_batch,
        optimizer: Optimizer::default(),
        dropout: 0.0,
        recompute: false,
        by_sequences: false,
        isa: Isa::best(),
        caches: Caches::default(),
        workers: 1,
        switches: Switches::default(),
        sharing: Sharing::default(),
    };
    let documents: Vec<Vec<u32>> = (0..20)
        .map(|document| (0..200).map(|place| (document + 3 * place) % 63).collect())
        .collect();
    Case {
        name: "tiny".into(),
        config: serde_json::Value::Null,
        plan,
        cut: Cut {
            length: 16,
            batch,
            validation: 0.1,
            seed: 1,
        },
        learning_rate: 1e-2,
        tokens: Arc::new(Tokens::from_documents(&documents, 63, [0; 32])),
        source: "invented numbers".into(),
    }
}
