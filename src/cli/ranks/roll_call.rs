//! What ranks tell each other before they begin: what must be the same, and who shares CPUs with whom.

use std::fs;

use super::super::environment;
use super::super::outcome::{Failure, warn};
use crate::config::Config;
use crate::fleet::{Difference, Fleet, difference};
use crate::probe::Machine;
use crate::train::digest;

/// Between an entry's name and its value, and behind it: neither holds such a character.
const MARKS: [char; 2] = ['\u{1f}', '\u{1e}'];

/// What must be the same before any text is read: the program, the instruction set and the configuration, without what may differ between
/// hosts.
///
/// # Errors
/// When the program's own file cannot be read, or `LOOPOS_ISA` asks for what this machine does not have.
pub(crate) fn fingerprint(config: &Config) -> Result<Vec<(String, String)>, Failure> {
    let program = environment::program()
        .and_then(|path| digest::of_file(&path))
        .map_err(|error| Failure::failed(format!("cannot read this program's file: {error}")))?;
    let mut shared = config.effective();
    for (section, key) in [
        ("data", "output_dir"),
        ("data", "input_file"),
        ("training", "threads"),
    ] {
        if let Some(value) = shared
            .get_mut(section)
            .and_then(|section| section.get_mut(key))
        {
            value.take();
        }
    }
    let mut entries = vec![
        ("program (its SHA-256)".to_owned(), program),
        (
            "instruction set".to_owned(),
            environment::isa()?.name().to_owned(),
        ),
    ];
    for (section, keys) in shared.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            entries.push((
                format!("configuration key {section}.{key}"),
                value.to_string(),
            ));
        }
    }
    Ok(entries)
}

/// The first rank that differs, on every rank the same.
pub(super) fn same(fleet: &Fleet, entries: &[(String, String)]) -> Option<Difference> {
    let line = |(name, value): &(String, String)| format!("{name}{}{value}{}", MARKS[0], MARKS[1]);
    let own: String = entries.iter().map(line).collect();
    let all: Vec<_> = fleet
        .tell(own.into_bytes())
        .iter()
        .map(|bytes| read(bytes))
        .collect();
    difference(&all)
}

fn read(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let entries = text.split_terminator(MARKS[1]);
    entries
        .filter_map(|entry| entry.split_once(MARKS[0]))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Which of the ranks that may use the same CPUs this is, and of how many. Says so where the launcher left most of a machine idle.
pub(super) fn place(fleet: &Fleet) -> (usize, usize) {
    let machine = Machine::detect();
    // Of the running system, whatever host a container calls itself.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut cpus = machine.usable_cpus();
    cpus.sort_unstable();
    let own = format!("{}{}{cpus:?}", boot.trim(), MARKS[0]);
    let all = fleet.tell(own.clone().into_bytes());
    let is_like_this = |bytes: &&Vec<u8>| bytes.as_slice() == own.as_bytes();
    let before = all[..fleet.rank()].iter().filter(is_like_this).count();
    let together = all.iter().filter(is_like_this).count();
    let is_here = |bytes: &&Vec<u8>| bytes.starts_with(boot.trim().as_bytes());
    let here = all.iter().filter(is_here).count();
    let there = machine.topology.cpus.len();
    if cpus.len() == 1 && there > here && before == 0 {
        warn(format!(
            "the launcher bound this rank to CPU {} of {there}, and {here} of the ranks run here: one thread each. For all CPUs give mpirun \
             --bind-to none, or --map-by ppr:{here}:node:PE={}",
            cpus[0],
            there / here.max(1)
        ));
    }
    (before, together)
}
