//! Where a run stands, beside its tensors: `state.json` of a checkpoint, and what a resumed run must agree with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schedule::Progress;

/// The layout that this version writes and reads.
pub(super) const SCHEMA: &str = "loopos.checkpoint/1";

/// Keys of the configuration that a resumed run may change: they bound or observe a run, or order its sums, and leave its
/// mathematics as it was.
const FREE: &[&str] = &[
    "computation.description",
    "training.num_epochs",
    "training.max_steps",
    "training.max_skips",
    "training.micro_batch",
    "training.parallel",
    "training.recompute",
    "training.shard_optimizer",
    "training.threads",
    "training.validation_every",
    "training.validation_batches",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "data.input_file",
    "data.tokens",
    "data.output_dir",
];

/// In place of the digest of a tokenizer, where the model is fed ids.
pub const NO_TOKENIZER: &str = "none";

/// Where a run stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this layout.
    pub(super) schema: String,
    /// Steps done; also the position in the data, whose order is a function of seed and step.
    pub step: u64,
    /// Optimizer updates done: the steps without those skipped.
    pub updates: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Steps skipped in a row, up to this one.
    pub skipped_in_a_row: u32,
    /// What stays the same over the run.
    pub identity: Identity,
    /// What the learning-rate schedule remembers.
    pub schedule: Progress,
    /// How the run has gone so far.
    pub history: History,
    /// Losses of the newest updates, by which a spike is told.
    #[serde(default)]
    pub recent_losses: Vec<f32>,
    /// What the task remembers, where it does.
    #[serde(default)]
    pub memory: Option<f64>,
}

/// What stays the same over a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The effective configuration, with the seed of weights and data order.
    pub config: Value,
    /// SHA-256 of `tokenizer.json`, or [`NO_TOKENIZER`].
    pub tokenizer_sha256: String,
    /// Fingerprint of the training tokens.
    pub data_sha256: String,
    /// Name of the instruction set.
    pub isa: String,
    /// Bytes of the first level's data cache, by which sums are cut.
    pub l1_bytes: usize,
    /// Worker threads; the bits depend on them only where sequences are shared out.
    pub threads: usize,
}

/// A summary of the losses so far, in f32: its shortest decimals survive JSON exactly.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Loss of the first step.
    pub first_loss: Option<f32>,
    /// Loss of the newest step.
    pub last_loss: Option<f32>,
    /// Steps done at the newest validation, whatever it found.
    pub last_validation_step: Option<u64>,
    /// Newest validation loss.
    pub last_validation_loss: Option<f32>,
    /// Lowest validation loss.
    pub best_validation_loss: Option<f32>,
    /// Steps done at the lowest validation loss.
    pub best_validation_step: Option<u64>,
}

impl State {
    /// The state before the first step.
    pub fn new(identity: Identity) -> State {
        State {
            schema: SCHEMA.to_owned(),
            step: 0,
            updates: 0,
            tokens: 0,
            skipped_in_a_row: 0,
            identity,
            schedule: Progress::default(),
            history: History::default(),
            recent_losses: Vec::new(),
            memory: None,
        }
    }
}

impl History {
    /// Notes the loss of a step; one that is not finite is left out.
    pub fn step(&mut self, loss: f64) {
        if loss.is_finite() {
            self.first_loss.get_or_insert(loss as f32);
            self.last_loss = Some(loss as f32);
        }
    }

    /// Notes a validation loss; one that is not finite is left out.
    pub fn validation(&mut self, step: u64, loss: f64) {
        self.last_validation_step = Some(step);
        if !loss.is_finite() {
            return;
        }
        let loss = loss as f32;
        self.last_validation_loss = Some(loss);
        if self.best_validation_loss.is_none_or(|best| loss < best) {
            self.best_validation_loss = Some(loss);
            self.best_validation_step = Some(step);
        }
    }
}

