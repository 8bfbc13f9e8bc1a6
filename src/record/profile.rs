//! What was found to train fastest on a machine: written by tuning, read by training.

use serde::{Deserialize, Serialize};

/// The schema that this version writes and reads.
pub const PROFILE_SCHEMA: &str = "loopos.profile/1";

/// What a profile was measured for: it says nothing about any other machine, model or batch.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The machine's fingerprint, as in run.json.
    pub machine: String,
    /// The instruction set.
    pub isa: String,
    /// Tokens that the model knows.
    pub vocab_size: usize,
    /// Width of the model.
    pub d_model: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Width of the MLP.
    pub d_ff: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Sequences of an optimizer step.
    pub batch: usize,
}

/// The fastest way to train it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Always [`PROFILE_SCHEMA`].
    pub schema: String,
    /// What it holds for.
    pub workload: Workload,
    /// Worker threads.
    pub threads: usize,
    /// Sequences computed at a time.
    pub micro_batch: usize,
    /// Whether each thread takes sequences of its own.
    #[serde(default)]
    pub by_sequences: bool,
    /// What it gave, in tokens a second.
    pub tokens_per_second: Option<f64>,
    /// The smallest batch that comes near the highest speed: advice, never applied.
    pub advised_batch: Option<usize>,
    /// The run that holds the sweep.
    pub run: String,
}
