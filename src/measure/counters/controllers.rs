//! The counters of the memory controllers: bytes that came from memory and went to it, whoever asked for them.
//!
//! Drivers name their units, events and scales in sysfs (Documentation/ABI/testing/sysfs-bus-event_source-devices-*): client CPUs from
//! Ice Lake on have `uncore_imc` or, read through memory-mapped registers, `uncore_imc_free_running_*`; servers count commands of
//! each channel. They belong to a package and not to a thread, so that the kernel shows them to those only who may see all programs.

use super::described::{Described, describe};
use super::event::{Counter, Event, Missing, Reading, Scope, Tally};
use super::perf::{self, Times};
use super::tables::TRAFFIC;
use crate::bounded;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What every such unit is called, and those among them that cost no counter: they come first.
const UNIT: &str = "uncore_imc";
const FREE_RUNNING: &str = "free_running";

/// The most bytes of a file of sysfs: a page.
const LONGEST: u64 = 4096;

/// Bytes between memory and its controllers.
#[derive(Debug)]
pub struct Controllers {
    counters: Vec<(&'static Counter, Result<Vec<Open>, Missing>)>,
}

/// An event of one unit on one package.
#[derive(Debug)]
struct Open {
    file: File,
    bytes_a_count: f64,
    before: Times,
}

/// How one is opened: type of the unit, event, CPU of the package. Tests hand in a kernel that fails.
type Opener<'a> = dyn Fn(u32, u64, u32) -> io::Result<File> + 'a;

impl Controllers {
    /// Opens what this machine has. Never fails: what cannot be counted is missing in the readings, with its reason.
    pub fn open() -> Self {
        Self::opened_by(Path::new(perf::UNITS), &perf::open_on_cpu)
    }

    fn opened_by(units: &Path, system: &Opener<'_>) -> Self {
        let open = |counter: &'static Counter| {
            let Event::Controllers(names) = counter.event else {
                return (counter, Err(Missing::NotOffered));
            };
            let described = described(units, names);
            let each = described.into_iter().flat_map(|event| {
                let cpus = event.cpus.clone().into_iter();
                cpus.map(move |cpu| open_one(system, &event, cpu))
            });
            let opened: Result<Vec<Open>, Missing> = each.collect();
            let some = opened.and_then(|opened| match opened.is_empty() {
                true => Err(Missing::NoController),
                false => Ok(opened),
            });
            (counter, some)
        };
        Self {
            counters: TRAFFIC.counters.iter().map(open).collect(),
        }
    }

    /// Whether anything is counted.
    pub fn any(&self) -> bool {
        self.counters.iter().any(|(_, opened)| opened.is_ok())
    }

    /// Remembers where the counters stand: they always run.
    pub fn start(&mut self) {
        for (_, opened) in &mut self.counters {
            for event in opened.iter_mut().flatten() {
                event.before = perf::read(&mut event.file).unwrap_or_default();
            }
        }
    }

    /// Bytes since [`Controllers::start`], summed over units and packages.
    pub fn stop(&mut self) -> Vec<Reading> {
        let reading = |(counter, opened): &mut (&'static Counter, Result<Vec<Open>, Missing>)| {
            let tally = match opened {
                Ok(opened) => total(counter, opened),
                Err(missing) => Err(missing.clone()),
            };
            Reading { counter, tally }
        };
        self.counters.iter_mut().map(reading).collect()
    }
}

fn open_one(system: &Opener<'_>, event: &Described, cpu: u32) -> Result<Open, Missing> {
    let opened = system(event.unit, event.config, cpu).map_err(|error| perf::reason(&error));
    let file = opened.map_err(|missing| match missing {
        Missing::NotPermitted { paranoid } => Missing::NeedsMachine { paranoid },
        other => other,
    })?;
    Ok(Open {
        file,
        bytes_a_count: event.bytes_a_count,
        before: Times::default(),
    })
}

/// A unit that cannot be read makes the sum meaningless.
fn total(counter: &Counter, opened: &mut [Open]) -> Result<Tally, Missing> {
    let (mut bytes, mut share) = (0.0, 1.0f64);
    for event in opened {
        let now = perf::read(&mut event.file).map_err(|error| perf::reason(&error))?;
        let since = now.since(event.before);
        if since.running == 0 && since.enabled > 0 {
            return Err(Missing::Busy);
        }
        share = share.min(since.share());
        bytes += since.value as f64 / since.share() * event.bytes_a_count;
    }
    Ok(Tally {
        value: bytes * counter.weight,
        scope: Scope::Machine,
        share,
    })
}

/// The event of one of these names in every unit that has it; of the units that count without being asked, where there are any.
fn described(units: &Path, names: &[&str]) -> Vec<Described> {
    let folders = std::fs::read_dir(units).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    let (mut free, mut others) = (Vec::new(), Vec::new());
    for folder in &folders {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(UNIT) {
            let text = |name: &str| bounded::read_text(&folder.join(name), LONGEST).ok();
            let found = names.iter().find_map(|event| describe(&text, event));
            let list = match name.contains(FREE_RUNNING) {
                true => &mut free,
                false => &mut others,
            };
            list.extend(found);
        }
    }
    if free.is_empty() { others } else { free }
}

#[cfg(test)]
mod tests;
