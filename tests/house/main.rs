//! The rules of the house that the compiler does not know, read off the source tree.
//!
//! Who may import whom, where unsafe code, printing, threads and serialization live, that every file says what it is for and
//! is listed, and how long files and functions may get. A failing rule names each file and line.

mod facts;
mod rules;
mod source;

use std::path::PathBuf;

use facts::{FUNCTION_LINES, LONG_FUNCTIONS, REGISTRIES, ROOMS, UNSAFE};
use rules::*;
use source::{Source, module_folder, word};

/// Fails with every finding, when there is one.
#[track_caller]
fn judge(rule: &str, findings: Vec<Finding>) {
    let list: Vec<String> = findings
        .iter()
        .map(|Finding { file, line, what }| format!("  {file}:{line}: {what}"))
        .collect();
    assert!(list.is_empty(), "{rule}\n{}", list.join("\n"));
}

/// The package that cargo runs the test for.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn sources() -> Vec<Source> {
    let sources = source::read(&root(), &["src"]);
    assert!(sources.len() > ROOMS.len(), "the source tree is not there");
    sources
}

fn check(rule: &str, broken: impl Fn(&Source) -> Vec<Finding>) {
    judge(rule, sources().iter().flat_map(broken).collect());
}

#[test]
fn rooms_import_only_what_they_may() {
    check(
        "A room imports only the rooms that its row in ROOMS names.",
        imports,
    );
    let listed: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let known = ["lib", "main"];
    judge(
        "Each room has its row in ROOMS.",
        sources()
            .iter()
            .filter(|source| !listed.contains(&source.room()) && !known.contains(&source.room()))
            .map(|source| finding(source, 1, format!("room `{}` has none", source.room())))
            .collect(),
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut all = sources();
    all.extend(source::read(&root(), &["tests", "benches"]));
    let opens = |source: &&Source| {
        let first = source.lines.first().map_or("", String::as_str);
        !first.starts_with("//! ") && !first.starts_with("#![doc = include_str!(")
    };
    let silent = all.iter().filter(opens);
    let what = "opens with something else";
    judge(
        "The first line of a file is `//!` and says what the file is for.",
        silent.map(|source| finding(source, 1, what)).collect(),
    );
}

#[test]
fn every_file_is_declared() {
    let sources = sources();
    let declared: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let folder = module_folder(&source.path);
            let names = source.modules().into_iter();
            names.flat_map(move |(name, _)| {
                [
                    format!("{folder}{name}.rs"),
                    format!("{folder}{name}/mod.rs"),
                ]
            })
        })
        .collect();
    let orphan = |source: &&Source| {
        !["src/lib.rs", "src/main.rs"].contains(&source.path.as_str())
            && !declared.contains(&source.path)
    };
    let orphans = sources.iter().filter(orphan);
    let what = "no `mod` line names this file: nothing compiles it";
    judge(
        "Each file has its `mod` line.",
        orphans.map(|source| finding(source, 1, what)).collect(),
    );
}

#[test]
fn every_file_of_a_registry_has_its_row() {
    let sources = sources();
    let mut missing = Vec::new();
    for (folder, helpers) in REGISTRIES {
        let path = format!("{folder}/mod.rs");
        let Some(list) = sources.iter().find(|source| source.path == path) else {
            continue;
        };
        for (name, test) in list.modules() {
            let (declaration, row) = (format!("mod {name};"), format!("pub mod {name};"));
            let row = list.product().any(|(_, code)| {
                code.contains(&row) || !code.contains(&declaration) && word(code, &name).is_some()
            });
            if !test && !row && !helpers.contains(&name.as_str()) {
                missing.push(finding(
                    list,
                    1,
                    format!("`{name}` has a `mod` line and no row"),
                ));
            }
        }
    }
    judge(
        "Each file of a registry folder has its row in the list beside it.",
        missing,
    );
}

#[test]
fn files_and_functions_stay_short() {
    let mut all = sources();
    all.extend(source::read(&root(), &["tests"]));
    let long = all.iter().flat_map(too_long).collect();
    judge(
        "A file has at most 600 lines, a function at most 100.",
        long,
    );
    for (file, name) in LONG_FUNCTIONS {
        let source = all.iter().find(|source| source.path == *file);
        let still = source.is_some_and(|source| {
            let mut functions = source.functions().into_iter();
            functions.any(|(known, _, lines)| known == *name && lines > FUNCTION_LINES)
        });
        assert!(
            still,
            "{file}: `{name}` is short now: take it off LONG_FUNCTIONS"
        );
    }
}

