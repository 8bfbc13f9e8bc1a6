//! This process and its neighbours, as /proc tells: memory, faults, switches, stolen time, foreign load.

use crate::units::Bytes;
use std::fs;

/// What could not be read, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Unreadable {
    /// The file.
    pub path: String,
    /// What the system said, or what is missing in it.
    pub reason: String,
}

/// Memory of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Resident now (VmRSS).
    pub resident: Bytes,
    /// Largest since the start or since [`reset_peak`] (VmHWM).
    pub peak: Bytes,
}

/// What this process has used since its start; differences between two readings are what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Page faults served without the disk.
    pub minor_faults: u64,
    /// Page faults that waited for the disk.
    pub major_faults: u64,
    /// Processor time, in ticks of 1/100 s.
    pub cpu_ticks: u64,
    /// Times that a living thread waited of its own accord.
    pub voluntary_switches: u64,
    /// Times that a living thread was made to wait.
    pub involuntary_switches: u64,
}

/// What all CPUs together have done since the system started, in ticks of 1/100 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct System {
    /// All time, idle included.
    pub total_ticks: u64,
    /// Running programs or the kernel.
    pub busy_ticks: u64,
    /// Ready to run, while the hypervisor ran somebody else.
    pub steal_ticks: u64,
}

/// What disturbed a stretch of measuring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// All CPU time of the stretch, idle included, in seconds.
    pub cpu_seconds: f64,
    /// Stolen share of all CPU time.
    pub steal_ratio: f64,
    /// Share of all CPU time that other programs used.
    pub foreign_ratio: f64,
}

fn read(path: &str) -> Result<String, Unreadable> {
    fs::read_to_string(path).map_err(|error| Unreadable {
        path: path.into(),
        reason: error.to_string(),
    })
}

fn absent(path: &str, what: &str) -> Unreadable {
    Unreadable {
        path: path.into(),
        reason: format!("has no {what}"),
    }
}

/// Memory of this process.
///
/// # Errors
/// If /proc/self/status cannot be read or lacks the fields.
pub fn memory() -> Result<Memory, Unreadable> {
    let path = "/proc/self/status";
    let text = read(path)?;
    let bytes = |name: &str| status_field(&text, name).map(|kib| Bytes(kib as f64 * 1024.0));
    Ok(Memory {
        resident: bytes("VmRSS").ok_or_else(|| absent(path, "VmRSS"))?,
        peak: bytes("VmHWM").ok_or_else(|| absent(path, "VmHWM"))?,
    })
}

/// Memory of this process that is no file's: what it took for itself, and must keep (RssAnon).
pub fn own_memory() -> Option<Bytes> {
    let kib = status_field(&read("/proc/self/status").ok()?, "RssAnon")?;
    Some(Bytes(kib as f64 * 1024.0))
}

/// Starts a new peak at what is resident now.
///
/// # Errors
/// If the system refuses; the peak then still counts from the start of the process.
pub fn reset_peak() -> Result<(), Unreadable> {
    let path = "/proc/self/clear_refs";
    fs::write(path, "5").map_err(|error| Unreadable {
        path: path.into(),
        reason: error.to_string(),
    })
}

/// Memory of this process that 2 MB pages hold.
///
/// # Errors
/// If /proc/self/smaps_rollup cannot be read or lacks the field.
pub fn huge_pages() -> Result<Bytes, Unreadable> {
    let path = "/proc/self/smaps_rollup";
    let kib = status_field(&read(path)?, "AnonHugePages");
    kib.map(|kib| Bytes(kib as f64 * 1024.0))
        .ok_or_else(|| absent(path, "AnonHugePages"))
}

/// What this process has used so far; switches are those of its living threads.
///
/// # Errors
/// If /proc/self/stat cannot be read or understood.
pub fn usage() -> Result<Usage, Unreadable> {
    let path = "/proc/self/stat";
    let mut usage =
        parse_stat(&read(path)?).ok_or_else(|| absent(path, "fields as proc(5) lists them"))?;
    for thread in threads()? {
        // A thread that ended since the listing took its switches with it.
        let Ok(text) = read(&format!("/proc/self/task/{thread}/status")) else {
            continue;
        };
        usage.voluntary_switches += status_field(&text, "voluntary_ctxt_switches").unwrap_or(0);
        usage.involuntary_switches +=
            status_field(&text, "nonvoluntary_ctxt_switches").unwrap_or(0);
    }
    Ok(usage)
}

impl Usage {
    /// What was used between an `earlier` reading and this one.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            cpu_ticks: self.cpu_ticks.saturating_sub(earlier.cpu_ticks),
            voluntary_switches: self
                .voluntary_switches
                .saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// The system's numbers of this process' living threads, ascending.
///
/// # Errors
/// If /proc/self/task cannot be listed.
pub fn threads() -> Result<Vec<u32>, Unreadable> {
    let path = "/proc/self/task";
    let entries = fs::read_dir(path).map_err(|error| Unreadable {
        path: path.into(),
        reason: error.to_string(),
    })?;
    let mut threads: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    threads.sort_unstable();
    Ok(threads)
}

/// How many threads of this process run or are ready to, the calling one among them.
///
/// # Errors
/// If /proc/self/task cannot be listed.
pub fn running_threads() -> Result<usize, Unreadable> {
    let runs = |thread: &u32| {
        // A thread that ended since the listing does not run.
        read(&format!("/proc/self/task/{thread}/stat"))
            .is_ok_and(|text| parse_state(&text) == Some("R"))
    };
    Ok(threads()?.iter().filter(|thread| runs(thread)).count())
}

/// Seconds that the calling thread has run, to the last tick of the scheduler (a few milliseconds).
///
/// # Errors
/// If the system keeps no such time.
pub fn own_seconds() -> Result<f64, Unreadable> {
    let path = "/proc/thread-self/schedstat";
    let text = read(path)?;
    let nanoseconds = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    nanoseconds
        .map(|count| count * 1e-9)
        .ok_or_else(|| absent(path, "time"))
}

/// What all CPUs have done.
///
/// # Errors
/// If /proc/stat cannot be read or understood.
pub fn system() -> Result<System, Unreadable> {
    let path = "/proc/stat";
    parse_system(&read(path)?).ok_or_else(|| absent(path, "line `cpu`"))
}

/// Threads ready to run, averaged over one minute.
///
/// # Errors
/// If /proc/loadavg cannot be read or understood.
pub fn load() -> Result<f64, Unreadable> {
    let path = "/proc/loadavg";
    let text = read(path)?;
    text.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| absent(path, "number"))
}

