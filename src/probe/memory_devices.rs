//! The modules that memory is made of: size, type and speed of each, and on how many channels.
//!
//! The firmware's table (SMBIOS reference specification 3.6, 7.18, type 17) reaches an ordinary process only through udev, which
//! copies it into its database; `/sys/firmware/dmi/entries` is for root. Serial and part numbers are neither kept nor recorded.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::source::Source;
use crate::units::Bytes;
use std::collections::BTreeSet;

/// udev's record of the firmware's table.
pub(super) const UDEV: &str = "/run/udev/data/+dmi:id";

/// Its words that are kept: nothing that tells one module from another of its kind.
pub(super) const KEPT: [&str; 6] = [
    "_SIZE",
    "_TYPE",
    "_SPEED_MTS",
    "_CONFIGURED_SPEED_MTS",
    "_BANK_LOCATOR",
    "_LOCATOR",
];

/// One module.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Bytes.
    pub bytes: u64,
    /// `DDR4`, `LPDDR4X`, ...
    pub kind: Option<String>,
    /// Transfers a second in millions, as configured, else as possible.
    pub megatransfers: Option<u64>,
    /// Where it sits, in the words of the board's maker: `ChannelA-DIMM0 BANK 0`.
    pub place: String,
}

/// What is known about the modules.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryDevices {
    /// The modules that hold memory.
    pub devices: Fact<Vec<Device>>,
    /// Channels with at least one module.
    pub channels: Fact<u64>,
}

/// Reads what is known about the modules.
pub(super) fn read(source: &Source) -> MemoryDevices {
    let devices = devices(source).or(|| edac(source));
    let channels = match &devices {
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
        Fact::Known { value, source } => match channels(value) {
            Some(count) => Fact::known(count, format!("names of places in {source}")),
            None => Fact::unknown(format!("{source} names no channels")),
        },
    };
    MemoryDevices { devices, channels }
}

fn devices(source: &Source) -> Fact<Vec<Device>> {
    let text = source.text(UDEV);
    let guest = source.first().under_hypervisor();
    let Some(table) = text.value() else {
        let what = "the firmware's table is not readable without root";
        let why = text.reason().unwrap_or_default();
        let guest = if guest {
            ", and a virtual machine has no modules of its own"
        } else {
            ""
        };
        return Fact::unknown(format!("{what}: {why}{guest}"));
    };
    let value = |index: usize, word: &str| {
        let key = format!("E:MEMORY_DEVICE_{index}{word}=");
        table.lines().find_map(|line| line.strip_prefix(&key))
    };
    let number = |index, word| {
        value(index, word)?
            .parse::<u64>()
            .ok()
            .filter(|number| *number > 0)
    };
    let device = |index| {
        let places = [value(index, "_LOCATOR"), value(index, "_BANK_LOCATOR")];
        Some(Device {
            bytes: number(index, "_SIZE")?,
            kind: value(index, "_TYPE").map(str::to_string),
            megatransfers: number(index, "_CONFIGURED_SPEED_MTS")
                .or_else(|| number(index, "_SPEED_MTS")),
            place: places.into_iter().flatten().collect::<Vec<_>>().join(" "),
        })
    };
    let devices: Vec<Device> = (0..256).filter_map(device).collect();
    match devices.is_empty() {
        true => Fact::unknown(format!("{UDEV} lists no memory device")),
        false => Fact::known(devices, UDEV),
    }
}

/// The kernel's error detection knows size, type and place, where the memory has such a controller: servers.
fn edac(source: &Source) -> Fact<Vec<Device>> {
    let folder = "/sys/devices/system/edac/mc";
    let mut devices = Vec::new();
    for controller in source
        .names(folder)
        .iter()
        .filter(|name| name.starts_with("mc"))
        .take(64)
    {
        let inside = source.names(&format!("{folder}/{controller}"));
        let modules = inside
            .iter()
            .filter(|name| name.starts_with("dimm") || name.starts_with("rank"));
        for module in modules.take(64) {
            let text = |name: &str| {
                source
                    .text(&format!("{folder}/{controller}/{module}/{name}"))
                    .value()
                    .cloned()
            };
            let megabytes = text("size")
                .and_then(|size| size.parse::<u64>().ok())
                .unwrap_or(0);
            if megabytes > 0 {
                devices.push(Device {
                    bytes: megabytes.saturating_mul(1 << 20),
                    kind: text("dimm_mem_type"),
                    megatransfers: None,
                    place: format!("{controller} {}", text("dimm_location").unwrap_or_default()),
                });
            }
        }
    }
    match devices.is_empty() {
        true => Fact::unknown(format!("{folder} lists no memory controller")),
        false => Fact::known(devices, folder),
    }
}

