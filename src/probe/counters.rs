//! What performance counters this process may open, and where it gets none, why.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::leaves::Leaves;
use super::source::Source;
use super::trial::{Event, Outcome};

/// What perf offers here.
#[derive(Clone, Debug, PartialEq)]
pub struct Counters {
    /// The kernel's `perf_event_paranoid`: up to 2 a process may count itself in user mode.
    pub paranoid: Fact<i64>,
    /// What a higher right than this process has would add.
    pub more: Fact<String>,
    /// The PMUs that the kernel drives, by name.
    pub pmus: Fact<Vec<String>>,
    /// The core's counters by CPUID: version, general counters, bits of each, fixed counters.
    pub architecture: Fact<(u32, u32, u32, u32)>,
    /// Counts of core cycles over the trial's work.
    pub cycles: Fact<u64>,
    /// Counts of instructions likewise.
    pub instructions: Fact<u64>,
    /// Nanoseconds of the kernel's own thread clock likewise.
    pub task_clock: Fact<u64>,
    /// The NMI watchdog holds one of the core's counters.
    pub watchdog: Fact<bool>,
}

/// Reads what perf offers.
pub(super) fn read(source: &Source) -> Counters {
    let leaves = source.first();
    let paranoid = source
        .text("/proc/sys/kernel/perf_event_paranoid")
        .read("a number", |text| text.parse().ok());
    let folder = "/sys/bus/event_source/devices";
    let names = source.names(folder);
    let architecture = architecture(&leaves);
    let circumstances = Circumstances {
        paranoid: paranoid.value().copied(),
        filtered: source
            .text("/proc/self/status")
            .value()
            .is_some_and(|text| {
                text.lines().any(|line| {
                    line.strip_prefix("Seccomp:")
                        .is_some_and(|mode| mode.trim() == "2")
                })
            }),
        guest: leaves.under_hypervisor(),
        announced: architecture.value().is_some(),
    };
    let trial = |event: Event| match source.trials.get(&event) {
        None => Fact::unknown("not tried on this machine"),
        Some(outcome) => judge(event, *outcome, &circumstances),
    };
    Counters {
        pmus: match names.is_empty() {
            true => Fact::unknown(format!(
                "{folder}: no such folder, or empty: the kernel has no perf events"
            )),
            false => Fact::known(names, folder),
        },
        more: more(&paranoid, capable(source)),
        paranoid,
        architecture,
        cycles: trial(Event::Cycles),
        instructions: trial(Event::Instructions),
        task_clock: trial(Event::TaskClock),
        watchdog: source
            .number("/proc/sys/kernel/nmi_watchdog")
            .map(|number| number != 0),
    }
}

/// Whether the process holds CAP_PERFMON (bit 38) or CAP_SYS_ADMIN (bit 21), which stand above `perf_event_paranoid`.
fn capable(source: &Source) -> bool {
    let status = source.text("/proc/self/status");
    let held = status.value().and_then(|text| {
        let word = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(word.trim(), 16).ok()
    });
    held.is_some_and(|held| held >> 38 & 1 == 1 || held >> 21 & 1 == 1)
}

/// The rungs of the ladder above the one that the process stands on (kernel documentation, admin-guide/perf-security).
fn more(paranoid: &Fact<i64>, capable: bool) -> Fact<String> {
    const OWN: &str = "2 adds counters of this program";
    const KERNEL: &str =
        "1 adds the kernel's work for it and the PMU msr (APERF, MPERF: true frequency)";
    const SYSTEM: &str = "0 or CAP_PERFMON adds memory controllers, L3 and energy";
    paranoid.clone().map(|level| match level {
        _ if capable => "nothing: this process may count everything".to_string(),
        i64::MIN..=0 => "nothing: everything that is needed is allowed".to_string(),
        1 => format!("perf_event_paranoid {SYSTEM}"),
        2 => format!("perf_event_paranoid {KERNEL}; {SYSTEM}"),
        _ => format!("perf_event_paranoid {OWN}; {KERNEL}; {SYSTEM}"),
    })
}

/// What decides why a counter is refused.
struct Circumstances {
    paranoid: Option<i64>,
    filtered: bool,
    guest: bool,
    announced: bool,
}

