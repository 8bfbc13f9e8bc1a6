//! A source file as the rules see it: code without comments and literals, and which lines are tests.

use std::collections::HashSet;
use std::path::Path;

/// One Rust file.
pub(crate) struct Source {
    /// Path from the package's root, with `/`.
    pub(crate) path: String,
    /// The lines as written.
    pub(crate) lines: Vec<String>,
    /// The same lines with comments and the contents of string and character literals blanked.
    pub(crate) code: Vec<String>,
    /// Which lines are compiled for tests only.
    pub(crate) test: Vec<bool>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code: Vec<String> = blanked(text).lines().map(str::to_owned).collect();
        let test = if path.starts_with("tests/") {
            vec![true; code.len()]
        } else {
            test_lines(&code)
        };
        let lines = text.lines().map(str::to_owned).collect();
        let path = path.to_owned();
        Source {
            path,
            lines,
            code,
            test,
        }
    }

    /// The room that the file is in: `kernels` for `src/kernels/..`, `lib` for `src/lib.rs`.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Numbers, from 1, and code of the lines that every build compiles.
    pub(crate) fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter_map(|(i, (code, test))| (!test).then_some((i + 1, code.as_str())))
    }

    /// Numbers, from 1, and code of all lines.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().enumerate();
        lines.map(|(i, code)| (i + 1, code.as_str()))
    }

    /// Names of the files that it declares with `mod name;`, and whether for tests only.
    pub(crate) fn modules(&self) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        for (i, code) in self.code.iter().enumerate() {
            let Some(name) = code
                .trim()
                .strip_suffix(';')
                .and_then(|line| line.split_once("mod "))
                .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))
                .map(|(_, name)| name)
            else {
                continue;
            };
            let guards = self.code[..i]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#["));
            let test = self.test[i] || guards.into_iter().any(|line| line.contains("cfg(test)"));
            found.push((name.to_owned(), test));
        }
        found
    }

    /// Name, first line (from 1) and number of lines of each function with a body.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for (i, code) in self.code.iter().enumerate() {
            let Some(at) = word(code, "fn") else {
                continue;
            };
            let name: String = code[at + 2..]
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty()
                && let Some(end) = end_of_body(&self.code, i)
            {
                found.push((name, i + 1, end - i + 1));
            }
        }
        found
    }
}

/// Every Rust file under `folders` of `root`, in a fixed order.
pub(crate) fn read(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a folder that lists its entries").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable source file");
                let name = path.strip_prefix(root).expect("a file under the root");
                files.push(Source::new(&name.to_string_lossy(), &text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    mark_test_files(&mut files);
    files
}

/// A file that its parent declares under `#[cfg(test)]` is a test from its first line on.
fn mark_test_files(files: &mut [Source]) {
    let mut test_files = HashSet::new();
    for file in files.iter() {
        for (name, test) in file.modules() {
            if test {
                let folder = module_folder(&file.path);
                test_files.insert(format!("{folder}{name}.rs"));
                test_files.insert(format!("{folder}{name}/mod.rs"));
            }
        }
    }
    for file in files {
        if test_files.contains(&file.path) {
            file.test.fill(true);
        }
    }
}

/// Where the modules that a file declares are: `src/kernels/` for `src/kernels/mod.rs`, `src/units/` for `src/units.rs`.
pub(crate) fn module_folder(path: &str) -> String {
    for root in ["mod.rs", "lib.rs", "main.rs"] {
        if let Some(folder) = path.strip_suffix(root) {
            return folder.to_owned();
        }
    }
    format!("{}/", path.strip_suffix(".rs").unwrap_or(path))
}

/// Position of `wanted` in `code` as a word of its own.
pub(crate) fn word(code: &str, wanted: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(wanted)
        .map(|(at, _)| at)
        .find(|&at| !code[..at].ends_with(part) && !code[at + wanted.len()..].starts_with(part))
}

/// The lines of items under `#[cfg(test)]` or `#[test]`.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut test = vec![false; code.len()];
    for (i, line) in code.iter().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") || line.trim() == "#[test]" {
            let item = (i..code.len()).find(|at| !code[*at].trim_start().starts_with("#["));
            let item = item.unwrap_or(i);
            // A variant, a field or a match arm ends with its comma, anything else with its body or semicolon.
            let line_alone = code[item].trim_end().ends_with([',', ';']);
            let end = if line_alone {
                item
            } else {
                end_of_body(code, item).unwrap_or(item)
            };
            test[i..=end].fill(true);
        }
    }
    test
}

/// The line of the brace that closes the body of the item at `start`; `None` for an item that ends without a body.
fn end_of_body(code: &[String], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                ';' if depth == 0 => return None,
                _ => {}
            }
            if c == '}' && depth == 0 {
                return Some(i);
            }
        }
    }
    None
}

/// `text` with comments and the contents of literals replaced by spaces, line by line.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token(rest);
        let (piece, after) = rest.split_at(length.max(first.len_utf8()));
        if length == 0 {
            out.push_str(piece);
        } else {
            out.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// Bytes of the comment or literal at the start of `text`, 0 where there is none.
fn token(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if text.starts_with("r\"") || text.starts_with("r#") {
        let hashes = text[1..].chars().take_while(|c| *c == '#').count();
        if text[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let from = 2 + hashes;
            return text[from..]
                .find(&close)
                .map_or(text.len(), |end| from + end + close.len());
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"').unwrap_or(text.len());
    }
    if let Some(behind) = text.strip_prefix('\'') {
        // A lifetime has no closing quote after one character.
        let mut chars = behind.chars();
        let inside = chars.next();
        if inside == Some('\\') || chars.next() == Some('\'') {
            return quoted(text, '\'').unwrap_or(0);
        }
    }
    0
}

/// Bytes of the literal at the start of `text`, both quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
