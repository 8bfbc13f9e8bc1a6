//! Whether a launcher started this process as one of several, and the engine by which they speak.

use std::fs;
use std::net::IpAddr;

use super::super::environment;
use super::super::outcome::Failure;
use crate::fleet::Fleet;

/// The others; none where nobody said that there are any.
///
/// # Errors
/// When there should be others, and this program does not see them.
pub(super) fn connect(wanted: Option<usize>) -> Result<Option<Fleet>, Failure> {
    let launched = environment::launched();
    let expected = wanted.or(launched.map(|(size, _)| size));
    let Some(expected) = expected.filter(|size| *size > 1) else {
        return Ok(None);
    };
    let who = match (wanted, launched) {
        (None, Some((_, variable))) => variable,
        _ => "--ranks",
    };
    start(expected, who).map(Some)
}

#[cfg(not(feature = "mpi"))]
fn start(expected: usize, who: &str) -> Result<Fleet, Failure> {
    Err(Failure::wrong_use(format!(
        "{who} says that this is one of {expected} processes, and this program was built without MPI: each would train for itself"
    ))
    .help("build it with MPI: cargo build --release --features mpi; or start it without mpirun or srun"))
}

#[cfg(feature = "mpi")]
fn start(expected: usize, who: &str) -> Result<Fleet, Failure> {
    let fleet = Fleet::start(crate::fleet::Mpi::connect).map_err(Failure::failed)?;
    if fleet.size() == expected {
        return Ok(fleet);
    }
    let (size, library) = (fleet.size(), crate::fleet::Mpi::library());
    // Alone in its world, it can take leave; with others it would wait for them.
    if size == 1 {
        fleet.leave();
    }
    Err(Failure::wrong_use(format!(
        "{who} says that this is one of {expected} processes, and MPI ({library}) sees {size}: the launcher is of another MPI"
    ))
    .help("start it by the mpirun of the MPI that it was built with, or by `srun --mpi=pmix`; `ldd` shows which that is"))
}

/// The host and process, for people, and the addresses at which others may reach it: those of the machine's own loopback last.
pub(super) fn own_name_and_addresses() -> (String, Vec<IpAddr>) {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{}, process {}", host.trim(), std::process::id());
    let mut addresses = addresses();
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    (name, addresses)
}

#[cfg(feature = "mpi")]
fn addresses() -> Vec<IpAddr> {
    // Without any the others cannot come, and the meeting says so.
    let Ok(networks) = sysinfo::Networks::new_with_refreshed_list() else {
        return Vec::new();
    };
    let all = networks.values().flat_map(|network| network.ip_networks());
    all.map(|network| network.addr).collect()
}

#[cfg(not(feature = "mpi"))]
fn addresses() -> Vec<IpAddr> {
    Vec::new()
}
