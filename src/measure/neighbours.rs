//! The other programs of this system and the CPU time that each has used: who disturbed a stretch of measuring.
//!
//! The process list is sysinfo's. Programs are told by their short name alone, as `top` shows it: command lines may hold secrets. Those
//! that this process may not see, and those that end between two readings, are not told.

use std::collections::BTreeMap;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Every other process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// By the system's number.
    processes: BTreeMap<u32, Process>,
}

#[derive(Clone, Debug)]
struct Process {
    name: String,
    /// Seconds since 1970, as the system's clock had it at the reading.
    started: u64,
    /// Milliseconds of CPU time since then.
    used: u64,
}

/// Seconds by which a start may differ between readings: the clock may have been set right meanwhile.
const SAME_START: u64 = 2;

/// What one program has used, all its processes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its short name.
    pub name: String,
    /// Seconds of CPU time.
    pub seconds: f64,
}

impl Neighbours {
    /// Lists them; `None` where the system does not show its processes. Takes milliseconds.
    pub fn now() -> Option<Self> {
        let mut system = System::new().ok()?;
        let wanted = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
        let own = std::process::id();
        let others = system.processes().iter();
        let entry = |(pid, process): (&sysinfo::Pid, &sysinfo::Process)| {
            let process = Process {
                name: process.name().to_string_lossy().into_owned(),
                started: process.start_time(),
                used: process.accumulated_cpu_time(),
            };
            (pid.as_u32(), process)
        };
        let mut processes: BTreeMap<u32, Process> = others.map(entry).collect();
        // Whoever does not even see itself sees nothing.
        processes.remove(&own).map(|_| Self { processes })
    }

    /// What each program has used since an `earlier` reading, the most first; what began since has used all its time since.
    pub fn since(&self, earlier: &Self) -> Vec<Load> {
        let mut used: BTreeMap<&str, u64> = BTreeMap::new();
        for (number, now) in &self.processes {
            // Numbers are used again.
            let then = earlier.processes.get(number);
            let same = then.filter(|then| then.started.abs_diff(now.started) <= SAME_START);
            let before = same.map_or(0, |then| then.used);
            *used.entry(&now.name).or_default() += now.used.saturating_sub(before);
        }
        let mut loads: Vec<Load> = used
            .into_iter()
            .filter(|(_, milliseconds)| *milliseconds > 0)
            .map(|(name, milliseconds)| Load {
                name: name.to_owned(),
                seconds: milliseconds as f64 / 1e3,
            })
            .collect();
        loads.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(all: &[(u32, u64, &str, u64)]) -> Neighbours {
        let entry = |(number, started, name, used): &(u32, u64, &str, u64)| {
            let process = Process {
                name: name.to_string(),
                started: *started,
                used: *used,
            };
            (*number, process)
        };
        Neighbours {
            processes: all.iter().map(entry).collect(),
        }
    }

    #[test]
    fn programs_are_summed_by_name_and_the_busiest_comes_first() {
        let earlier = neighbours(&[(1, 5, "init", 900), (2, 5, "cc", 100), (7, 6, "old", 30)]);
        let later = neighbours(&[
            (1, 6, "init", 900),
            (2, 5, "cc", 600),
            (3, 9, "cc", 1_000),
            (4, 9, "shell", 20),
            // The number of one that has ended.
            (7, 9, "new", 40),
        ]);
        let load = |name: &str, seconds| Load {
            name: name.into(),
            seconds,
        };
        assert_eq!(
            later.since(&earlier),
            [load("cc", 1.5), load("new", 0.04), load("shell", 0.02)]
        );
        assert!(earlier.since(&later).iter().all(|load| load.name == "old"));
    }

    #[test]
    fn this_process_is_not_its_own_neighbour() {
        let own = std::process::id();
        let seen = Neighbours::now().unwrap_or_default();
        assert!(!seen.processes.contains_key(&own));
    }
}
