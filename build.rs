//! Tells the program which commit it was built from, for `run.json`.
//!
//! `LOOPOS_COMMIT` in the environment says it for builds outside of a repository (a package, an image); else git is asked. Without
//! either the program does not know, and no build fails for it.

use std::env;
use std::path::Path;
use std::process::Command;

/// What the program is made of: changes elsewhere do not make it another one.
const SOURCES: [&str; 5] = ["src", "configs", "Cargo.toml", "Cargo.lock", "build.rs"];

fn main() {
    println!("cargo::rerun-if-env-changed=LOOPOS_COMMIT");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    // The environment's value reaches the compiler by itself.
    if env::var_os("LOOPOS_COMMIT").is_some() {
        println!("cargo::rustc-env=LOOPOS_COMMIT_GIVEN=1");
    } else if let Some(commit) = commit() {
        println!("cargo::rustc-env=LOOPOS_COMMIT={commit}");
    }
}

/// The commit that is checked out, `-dirty` if the sources differ from it; `None` without git, or in somebody else's repository.
fn commit() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    watch();
    let commit = git(&["rev-parse", "HEAD"])?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    let clean = git(&status)?.is_empty();
    Some(if clean { commit } else { commit + "-dirty" })
}

/// Has cargo ask again after a commit or a checkout. A file that is not there would have it ask every time.
fn watch() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"];
    for name in names.into_iter().chain(branch.as_deref()) {
        // In a worktree `.git` is a file, and each of these lies elsewhere.
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// What git prints, without the end of the line; `None` if it is not there or refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim_end().to_owned())
}
