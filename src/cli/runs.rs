//! Runs as a user names them: a run.json, the folder that holds one, or a folder of such folders.

use std::fs;
use std::path::{Path, PathBuf};

use super::outcome::Failure;
use crate::bounded;
use crate::json::parse;
use crate::record::{self, Run};

/// The file that a folder of results holds.
pub(super) const FILE: &str = "run.json";

/// The most bytes of a run: fifty times what the largest has.
const LONGEST: u64 = 64 << 20;

/// Where `loopos bench --out DIR` keeps its runs below DIR.
const RUNS: &str = "runs";

/// The run.json files that `path` means: itself, the one in it, or those of the folders in it or in its `runs/`, by name.
///
/// # Errors
/// Wrong use, if there is none.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let here = path.join(FILE);
    if here.is_file() {
        return Ok(vec![here]);
    }
    let kept = path.join(RUNS);
    let folder = if kept.is_dir() { &kept } else { path };
    let unreadable =
        |error: std::io::Error| Failure::wrong_use(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path().join(FILE);
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::wrong_use(format!("{}: there is no {FILE} in it", path.display()))
            .help("name a run.json that `loopos bench` wrote, the folder that holds it, or a folder of such folders"));
    }
    Ok(files)
}

/// Reads a run; a file of another program or of another version is refused by name.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    let wrong = |what: String| Failure::wrong_use(format!("{}: {what}", path.display()));
    let text = bounded::read(path, LONGEST).map_err(|error| {
        wrong(error.to_string())
            .help("name a run.json that `loopos bench` wrote, or the folder that holds it")
    })?;
    let document = parse(&text).map_err(|error| {
        wrong(format!("this is no JSON: {error}"))
            .help("copy the file again: it may be cut off or damaged")
    })?;
    record::read(document).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
pub(in crate::cli) mod testing {
    use serde_json::json;

    use crate::record::SCHEMA;

    /// The smallest document that is a run.
    pub(in crate::cli) fn document() -> serde_json::Value {
        json!({
            "schema": SCHEMA, "id": "20261122T141503-4f2a91", "started": "2026-11-22T14:15:03Z",
            "elapsed_seconds": 1.0, "command": ["loopos"], "suites": [], "effort": "quick", "version": "0.1.0", "commit": null,
            "machine": {
                "summary": { "brand": "Sample", "vendor": "GenuineIntel", "microarchitecture": null, "hypervisor": null,
                    "packages": 1, "cores": 1, "threads": 1, "usable_threads": 1, "isa": "avx2", "fingerprint": "0" },
                "cpus": [], "caches": [], "features": [], "facts": []
            },
            "config": null, "metrics": [], "series": [], "notes": []
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::document;
    use super::*;

    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, text).unwrap();
        read(&path).unwrap_err().to_string()
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
    fn a_folder_of_runs_is_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            files(folder.path())
                .unwrap_err()
                .to_string()
                .contains("no run.json")
        );
        for name in ["runs/2", "runs/1", "latest", "runs/empty"] {
            let run = folder.path().join(name);
            fs::create_dir_all(&run).unwrap();
            if name != "runs/empty" {
                fs::write(run.join(FILE), "{}").unwrap();
            }
        }
        let found = files(folder.path()).unwrap();
        assert_eq!(
            found,
            ["runs/1", "runs/2"].map(|run| folder.path().join(run).join(FILE))
        );
        let latest = folder.path().join("latest");
        assert_eq!(files(&latest).unwrap(), [latest.join(FILE)]);
        assert_eq!(files(&latest.join(FILE)).unwrap(), [latest.join(FILE)]);
    }
}
