//! Post-training as the training suite is given it: a name, sizes, and how the model, what it learns and the schedule are made.

use crate::train::schedule::Schedule;
use crate::train::task::Task;
use crate::train::{Plan, Trainer};
use std::fmt;
use std::sync::Arc;

/// One configuration of post-training to be measured.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Name in the metrics: the configuration file's stem.
    pub name: String,
    /// The effective configuration, for the record.
    pub config: serde_json::Value,
    /// Sizes and memory.
    pub plan: Plan,
    /// What the reader of the results must know, such as that the weights are random.
    pub limits: Option<String>,
    /// Makes what is measured.
    pub begin: Begin,
}

/// Makes a lesson's beginning, or says why it cannot; called when its turn has come, so that lessons do not hold memory together.
#[derive(Clone)]
pub struct Begin(pub Arc<dyn Fn() -> Result<Begun, String> + Send + Sync>);

/// A lesson that can go.
pub struct Begun {
    /// Who learns.
    pub trainer: Trainer,
    /// What.
    pub task: Box<dyn Task>,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// Steps of the whole run.
    pub steps: u64,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begin")
    }
}
