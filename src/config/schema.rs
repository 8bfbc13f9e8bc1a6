//! The sections of a configuration, key by key. The keys of the original LoopOS keep their names and meaning.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;

/// `model`: the shape of the transformer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The architecture.
    pub r#type: Architecture,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads in each layer; divides `d_model`.
    pub num_heads: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Width of the MLP's inner layer.
    pub d_ff: usize,
    /// Tokens that the tokenizer is trained to: 256 bytes, the end of text, and merges. Of ids, those that there may be.
    pub vocab_size: usize,
    /// Classes to tell apart, for `fine_tuning`.
    #[serde(default)]
    pub num_classes: Option<usize>,
    /// Positions the model knows; `null` means `training.max_length`.
    #[serde(default)]
    pub context: Option<usize>,
    /// Whether the output projection is the token embedding (as in GPT-2) instead of a matrix of its own.
    #[serde(default = "yes")]
    pub tied_head: bool,
}

/// The architectures that `model.type` may name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// GPT-2's decoder.
    Transformer,
}

/// What the threads of a process share out among themselves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parallel {
    /// Each operator: the least memory, and the same bits for any number of threads.
    Operators,
    /// The sequences of a batch: faster where data is slow from core to core, for gradients and activations of each thread.
    Sequences,
}

/// `computation`: what is to be done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Computation {
    /// From nothing, or from pretrained weights.
    pub mode: Mode,
    /// How to train.
    pub method: Method,
    /// One line for people.
    pub description: String,
}

/// The kinds of training.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// From random weights.
    Pretraining,
    /// From `data.pretrained_weights`.
    Posttraining,
}

/// The training methods of the original's schema.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Predict the next token.
    Autoregressive,
    /// Predict masked tokens.
    MaskedLm,
    /// Tell views of one text from other texts.
    Contrastive,
    /// Train a classifier on a pretrained model.
    FineTuning,
    /// Train on worked reasoning.
    ChainOfThought,
    /// Train against a reward learnt from preferences.
    Rlhf,
}

/// `training`: how the weights are found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The highest learning rate of the schedule. The shipped base configuration takes that of GPT-3's smallest model (Brown et
    /// al. 2020, table 2.1), the small one somewhat more, as smaller models bear.
    pub learning_rate: f64,
    /// Sequences in one optimizer step.
    pub batch_size: usize,
    /// Passes over the training text, unless `max_steps` ends the run before.
    pub num_epochs: usize,
    /// Tokens in one sequence.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// Optimizer steps after which the run ends; `null` for none but `num_epochs`.
    #[serde(default)]
    pub max_steps: Option<usize>,
    /// Sequences computed at a time, gradients being accumulated; divides `batch_size`; `null` chooses by this machine's caches.
    #[serde(default)]
    pub micro_batch: Option<usize>,
    /// Seed of weights and data order.
    #[serde(default = "seed")]
    pub seed: u64,
    /// AdamW's decoupled weight decay, for matrices.
    #[serde(default = "weight_decay")]
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// AdamW's epsilon.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// The global norm that gradients are scaled down to; `null` for no clipping.
    #[serde(default = "clip_norm")]
    pub clip_norm: Option<f64>,
    /// Share of values that dropout drops, as GPT-2's `embd_pdrop` and `resid_pdrop` do: of the embedding, and of what attention
    /// and MLP add to the residual stream. Attention probabilities (`attn_pdrop`) are not dropped. 0 costs nothing.
    #[serde(default)]
    pub dropout: f64,
    /// Whether backward computes the activations of blocks again instead of keeping them: for long sequences, less memory for a
    /// quarter to a third more work; the results are the same to the bit.
    #[serde(default)]
    pub recompute: bool,
    /// What the threads of a process share out among themselves; `null` for operators, unless `loopos tune` found sequences faster here.
    /// Several processes share out sequences already, and their threads always operators.
    #[serde(default)]
    pub parallel: Option<Parallel>,
    /// Whether each of several processes keeps and updates its part of AdamW's moments alone: less memory by their number, as many
    /// bytes to exchange, and the same bits. One process keeps them all either way.
    #[serde(default)]
    pub shard_optimizer: bool,
    /// A step is left out where its loss is so many standard deviations (estimated by the median absolute deviation) above the
    /// median of the newest losses; `null` leaves out only what is not finite.
    #[serde(default = "spike_sigmas")]
    pub spike_sigmas: Option<f64>,
    /// Newest losses that a loss is compared with; no loss is a spike before half as many are known.
    #[serde(default = "spike_window")]
    pub spike_window: usize,
    /// Steps left out in a row after which the run ends, exit code 1.
    #[serde(default = "max_skips")]
    pub max_skips: usize,
    /// How the learning rate goes over the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps over which the rate rises at first (`warmup_cosine`); `null` for a tenth of the run, at most 200.
    #[serde(default)]
    pub warmup_steps: Option<usize>,
    /// Share of the text, by whole documents, that is never trained on; 0 for none.
    #[serde(default = "validation_split")]
    pub validation_split: f64,
    /// Steps between two validations; `null` for one at the end only.
    #[serde(default = "validation_every")]
    pub validation_every: Option<usize>,
    /// Batches in one validation; `null` for all of the validation text.
    #[serde(default = "validation_batches")]
    pub validation_batches: Option<usize>,
    /// Steps between two checkpoints; `null` for one at the end only.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: Option<usize>,
    /// Checkpoints kept, the newest, and the one before where no loss has been computed with those.
    #[serde(default = "keep_checkpoints")]
    pub keep_checkpoints: usize,
    /// Worker threads; `null` chooses by the processors that this process may use.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Share of tokens masked, for `masked_lm`.
    #[serde(default)]
    pub mask_probability: Option<f64>,
    /// Temperature of the similarities, for `contrastive`.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// PPO's clipping range, for `rlhf`.
    #[serde(default)]
    pub clip_epsilon: Option<f64>,
    /// Weight of the divergence from the reference model, for `rlhf`.
    #[serde(default)]
    pub kl_coefficient: Option<f64>,
}

