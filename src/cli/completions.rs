//! `loopos completions SHELL`: a completion script for the user's shell.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::outcome::Exit;

const EXAMPLES: &str = "\
Examples:
  loopos completions bash > ~/.local/share/bash-completion/completions/loopos
  loopos completions zsh > \"${fpath[1]}/_loopos\"
  loopos completions fish > ~/.config/fish/completions/loopos.fish";

/// What to type after `loopos completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell to write for
    shell: Shell,
}

/// Writes the script to stdout.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics where its writer fails, and stdout may be a pipe that closes.
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::Cli::command(),
        "loopos",
        &mut script,
    );
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}
