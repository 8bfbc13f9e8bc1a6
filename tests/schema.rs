//! The published schema of run.json: it describes what the program writes, all of it, and the runs that are kept here are read.

use std::fs;
use std::path::Path;

use loopos::record::{Member, Run, read, sealed};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    let text = fs::read_to_string(root().join("reports/run.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The runs that are kept in reports/.
fn kept() -> Vec<(String, Value)> {
    let mut runs = Vec::new();
    for machine in fs::read_dir(root().join("reports")).unwrap() {
        let machine = machine.unwrap().path();
        // Those are of whoever works here: of any age, and not kept.
        if !machine.is_dir() || ["latest", "runs"].iter().any(|own| machine.ends_with(own)) {
            continue;
        }
        for run in fs::read_dir(machine).unwrap() {
            let path = run.unwrap().path().join("run.json");
            if let Ok(text) = fs::read_to_string(&path) {
                runs.push((
                    path.display().to_string(),
                    serde_json::from_str(&text).unwrap(),
                ));
            }
        }
    }
    assert!(!runs.is_empty(), "no run is kept in reports/");
    runs
}

/// The words of JSON Schema that ours uses. Others are refused, so that the schema cannot say what is not checked.
fn check(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    let mut fail = |what: String| wrong.push(format!("{path}: {what}"));
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "const" if value != rule => fail(format!("is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                fail(format!("{value} is not of {rule}"))
            }
            "type" if !has_type(rule, value) => fail(format!("{value} is no {rule}")),
            "minimum" if value.as_f64() < rule.as_f64() => fail(format!("{value} is below {rule}")),
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        fail(format!("lacks {key}"));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    if !known.contains_key(key) {
                        fail(format!("{key} is not described"));
                    }
                }
            }
            "const" | "enum" | "type" | "minimum" | "properties" | "items" | "$ref" => {}
            other => panic!("the test does not know `{other}`"),
        }
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root
            .pointer(name.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{name} is nowhere"));
        check(root, target, value, path, wrong);
    }
    for (key, rule) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(inner) = value.get(key) {
            check(root, rule, inner, &format!("{path}.{key}"), wrong);
        }
    }
    if let (Some(rule), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, inner) in list.iter().enumerate() {
            check(root, rule, inner, &format!("{path}[{index}]"), wrong);
        }
    }
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the test does not know the type `{other}`"),
    };
    rule.as_array()
        .map_or_else(|| is(rule), |names| names.iter().any(is))
}

fn wrong(value: &Value) -> Vec<String> {
    let (schema, mut wrong) = (schema(), Vec::new());
    check(&schema, &schema, value, "run", &mut wrong);
    wrong
}

fn written(run: &Run) -> Value {
    sealed(run).unwrap()
}

#[test]
fn kept_runs_of_any_schema_are_read_and_written_as_described() {
    for (path, document) in kept() {
        let run = read(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(wrong(&written(&run)), Vec::<String>::new(), "{path}");
        assert!(!run.suites.is_empty(), "{path}");
    }
}

#[test]
fn every_key_is_described_and_every_described_key_is_written() {
    let (_, document) = kept().swap_remove(0);
    let mut run = read(document).unwrap();
    // Only several ranks write it.
    run.fleet = vec![Member {
        name: "rank 0".to_owned(),
        machine: run.machine.summary.clone(),
        metrics: run.metrics.clone(),
    }];
    let whole = written(&run);
    assert_eq!(wrong(&whole), Vec::<String>::new());
    let schema = schema();
    let mut described = Vec::new();
    let mut places = vec![("run".to_owned(), &schema, &whole)];
    while let Some((path, rule, value)) = places.pop() {
        let rule = match rule.get("$ref").and_then(Value::as_str) {
            Some(name) => schema.pointer(name.trim_start_matches('#')).unwrap(),
            None => rule,
        };
        for (key, inner) in rule
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let optional = ["low", "high"].contains(&key.as_str()) && path.ends_with("series[]");
            match value.get(key) {
                Some(value) => places.push((format!("{path}.{key}"), inner, value)),
                None if !optional => described.push(format!("{path}.{key}")),
                None => {}
            }
        }
        if let (Some(inner), Some(first)) = (
            rule.get("items"),
            value.as_array().and_then(|list| list.first()),
        ) {
            places.push((format!("{path}[]"), inner, first));
        }
    }
    assert_eq!(
        described,
        Vec::<String>::new(),
        "described, and never written"
    );
}

#[test]
fn what_is_not_described_is_found() {
    let (_, document) = kept().swap_remove(0);
    let whole = written(&read(document).unwrap());
    let broken = |change: fn(&mut Value)| {
        let mut document = whole.clone();
        change(&mut document);
        wrong(&document)
    };
    assert_eq!(
        broken(|run| run["new"] = json!(1)),
        ["run: new is not described"]
    );
    assert_eq!(broken(|run| run["schema"] = json!("loopos.run/1")).len(), 1);
    assert_eq!(
        broken(|run| run["metrics"][0]["value"] = json!("fast")).len(),
        1
    );
    assert_eq!(
        broken(|run| run["machine"]["summary"]["cores"] = json!(-1)).len(),
        1
    );
    let lacking = broken(|run| {
        run.as_object_mut().unwrap().remove("id");
    });
    assert_eq!(lacking, ["run: lacks \"id\""]);
}
