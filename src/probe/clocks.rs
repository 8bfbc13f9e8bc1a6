//! Frequencies as the machine states them: TSC, base, maximum, current; governor, turbo, power limits. Nothing is measured here.

use super::cpufreq::{self, Cpufreq};
use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::leaves::{HYPERVISOR, Leaves};
use super::source::{Source, format_cpu_list};
use super::topology::Topology;
use crate::units::Hertz;
use std::collections::BTreeMap;

/// A frequency in hertz for each CPU that tells one.
pub(super) type PerCpu = Fact<BTreeMap<u32, f64>>;

/// What the machine says about its clocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Clocks {
    /// Frequency of the time stamp counter in hertz.
    pub tsc_hertz: Fact<f64>,
    /// The TSC ticks at the same rate in every power state.
    pub tsc_invariant: Fact<bool>,
    /// What the kernel reads time from: `tsc`, `kvm-clock`, ...
    pub clocksource: Fact<String>,
    /// Guaranteed frequency in hertz.
    pub base_hertz: Fact<f64>,
    /// Highest frequency of each CPU in hertz.
    pub max_hertz: PerCpu,
    /// Frequency of each CPU in hertz at the time of the probe.
    pub current_hertz: PerCpu,
    /// Governors in use, as in `powersave`.
    pub governor: Fact<String>,
    /// The driver that sets frequencies.
    pub driver: Fact<String>,
    /// Frequencies above the base are allowed.
    pub turbo: Fact<bool>,
    /// Power limits in watts by name: `package-0 long_term`, ...; the lower of two interfaces wins.
    pub power_limits: Fact<Vec<(String, f64)>>,
}

/// Reads what the machine says about its clocks.
pub(super) fn read(source: &Source, topology: &Topology) -> Clocks {
    let leaves = source.first();
    let online: Vec<u32> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    let guest = leaves.under_hypervisor();
    let kernel = Cpufreq {
        source,
        online: &online,
        guest,
    };
    Clocks {
        tsc_hertz: tsc(&leaves),
        tsc_invariant: match leaves.leaf(0x8000_0007).edx >> 8 & 1 {
            1 => Fact::known(true, "cpuid 0x80000007"),
            _ => Fact::known(false, "cpuid 0x80000007"),
        },
        clocksource: source
            .text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        base_hertz: base(source, &leaves),
        max_hertz: kernel
            .hertz("cpuinfo_max_freq")
            .or(|| match leaves.leaf(0x16).ebx & 0xFFFF {
                0 => Fact::unknown("cpuid 0x16 is empty"),
                megahertz => Fact::known(
                    BTreeMap::from([(online[0], f64::from(megahertz) * 1e6)]),
                    "cpuid 0x16",
                ),
            }),
        current_hertz: kernel
            .hertz("scaling_cur_freq")
            .or(|| cpuinfo_megahertz(source, guest)),
        governor: kernel.words("scaling_governor"),
        driver: kernel.words("scaling_driver"),
        turbo: cpufreq::turbo(source, &leaves),
        power_limits: cpufreq::power_limits(source),
    }
}

/// The TSC's frequency: leaf 0x15 (crystal x ratio), else leaf 0x16's base where 0x15 tells a ratio but no crystal (Intel SDM
/// volume 3B, "Time-stamp counter"), else the hypervisor's leaf 0x4000_0010.
fn tsc(leaves: &Leaves) -> Fact<f64> {
    let ratio = leaves.leaf(0x15);
    let hypervisor = if leaves.highest(HYPERVISOR) >= HYPERVISOR + 0x10 {
        leaves.leaf(HYPERVISOR + 0x10).eax
    } else {
        0
    };
    let base = leaves.leaf(0x16).eax & 0xFFFF;
    let has_ratio = ratio.eax != 0 && ratio.ebx != 0;
    if has_ratio && ratio.ecx != 0 {
        let hertz = f64::from(ratio.ecx) * f64::from(ratio.ebx) / f64::from(ratio.eax);
        Fact::known(hertz, "cpuid 0x15")
    } else if hypervisor != 0 {
        Fact::known(f64::from(hypervisor) * 1e3, "cpuid 0x40000010")
    } else if has_ratio && base != 0 {
        Fact::known(
            f64::from(base) * 1e6,
            "cpuid 0x16, as 0x15 tells no crystal",
        )
    } else {
        let place = if leaves.under_hypervisor() {
            ", nor does the hypervisor in 0x40000010"
        } else {
            ""
        };
        Fact::unknown(format!(
            "CPUID 0x15 and 0x16 do not tell{place}; a benchmark measures it"
        ))
    }
}