fn judge(event: Event, outcome: Outcome, seen: &Circumstances) -> Fact<u64> {
    match outcome {
        Outcome::Counted {
            count,
            running: true,
        } if count > 0 => Fact::known(count, "perf_event_open"),
        Outcome::Counted { running: true, .. } => Fact::unknown(
            "it opens but stays at zero: the PMU is announced and does not count (common in virtual machines)",
        ),
        Outcome::Counted { running: false, .. } => {
            Fact::unknown("it opens but never gets onto the CPU: something else holds the counters")
        }
        Outcome::Refused(number) => Fact::unknown(refusal(event, number, seen)),
    }
}

/// Why `perf_event_open` answers with this error number (perf_event_open(2)).
fn refusal(event: Event, number: i32, seen: &Circumstances) -> String {
    let hardware = matches!(event, Event::Cycles | Event::Instructions);
    match number {
        libc::ENOENT | libc::EOPNOTSUPP if hardware && !seen.announced && seen.guest => {
            "no PMU in this virtual machine: CPUID announces none; the host must grant it".to_string()
        }
        libc::ENOENT | libc::EOPNOTSUPP if hardware && seen.announced => {
            "the kernel drives no core PMU, though CPUID announces one: broken, switched off, or unknown to this kernel".to_string()
        }
        libc::ENOENT | libc::EOPNOTSUPP if hardware => "the kernel drives no core PMU, and CPUID announces none".to_string(),
        libc::EPERM | libc::EACCES if seen.paranoid.is_some_and(|level| level > 2) => {
            let level = seen.paranoid.unwrap_or(3);
            format!("perf_event_paranoid is {level}: needs CAP_PERFMON, or `sysctl kernel.perf_event_paranoid=2`")
        }
        libc::EPERM | libc::EACCES if seen.filtered => {
            "a seccomp filter (container) refuses perf_event_open; allow it or grant CAP_PERFMON".to_string()
        }
        libc::EPERM | libc::EACCES => "the system refuses perf_event_open to this process".to_string(),
        libc::ENOSYS => "this system has no perf_event_open".to_string(),
        other => format!("perf_event_open: {}", std::io::Error::from_raw_os_error(other)),
    }
}

/// Intel's leaf 0xA (version in EAX 0-7, counters 8-15, bits 16-23, fixed counters in EDX 0-4); AMD's 0x8000_0022 (counters in
/// EBX 0-3), before it six where 0x8000_0001 announces the extended core counters. Widths on AMD are 48 bits throughout.
fn architecture(leaves: &Leaves) -> Fact<(u32, u32, u32, u32)> {
    let intel = leaves.leaf(0xA);
    if intel.eax & 0xFF != 0 {
        let numbers = (
            intel.eax & 0xFF,
            intel.eax >> 8 & 0xFF,
            intel.eax >> 16 & 0xFF,
            intel.edx & 0x1F,
        );
        return Fact::known(numbers, "cpuid 0xa");
    }
    let amd = leaves.leaf(0x8000_0022);
    if amd.eax & 1 == 1 {
        return Fact::known((2, amd.ebx & 0xF, 48, 0), "cpuid 0x80000022");
    }
    if leaves.leaf(0x8000_0001).ecx >> 23 & 1 == 1 {
        return Fact::known((1, 6, 48, 0), "cpuid 0x80000001");
    }
    Fact::unknown("CPUID announces no core counters")
}

