//! Who made the processor, what it is called, and what it runs under.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::leaves::{HYPERVISOR, Leaves, letters};
use super::microarchitecture;
use super::source::Source;

/// What identifies the processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Processor {
    /// `GenuineIntel`, `AuthenticAMD`, ...
    pub vendor: Fact<String>,
    /// The processor's own name, trimmed.
    pub brand: Fact<String>,
    /// Family, with the extended part added.
    pub family: Fact<u32>,
    /// Model, with the extended part in front.
    pub model: Fact<u32>,
    /// Stepping.
    pub stepping: Fact<u32>,
    /// `Tiger Lake`, `Zen 3`, ...
    pub microarchitecture: Fact<String>,
    /// Microcode revision.
    pub microcode: Fact<u64>,
    /// The hypervisor's name; `None` on bare metal.
    pub hypervisor: Fact<Option<String>>,
    /// Bits of a physical and of a virtual address.
    pub address_bits: Fact<(u32, u32)>,
}

/// Reads what identifies the processor.
pub(super) fn read(source: &Source) -> Processor {
    let leaves = source.first();
    let silent = || "no CPU could be asked for its CPUID".to_string();
    let speaks = !leaves.answers.is_empty();
    let signature = leaves.leaf(1).eax;
    let from_signature = |value: u32| match speaks {
        true => Fact::known(value, "cpuid 0x1"),
        false => Fact::unknown(silent()),
    };
    let (family, model, stepping) = decode(signature);
    let vendor = leaves.vendor();
    let name = microarchitecture::name(&vendor, family, model, stepping);
    let sizes = leaves.leaf(0x8000_0008).eax;
    Processor {
        vendor: filled(&vendor, "cpuid 0x0", silent),
        brand: filled(&brand(&leaves), "cpuid 0x80000002", || {
            "the processor names no brand".to_string()
        }),
        family: from_signature(family),
        model: from_signature(model),
        stepping: from_signature(stepping),
        microarchitecture: name.map_or_else(
            || {
                Fact::unknown(format!(
                    "family {family} model {model:#x} is not in the table"
                ))
            },
            |name| Fact::known(name.to_string(), "table of families and models"),
        ),
        microcode: microcode(source),
        hypervisor: match speaks {
            true => hypervisor(&leaves),
            false => Fact::unknown(silent()),
        },
        address_bits: match sizes & 0xFF {
            0 => Fact::unknown("cpuid 0x80000008 is empty"),
            physical => Fact::known((physical, sizes >> 8 & 0xFF), "cpuid 0x80000008"),
        },
    }
}

fn filled(text: &str, source: &str, reason: impl FnOnce() -> String) -> Fact<String> {
    match text.trim() {
        "" => Fact::unknown(reason()),
        text => Fact::known(text.to_string(), source),
    }
}

/// Family, model and stepping of leaf 1's EAX (Intel SDM volume 2A, AMD APM volume 3: both add the extended family at 15,
/// Intel takes the extended model at 6 too, where AMD has none).
fn decode(signature: u32) -> (u32, u32, u32) {
    let (family, model) = (signature >> 8 & 0xF, signature >> 4 & 0xF);
    let (more_family, more_model) = (signature >> 20 & 0xFF, signature >> 16 & 0xF);
    let extended = family == 6 || family == 15;
    (
        if family == 15 {
            family + more_family
        } else {
            family
        },
        if extended {
            more_model << 4 | model
        } else {
            model
        },
        signature & 0xF,
    )
}

