//! The environment variables that change what the program does; nothing else reads the environment.

use std::env;

/// Whether colour is welcome: `NO_COLOR` is unset or empty (<https://no-color.org>).
pub(crate) fn color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
