//! The counters of the memory controllers: bytes that came from memory and went to it, whoever asked for them.
//!
//! Drivers name their units, events and scales in sysfs (Documentation/ABI/testing/sysfs-bus-event_source-devices-*): client CPUs from
//! Ice Lake on have `uncore_imc` or, read through memory-mapped registers, `uncore_imc_free_running_*`; servers count commands of
//! each channel. They belong to a package and not to a thread, so that the kernel shows them to those only who may see all programs.

use super::event::{Counter, Event, Missing, Reading, Scope, Tally};
use super::perf::{self, Times};
use super::tables::TRAFFIC;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What every such unit is called, and those among them that cost no counter: they come first.
const UNIT: &str = "uncore_imc";
const FREE_RUNNING: &str = "free_running";

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

/// An event as sysfs describes it.
#[derive(Clone, Debug, PartialEq)]
struct Described {
    unit: u32,
    config: u64,
    /// One CPU for each package.
    cpus: Vec<u32>,
    bytes_a_count: f64,
}

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
            let found = names.iter().find_map(|event| describe(folder, event));
            let list = match name.contains(FREE_RUNNING) {
                true => &mut free,
                false => &mut others,
            };
            list.extend(found);
        }
    }
    if free.is_empty() { others } else { free }
}

/// `None` where the unit has no such event, or tells nonsense.
fn describe(unit: &Path, event: &str) -> Option<Described> {
    let text = |name: &str| {
        let text = std::fs::read_to_string(unit.join(name)).ok()?;
        Some(text.trim().to_string())
    };
    let terms = text(&format!("events/{event}"))?;
    let mut config = 0;
    for term in terms.split(',') {
        let (field, value) = term.split_once('=').unwrap_or((term, "1"));
        let place = text(&format!("format/{}", field.trim()))?;
        config |= placed(number(value)?, &place)?;
    }
    let scale: f64 = match text(&format!("events/{event}.scale")) {
        Some(scale) => scale.parse().ok()?,
        None => 1.0,
    };
    let factor = match text(&format!("events/{event}.unit")).as_deref() {
        Some("MiB") => 1024.0 * 1024.0,
        Some("KiB") => 1024.0,
        Some("Bytes" | "B") => 1.0,
        // A count of nobody knows what.
        _ => return None,
    };
    let bytes_a_count = scale * factor;
    let sensible = bytes_a_count.is_finite() && bytes_a_count > 0.0;
    let cpus = cpu_numbers(&text("cpumask")?)?;
    sensible.then_some(Described {
        unit: text("type")?.parse().ok()?,
        config,
        cpus,
        bytes_a_count,
    })
}

/// One CPU a package, between commas.
fn cpu_numbers(list: &str) -> Option<Vec<u32>> {
    let numbers = list.split(',').map(|number| number.trim().parse().ok());
    numbers.collect()
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A value at its bits: `config:8-15`, or several ranges that it fills from its lowest bit on, `config:0-7,32-35`.
fn placed(value: u64, format: &str) -> Option<u64> {
    let (mut rest, mut config) = (value, 0);
    for range in format.strip_prefix("config:")?.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > 63 {
            return None;
        }
        let width = last - first + 1;
        let mask = u64::MAX >> (64 - width);
        config |= (rest & mask) << first;
        rest = rest.checked_shr(width).unwrap_or(0);
    }
    (rest == 0).then_some(config)
}

#[cfg(test)]
mod tests;
