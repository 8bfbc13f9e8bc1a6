//! Which keys exist: refuses unknown ones by their full path with the nearest valid key, sets one by its path, and turns what
//! serde says about a value into a sentence about the key.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Config;
use super::error::{ConfigError, Problem, nearest};
use super::original;

/// The smallest valid configuration. Serialized with its defaults it holds every key there is.
const SMALLEST: &str = r#"{
    "model": {"type": "transformer", "d_model": 1, "num_heads": 1, "num_layers": 1, "d_ff": 1, "vocab_size": 257},
    "computation": {"mode": "pretraining", "method": "autoregressive", "description": ""},
    "training": {"learning_rate": 1.0, "batch_size": 1, "num_epochs": 1},
    "data": {}
}"#;

/// Every key, as an object of objects.
static EVERY_KEY: LazyLock<Value> = LazyLock::new(|| {
    let smallest: Result<Config, _> = serde_json::from_str(SMALLEST);
    smallest
        .and_then(|config| serde_json::to_value(&config))
        .unwrap_or_default()
});

/// The path of every key.
static EVERY_PATH: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut found = Vec::new();
    paths(&EVERY_KEY, "", &mut found);
    found
});

/// Keys of more bytes are no misspelt ones, and take long to compare; beyond so many unknown keys, no text is a configuration.
const LONGEST_KEY: usize = 100;
const MOST_PROBLEMS: usize = 50;

/// Every path of a value: `training`, `training.batch_size`, `training.schedule.kind`.
fn paths(value: &Value, prefix: &str, found: &mut Vec<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = join(prefix, key);
        found.push(path.clone());
        paths(inner, &path, found);
    }
}

/// Refuses keys that do not exist, all of them at once, or the first [`MOST_PROBLEMS`].
pub(super) fn check(value: &Value) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    unknown(value, &EVERY_KEY, "", &mut problems);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Problems { problems })
    }
}

fn unknown(value: &Value, known: &Value, prefix: &str, problems: &mut Vec<Problem>) {
    let (Value::Object(value), Value::Object(known)) = (value, known) else {
        return;
    };
    for (key, inner) in value {
        if problems.len() == MOST_PROBLEMS {
            return;
        }
        let path = join(prefix, key);
        match known.get(key) {
            Some(below) => unknown(inner, below, &path, problems),
            None => problems.push(no_such_key(&path)),
        }
    }
}

fn no_such_key(path: &str) -> Problem {
    if let Some(reason) = original::retired(path) {
        return Problem::new(path, reason);
    }
    let near = Some(path).filter(|path| path.len() <= LONGEST_KEY);
    let message = match near.and_then(|path| likeliest(path, &EVERY_PATH)) {
        Some(key) => format!("there is no such key; the nearest is {key}"),
        None => {
            let sections: Vec<&str> = EVERY_PATH
                .iter()
                .map(String::as_str)
                .filter(|path| !path.contains('.'))
                .collect();
            format!(
                "there is no such key; the sections are {}",
                sections.join(", ")
            )
        }
    };
    Problem::new(path, message)
}

/// The valid path that was meant: a key of the same name in another section, or the nearest spelling, first in the same section.
fn likeliest<'a>(path: &str, valid: &'a [String]) -> Option<&'a str> {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    let all = || valid.iter().map(String::as_str);
    let moved = all().find(|candidate| {
        candidate
            .rsplit_once('.')
            .is_some_and(|(_, name)| name == key)
    });
    let siblings = all()
        .filter(|candidate| candidate.rsplit_once('.').map_or("", |(prefix, _)| prefix) == section);
    let near = |candidates: Vec<&'a str>| {
        let names = candidates
            .iter()
            .map(|path| path.rsplit_once('.').map_or(*path, |(_, name)| name));
        let name = nearest(key, names)?;
        candidates
            .iter()
            .copied()
            .find(|path| path.rsplit_once('.').map_or(*path, |(_, last)| last) == name)
    };
    moved
        .or_else(|| near(siblings.collect()))
        .or_else(|| near(all().collect()))
}

/// Sets the value at a path that exists in the schema.
pub(super) fn insert(config: &mut Value, path: &str, value: Value) -> Result<(), ConfigError> {
    let mut below = &*EVERY_KEY;
    let mut slot = config;
    for key in path.split('.') {
        below = match below.get(key) {
            Some(below) => below,
            None => return Err(no_such_key(path).into()),
        };
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot = &mut slot[key];
    }
    *slot = value;
    Ok(())
}

/// The typed configuration, or a sentence about the key whose value does not fit.
pub(super) fn deserialize(value: &Value) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        explain(&path, &message).into()
    })
}

/// Serde's words in the user's: which key is missing, or what was expected where.
fn explain(path: &str, message: &str) -> Problem {
    let section = if path == "." { "" } else { path };
    if let Some(key) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        return Problem::new(join(section, key), "is missing");
    }
    let path = if section.is_empty() {
        "configuration"
    } else {
        section
    };
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return Problem::new(path, message);
    };
    let expected = match expected {
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "f64" => "a number",
        other if other.starts_with("struct ") => "an object in braces",
        other if other.contains("enum") => "a name in quotes",
        other => other,
    };
    Problem::new(path, format!("must be {expected}, not {found}"))
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}