fn base(source: &Source, leaves: &Leaves) -> Fact<f64> {
    let leaf = leaves.leaf(0x16).eax & 0xFFFF;
    if leaf != 0 {
        return Fact::known(f64::from(leaf) * 1e6, "cpuid 0x16");
    }
    let kilohertz = source.number("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency");
    if kilohertz.value().is_some() {
        return kilohertz.map(|kilohertz| kilohertz as f64 * 1e3);
    }
    let megahertz = source.number("/sys/devices/system/cpu/cpu0/acpi_cppc/nominal_freq");
    if megahertz.value().is_some_and(|&megahertz| megahertz > 0) {
        return megahertz.map(|megahertz| megahertz as f64 * 1e6);
    }
    let brand = super::processor::brand(leaves);
    match brand_hertz(&brand) {
        Some(hertz) => Fact::known(hertz, "the processor's name"),
        None => {
            Fact::unknown("neither CPUID 0x16, cpufreq, ACPI nor the processor's name tells it")
        }
    }
}

/// The frequency at the end of a name, as in `... @ 2.40GHz`.
fn brand_hertz(brand: &str) -> Option<f64> {
    let (_, text) = brand.rsplit_once('@')?;
    let text = text.trim();
    let (digits, scale) = match (text.strip_suffix("GHz"), text.strip_suffix("MHz")) {
        (Some(digits), _) => (digits, 1e9),
        (_, Some(digits)) => (digits, 1e6),
        _ => return None,
    };
    let hertz = digits.trim().parse::<f64>().ok()? * scale;
    (hertz.is_finite() && hertz > 0.0).then_some(hertz)
}

/// `cpu MHz` of `/proc/cpuinfo`.
fn cpuinfo_megahertz(source: &Source, guest: bool) -> PerCpu {
    let mut all = BTreeMap::new();
    let mut cpu = None;
    let cpuinfo = source.text("/proc/cpuinfo");
    for line in cpuinfo
        .value()
        .map(String::as_str)
        .unwrap_or_default()
        .lines()
    {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        match (key.trim(), cpu) {
            ("processor", _) => cpu = value.trim().parse::<u32>().ok(),
            ("cpu MHz", Some(cpu)) => {
                let megahertz = value
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .filter(|megahertz| megahertz.is_finite() && *megahertz > 0.0);
                all.extend(megahertz.map(|megahertz| (cpu, megahertz * 1e6)));
            }
            _ => {}
        }
    }
    match (all.is_empty(), guest) {
        (true, _) => Fact::unknown("neither cpufreq nor /proc/cpuinfo tells it"),
        (false, false) => Fact::known(all, "/proc/cpuinfo"),
        // A guest's /proc/cpuinfo repeats the TSC's rate: that is no frequency of a core.
        (false, true) => {
            Fact::unknown("a virtual machine does not tell it; a benchmark measures it")
        }
    }
}

/// One frequency, or each group of CPUs with its own.
fn show_per_cpu(all: &BTreeMap<u32, f64>) -> (Value, String) {
    let highest = all.values().copied().fold(0.0, f64::max);
    let mut groups: Vec<(f64, Vec<u32>)> = Vec::new();
    for (&cpu, &hertz) in all {
        match groups.iter_mut().find(|(other, _)| *other == hertz) {
            Some((_, cpus)) => cpus.push(cpu),
            None => groups.push((hertz, vec![cpu])),
        }
    }
    groups.sort_by(|a, b| b.0.total_cmp(&a.0));
    let text = match groups.as_slice() {
        [(hertz, _)] => Hertz(*hertz).to_string(),
        few if few.len() <= 3 => {
            let parts = few
                .iter()
                .map(|(hertz, cpus)| format!("{} (CPU {})", Hertz(*hertz), format_cpu_list(cpus)));
            parts.collect::<Vec<_>>().join(", ")
        }
        many => format!("{} to {}", Hertz(many[many.len() - 1].0), Hertz(highest)),
    };
    (Value::Real(highest), text)
}

