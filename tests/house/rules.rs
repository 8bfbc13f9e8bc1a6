//! The rules that look at one file at a time: each returns the places that break it.

use crate::facts::{FILE_LINES, FUNCTION_LINES, LONG_FUNCTIONS, PROGRAMS, ROOMS, SERDE, UNSAFE};
use crate::source::{Source, module_folder, word};

/// A place that breaks a rule.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

pub(crate) fn finding(source: &Source, line: usize, what: impl Into<String>) -> Finding {
    Finding {
        file: source.path.clone(),
        line,
        what: what.into(),
    }
}

/// Imports of other rooms. Tests may borrow from any: a kernel's test may take its memory from an arena.
pub(crate) fn imports(source: &Source) -> Vec<Finding> {
    let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (line, code) in source.product() {
        for target in named_rooms(code) {
            if target != *room && !allowed.contains(&target) {
                found.push(finding(source, line, format!("{room} imports {target}")));
            }
        }
        if climbs_out(source, line, code) {
            let what = "climbs out of its room by `super`: write `crate::`";
            found.push(finding(source, line, what));
        }
    }
    found
}

/// The rooms behind `crate::` in a line of code, those of a group `crate::{a, b}` among them.
fn named_rooms(code: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let first = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        let group = if rest.starts_with('{') { rest } else { "" };
        for (room, _) in ROOMS {
            if first == Some(room) || word(group, room).is_some() {
                found.push(*room);
            }
        }
    }
    found
}

/// More `super`s than there are modules between the line and the root.
fn climbs_out(source: &Source, line: usize, code: &str) -> bool {
    let folder = module_folder(&source.path);
    let depth = folder.matches('/').count() - 1 + usize::from(source.test[line - 1]);
    code.matches("super::").count() >= depth && code.contains(&"super::".repeat(depth))
}

pub(crate) fn too_long(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = source.lines.len();
    if lines > FILE_LINES {
        found.push(finding(source, FILE_LINES + 1, format!("{lines} lines")));
    }
    for (name, line, lines) in source.functions() {
        let known = LONG_FUNCTIONS.contains(&(source.path.as_str(), name.as_str()));
        if lines > FUNCTION_LINES && !known {
            found.push(finding(source, line, format!("`{name}` has {lines} lines")));
        }
    }
    found
}

pub(crate) fn unsafe_code(source: &Source) -> Vec<Finding> {
    if UNSAFE.contains(&source.path.as_str()) {
        return Vec::new();
    }
    unsafe_words(source)
}

/// Where a file has unsafe code or allows it to the files below.
pub(crate) fn unsafe_words(source: &Source) -> Vec<Finding> {
    named(source, source.all(), &["unsafe", "unsafe_code"])
}

pub(crate) fn serialization(source: &Source) -> Vec<Finding> {
    if SERDE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let words = ["Serialize", "Deserialize"];
    named(source, source.product(), &words)
}

pub(crate) fn shell_work(source: &Source) -> Vec<Finding> {
    if ["cli", "main"].contains(&source.room()) {
        return Vec::new();
    }
    let parts = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "env::",
        "process::exit",
        "anyhow",
    ];
    named(source, source.product(), &parts)
}

pub(crate) fn threads(source: &Source) -> Vec<Finding> {
    if source.room() == "parallel" {
        return Vec::new();
    }
    // `par_iter` runs on the pool that the caller has installed.
    let words = [
        "thread::spawn",
        "thread::scope",
        "thread::Builder",
        "ThreadPoolBuilder",
        "rayon::spawn",
        "rayon::scope",
    ];
    named(source, source.product(), &words)
}

pub(crate) fn programs(source: &Source) -> Vec<Finding> {
    if source.path == PROGRAMS {
        return Vec::new();
    }
    let words = ["Command::new", "libc::system", "libc::popen"];
    let mut found = named(source, source.product(), &words);
    for (line, code) in source.product() {
        if code.contains("libc::exec") || code.contains("libc::posix_spawn") {
            found.push(finding(source, line, "`exec`"));
        }
    }
    found
}

pub(crate) fn detection(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("src/kernels/isa/") {
        return Vec::new();
    }
    named(source, source.all(), &["is_x86_feature_detected"])
}

pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    let mut found = named(source, source.all(), &["todo!", "unimplemented!"]);
    for (i, line) in source.lines.iter().enumerate() {
        for mark in ["TODO", "FIXME", "XXX"] {
            if word(line, mark).is_some() {
                found.push(finding(source, i + 1, mark));
            }
        }
    }
    found
}

/// A finding for each of `words` in `lines`.
fn named<'a>(
    source: &Source,
    lines: impl Iterator<Item = (usize, &'a str)>,
    words: &[&str],
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, code) in lines {
        for name in words {
            if word(code, name).is_some() {
                found.push(finding(source, line, format!("`{name}`")));
            }
        }
    }
    found
}