/// What disturbed the stretch between two readings of the system, in which this process used `own`; `None` if no time passed.
pub fn disturbance(before: &System, after: &System, own: &Usage) -> Option<Disturbance> {
    let total = after
        .total_ticks
        .checked_sub(before.total_ticks)
        .filter(|ticks| *ticks > 0)? as f64;
    let steal = after.steal_ticks.saturating_sub(before.steal_ticks) as f64;
    let busy = after.busy_ticks.saturating_sub(before.busy_ticks);
    let foreign = busy.saturating_sub(own.cpu_ticks) as f64;
    Some(Disturbance {
        cpu_seconds: total / 100.0,
        steal_ratio: steal / total,
        foreign_ratio: foreign / total,
    })
}

/// The number behind `name:` in a status file.
fn status_field(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Field 3 of a thread's stat, counted behind its name.
fn parse_state(text: &str) -> Option<&str> {
    text.get(text.rfind(')')? + 1..)?.split_whitespace().next()
}

/// Fields 10, 12, 14 and 15 of /proc/self/stat, counted behind the program's name, which may hold spaces and brackets.
fn parse_stat(text: &str) -> Option<Usage> {
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 1..)?
        .split_whitespace()
        .collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Usage {
        minor_faults: field(10)?,
        major_faults: field(12)?,
        cpu_ticks: field(14)? + field(15)?,
        ..Usage::default()
    })
}

/// The line `cpu  user nice system idle iowait irq softirq steal ..`; guest time is part of user time already.
fn parse_system(text: &str) -> Option<System> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .take(8)
        .collect();
    let [user, nice, kernel, idle, waiting, interrupts, soft, steal] = ticks[..] else {
        return None;
    };
    let busy_ticks = user + nice + kernel + interrupts + soft;
    Some(System {
        total_ticks: busy_ticks + idle + waiting + steal,
        busy_ticks,
        steal_ticks: steal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_files_are_understood() {
        let stat = "4711 (a (b) c) R 1 2 3 4 5 6 1234 0 56 0 700 80 0 0 20 0 3 0 99 1 2 3";
        let usage = parse_stat(stat).unwrap();
        assert_eq!(parse_state(stat), Some("R"));
        assert_eq!(
            (usage.minor_faults, usage.major_faults, usage.cpu_ticks),
            (1234, 56, 780)
        );
        let system = parse_system("cpu  100 10 20 700 30 1 2 137 5 0\ncpu0 1 2 3\n").unwrap();
        assert_eq!(
            (system.total_ticks, system.busy_ticks, system.steal_ticks),
            (1000, 133, 137)
        );
        assert_eq!(
            status_field("VmHWM:\t   52 kB\nVmRSS:\t   48 kB\n", "VmRSS"),
            Some(48)
        );
        for broken in ["", "4711 (x", "4711 (x) R 1", "cpu"] {
            assert_eq!(parse_stat(broken), None);
            assert_eq!(parse_system(broken), None);
        }
    }

    #[test]
    fn shares_are_of_all_time() {
        let before = System {
            total_ticks: 1_000,
            busy_ticks: 400,
            steal_ticks: 10,
        };
        let after = System {
            total_ticks: 1_200,
            busy_ticks: 560,
            steal_ticks: 30,
        };
        let own = Usage {
            cpu_ticks: 100,
            ..Usage::default()
        };
        let disturbance = disturbance(&before, &after, &own).unwrap();
        assert_eq!(
            (
                disturbance.cpu_seconds,
                disturbance.steal_ratio,
                disturbance.foreign_ratio
            ),
            (2.0, 0.1, 0.3)
        );
        assert_eq!(super::disturbance(&after, &after, &own), None);
    }

    #[test]
    fn touching_memory_shows_in_faults_and_peak() {
        let before = usage().unwrap();
        let pages = 4_096;
        let mut block = vec![0u8; pages * 4_096];
        for page in 0..pages {
            block[page * 4_096] = 1;
        }
        std::hint::black_box(&mut block);
        let after = usage().unwrap();
        // With transparent huge pages 512 small ones come with one fault.
        assert!(
            after.since(&before).minor_faults as usize >= pages / 512,
            "{before:?} {after:?}"
        );
        let memory = memory().unwrap();
        assert!(memory.peak.0 >= block.len() as f64 && memory.peak.0 >= memory.resident.0);
    }

    #[test]
    fn threads_are_listed() {
        assert!(threads().unwrap().contains(&std::process::id()));
        assert!(running_threads().unwrap() >= 1);
        assert!(own_seconds().is_ok_and(|seconds| seconds >= 0.0));
        assert!(load().unwrap() >= 0.0);
        assert!(huge_pages().is_ok_and(|bytes| bytes.0 >= 0.0));
        assert!(system().unwrap().total_ticks > 0);
    }
}
