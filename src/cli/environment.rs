//! The environment variables that change what the program does; nothing else reads the environment.

use std::env;

use super::outcome::Failure;
use crate::kernels::Isa;

/// Whether colour is welcome: `NO_COLOR` is unset or empty (<https://no-color.org>).
pub(crate) fn color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The instruction set that `LOOPOS_ISA` forces, or the best one of this machine.
///
/// # Errors
/// When it names an unknown one, or one that cannot run here.
pub(crate) fn isa() -> Result<Isa, Failure> {
    match env::var_os("LOOPOS_ISA") {
        Some(name) if !name.is_empty() => Isa::forced(&name.to_string_lossy()).map_err(|error| {
            Failure::wrong_use(format!("LOOPOS_ISA: {error}"))
                .help("unset LOOPOS_ISA to use the best instruction set of this machine")
        }),
        _ => Ok(Isa::best()),
    }
}