impl Counters {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Counters;
        let works = |_: &u64| (Value::Bool(true), "counts".to_string());
        vec![
            Entry::new(section, "perf.cycles", "cycles", &self.cycles, works),
            Entry::new(
                section,
                "perf.instructions",
                "instructions",
                &self.instructions,
                works,
            ),
            Entry::new(
                section,
                "perf.task_clock",
                "task clock",
                &self.task_clock,
                works,
            ),
            Entry::new(
                section,
                "perf.architecture",
                "core PMU",
                &self.architecture,
                |&(version, general, bits, fixed)| {
                    let list = [version, general, bits, fixed].map(Value::count);
                    let text = format!(
                        "version {version}, {general} counters of {bits} bits, {fixed} fixed"
                    );
                    (Value::List(list.into()), text)
                },
            ),
            Entry::new(section, "perf.pmus", "PMUs", &self.pmus, |names| {
                (
                    Value::List(names.iter().cloned().map(Value::Text).collect()),
                    names.join(", "),
                )
            }),
            Entry::new(
                section,
                "perf.paranoid",
                "perf_event_paranoid",
                &self.paranoid,
                |&level| {
                    let meaning = match level {
                        i64::MIN..=-1 => "everything is allowed",
                        0 => "the whole system may be counted, raw tracepoints not",
                        1 => "own processes, kernel included",
                        2 => "own processes, user mode only",
                        _ => "nothing without CAP_PERFMON",
                    };
                    (Value::Integer(level), format!("{level}: {meaning}"))
                },
            ),
            Entry::text(
                section,
                "perf.more_rights",
                "a higher right adds",
                &self.more,
            ),
            Entry::new(
                section,
                "perf.nmi_watchdog",
                "NMI watchdog",
                &self.watchdog,
                |&on| {
                    let text = if on {
                        "on: it holds one counter"
                    } else {
                        "off"
                    };
                    (Value::Bool(on), text.to_string())
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Circumstances = Circumstances {
        paranoid: Some(2),
        filtered: false,
        guest: true,
        announced: false,
    };

    #[test]
    fn every_refusal_has_its_reason() {
        let says = |number, seen: &Circumstances, words: &str| {
            let reason = refusal(Event::Cycles, number, seen);
            assert!(reason.contains(words), "{reason}");
        };
        says(libc::ENOENT, &QUIET, "virtual machine");
        says(
            libc::ENOENT,
            &Circumstances {
                announced: true,
                ..QUIET
            },
            "broken",
        );
        says(
            libc::ENOENT,
            &Circumstances {
                guest: false,
                ..QUIET
            },
            "announces none",
        );
        says(
            libc::EACCES,
            &Circumstances {
                paranoid: Some(4),
                ..QUIET
            },
            "paranoid is 4",
        );
        says(
            libc::EPERM,
            &Circumstances {
                filtered: true,
                ..QUIET
            },
            "seccomp",
        );
        says(libc::ENOSYS, &QUIET, "no perf_event_open");
        says(24, &QUIET, "Too many open files");
    }

    #[test]
    fn every_rung_tells_what_the_next_ones_add() {
        let told = |level: i64, capable| {
            let more = more(&Fact::known(level, "/proc"), capable);
            more.value().cloned().unwrap()
        };
        let adds = |level, part: &str| told(level, false).contains(part);
        assert!(adds(4, "this program") && adds(4, "msr") && adds(4, "energy"));
        assert!(!adds(2, "this program") && adds(2, "msr") && adds(2, "energy"));
        assert!(!adds(1, "msr") && adds(1, "energy"));
        assert!(adds(0, "nothing") && adds(-1, "nothing"));
        assert!(told(4, true).contains("everything"));
        let held = |word: &str| {
            let text = format!("loopos machine 1\nfile /proc/self/status\n|CapEff:\t{word}\n");
            capable(&crate::probe::parse_recording(&text).unwrap())
        };
        assert!(held("000001ffffffffff") && held("0000004000000000") && held("0000000000200000"));
        assert!(!held("0000000000000000") && !held("x") && !held("0000000000100000"));
    }

    #[test]
    fn a_counter_that_stays_at_zero_is_not_believed() {
        let zero = judge(
            Event::Cycles,
            Outcome::Counted {
                count: 0,
                running: true,
            },
            &QUIET,
        );
        assert!(zero.reason().unwrap().contains("zero"));
        let idle = judge(
            Event::Cycles,
            Outcome::Counted {
                count: 5,
                running: false,
            },
            &QUIET,
        );
        assert!(idle.reason().unwrap().contains("never"));
        let good = judge(
            Event::Cycles,
            Outcome::Counted {
                count: 5,
                running: true,
            },
            &QUIET,
        );
        assert_eq!(good.value(), Some(&5));
    }
}