#[test]
fn unsafe_code_is_where_it_is_known() {
    check(
        "Unsafe code is in the files that UNSAFE names, and nowhere else.",
        unsafe_code,
    );
    let sources = sources();
    for file in UNSAFE {
        let source = sources.iter().find(|source| source.path == *file);
        let needed = source.is_some_and(|source| !unsafe_words(source).is_empty());
        assert!(needed, "{file} needs no unsafe code: take it off UNSAFE");
    }
}

#[test]
fn results_are_serialized_in_one_room() {
    check(
        "serde's derives are in the places that SERDE names: results belong to `record`.",
        serialization,
    );
}

#[test]
fn only_the_shell_speaks_and_ends() {
    check(
        "Only cli and main print, read the environment or end the program.",
        shell_work,
    );
}

#[test]
fn threads_start_in_one_room() {
    check("Only parallel starts threads.", threads);
}

#[test]
fn programs_are_started_in_one_place() {
    check("Only PROGRAMS starts other programs.", programs);
}

#[test]
fn detection_is_in_one_place() {
    check(
        "Only kernels/isa asks whether an instruction may run: others hold a token.",
        detection,
    );
}

#[test]
fn nothing_is_left_for_later() {
    check("What is there is finished.", unfinished);
}

#[test]
fn the_rules_see_what_they_are_for() {
    let breaks = |rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str| -> Vec<usize> {
        rule(&Source::new(path, text))
            .iter()
            .map(|found| found.line)
            .collect()
    };
    let kernel = "src/kernels/vec/add.rs";
    assert_eq!(
        breaks(
            imports,
            kernel,
            "use crate::units::Bytes;\nuse crate::probe::Machine;"
        ),
        [2]
    );
    assert_eq!(
        breaks(
            imports,
            kernel,
            "use crate::{\n    units};\nuse crate::{cli, units};"
        ),
        [3]
    );
    assert_eq!(
        breaks(imports, kernel, "// crate::cli\nlet a = \"crate::cli\";"),
        []
    );
    assert_eq!(
        breaks(imports, kernel, "use super::super::super::cli;"),
        [1]
    );
    assert_eq!(breaks(imports, kernel, "use super::super::Isa;"), []);
    assert_eq!(breaks(shell_work, kernel, "fn a() { println!() }"), [1]);
    let tested =
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { println!() }\n}\nfn c() { dbg!(1) }";
    assert_eq!(breaks(shell_work, kernel, tested), [6]);
    assert_eq!(
        breaks(shell_work, "src/cli/mod.rs", "fn a() { println!() }"),
        []
    );
    assert_eq!(
        breaks(unsafe_code, kernel, "unsafe { a() }\n/* unsafe */"),
        [1]
    );
    assert_eq!(
        breaks(serialization, kernel, "#[derive(Clone, Serialize)]"),
        [1]
    );
    assert_eq!(
        breaks(threads, kernel, "std::thread::spawn(a);\nrayon::spawn(b);"),
        [1, 2]
    );
    assert_eq!(
        breaks(
            programs,
            kernel,
            "use std::process::{Command, Stdio};\nCommand::new(\"sh\");\nunsafe { libc::execvp(a, b) }"
        ),
        [2, 3]
    );
    assert_eq!(
        breaks(detection, kernel, "is_x86_feature_detected!(\"avx2\")"),
        [1]
    );
    assert_eq!(breaks(unfinished, kernel, "// TODO later\ntodo!()"), [2, 1]);
    let long = format!(
        "fn f<A, B>(a: A) -> [B; 2] {{\n{}}}\n",
        "    a();\n".repeat(99)
    );
    assert_eq!(breaks(too_long, kernel, &long), [1]);
    assert_eq!(
        breaks(too_long, kernel, &long.replacen("    a();\n", "", 1)),
        []
    );
    assert_eq!(breaks(too_long, kernel, &"\n".repeat(601)), [601]);
}
