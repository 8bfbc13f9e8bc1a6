//! Reading a document of this or of an earlier schema: what was written once stays readable.
//!
//! `reports/run.schema.json` describes the newest schema, and a test holds it to the types. To change the schema: raise
//! [`SCHEMA`], add the step that makes a document of the one before into a new one, and describe it in that file.

use serde_json::{Map, Value, json};

use super::seal::unsealed;
use super::{Run, SCHEMA};

/// What makes a document of a schema into one of the next.
type Step = fn(&mut Map<String, Value>);

/// Each earlier schema, and the step from it.
const STEPS: [(&str, Step); 1] = [("loopos.run/1", name_suites_and_effort)];

/// Why a document cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// It names no schema.
    #[error("this is no run: it has no `schema`, where a run says `{SCHEMA}`")]
    NoSchema,
    /// It names one that this version does not know.
    #[error(
        "its schema is `{0}`, and this version reads `{SCHEMA}` and earlier ones; use the version of loopos that wrote it"
    )]
    Unknown(String),
    /// It is not what was written.
    #[error(
        "it is damaged, or was changed by hand: its SHA-256 is not the one that it holds; copy it again, or take the key `sha256` out of it \
         where the change is meant"
    )]
    Damaged,
    /// A part of it has the wrong shape.
    #[error("`{path}`: {reason}")]
    Shape {
        /// Where: `machine.summary.cores`.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// The run of a document, brought to the newest schema.
///
/// # Errors
/// It is no run, of a later version, or damaged.
pub fn read(document: Value) -> Result<Run, ReadError> {
    let Value::Object(mut document) = document else {
        return Err(ReadError::NoSchema);
    };
    let found = match document.get("schema") {
        Some(Value::String(found)) => found.clone(),
        _ => return Err(ReadError::NoSchema),
    };
    if !unsealed(&mut document) {
        return Err(ReadError::Damaged);
    }
    let known = STEPS.iter().position(|(schema, _)| *schema == found);
    let from = known.unwrap_or(STEPS.len());
    if from == STEPS.len() && found != SCHEMA {
        return Err(ReadError::Unknown(found));
    }
    for (_, step) in &STEPS[from..] {
        step(&mut document);
    }
    document.insert("schema".to_owned(), SCHEMA.into());
    serde_path_to_error::deserialize(Value::Object(document)).map_err(|error| ReadError::Shape {
        path: error.path().to_string(),
        reason: error.inner().to_string(),
    })
}

/// From 1 to 2: suites and effort have keys of their own; before, only the command line told them.
fn name_suites_and_effort(document: &mut Map<String, Value>) {
    let words: Vec<&str> = match document.get("command") {
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let typed = |flag: &str| words.contains(&flag);
    let effort = match (typed("--quick"), typed("--full")) {
        (true, _) => "quick",
        (_, true) => "full",
        _ => "normal",
    };
    let after = words
        .iter()
        .position(|word| *word == "--suite")
        .and_then(|at| words.get(at + 1));
    let joined = words.iter().find_map(|word| word.strip_prefix("--suite="));
    let tuned = words
        .get(1)
        .filter(|word| **word == "tune")
        .map(|_| "tuning");
    let suites: Vec<&str> = after.copied().or(joined).or(tuned).into_iter().collect();
    let (suites, effort) = (json!(suites), json!(effort));
    document.insert("suites".to_owned(), suites);
    document.insert("effort".to_owned(), effort);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(command: &[&str]) -> Value {
        json!({
            "schema": "loopos.run/1", "id": "1", "started": "", "elapsed_seconds": 1.0, "command": command,
            "version": "0.1.0", "commit": null, "config": null, "metrics": [], "series": [], "notes": [],
            "machine": {
                "summary": { "brand": "Sample", "vendor": "GenuineIntel", "microarchitecture": null, "hypervisor": null,
                    "packages": 1, "cores": 1, "threads": 1, "usable_threads": 1, "isa": "avx2", "fingerprint": "0" },
                "cpus": [], "caches": [], "features": [], "facts": []
            }
        })
    }

    #[test]
    fn the_first_schema_is_read_as_the_newest() {
        let run = read(first(&["loopos", "bench", "--suite", "matmul", "--quick"])).unwrap();
        assert_eq!(
            (run.schema.as_str(), run.effort.as_str()),
            (SCHEMA, "quick")
        );
        assert_eq!(run.suites, ["matmul"]);
        let run = read(first(&["loopos", "bench", "--suite=all"])).unwrap();
        assert_eq!(
            (run.suites, run.effort.as_str()),
            (vec!["all".to_owned()], "normal")
        );
        assert_eq!(read(first(&["loopos", "tune"])).unwrap().suites, ["tuning"]);
        assert!(read(first(&[])).unwrap().suites.is_empty());
    }

    #[test]
    fn the_newest_is_read_as_it_is() {
        let run = read(first(&["loopos"])).unwrap();
        let again = read(serde_json::to_value(&run).unwrap()).unwrap();
        assert_eq!(run, again);
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_place() {
        assert_eq!(read(json!([1])), Err(ReadError::NoSchema));
        assert_eq!(read(json!({"schema": 1})), Err(ReadError::NoSchema));
        assert_eq!(
            read(json!({"schema": "loopos.run/9"})),
            Err(ReadError::Unknown("loopos.run/9".to_owned()))
        );
        let mut broken = first(&[]);
        broken["machine"]["summary"]["cores"] = json!("two");
        assert!(
            matches!(read(broken), Err(ReadError::Shape { path, .. }) if path == "machine.summary.cores")
        );
    }
}