/// Distinct channels, by what stands in the places: `ChannelA-DIMM0`, `P0 CHANNEL B`, `mc0 channel 1 slot 0`.
fn channels(devices: &[Device]) -> Option<u64> {
    let channel = |device: &Device| {
        let place = device.place.to_lowercase();
        let at = place.find("channel")?;
        let name: String = place[at + "channel".len()..]
            .trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric())
            .collect();
        // `Controller0-ChannelA` and `Controller1-ChannelA` are two.
        (!name.is_empty()).then(|| (place[..at].to_string(), name))
    };
    let names: Option<BTreeSet<_>> = devices.iter().map(channel).collect();
    names
        .filter(|names| !names.is_empty())
        .map(|names| names.len() as u64)
}

impl MemoryDevices {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Memory;
        let show = |devices: &Vec<Device>| {
            let mut texts: Vec<(String, usize)> = Vec::new();
            for device in devices {
                let kind = device.kind.as_deref().unwrap_or("unknown type");
                let speed = device
                    .megatransfers
                    .map_or(String::new(), |speed| format!(" {speed} MT/s"));
                let text = format!("{} {kind}{speed}", Bytes(device.bytes as f64));
                match texts.iter_mut().find(|known| known.0 == text) {
                    Some(known) => known.1 += 1,
                    None => texts.push((text, 1)),
                }
            }
            let texts: Vec<String> = texts
                .iter()
                .map(|(text, count)| format!("{count} x {text}"))
                .collect();
            let values = texts.iter().cloned().map(Value::Text).collect();
            (Value::List(values), texts.join(", "))
        };
        vec![
            Entry::new(section, "memory.devices", "modules", &self.devices, show),
            Entry::number(
                section,
                "memory.channels",
                "channels in use",
                &self.channels,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{parse_recording, write_recording};

    const LAPTOP: &str = "loopos machine 1\nfile /run/udev/data/+dmi:id\n\
        |E:MEMORY_DEVICE_0_SIZE=8589934592\n|E:MEMORY_DEVICE_0_LOCATOR=ChannelA-DIMM0\n\
        |E:MEMORY_DEVICE_0_BANK_LOCATOR=BANK 0\n|E:MEMORY_DEVICE_0_TYPE=DDR4\n\
        |E:MEMORY_DEVICE_0_SPEED_MTS=3200\n|E:MEMORY_DEVICE_0_CONFIGURED_SPEED_MTS=2667\n\
        |E:MEMORY_DEVICE_0_SERIAL_NUMBER=SECRET1\n|E:MEMORY_DEVICE_0_PART_NUMBER=SECRET2\n\
        |E:MEMORY_DEVICE_1_PRESENT=0\n\
        |E:MEMORY_DEVICE_2_SIZE=8589934592\n|E:MEMORY_DEVICE_2_LOCATOR=ChannelB-DIMM0\n\
        |E:MEMORY_DEVICE_2_TYPE=DDR4\n|E:MEMORY_DEVICE_2_SPEED_MTS=2667\n|E:ID_SERIAL=SECRET3\n";

    #[test]
    fn modules_by_udev() {
        let source = parse_recording(LAPTOP).unwrap();
        let memory = read(&source);
        let entry = &memory.entries()[0];
        assert_eq!(entry.text, "2 x 8.00 GiB DDR4 2667 MT/s");
        assert_eq!(memory.channels.value(), Some(&2));
        let recording = write_recording(&source);
        assert!(!recording.contains("SECRET"), "{recording}");
        assert_eq!(read(&parse_recording(&recording).unwrap()), memory);
    }

    #[test]
    fn modules_by_the_kernel() {
        let edac = "loopos machine 1\nfolder /sys/devices/system/edac/mc mc0 power\n\
            folder /sys/devices/system/edac/mc/mc0 dimm0 dimm1 reset_counters\n\
            file /sys/devices/system/edac/mc/mc0/dimm0/size\n|16384\n\
            file /sys/devices/system/edac/mc/mc0/dimm0/dimm_mem_type\n|Registered-DDR4\n\
            file /sys/devices/system/edac/mc/mc0/dimm0/dimm_location\n|channel 0 slot 0\n\
            file /sys/devices/system/edac/mc/mc0/dimm1/size\n|0\n";
        let memory = read(&parse_recording(edac).unwrap());
        assert_eq!(memory.entries()[0].text, "1 x 16.0 GiB Registered-DDR4");
        assert_eq!(memory.channels.value(), Some(&1));
    }

    #[test]
    fn without_a_table_there_is_a_reason() {
        let memory = read(&parse_recording("loopos machine 1\n").unwrap());
        assert!(memory.devices.reason().unwrap().contains("without root"));
        assert!(memory.channels.reason().is_some());
        let mute = "loopos machine 1\nfile /run/udev/data/+dmi:id\n|E:ID_VENDOR=x\n";
        let memory = read(&parse_recording(mute).unwrap());
        assert!(
            memory
                .devices
                .reason()
                .unwrap()
                .contains("no memory device")
        );
    }
}