/// `data`: what is read and where results go.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Text to pretrain on, a file or a folder; `null` for the default corpus.
    #[serde(default)]
    pub input_file: Option<String>,
    /// Token ids to train on instead of text, without a tokenizer: a list as in `5,17,3`, or a file of them.
    #[serde(default)]
    pub tokens: Option<String>,
    /// Folder for checkpoints, tokenizer and metrics; `null` for `models/` and the configuration's name.
    #[serde(default)]
    pub output_dir: Option<String>,
    /// Model to start from: the folder of a run, one of its checkpoints, or a GPT-2 in Hugging Face's layout. Its sizes become
    /// those of `model`; `null` for random weights.
    #[serde(default)]
    pub pretrained_weights: Option<String>,
    /// Labelled texts, for `fine_tuning`.
    #[serde(default)]
    pub training_data: Option<String>,
    /// Worked problems in JSON lines, `{"problem", "reasoning": [..], "answer"}` or GSM8K's `{"question", "answer"}`, for
    /// `chain_of_thought`; `null` makes those of `posttraining.task`.
    #[serde(default)]
    pub reasoning_examples: Option<String>,
    /// Preferences in JSON lines, `{"prompt", "chosen", "rejected"}`, for `rlhf`; `null` makes those of `posttraining.task`.
    #[serde(default)]
    pub preference_data: Option<String>,
}

fn yes() -> bool {
    true
}

fn max_length() -> usize {
    128
}

fn seed() -> u64 {
    42
}

fn weight_decay() -> f64 {
    0.1
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.95
}

fn epsilon() -> f64 {
    1e-8
}

fn clip_norm() -> Option<f64> {
    Some(1.0)
}

fn spike_sigmas() -> Option<f64> {
    Some(10.0)
}

fn spike_window() -> usize {
    100
}

fn max_skips() -> usize {
    5
}

fn validation_split() -> f64 {
    0.05
}

fn validation_every() -> Option<usize> {
    Some(100)
}

fn validation_batches() -> Option<usize> {
    Some(8)
}

fn checkpoint_every() -> Option<usize> {
    Some(500)
}

fn keep_checkpoints() -> usize {
    2
}
