//! The one door through which the probe sees a machine: CPUID answers per CPU, the affinity mask, counter trials, and small
//! files. Behind it is the live machine or a recording; the probe cannot tell which.

use super::fact::Fact;
use super::leaves::Leaves;
use super::trial::{Event, Outcome};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;

/// No file of the machine is read further than this: the largest that matters is `/proc/cpuinfo`, some 1.5 KB a CPU.
const FILE_LIMIT: u64 = 4 << 20;

/// The most CPUs that Linux can be built for on x86-64.
pub(super) const MOST_CPUS: u32 = 8192;

/// A machine, live or recorded.
#[derive(Debug)]
pub struct Source {
    /// What each visited CPU answers to CPUID.
    pub(super) cpus: BTreeMap<u32, Leaves>,
    /// The CPUs that the system lets this process use.
    pub(super) affinity: Fact<Vec<u32>>,
    /// What became of opening each counter.
    pub(super) trials: BTreeMap<Event, Outcome>,
    files: Files,
}

/// What has been read, or may be read, from the file system.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// Content by path, or why it cannot be read.
    pub(super) files: BTreeMap<String, Result<String, String>>,
    /// Sorted names by folder.
    pub(super) folders: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
enum Files {
    /// The system's own; what is read is also kept, for a recording.
    System(RefCell<Tree>),
    /// Exactly these exist.
    Recorded(Tree),
}

impl Source {
    /// The machine that this process runs on.
    pub fn live() -> Source {
        let affinity = match super::cpuid::affinity() {
            Ok(cpus) => Fact::known(cpus, "sched_getaffinity"),
            Err(error) => Fact::unknown(format!("sched_getaffinity: {error}")),
        };
        let cpus = super::cpuid::leaves(affinity.value().map_or(&[], Vec::as_slice));
        Source {
            cpus,
            affinity,
            trials: super::trial::all(),
            files: Files::System(RefCell::default()),
        }
    }

    /// The small files of this machine alone: nothing is visited, and nothing tried.
    pub(super) fn files() -> Source {
        let files = Files::System(RefCell::default());
        let affinity = Fact::unknown("not asked for");
        Source {
            cpus: BTreeMap::new(),
            affinity,
            trials: BTreeMap::new(),
            files,
        }
    }

    /// A machine put together from its parts.
    pub(super) fn recorded(
        cpus: BTreeMap<u32, Leaves>,
        affinity: Fact<Vec<u32>>,
        trials: BTreeMap<Event, Outcome>,
        tree: Tree,
    ) -> Source {
        Source {
            cpus,
            affinity,
            trials,
            files: Files::Recorded(tree),
        }
    }

    /// What has been read so far, or all that a recording holds.
    pub(super) fn tree(&self) -> Tree {
        match &self.files {
            Files::System(seen) => seen.borrow().clone(),
            Files::Recorded(tree) => tree.clone(),
        }
    }

    /// The answers of the first CPU that was visited; empty where none was.
    pub(super) fn first(&self) -> Leaves {
        self.cpus.values().next().cloned().unwrap_or_default()
    }

    /// A small file's text without the white space at its ends.
    pub(super) fn text(&self, path: &str) -> Fact<String> {
        let content = match &self.files {
            Files::System(seen) => {
                let content = read(path);
                seen.borrow_mut()
                    .files
                    .insert(path.to_string(), content.clone());
                content
            }
            Files::Recorded(tree) => tree
                .files
                .get(path)
                .cloned()
                .unwrap_or_else(|| Err("no such file".to_string())),
        };
        match content {
            Ok(text) => Fact::known(text.trim().to_string(), path),
            Err(reason) => Fact::unknown(format!("{path}: {reason}")),
        }
    }

    /// A file that holds one whole number.
    pub(super) fn number(&self, path: &str) -> Fact<u64> {
        self.text(path).read("a number", |text| text.parse().ok())
    }

    /// A file that holds a list of CPUs, as in `0-3,8`.
    pub(super) fn cpu_list(&self, path: &str) -> Fact<Vec<u32>> {
        self.text(path)
            .read("a list of CPUs", |text| parse_cpu_list(text))
    }

    /// Sorted names in a folder; none where it is missing.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        match &self.files {
            Files::System(seen) => {
                let names = list(folder);
                seen.borrow_mut()
                    .folders
                    .insert(folder.to_string(), names.clone());
                names
            }
            Files::Recorded(tree) => tree.folders.get(folder).cloned().unwrap_or_default(),
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let outcome =
        std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err("no such file".to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err("permission denied".to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn list(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .take(100_000)
        .collect();
    names.sort();
    names
}

/// Reads the kernel's list format: ascending numbers and ranges between commas, as in `0-3,8,10-11`. An empty text is an
/// empty list. `None` where it is anything else, or names a CPU above 8,191, the most that Linux knows.
pub fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus: Vec<u32> = Vec::new();
    for part in text
        .trim()
        .split(',')
        .filter(|part| !part.trim().is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (
            first.trim().parse::<u32>().ok()?,
            last.trim().parse::<u32>().ok()?,
        );
        if first > last || last >= MOST_CPUS || cpus.last().is_some_and(|&before| before >= first) {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Writes sorted CPUs in the kernel's list format.
pub fn format_cpu_list(cpus: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = cpus;
    while let Some(&first) = rest.first() {
        let length = rest
            .iter()
            .zip(u64::from(first)..)
            .take_while(|&(&cpu, wanted)| u64::from(cpu) == wanted)
            .count();
        let last = rest[length - 1];
        parts.push(if length == 1 {
            first.to_string()
        } else {
            format!("{first}-{last}")
        });
        rest = &rest[length..];
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_go_both_ways() {
        for text in ["", "0", "0-1", "0-3,8,10-11", "63,8191"] {
            assert_eq!(format_cpu_list(&parse_cpu_list(text).unwrap()), text);
        }
        for text in [
            "x", "3-1", "0-8192", "-1", "1-", "0-3-5", "0-3,2", "5,5", "9,1",
        ] {
            assert_eq!(parse_cpu_list(text), None, "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_a_reason() {
        let source = Source::live();
        assert_eq!(
            source.text("/nowhere/at all").reason(),
            Some("/nowhere/at all: no such file")
        );
        assert!(
            source.text("/proc").reason().is_some(),
            "a folder is no file"
        );
    }
}