impl Clocks {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Clocks;
        let hertz = |&hertz: &f64| (Value::Real(hertz), Hertz(hertz).to_string());
        vec![
            Entry::new(section, "clock.base_hertz", "base", &self.base_hertz, hertz),
            Entry::new(
                section,
                "clock.max_hertz",
                "highest",
                &self.max_hertz,
                show_per_cpu,
            ),
            Entry::new(
                section,
                "clock.current_hertz",
                "now",
                &self.current_hertz,
                show_per_cpu,
            ),
            Entry::new(
                section,
                "clock.tsc_hertz",
                "TSC",
                &self.tsc_hertz,
                |&hertz| (Value::Real(hertz), format!("{:.3} MHz", hertz / 1e6)),
            ),
            Entry::new(
                section,
                "clock.tsc_invariant",
                "TSC invariant",
                &self.tsc_invariant,
                |&yes| {
                    (
                        Value::Bool(yes),
                        if yes { "yes" } else { "not announced" }.to_string(),
                    )
                },
            ),
            Entry::text(section, "clock.source", "kernel's clock", &self.clocksource),
            Entry::text(section, "clock.governor", "governor", &self.governor),
            Entry::text(section, "clock.driver", "driver", &self.driver),
            Entry::new(section, "clock.turbo", "turbo", &self.turbo, |&on| {
                (Value::Bool(on), if on { "on" } else { "off" }.to_string())
            }),
            Entry::new(
                section,
                "power.limits_watts",
                "power limits",
                &self.power_limits,
                |limits| {
                    let parts: Vec<String> = limits
                        .iter()
                        .map(|(name, watts)| format!("{name} {watts:.0} W"))
                        .collect();
                    (
                        Value::List(parts.iter().cloned().map(Value::Text).collect()),
                        parts.join(", "),
                    )
                },
            ),
            Entry::new(
                section,
                "power.sustained_watts",
                "sustained power",
                &cpufreq::sustained(&self.power_limits),
                |&watts| (Value::Real(watts), format!("{watts:.0} W")),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::leaves::Registers;

    fn leaves(answers: &[(u32, [u32; 4])]) -> Leaves {
        let mut leaves = Leaves::default();
        for (leaf, [eax, ebx, ecx, edx]) in answers.iter().copied() {
            leaves
                .answers
                .insert((leaf, 0), Registers { eax, ebx, ecx, edx });
        }
        leaves
    }

    #[test]
    fn the_tsc_by_every_source() {
        let alder_lake = leaves(&[(0, [0x20, 0, 0, 0]), (0x15, [2, 188, 38_400_000, 0])]);
        assert_eq!(tsc(&alder_lake), Fact::known(3.6096e9, "cpuid 0x15"));
        let no_crystal = leaves(&[
            (0, [0x16, 0, 0, 0]),
            (0x15, [2, 200, 0, 0]),
            (0x16, [2400, 4200, 100, 0]),
        ]);
        assert_eq!(tsc(&no_crystal).value(), Some(&2.4e9));
        let guest = leaves(&[
            (1, [0, 0, 1 << 31, 0]),
            (0x4000_0000, [0x4000_0010, 0, 0, 0]),
            (0x4000_0010, [2_445_406, 0, 0, 0]),
        ]);
        assert_eq!(tsc(&guest), Fact::known(2.445406e9, "cpuid 0x40000010"));
        let mute = leaves(&[(0, [0x16, 0, 0, 0])]);
        assert!(tsc(&mute).reason().unwrap().contains("0x15"));
    }

    #[test]
    fn a_base_frequency_in_the_name() {
        assert_eq!(
            brand_hertz("11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz"),
            Some(2.4e9)
        );
        assert_eq!(brand_hertz("Intel(R) Atom(TM) CPU @ 800MHz"), Some(8e8));
        for name in [
            "AMD EPYC 7B13",
            "x @ fast",
            "x @ -1GHz",
            "x @ nanGHz",
            "@",
            "",
        ] {
            assert_eq!(brand_hertz(name), None, "{name}");
        }
    }

    #[test]
    fn groups_of_cpus_with_their_own_highest_frequency() {
        let hybrid = BTreeMap::from([(0, 5e9), (1, 5e9), (2, 3.8e9)]);
        assert_eq!(
            show_per_cpu(&hybrid).1,
            "5.00 GHz (CPU 0-1), 3.80 GHz (CPU 2)"
        );
    }
}
