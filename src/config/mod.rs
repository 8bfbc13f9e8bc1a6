//! A training run as a file: `configs/*.json` to a typed [`Config`], with an error that names the key for anything else.
//!
//! The schema is that of the original LoopOS (sections `model`, `computation`, `training`, `data`) and what this program adds;
//! `schema.rs` explains each key, `original.rs` its old spellings. To add a key: a field there, its range in `validate.rs`.

mod built_in;
mod error;
mod keys;
mod original;
mod posttraining;
mod schedule;
mod schema;
mod validate;

pub use built_in::{BUILT_IN, built_in};
pub use error::{ConfigError, Problem};
pub use posttraining::{Algorithm, BuiltInTask, Judge, Posttraining};
pub use schedule::{Kind, Rule, Schedule};
pub use schema::{Architecture, Computation, Data, Method, Mode, Model, Parallel, Training};

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

/// No configuration is larger; a path to something endless ends here.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration that passed every check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The shape of the transformer.
    pub model: Model,
    /// What is to be done.
    pub computation: Computation,
    /// How the weights are found.
    pub training: Training,
    /// What is read and where results go.
    pub data: Data,
    /// How a pretrained model is trained further.
    #[serde(default)]
    pub posttraining: Posttraining,
    /// The keys that the user gave: overrides apply to these, so that defaults follow.
    #[serde(skip)]
    given: Value,
}

impl Config {
    /// Parses and checks the text of a configuration.
    pub fn from_json(text: &str) -> Result<Config, ConfigError> {
        Config::from_value(object(text)?)
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(read)?;
        Config::from_json(&text).map_err(|source| ConfigError::InFile {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads a file, or takes the built-in configuration of that name: `autoregressive_training_small`.
    pub fn find(name: &str) -> Result<Config, ConfigError> {
        match built_in(name) {
            _ if Path::new(name).exists() => Config::load(Path::new(name)),
            Some(text) => Config::from_json(text),
            None => Err(ConfigError::NotFound {
                name: name.to_owned(),
                built_in: BUILT_IN.iter().map(|(name, _)| *name).collect(),
            }),
        }
    }

    /// Sets one key by its path, as `--set training.batch_size=16` does: the value is JSON, or else a string.
    /// On an error nothing is changed.
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), ConfigError> {
        self.set_all(&[(path, value)])
    }

    /// Sets several keys and checks the result once, so that the order does not matter.
    pub fn set_all(&mut self, overrides: &[(&str, &str)]) -> Result<(), ConfigError> {
        let mut given = self.given.clone();
        for (path, value) in overrides {
            // JSON where it is JSON, else the text itself.
            let value = json::parse(value.as_bytes()).unwrap_or_else(|_| (*value).into());
            keys::insert(&mut given, path, value)?;
        }
        *self = Config::from_value(given)?;
        Ok(())
    }

    /// Splits `key.path=value`, the form of `--set`.
    pub fn parse_override(text: &str) -> Result<(&str, &str), ConfigError> {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => Ok((path.trim(), value.trim())),
            _ => Err(ConfigError::Override {
                text: text.to_owned(),
            }),
        }
    }

    /// The configuration with every default filled in: what is printed and stored with a run. It can be loaded again.
    pub fn effective(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["model"]["context"] = self.context().into();
        value["training"]["schedule"] =
            serde_json::to_value(self.training.schedule.rule()).unwrap_or_default();
        value
    }

    /// Positions that the model knows.
    pub fn context(&self) -> usize {
        self.model.context.unwrap_or(self.training.max_length)
    }

    /// Steps of warm-up in a run of `steps`.
    pub fn warmup_steps(&self, steps: usize) -> usize {
        self.training
            .warmup_steps
            .unwrap_or((steps / 10).min(200))
            .min(steps)
    }

    /// How a pretrained model is trained further; `None` where the run is no such training.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.posttraining.algorithm(&self.computation)
    }

    /// Whether threads may take sequences of their own: where a loss is a sum over tokens, and compares no sequences.
    pub fn may_share_sequences(&self) -> bool {
        matches!(self.algorithm(), None | Some(Algorithm::Supervised))
    }

    /// Whether the batches are of pairs.
    pub fn has_pairs(&self) -> bool {
        matches!(
            self.algorithm(),
            Some(Algorithm::RewardModel | Algorithm::Dpo)
        )
    }

    /// Whether the model has a scalar head: a reward or a value for each token.
    pub fn has_scalar_head(&self) -> bool {
        matches!(
            self.algorithm(),
            Some(Algorithm::RewardModel | Algorithm::Ppo)
        )
    }

    /// Whether the method can be run by this version; nothing pretends.
    pub fn method_ready(&self) -> Result<(), MethodMissing> {
        match self.computation.method {
            Method::Autoregressive | Method::ChainOfThought | Method::Rlhf => Ok(()),
            method => Err(MethodMissing { method }),
        }
    }

    fn from_value(mut value: Value) -> Result<Config, ConfigError> {
        original::translate(&mut value)?;
        keys::check(&value)?;
        let mut config: Config = keys::deserialize(&value)?;
        let problems = validate::problems(&config);
        if !problems.is_empty() {
            return Err(ConfigError::Problems { problems });
        }
        config.given = value;
        Ok(config)
    }
}

/// The object that a text is.
fn object(text: &str) -> Result<Value, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = json::parse(text.as_bytes()).map_err(|error| ConfigError::Syntax {
        message: error.to_string(),
    })?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(ConfigError::Syntax {
            message: "the sections must stand in one pair of braces".into(),
        })
    }
}

/// The configuration is valid, and what it asks for does not exist yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the method {method} does not exist yet: this version trains `autoregressive`, `chain_of_thought` and `rlhf`"
)]
pub struct MethodMissing {
    /// The method asked for.
    pub method: Method,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).unwrap_or_default();
        f.write_str(name.as_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
