//! What ranks tell each other before they begin: what must be the same, and who shares CPUs with whom.

use std::fs;

use super::super::environment;
use super::super::outcome::{Failure, warn};
use crate::config::Config;
use crate::fleet::{Difference, Fleet, difference, share};
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
    let isa = environment::isa()?.name().to_owned();
    let mut entries = vec![program()?, ("instruction set".to_owned(), isa)];
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

/// The entry of this program.
///
/// # Errors
/// When its file cannot be read.
pub(crate) fn program() -> Result<(String, String), Failure> {
    let digest = environment::program()
        .and_then(|path| digest::of_file(&path))
        .map_err(|error| Failure::failed(format!("cannot read this program's file: {error}")))?;
    Ok(("program (its SHA-256)".to_owned(), digest))
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

/// Where a rank is among others.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Which of the ranks that may use the same CPUs this is, and of how many.
    pub(super) among: (usize, usize),
    /// Of the CPUs that they may use, those that this one takes.
    pub(super) cpus: Vec<usize>,
    /// No rank before it runs on the same system.
    pub(super) is_first_here: bool,
}

/// The place of this rank. Says so where the launcher left most of a machine idle.
pub(super) fn place(fleet: &Fleet) -> Place {
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
    let is_first_here = !all[..fleet.rank()].iter().any(|bytes| is_here(&bytes));
    if before == 0 {
        warn_if_bound(&machine, here);
    }
    Place {
        cpus: own_part(&cpus, before, together).to_vec(),
        among: (before, together),
        is_first_here,
    }
}

/// Says so where the launcher left most of a machine idle, on which so many ranks run.
pub(super) fn warn_if_bound(machine: &Machine, ranks: usize) {
    let topology = &machine.topology;
    let usable = topology.cpus.iter().filter(|cpu| cpu.usable);
    let mut own: Vec<_> = usable.map(|cpu| (cpu.package, cpu.core)).collect();
    own.sort_unstable();
    own.dedup();
    if let Some(text) = bound(own.len(), topology.cores(), ranks) {
        warn(text);
    }
}

/// What is wrong where a rank has one core of a machine that has more cores than ranks, and by which flags it gets its share.
fn bound(own: usize, cores: usize, ranks: usize) -> Option<String> {
    let each = cores / ranks.max(1);
    (own == 1 && each > 1).then(|| {
        format!(
            "the launcher bound this rank to one core of {cores}, and {ranks} of the ranks run here: most cores are idle. Give mpirun \
             --bind-to none, or --map-by ppr:{ranks}:node:PE={each}"
        )
    })
}

/// The part of some CPUs that one of several processes takes; where there are more processes than CPUs, some share one.
pub(crate) fn own_part(cpus: &[usize], process: usize, processes: usize) -> &[usize] {
    let own = share(cpus.len(), process, processes);
    if own.is_empty() {
        return &cpus[process % cpus.len()..][..1];
    }
    &cpus[own]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_on_one_core_of_many_is_told_the_flags() {
        let text = bound(1, 16, 2).unwrap();
        assert!(
            text.contains("--bind-to none") && text.contains("ppr:2:node:PE=8"),
            "{text}"
        );
        assert!(bound(1, 2, 1).is_some_and(|text| text.contains("PE=2")));
        // A core for each rank is all there is.
        assert_eq!(bound(1, 2, 2), None);
        assert_eq!(bound(1, 2, 4), None);
        assert_eq!(bound(8, 16, 2), None);
    }

    #[test]
    fn processes_share_out_the_cpus_that_all_may_use() {
        let cpus = [0, 2, 4, 6, 8];
        assert_eq!(own_part(&cpus, 0, 1), cpus);
        assert_eq!(own_part(&cpus, 0, 2), [0, 2]);
        assert_eq!(own_part(&cpus, 1, 2), [4, 6, 8]);
        let many = |process| own_part(&cpus[..2], process, 5)[0];
        assert_eq!([0, 1, 2, 3, 4].map(many), [0, 2, 0, 2, 2]);
    }
}