/// The name in leaves 0x8000_0002 to 4, single-spaced.
pub(super) fn brand(leaves: &Leaves) -> String {
    let registers: Vec<u32> = (0x8000_0002..=0x8000_0004)
        .map(|leaf| leaves.leaf(leaf))
        .flat_map(|answer| [answer.eax, answer.ebx, answer.ecx, answer.edx])
        .collect();
    letters(&registers)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Signatures of hypervisors in EBX, ECX, EDX of leaf 0x4000_0000, from their documentation.
const HYPERVISORS: [(&str, &str); 11] = [
    ("KVMKVMKVM", "KVM"),
    ("Microsoft Hv", "Hyper-V"),
    ("VMwareVMware", "VMware"),
    ("XenVMMXenVMM", "Xen"),
    ("TCGTCGTCGTCG", "QEMU (TCG)"),
    ("bhyve bhyve", "bhyve"),
    ("VBoxVBoxVBox", "VirtualBox"),
    ("prl hyperv", "Parallels"),
    ("lrpepyh  vr", "Parallels"),
    ("ACRNACRNACRN", "ACRN"),
    ("Jailhouse", "Jailhouse"),
];

fn hypervisor(leaves: &Leaves) -> Fact<Option<String>> {
    if !leaves.under_hypervisor() {
        return Fact::known(None, "cpuid 0x1");
    }
    let answer = leaves.leaf(HYPERVISOR);
    let signature = letters(&[answer.ebx, answer.ecx, answer.edx]);
    let signature = signature.trim();
    let known = HYPERVISORS
        .iter()
        .find(|(letters, _)| *letters == signature)
        .map(|(_, name)| *name);
    let name = match (known, signature) {
        (Some(name), _) => name.to_string(),
        (None, "") => "unnamed".to_string(),
        (None, signature) => signature.to_string(),
    };
    Fact::known(Some(name), "cpuid 0x40000000")
}

/// The revision as the kernel read it.
fn microcode(source: &Source) -> Fact<u64> {
    let hexadecimal = |text: &str| u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok();
    source
        .text("/proc/cpuinfo")
        .read("a microcode revision", |text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("microcode"))?;
            hexadecimal(line.split_once(':')?.1)
        })
        .or(|| {
            source
                .text("/sys/devices/system/cpu/cpu0/microcode/version")
                .read("a revision", |text| hexadecimal(text))
        })
}

impl Processor {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Processor;
        let model = |&number: &u32| (Value::count(number), format!("{number} ({number:#x})"));
        vec![
            Entry::text(section, "cpu.brand", "name", &self.brand),
            Entry::text(section, "cpu.vendor", "vendor", &self.vendor),
            Entry::text(
                section,
                "cpu.microarchitecture",
                "microarchitecture",
                &self.microarchitecture,
            ),
            Entry::new(section, "cpu.family", "family", &self.family, model),
            Entry::new(section, "cpu.model", "model", &self.model, model),
            Entry::new(
                section,
                "cpu.stepping",
                "stepping",
                &self.stepping,
                |&number| (Value::count(number), number.to_string()),
            ),
            Entry::new(
                section,
                "cpu.microcode",
                "microcode",
                &self.microcode,
                |&revision| {
                    let hidden = matches!(self.hypervisor.value(), Some(Some(_)));
                    let doubt = if hidden {
                        " (the hypervisor's word)"
                    } else {
                        ""
                    };
                    (
                        Value::Text(format!("{revision:#x}")),
                        format!("{revision:#x}{doubt}"),
                    )
                },
            ),
            Entry::new(
                section,
                "cpu.hypervisor",
                "hypervisor",
                &self.hypervisor,
                |name| match name {
                    Some(name) => (Value::Text(name.clone()), name.clone()),
                    None => (Value::Nothing, "none announced".to_string()),
                },
            ),
            Entry::new(
                section,
                "cpu.address_bits",
                "address bits",
                &self.address_bits,
                |&(physical, virtual_)| {
                    let bits = vec![Value::count(physical), Value::count(virtual_)];
                    (
                        Value::List(bits),
                        format!("{physical} physical, {virtual_} virtual"),
                    )
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_and_model_with_their_extensions() {
        assert_eq!(decode(0x0008_06C1), (6, 0x8C, 1));
        assert_eq!(decode(0x0005_0657), (6, 0x55, 7));
        assert_eq!(decode(0x00A2_0F10), (0x19, 0x21, 0));
        assert_eq!(decode(0x0087_0F10), (0x17, 0x71, 0));
        assert_eq!(decode(0x0010_0F42), (0x10, 4, 2));
        assert_eq!(decode(u32::MAX), (15 + 255, 255, 15));
    }
}
