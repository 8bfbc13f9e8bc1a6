//! Configurations written for the original LoopOS: keys that were renamed are understood, keys without a meaning here are
//! refused with the reason instead of being ignored.

use serde_json::Value;

use super::error::{ConfigError, Problem};

/// Old path, new path; the meaning is the same.
const RENAMED: [(&str, &str); 8] = [
    ("training.random_seed", "training.seed"),
    ("training.regularization.dropout", "training.dropout"),
    (
        "training.regularization.weight_decay",
        "training.weight_decay",
    ),
    ("training.adaptive_lr.initial_lr", "training.learning_rate"),
    ("data.validation_split", "training.validation_split"),
    (
        "checkpointing.save_every_n_batches",
        "training.checkpoint_every",
    ),
    ("checkpointing.keep_last_n", "training.keep_checkpoints"),
    ("checkpointing.save_path", "data.output_dir"),
];

/// Old path (of a key or of a whole section), and what to do instead.
const RETIRED: [(&str, &str); 11] = [
    (
        "training.adaptive_lr",
        "use training.schedule, such as {\"kind\": \"cosine_restarts\"}, and training.learning_rate",
    ),
    (
        "training.prefetch_batches",
        "batches are cut out of memory in no time, there is nothing to prefetch: remove it",
    ),
    (
        "training.num_workers",
        "batches are cut out of memory in no time, there is nothing to prefetch: remove it",
    ),
    ("training.max_batches_per_epoch", "use training.max_steps"),
    (
        "training.shuffle",
        "sequences are always shuffled, by training.seed: remove it",
    ),
    (
        "data.shuffle",
        "sequences are always shuffled, by training.seed: remove it",
    ),
    (
        "training.random_offset",
        "sequences are always shuffled, by training.seed: remove it",
    ),
    (
        "data.random_offset",
        "sequences are always shuffled, by training.seed: remove it",
    ),
    (
        "data.tokenizer_vocab",
        "the tokenizer is trained on the text and kept in data.output_dir: remove it",
    ),
    (
        "generation",
        "sampling is chosen at `loopos generate`: remove it",
    ),
    (
        "profiling",
        "`loopos bench --suite training` profiles every step: remove it",
    ),
];

/// What became of a key of the original that does not exist here.
pub(super) fn retired(path: &str) -> Option<String> {
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == path) {
        return Some(format!("is called {new} here"));
    }
    let covers = |old: &str| {
        path == old
            || path
                .strip_prefix(old)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    RETIRED
        .iter()
        .find(|(old, _)| covers(old))
        .map(|(_, reason)| (*reason).to_owned())
}

/// Moves renamed keys to their new place.
pub(super) fn translate(config: &mut Value) -> Result<(), ConfigError> {
    for (old, new) in RENAMED {
        let Some(value) = take(config, old) else {
            continue;
        };
        let (section, key) = new.split_once('.').unwrap_or((new, new));
        let Some(section) = config.get_mut(section).and_then(Value::as_object_mut) else {
            // Without its section the file is refused for that.
            continue;
        };
        if section
            .insert(key.to_owned(), value.clone())
            .is_some_and(|there| there != value)
        {
            let message = format!(
                "is the old name of {new}, which is there too with another value: keep one"
            );
            return Err(Problem::new(old, message).into());
        }
    }
    Ok(())
}

/// Removes a value by its path, and the sections that this leaves empty.
fn take(value: &mut Value, path: &str) -> Option<Value> {
    let object = value.as_object_mut()?;
    let Some((section, rest)) = path.split_once('.') else {
        return object.remove(path);
    };
    let taken = take(object.get_mut(section)?, rest)?;
    if object[section]
        .as_object()
        .is_some_and(serde_json::Map::is_empty)
    {
        object.remove(section);
    }
    Some(taken)
}