impl Identity {
    /// What makes `now` another run than this one, each as a sentence; empty where it is the same.
    pub fn conflicts(&self, now: &Identity) -> Vec<String> {
        let mut conflicts = Vec::new();
        compare("", &self.config, &now.config, &mut conflicts);
        if self.tokenizer_sha256 != now.tokenizer_sha256 {
            conflicts.push("the tokenizer is another one".to_owned());
        }
        if self.data_sha256 != now.data_sha256 {
            conflicts.push("the training text is another one".to_owned());
        }
        conflicts
    }

    /// Why the losses may differ in their last digits from those of an uninterrupted run, if they may.
    pub fn rounding(&self, now: &Identity) -> Option<String> {
        let describe = |identity: &Identity| {
            let micro_batch = identity
                .config
                .pointer("/training/micro_batch")
                .unwrap_or(&Value::Null);
            let parallel = identity.config.pointer("/training/parallel");
            let apart = match parallel.is_some_and(|parallel| *parallel == "sequences") {
                true => format!(", sequences shared out among {} threads", identity.threads),
                false => String::new(),
            };
            let Identity { isa, l1_bytes, .. } = identity;
            format!("{isa}, {l1_bytes} bytes of L1 cache, micro_batch {micro_batch}{apart}")
        };
        let (was, is) = (describe(self), describe(now));
        (was != is).then(|| {
            format!("the run was made with {was} and goes on with {is}: last digits may differ")
        })
    }
}

/// Adds a sentence for each key, not in [`FREE`], whose value differs.
fn compare(path: &str, was: &Value, is: &Value, conflicts: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (was, is) else {
        if was != is && !FREE.contains(&path) {
            conflicts.push(format!("{path} was {was} and is {is}"));
        }
        return;
    };
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let value = |object: &serde_json::Map<String, Value>| {
            object.get(key).cloned().unwrap_or(Value::Null)
        };
        compare(&path, &value(old), &value(new), conflicts);
    }
}

#[cfg(test)]
pub(in crate::train) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::train) fn identity() -> Identity {
        Identity {
            config: json!({"model": {"d_model": 32}, "training": {"max_steps": 10, "micro_batch": null}}),
            tokenizer_sha256: "a".to_owned(),
            data_sha256: "b".to_owned(),
            isa: "avx2".to_owned(),
            l1_bytes: 32_768,
            threads: 2,
        }
    }

    #[test]
    fn what_changes_the_mathematics_is_named() {
        let was = identity();
        assert!(was.conflicts(&was).is_empty());
        let mut now = identity();
        now.config = json!({"model": {"d_model": 64}, "training": {"max_steps": 20, "seed": 1}});
        now.data_sha256 = "c".to_owned();
        let wanted = [
            "model.d_model was 32 and is 64",
            "training.seed was null and is 1",
            "the training text is another one",
        ];
        assert_eq!(was.conflicts(&now), wanted);
    }

    #[test]
    fn what_changes_only_the_rounding_is_told() {
        let was = identity();
        assert_eq!(was.rounding(&was), None);
        let now = Identity {
            isa: "avx512".to_owned(),
            threads: 1,
            ..identity()
        };
        assert!(was.conflicts(&now).is_empty());
        let text = was.rounding(&now).unwrap();
        assert!(
            text.contains("avx2, 32768 bytes") && text.contains("avx512, 32768 bytes"),
            "{text}"
        );
    }

    #[test]
    fn history_keeps_the_first_the_last_and_the_best() {
        let mut history = History::default();
        for loss in [f64::NAN, 5.0, 4.0, f64::INFINITY] {
            history.step(loss);
        }
        for (step, loss) in [(10, 4.5), (20, 4.25), (30, 4.75), (40, f64::NAN)] {
            history.validation(step, loss);
        }
        assert_eq!(
            (history.first_loss, history.last_loss),
            (Some(5.0), Some(4.0))
        );
        assert_eq!(
            (history.last_validation_loss, history.best_validation_loss),
            (Some(4.75), Some(4.25))
        );
        assert_eq!(history.best_validation_step, Some(20));
    }
}
