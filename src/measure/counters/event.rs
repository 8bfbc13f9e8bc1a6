//! The words of counting: events, counters, groups, readings, and why one is missing.

/// What the kernel is asked to count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// One of the kernel's own counters (`PERF_COUNT_SW_*`).
    Software(u64),
    /// One of the kernel's generic hardware counters (`PERF_COUNT_HW_*`): only cycles and instructions mean the same on every CPU.
    Hardware(u64),
    /// The CPU's own encoding: event select, unit mask and what else the vendor's manual lists.
    Raw(u64),
    /// A register of the kernel's unit `msr`, by its number there (`arch/x86/events/msr.c`).
    Msr(u64),
    /// Of the memory controllers, by the names that their drivers give it in sysfs.
    Controllers(&'static [&'static str]),
}

/// Intel's encoding: event select, unit mask, counter mask (SDM, volume 3B, 20.2).
pub(super) const fn intel(select: u64, unit_mask: u64, counter_mask: u64) -> Event {
    Event::Raw(select | unit_mask << 8 | counter_mask << 24)
}

/// AMD's encoding: twelve bits of event select, the upper four in bits 32 to 35, and the unit mask (APM, volume 2, 13.2).
pub(super) const fn amd(select: u64, unit_mask: u64) -> Event {
    Event::Raw(select & 0xff | unit_mask << 8 | (select >> 8) << 32)
}

/// What a counter counts while code with known counts runs: how the self-test knows whether to believe it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// Core cycles: one for each dependent addition, or more where another thread shares the core.
    Cycles,
    /// Instructions retired.
    Instructions,
    /// Floating-point instructions of one lane, and of 4, 8 and 16 lanes; a fused multiply-add is two.
    Flops1,
    /// Of 128 bits.
    Flops4,
    /// Of 256 bits.
    Flops8,
    /// Of 512 bits.
    Flops16,
    /// Floating-point operations of any width.
    Flops,
    /// Loads retired.
    Loads,
    /// Lines that came into L1.
    LinesIntoL1,
    /// Lines that came into L2.
    LinesIntoL2,
    /// Loads whose address was in no TLB.
    Walks,
    /// Bytes that came from memory; other programs may add to them.
    BytesRead,
    /// Something must have been counted behind the lines of memory, nobody knows how much.
    Something,
    /// Zero may be true: the self-test cannot tell.
    Nothing,
}

impl Known {
    /// How much of the known amount may be counted, from and to: prefetchers bring lines that nobody asked for, another thread of the
    /// core makes cycles longer, and a hypervisor's large pages spare walks.
    pub fn tolerance(self) -> Option<(f64, f64)> {
        match self {
            Known::Cycles => Some((0.9, 4.0)),
            Known::Instructions => Some((0.98, 1.05)),
            Known::Flops1 | Known::Flops4 | Known::Flops8 | Known::Flops16 | Known::Flops => {
                Some((0.99, 1.01))
            }
            Known::Loads => Some((0.98, 1.2)),
            Known::LinesIntoL1 | Known::LinesIntoL2 => Some((0.8, 1.5)),
            Known::Walks => Some((0.6, 1.5)),
            Known::BytesRead => Some((0.8, f64::INFINITY)),
            Known::Something => Some((f64::MIN_POSITIVE, f64::INFINITY)),
            Known::Nothing => None,
        }
    }
}

/// One counter: what it is called here, what is asked of the kernel, and what it is good for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    /// Quantity in run.json: `l2_misses`. The same name means the same thing on every CPU.
    pub name: &'static str,
    /// What is counted.
    pub event: Event,
    /// `count`, `cycles`, `nanoseconds`, `FLOP`.
    pub unit: &'static str,
    /// What one count stands for, as a factor: four FLOP for a 128-bit instruction.
    pub weight: f64,
    /// The manual's name and what it tells.
    pub why: &'static str,
    /// What the self-test knows about it.
    pub known: Known,
}

/// Counters that are counted together in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// What the group is about.
    pub name: &'static str,
    /// The counters; at most four hardware ones, which is what a CPU has with two threads a core.
    pub counters: &'static [Counter],
}

/// Where counts come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// This program and the kernel's work for it.
    UserAndKernel,
    /// This program alone: the kernel does not let it see more.
    User,
    /// All programs, and devices.
    Machine,
}

/// What a counter counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    /// The count, times the counter's weight; extrapolated if `share` is below one.
    pub value: f64,
    /// Whose events.
    pub scope: Scope,
    /// Share of the time during which the hardware counted (`time_running / time_enabled`).
    pub share: f64,
}

/// One counter after a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which.
    pub counter: &'static Counter,
    /// What it counted, or why nothing is known.
    pub tally: Result<Tally, Missing>,
}

