//! The program as a user meets it: words, exit codes, streams and messages.

use assert_cmd::Command;
use assert_cmd::assert::Assert;

/// The program with nothing of the caller's environment that could change what it says.
fn loopos(arguments: &[&str]) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("loopos");
    command
        .args(arguments)
        .env_remove("LOOPOS_ISA")
        .env("NO_COLOR", "1");
    command
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// Asserts the exit code, that stdout stays empty, that no panic shows, and that each piece is in the message.
fn refused(arguments: &[&str], code: i32, pieces: &[&str]) -> String {
    let assert = loopos(arguments).assert().code(code);
    let message = stderr(&assert);
    assert_eq!(stdout(&assert), "", "{arguments:?}");
    assert!(!message.contains("panicked"), "{message}");
    for piece in pieces {
        assert!(
            message.contains(piece),
            "{arguments:?} does not say `{piece}`:\n{message}"
        );
    }
    message
}

#[test]
fn help_goes_to_stdout_and_names_every_word_and_exit_code() {
    let assert = loopos(&["--help"]).assert().code(0);
    let help = stdout(&assert);
    for piece in [
        "train",
        "generate",
        "eval",
        "completions",
        "Exit codes: 0 done, 1 failed, 2 wrong use",
    ] {
        assert!(help.contains(piece), "{piece} is not in:\n{help}");
    }
    assert_eq!(stderr(&assert), "");
    let version = stdout(&loopos(&["--version"]).assert().code(0));
    assert_eq!(version, format!("loopos {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_word_has_help_with_an_example() {
    let help = stdout(&loopos(&["--help"]).assert().code(0));
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let words: Vec<_> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| *word != "help")
        .collect();
    assert!(words.len() >= 4, "{words:?}");
    for word in words {
        let help = stdout(&loopos(&[word, "--help"]).assert().code(0));
        assert!(help.contains("Example"), "{word} shows no example:\n{help}");
    }
}

#[test]
fn what_cannot_be_parsed_is_wrong_use() {
    refused(&[], 2, &["Usage:"]);
    refused(&["trian"], 2, &["trian", "train"]);
    refused(&["train", "--confg", "x"], 2, &["--confg", "--config"]);
    refused(
        &[
            "generate",
            "--model",
            "m",
            "--prompt",
            "p",
            "--temperature",
            "-1",
        ],
        2,
        &["0 or more"],
    );
    refused(
        &[
            "generate", "--model", "m", "--prompt", "p", "--top-p", "1.5",
        ],
        2,
        &["at most 1"],
    );
    refused(&["completions", "tcsh"], 2, &["tcsh", "bash"]);
}

#[test]
fn completions_are_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&loopos(&["completions", shell]).assert().code(0));
        assert!(
            script.contains("generate") && script.contains("--temperature"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("loopos"));
    let output = command
        .args(["completions", "bash"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
