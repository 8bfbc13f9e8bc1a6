//! The pictures of the kept runs as they were when someone last looked at them: what each says, its size, and how many shapes of
//! each kind it has. A picture that changes shows here; `LOOPOS_ACCEPT_PICTURES=1 cargo test --test pictures` accepts it after a look.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use loopos::record::{Run, read};
use loopos::report::render;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The runs that are kept in reports/, by the name of their folder.
fn kept() -> BTreeMap<String, Run> {
    let mut runs = BTreeMap::new();
    let folders = |path: PathBuf| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
    };
    // `latest` and `runs` are of whoever works here: not kept.
    let own = |path: &PathBuf| ["latest", "runs"].iter().any(|own| path.ends_with(own));
    for machine in folders(root().join("reports")).filter(|path| !own(path)) {
        for folder in folders(machine) {
            let Ok(text) = fs::read_to_string(folder.join("run.json")) else {
                continue;
            };
            let run = read(serde_json::from_str(&text).unwrap()).unwrap();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            runs.insert(name, run);
        }
    }
    assert!(!runs.is_empty(), "no run is kept in reports/");
    runs
}

/// What is between `open` and `close`, each time.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| rest.split(close).next())
}

/// A picture in words.
fn described(file: &str, svg: &str) -> String {
    let mut text = String::new();
    let size = between(svg, "viewBox=\"-16 -16 ", "\"")
        .next()
        .unwrap_or("?");
    let count = |shape: &str| svg.matches(&format!("<{shape} ")).count();
    let _ = writeln!(text, "{file}: {size}");
    let shapes = [
        "rect", "circle", "path", "polyline", "polygon", "line", "text",
    ]
    .map(|shape| (shape, count(shape)));
    let shapes = shapes
        .into_iter()
        .filter(|shape| shape.1 > 0)
        .map(|(shape, count)| format!("{count} {shape}"));
    let _ = writeln!(text, "  {}", shapes.collect::<Vec<_>>().join(", "));
    for part in between(svg, "<desc>", "</desc>").take(1) {
        let _ = writeln!(text, "  {part}");
    }
    let words = svg
        .split("<text")
        .skip(1)
        .filter_map(|rest| rest.split_once('>')?.1.split("</text>").next());
    let words: Vec<String> = words.map(|words| words.trim().to_owned()).collect();
    let _ = writeln!(text, "  {}", words.join(" | "));
    text
}

#[test]
fn pictures_are_as_they_were_looked_at() {
    let mut changed = Vec::new();
    for (name, run) in kept() {
        let pictures = render(&run).pictures;
        let found: String = pictures
            .iter()
            .map(|(file, svg)| described(file, svg))
            .collect();
        assert!(found.lines().count() >= 4 * pictures.len(), "{found}");
        let path = root()
            .join("tests/fixtures/pictures")
            .join(format!("{name}.txt"));
        if std::env::var_os("LOOPOS_ACCEPT_PICTURES").is_some() {
            fs::write(&path, found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            let stored = fs::read_to_string(&path).unwrap_or_default();
            let line = found
                .lines()
                .zip(stored.lines())
                .find(|(found, stored)| found != stored);
            changed.push(format!("{name}: {line:?}"));
        }
    }
    assert!(
        changed.is_empty(),
        "look at the pages, then accept them:\n{}",
        changed.join("\n")
    );
}
