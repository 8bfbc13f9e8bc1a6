//! The environment variables that change what the program does; nothing else reads the environment.

use std::env;
use std::path::PathBuf;

use super::outcome::Failure;
use crate::kernels::Isa;

/// Whether colour is welcome: `NO_COLOR` is unset or empty (<https://no-color.org>).
pub(crate) fn color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The words that the program was started with, its own name first; what is not UTF-8 in a path stands for something unreadable.
pub(crate) fn command_line() -> impl Iterator<Item = String> {
    env::args_os().map(|word| word.to_string_lossy().into_owned())
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

/// By which variable a launcher tells its processes how many they are: Open MPI's mpirun, MPICH's and Intel's, and Slurm's srun, which
/// unlike `sbatch` sets the number of the step.
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// As how many processes a launcher started this one, and the variable that says so.
pub(crate) fn launched() -> Option<(usize, &'static str)> {
    LAUNCHERS.into_iter().find_map(|name| {
        let size = env::var(name).ok()?.parse().ok()?;
        Some((size, name))
    })
}

/// The file of this program.
pub(crate) fn program() -> std::io::Result<PathBuf> {
    env::current_exe()
}

/// Where cargo keeps what it downloads: `CARGO_HOME`, else `.cargo` in the home folder.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    path("CARGO_HOME").or_else(|| Some(path("HOME")?.join(".cargo")))
}

/// Where tuned profiles are kept: `loopos` in `XDG_CONFIG_HOME`, else in `.config` in the home folder.
pub(crate) fn config_folder() -> Option<PathBuf> {
    let configs = path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))?;
    Some(configs.join("loopos"))
}

/// Where tokenizers and tokens are kept between runs: `loopos` in `XDG_CACHE_HOME`, else in `.cache` in the home folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")))?;
    Some(caches.join("loopos"))
}

/// Where the history is kept: `loopos` in `XDG_DATA_HOME`, else in `.local/share` in the home folder.
pub(crate) fn data_folder() -> Option<PathBuf> {
    let data = path("XDG_DATA_HOME").or_else(|| Some(path("HOME")?.join(".local/share")))?;
    Some(data.join("loopos"))
}

/// A variable that holds an absolute path; others are ignored, as the XDG specification asks.
fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
