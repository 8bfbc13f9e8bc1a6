//! How a command ended, for the tests that judge what it says.

use std::process::{Command, Output};

/// What a command did, which was not to panic.
pub(crate) fn output(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("panicked"), "{message}");
    output
}

/// Asserts the exit code and returns stdout and stderr.
pub(crate) fn ended(command: Command, code: i32) -> (String, String) {
    let output = output(command);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Asserts the exit code, that stdout stays empty, and that each piece is in the message.
pub(crate) fn refused(command: Command, code: i32, pieces: &[&str]) -> String {
    let (stdout, stderr) = ended(command, code);
    assert_eq!(stdout, "", "{stderr}");
    for piece in pieces {
        assert!(stderr.contains(piece), "no `{piece}` in:\n{stderr}");
    }
    stderr
}
