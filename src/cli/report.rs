//! `loopos report`: makes the page and the pictures of runs again, from run.json alone, on any machine.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::outcome::{Exit, Failure};
use crate::record::{Run, SCHEMA};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  loopos report reports/latest                 the page of the newest run again
  loopos report run.json --out /tmp/page       the page of a run that was sent to you
  loopos report reports/runs/* --out pages     one folder for each run

A RUN is a run.json or the folder that holds one. Says on stdout where each page is.";

/// The file that a folder of results holds.
const FILE: &str = "run.json";

/// What to type after `loopos report`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files run.json, or folders that hold one
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write into DIR, with several runs into one folder below it for each [default: beside run.json]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes report.html and the pictures of each run; reads all runs before it writes the first page.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut pages = Vec::new();
    for path in &arguments.runs {
        let file = if path.is_dir() {
            path.join(FILE)
        } else {
            path.clone()
        };
        pages.push((read(&file)?, file));
    }
    let several = pages.len() > 1;
    for (run, file) in &pages {
        let folder = match &arguments.out {
            Some(out) if several => out.join(folder_name(run)?),
            Some(out) => out.clone(),
            None => file.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let page = report::write(run, &folder).map_err(Failure::failed)?;
        writeln!(io::stdout(), "{}", page.display())?;
    }
    Ok(Exit::Done)
}

/// Reads a run; a file of another program or of another version is refused by name.
fn read(path: &Path) -> Result<Run, Failure> {
    let wrong = |what: String| Failure::wrong_use(format!("{}: {what}", path.display()));
    let text = fs::read(path).map_err(|error| {
        wrong(error.to_string())
            .help("name a run.json that `loopos bench` wrote, or the folder that holds it")
    })?;
    let document: serde_json::Value = serde_json::from_slice(&text).map_err(|error| {
        wrong(format!("this is no JSON: {error}")).help("copy the file again: it may be cut off")
    })?;
    match document.get("schema").and_then(serde_json::Value::as_str) {
        Some(SCHEMA) => {}
        Some(other) => {
            let help = "use the version of loopos that wrote it";
            return Err(wrong(format!(
                "its schema is `{other}`, and this version reads `{SCHEMA}`"
            ))
            .help(help));
        }
        None => {
            return Err(wrong(format!(
                "this is no run: it has no `schema`, where a run says `{SCHEMA}`"
            )));
        }
    }
    serde_path_to_error::deserialize(document)
        .map_err(|error| wrong(format!("`{}`: {}", error.path(), error.inner())))
}

/// The run's id as the name of a folder: one that names another place is refused.
fn folder_name(run: &Run) -> Result<&str, Failure> {
    let mut parts = Path::new(&run.id).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(_)), None) => Ok(&run.id),
        _ => Err(
            Failure::wrong_use(format!("the run's id `{}` is no name for a folder", run.id))
                .help("give one run at a time, so that --out is its folder"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> serde_json::Value {
        json!({
            "schema": SCHEMA, "id": "20261122T141503-4f2a91", "started": "2026-11-22T14:15:03Z",
            "elapsed_seconds": 1.0, "command": ["loopos"], "version": "0.1.0", "commit": null,
            "machine": {
                "summary": { "brand": "Sample", "vendor": "GenuineIntel", "microarchitecture": null, "hypervisor": null,
                    "packages": 1, "cores": 1, "threads": 1, "usable_threads": 1, "isa": "avx2", "fingerprint": "0" },
                "cpus": [], "caches": [], "features": [], "facts": []
            },
            "config": null, "metrics": [], "series": [], "notes": []
        })
    }

    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, text).unwrap();
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn pages_go_beside_the_run_or_where_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, document().to_string()).unwrap();
        let beside = Arguments {
            runs: vec![folder.path().to_owned()],
            out: None,
        };
        assert_eq!(run(&beside).unwrap(), Exit::Done);
        assert!(folder.path().join("report.html").is_file());
        let out = folder.path().join("out");
        let twice = Arguments {
            runs: vec![path.clone(), path],
            out: Some(out.clone()),
        };
        assert_eq!(run(&twice).unwrap(), Exit::Done);
        assert!(out.join("20261122T141503-4f2a91/report.html").is_file());
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_place() {
        assert!(refusal("{").contains("no JSON"));
        assert!(refusal("{}").contains("no `schema`"));
        assert!(refusal(r#"{"schema": "loopos.run/9"}"#).contains("`loopos.run/9`"));
        let mut broken = document();
        broken["machine"]["summary"]["cores"] = json!("two");
        assert!(refusal(&broken.to_string()).contains("`machine.summary.cores`"));
        assert!(read(Path::new("/no/such/run.json")).is_err());
    }

    #[test]
    fn an_id_cannot_name_another_folder() {
        let mut value = document();
        for id in ["../up", "/root", "", ".."] {
            value["id"] = json!(id);
            let run: Run = serde_json::from_value(value.clone()).unwrap();
            assert!(folder_name(&run).is_err(), "{id}");
        }
    }
}
