//! What the kernel's frequency and power drivers show: cpufreq, the turbo switch, RAPL's power limits.

use super::clocks::PerCpu;
use super::fact::Fact;
use super::leaves::Leaves;
use super::source::Source;
use std::collections::BTreeMap;

/// The kernel's cpufreq folders, one for each CPU.
pub(super) struct Cpufreq<'a> {
    /// The machine.
    pub(super) source: &'a Source,
    /// The CPUs to look at; not empty.
    pub(super) online: &'a [u32],
    /// It is a virtual machine.
    pub(super) guest: bool,
}

impl Cpufreq<'_> {
    fn path(cpu: &str, name: &str) -> String {
        format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}")
    }

    /// A file of every CPU, kilohertz to hertz.
    pub(super) fn hertz(&self, name: &str) -> PerCpu {
        let read = |&cpu: &u32| {
            let kilohertz = self.source.number(&Self::path(&cpu.to_string(), name));
            Some((cpu, *kilohertz.value()? as f64 * 1e3))
        };
        let all: BTreeMap<u32, f64> = self.online.iter().filter_map(read).collect();
        if all.is_empty() {
            self.absent()
        } else {
            Fact::known(all, Self::path("*", name))
        }
    }

    /// A word that is usually the same on all CPUs; several are joined.
    pub(super) fn words(&self, name: &str) -> Fact<String> {
        let read = |cpu: &u32| {
            self.source
                .text(&Self::path(&cpu.to_string(), name))
                .value()
                .cloned()
        };
        let mut words: Vec<String> = self.online.iter().filter_map(read).collect();
        words.sort();
        words.dedup();
        if words.is_empty() {
            self.absent()
        } else {
            Fact::known(words.join(", "), Self::path("*", name))
        }
    }

    fn absent<T>(&self) -> Fact<T> {
        Fact::unknown(match self.guest {
            true => "no cpufreq in this virtual machine: the host sets the frequency",
            false => "no cpufreq: the kernel drives no frequencies here",
        })
    }
}

/// The switch of intel_pstate, else of other drivers, else leaf 6, which on Intel tells whether turbo is available and on.
pub(super) fn turbo(source: &Source, leaves: &Leaves) -> Fact<bool> {
    let switches = [
        ("/sys/devices/system/cpu/intel_pstate/no_turbo", 0),
        ("/sys/devices/system/cpu/cpufreq/boost", 1),
    ];
    for (path, on) in switches {
        if let Fact::Known { value, source } = source.number(path) {
            return Fact::known(value == on, source);
        }
    }
    match leaves.vendor().as_str() {
        _ if leaves.under_hypervisor() => {
            Fact::unknown("a virtual machine shows no turbo switch: the host has it")
        }
        "GenuineIntel" => Fact::known(leaves.leaf(6).eax >> 1 & 1 == 1, "cpuid 0x6"),
        _ => Fact::unknown("neither intel_pstate nor cpufreq shows a switch"),
    }
}

/// RAPL's limits through both interfaces: MSR (`intel-rapl:N`) and MMIO (`intel-rapl-mmio:N`).
pub(super) fn power_limits(source: &Source) -> Fact<Vec<(String, f64)>> {
    let folder = "/sys/class/powercap";
    let mut limits = Vec::new();
    for zone in source
        .names(folder)
        .iter()
        .filter(|zone| zone.matches(':').count() == 1)
        .take(32)
    {
        let text = |name: &str| {
            source
                .text(&format!("{folder}/{zone}/{name}"))
                .value()
                .cloned()
        };
        let domain = text("name").unwrap_or_else(|| zone.clone());
        let interface = if zone.contains("mmio") { " (mmio)" } else { "" };
        for constraint in 0..3 {
            let watts = text(&format!("constraint_{constraint}_power_limit_uw"))
                .and_then(|text| text.parse::<u64>().ok());
            let name = text(&format!("constraint_{constraint}_name"));
            if let (Some(microwatts), Some(name)) = (watts, name) {
                limits.push((
                    format!("{domain} {name}{interface}"),
                    microwatts as f64 / 1e6,
                ));
            }
        }
    }
    match limits.is_empty() {
        true => Fact::unknown(format!("{folder} shows no RAPL zone")),
        false => Fact::known(limits, folder),
    }
}

/// What a package may draw in the long run: the lowest of its long-term limits, because of two interfaces the lower one wins.
pub(super) fn sustained(limits: &Fact<Vec<(String, f64)>>) -> Fact<f64> {
    match limits {
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
        Fact::Known { value, source } => {
            let long = value.iter().filter(|(name, watts)| {
                name.starts_with("package-") && name.contains("long_term") && *watts > 0.0
            });
            match long.min_by(|one, other| one.1.total_cmp(&other.1)) {
                Some((name, watts)) => {
                    Fact::known(*watts, format!("{name} in {source}, the lowest"))
                }
                None => Fact::unknown(format!("{source} shows no long-term limit of a package")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::probe::{Machine, parse_recording};

    #[test]
    fn the_lower_of_both_interfaces_wins() {
        let zone = |zone: &str, long: u32| {
            format!(
                "file /sys/class/powercap/{zone}/name\n|package-0\n\
                 file /sys/class/powercap/{zone}/constraint_0_name\n|long_term\n\
                 file /sys/class/powercap/{zone}/constraint_0_power_limit_uw\n|{long}000000\n\
                 file /sys/class/powercap/{zone}/constraint_1_name\n|short_term\n\
                 file /sys/class/powercap/{zone}/constraint_1_power_limit_uw\n|64000000\n"
            )
        };
        let recording = format!(
            "loopos machine 1\nfolder /sys/class/powercap intel-rapl intel-rapl:0 intel-rapl:0:0 intel-rapl-mmio:0\n{}{}",
            zone("intel-rapl:0", 35),
            zone("intel-rapl-mmio:0", 15)
        );
        let clocks = Machine::read(&parse_recording(&recording).unwrap()).clocks;
        let limits = clocks.power_limits.value().unwrap();
        assert_eq!(limits.len(), 4);
        assert!(limits.contains(&("package-0 long_term (mmio)".to_string(), 15.0)));
        let entries = clocks.entries();
        let sustained = entries
            .iter()
            .find(|entry| entry.key == "power.sustained_watts")
            .unwrap();
        assert_eq!(sustained.text, "15 W");
        assert!(sustained.source.contains("mmio"));
    }
}