/// Why a counter is missing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Missing {
    /// EACCES, EPERM.
    #[error("not permitted: kernel.perf_event_paranoid is {}; 2 or less, or CAP_PERFMON, allows it", paranoid.map_or("unknown".into(), |level| level.to_string()))]
    NotPermitted {
        /// /proc/sys/kernel/perf_event_paranoid, where readable.
        paranoid: Option<i32>,
    },
    /// The event happens inside the kernel, or counts it too, and kernel events are not permitted.
    #[error(
        "happens inside the kernel or counts it too, which kernel.perf_event_paranoid above 1 hides"
    )]
    KernelOnly,
    /// EACCES, EPERM for what counts everybody.
    #[error("counts all programs: kernel.perf_event_paranoid is {}; 0 or less, or CAP_PERFMON, allows it", paranoid.map_or("unknown".into(), |level| level.to_string()))]
    NeedsMachine {
        /// /proc/sys/kernel/perf_event_paranoid, where readable.
        paranoid: Option<i32>,
    },
    /// sysfs lists none, or not under a known name, or tells nonsense.
    #[error(
        "the kernel lists no such counter of the memory controllers (uncore_imc): virtual machines have none, AMD's have no names there"
    )]
    NoController,
    /// ENOENT, ENODEV, EOPNOTSUPP.
    #[error(
        "the system offers no such counter: a virtual machine without a PMU, or an event that this CPU lacks"
    )]
    NotOffered,
    /// EINVAL.
    #[error("the kernel does not accept the event (EINVAL)")]
    Invalid,
    /// EBUSY, or the group never ran.
    #[error(
        "the hardware's counters are in use: the NMI watchdog (kernel.nmi_watchdog=0 frees one) or another profiler"
    )]
    Busy,
    /// EMFILE, ENFILE.
    #[error("too many open files: raise `ulimit -n`")]
    TooManyFiles,
    /// ENOSYS.
    #[error("this kernel has no perf events")]
    NoPerf,
    /// No thread to count is left.
    #[error("every thread to be counted has ended")]
    NoThread,
    /// No table for this microarchitecture has the counter.
    #[error("no table of events for this microarchitecture ({processor})")]
    NoTable {
        /// Vendor, family and model.
        processor: String,
    },
    /// The self-test contradicts it.
    #[error(
        "counted {counted} where {happened} happened: not believed in this run (virtual machines count zero without an error)"
    )]
    Unbelievable {
        /// What it counted in the self-test.
        counted: u64,
        /// What happened.
        happened: u64,
    },
    /// The kernel gave less than a reading.
    #[error("the kernel gave no whole reading: the event was closed or is in an error state")]
    Unreadable,
    /// Any other answer of the kernel.
    #[error("the kernel refused with error {errno}")]
    Refused {
        /// errno(3).
        errno: i32,
    },
}

/// The CPU as the event tables know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Processor {
    /// CPUID's vendor string.
    pub vendor: String,
    /// Display family.
    pub family: u8,
    /// Display model.
    pub model: u8,
}

impl Processor {
    /// The CPU that this runs on, by CPUID.
    pub fn here() -> Self {
        let cpuid = raw_cpuid::CpuId::new();
        let vendor = cpuid
            .get_vendor_info()
            .map_or_else(String::new, |vendor| vendor.as_str().to_owned());
        let (family, model) = cpuid
            .get_feature_info()
            .map_or((0, 0), |info| (info.family_id(), info.model_id()));
        Self {
            vendor,
            family,
            model,
        }
    }
}

impl std::fmt::Display for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} family {:#x} model {:#x}",
            self.vendor, self.family, self.model
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_match_the_manuals() {
        // perf's own spelling: r1828 is CORE_POWER.LVL1_TURBO_LICENSE, r140014a3 CYCLE_ACTIVITY.STALLS_MEM_ANY.
        assert_eq!(intel(0x28, 0x18, 0), Event::Raw(0x1828));
        assert_eq!(intel(0xa3, 0x14, 20), Event::Raw(0x1400_14a3));
        assert_eq!(amd(0x44, 0xff), Event::Raw(0xff44));
        assert_eq!(amd(0x28a, 0x02), Event::Raw(0x2_0000_028a));
    }

    #[test]
    fn a_missing_counter_says_what_to_do() {
        let text = Missing::NotPermitted { paranoid: Some(4) }.to_string();
        assert!(
            text.contains("perf_event_paranoid is 4") && text.contains("CAP_PERFMON"),
            "{text}"
        );
        assert!(
            Missing::NotPermitted { paranoid: None }
                .to_string()
                .contains("unknown")
        );
        assert!(!Processor::here().vendor.is_empty());
    }
}
