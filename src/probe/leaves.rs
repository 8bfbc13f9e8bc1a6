//! CPUID as data: what one logical CPU answers, leaf by leaf, live or recorded.

use std::collections::BTreeMap;

/// The four registers of one answer, in the order EAX, EBX, ECX, EDX.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Registers {
    /// EAX.
    pub(super) eax: u32,
    /// EBX.
    pub(super) ebx: u32,
    /// ECX.
    pub(super) ecx: u32,
    /// EDX.
    pub(super) edx: u32,
}

/// Everything that one logical CPU says about itself. Answers of zero are left out: an absent leaf reads as zero.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Leaves {
    /// Answers by (leaf, subleaf).
    pub(super) answers: BTreeMap<(u32, u32), Registers>,
    /// XCR0, the register states that the system saves; `None` where OSXSAVE is off, so that it cannot be read.
    pub xcr0: Option<u64>,
}

/// First leaf of the hypervisor's range.
pub(super) const HYPERVISOR: u32 = 0x4000_0000;
/// First leaf of the extended range.
pub(super) const EXTENDED: u32 = 0x8000_0000;
/// No range is followed further than this many leaves: a CPU has some forty, and garbage must end too.
const RANGE: u32 = 0x40;

impl Leaves {
    /// The answer to a leaf without subleaves.
    pub(super) fn leaf(&self, leaf: u32) -> Registers {
        self.subleaf(leaf, 0)
    }

    /// One answer; zero where the leaf lies above the range's maximum, as Intel answers those with another leaf's data.
    pub(super) fn subleaf(&self, leaf: u32, subleaf: u32) -> Registers {
        let base = leaf & 0xC000_0000;
        if leaf != base && leaf > self.highest(base) {
            return Registers::default();
        }
        self.answers
            .get(&(leaf, subleaf))
            .copied()
            .unwrap_or_default()
    }

    /// Highest leaf of the range that starts at `base` (0, [`HYPERVISOR`] or [`EXTENDED`]).
    pub(super) fn highest(&self, base: u32) -> u32 {
        if base == HYPERVISOR && !self.under_hypervisor() {
            return base;
        }
        let claimed = self
            .answers
            .get(&(base, 0))
            .map_or(base, |answer| answer.eax);
        claimed.clamp(base, base + RANGE)
    }

    /// Leaf 1 announces a hypervisor.
    pub(super) fn under_hypervisor(&self) -> bool {
        self.answers
            .get(&(1, 0))
            .is_some_and(|answer| answer.ecx >> 31 & 1 == 1)
    }

    /// The twelve letters in EBX, EDX, ECX of leaf 0.
    pub(super) fn vendor(&self) -> String {
        let answer = self.leaf(0);
        letters(&[answer.ebx, answer.edx, answer.ecx])
    }
}

/// The text that registers hold, byte by byte; ends at the first zero, foreign bytes become `?`.
pub(super) fn letters(registers: &[u32]) -> String {
    registers
        .iter()
        .flat_map(|register| register.to_le_bytes())
        .take_while(|&byte| byte != 0)
        .map(|byte| {
            if byte.is_ascii_graphic() || byte == b' ' {
                byte as char
            } else {
                '?'
            }
        })
        .collect()
}

/// Reads every leaf and subleaf that `ask` answers; leaf 3 (serial number) is never asked.
pub(super) fn dump(ask: impl Fn(u32, u32) -> Registers, xcr0: impl FnOnce() -> u64) -> Leaves {
    let mut leaves = Leaves::default();
    let mut keep = |leaf: u32, subleaf: u32| {
        let answer = ask(leaf, subleaf);
        if answer != Registers::default() {
            leaves.answers.insert((leaf, subleaf), answer);
        }
        answer
    };
    let features = keep(1, 0);
    let mut ranges = vec![0, EXTENDED];
    if features.ecx >> 31 & 1 == 1 {
        ranges.push(HYPERVISOR);
    }
    for base in ranges {
        let highest = keep(base, 0).eax.clamp(base, base + RANGE);
        for leaf in (base + 1)..=highest {
            if leaf == 3 {
                continue;
            }
            let first = keep(leaf, 0);
            for subleaf in 1..subleaves(leaf, first) {
                let answer = keep(leaf, subleaf);
                if ends(leaf, answer) {
                    break;
                }
            }
        }
    }
    if features.ecx >> 27 & 1 == 1 {
        leaves.xcr0 = Some(xcr0());
    }
    leaves
}

/// How many subleaves a leaf may have at most, given its first answer.
fn subleaves(leaf: u32, first: Registers) -> u32 {
    match leaf {
        0x4 | 0xB | 0x1F | 0x8000_001D | 0x8000_0026 => 16,
        0xD => 63,
        0x7 | 0x14 | 0x17 | 0x18 | 0x1D | 0x20 | 0x23 | 0x24 => first.eax.min(16) + 1,
        0xF | 0x10 | 0x12 | 0x1E => 4,
        _ => 1,
    }
}

/// This answer says that the leaf has no further subleaves.
fn ends(leaf: u32, answer: Registers) -> bool {
    match leaf {
        0x4 | 0x8000_001D => answer.eax & 0x1F == 0,
        0xB | 0x1F | 0x8000_0026 => answer.ecx >> 8 & 0xFF == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_above_the_maximum_reads_as_zero() {
        let mut leaves = Leaves::default();
        let answer = Registers {
            eax: 7,
            ebx: 7,
            ecx: 7,
            edx: 7,
        };
        leaves.answers.insert(
            (0, 0),
            Registers {
                eax: 4,
                ..Registers::default()
            },
        );
        leaves.answers.insert((4, 0), answer);
        leaves.answers.insert((7, 0), answer);
        assert_eq!(leaves.leaf(4), answer);
        assert_eq!(leaves.leaf(7), Registers::default());
    }

    #[test]
    fn a_cpu_that_answers_everything_with_ones_ends() {
        let all = Registers {
            eax: !0,
            ebx: !0,
            ecx: !0,
            edx: !0,
        };
        let leaves = dump(|_, _| all, || 7);
        assert!(leaves.answers.len() < 2_000);
        assert!(
            !leaves.answers.contains_key(&(3, 0)),
            "the serial number is not asked"
        );
        assert_eq!(leaves.xcr0, Some(7));
    }

    #[test]
    fn foreign_bytes_in_names_do_not_hurt() {
        assert_eq!(letters(&[0x6c65_746e, 0x0000_fe01]), "ntel??");
    }
}
