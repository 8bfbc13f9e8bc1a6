//! What heat limits: the temperatures at which the system acts, the temperature now, and how often the CPU was held back.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::source::Source;
use super::topology::Topology;

/// Thermal limits and their history.
#[derive(Clone, Debug, PartialEq)]
pub struct Thermal {
    /// Zones of the processor with their trip points: `x86_pkg_temp passive`, degrees Celsius.
    pub limits: Fact<Vec<(String, f64)>>,
    /// The same zones' temperatures at the time of the probe.
    pub now: Fact<Vec<(String, f64)>>,
    /// Times since the system's start that a core or a package was held back by its temperature.
    pub throttled: Fact<u64>,
}

/// Zones that measure the processor, by the start of their type; others are disks, batteries, radios.
const PROCESSOR_ZONES: [&str; 6] = ["x86_pkg_temp", "TCPU", "B0D4", "acpitz", "cpu", "k10temp"];

/// A temperature below this is no trip point: firmware writes 0 or -274 for "none".
const LEAST_TRIP: f64 = 1.0;

/// Reads the thermal limits.
pub(super) fn read(source: &Source, topology: &Topology) -> Thermal {
    let folder = "/sys/class/thermal";
    let (mut limits, mut now) = (Vec::new(), Vec::new());
    for zone in zones(source, folder) {
        let text = |name: &str| {
            source
                .text(&format!("{folder}/{zone}/{name}"))
                .value()
                .cloned()
        };
        let degrees = |name: &str| Some(text(name)?.parse::<f64>().ok()? / 1000.0);
        let kind = text("type").unwrap_or_default();
        now.extend(degrees("temp").map(|degrees| (kind.clone(), degrees)));
        for trip in 0..12 {
            let at = degrees(&format!("trip_point_{trip}_temp"));
            let does = text(&format!("trip_point_{trip}_type"));
            if let (Some(at), Some(does)) = (at.filter(|at| *at >= LEAST_TRIP), does) {
                limits.push((format!("{kind} {does}"), at));
            }
        }
    }
    let guest = source.first().under_hypervisor();
    let absent = |what: &str| match guest {
        true => {
            format!("{folder} shows no {what}: a virtual machine has no sensors, the host has them")
        }
        false => format!("{folder} shows no {what} of the processor"),
    };
    Thermal {
        limits: some(limits, folder, || absent("trip point")),
        now: some(now, folder, || absent("zone")),
        throttled: throttled(source, topology),
    }
}

fn zones(source: &Source, folder: &str) -> Vec<String> {
    let of_processor = |zone: &String| {
        let kind = source.text(&format!("{folder}/{zone}/type"));
        let kind = kind.value();
        kind.is_some_and(|kind| PROCESSOR_ZONES.iter().any(|known| kind.starts_with(known)))
    };
    let mut zones = source.names(folder);
    zones.retain(|name| name.starts_with("thermal_zone"));
    zones.truncate(64);
    zones.retain(of_processor);
    zones
}

fn some<T>(list: Vec<T>, from: &str, absent: impl FnOnce() -> String) -> Fact<Vec<T>> {
    match list.is_empty() {
        true => Fact::unknown(absent()),
        false => Fact::known(list, from),
    }
}

/// Each core's own count, and each package's once: siblings show the same one.
fn throttled(source: &Source, topology: &Topology) -> Fact<u64> {
    let mut seen = std::collections::BTreeSet::new();
    let (mut sum, mut known) = (0_u64, false);
    for cpu in &topology.cpus {
        let folder = format!("/sys/devices/system/cpu/cpu{}/thermal_throttle", cpu.id);
        let scopes = [
            ("core_throttle_count", (cpu.package, Some(cpu.core))),
            ("package_throttle_count", (cpu.package, None)),
        ];
        for (name, scope) in scopes {
            if !seen.insert(scope) {
                continue;
            }
            if let Some(&count) = source.number(&format!("{folder}/{name}")).value() {
                (sum, known) = (sum.saturating_add(count), true);
            }
        }
    }
    let path = "/sys/devices/system/cpu/cpu*/thermal_throttle";
    match known {
        true => Fact::known(sum, path),
        false => Fact::unknown(format!("{path}: no such file")),
    }
}

impl Thermal {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Clocks;
        let degrees = |list: &Vec<(String, f64)>| {
            let texts: Vec<String> = list
                .iter()
                .map(|(name, degrees)| format!("{name} {degrees:.0} \u{b0}C"))
                .collect();
            let values = texts.iter().cloned().map(Value::Text).collect();
            (Value::List(values), texts.join(", "))
        };
        vec![
            Entry::new(
                section,
                "thermal.limits_celsius",
                "thermal limits",
                &self.limits,
                degrees,
            ),
            Entry::new(
                section,
                "thermal.now_celsius",
                "temperature now",
                &self.now,
                degrees,
            ),
            Entry::new(
                section,
                "thermal.throttled_count",
                "held back by heat",
                &self.throttled,
                |&count| {
                    (
                        Value::count(count),
                        format!("{count} times since the system's start"),
                    )
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::probe::{Machine, parse_recording};

    const HOT: &str = "loopos machine 1\naffinity 0-1\ncpu 0\n\
        file /sys/devices/system/cpu/online\n|0-1\n\
        file /sys/devices/system/cpu/cpu0/topology/physical_package_id\n|0\n\
        file /sys/devices/system/cpu/cpu0/topology/core_id\n|0\n\
        file /sys/devices/system/cpu/cpu1/topology/physical_package_id\n|0\n\
        file /sys/devices/system/cpu/cpu1/topology/core_id\n|0\n\
        file /sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count\n|3\n\
        file /sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count\n|40\n\
        file /sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count\n|3\n\
        file /sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count\n|40\n\
        folder /sys/class/thermal thermal_zone0 thermal_zone1 cooling_device0\n\
        file /sys/class/thermal/thermal_zone0/type\n|x86_pkg_temp\n\
        file /sys/class/thermal/thermal_zone0/temp\n|71500\n\
        file /sys/class/thermal/thermal_zone0/trip_point_0_temp\n|100000\n\
        file /sys/class/thermal/thermal_zone0/trip_point_0_type\n|passive\n\
        file /sys/class/thermal/thermal_zone0/trip_point_1_temp\n|-274000\n\
        file /sys/class/thermal/thermal_zone0/trip_point_1_type\n|passive\n\
        file /sys/class/thermal/thermal_zone1/type\n|iwlwifi_1\n\
        file /sys/class/thermal/thermal_zone1/temp\n|55000\n";

    #[test]
    fn the_processors_zones_and_nobody_elses() {
        let thermal = Machine::read(&parse_recording(HOT).unwrap()).thermal;
        let limits = vec![("x86_pkg_temp passive".to_string(), 100.0)];
        assert_eq!(thermal.limits.value(), Some(&limits));
        assert_eq!(
            thermal.now.value().unwrap(),
            &[("x86_pkg_temp".to_string(), 71.5)]
        );
        assert_eq!(
            thermal.throttled.value(),
            Some(&43),
            "siblings share both counts"
        );
    }

    #[test]
    fn a_machine_without_sensors_says_so() {
        let thermal = Machine::read(&parse_recording("loopos machine 1\n").unwrap()).thermal;
        assert!(thermal.limits.reason().unwrap().contains("no trip point"));
        assert!(thermal.throttled.reason().is_some());
    }
}
