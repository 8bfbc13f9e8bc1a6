//! The translation caches for data, as CPUID lists them.
//!
//! Intel: leaf 0x18, before it the descriptors of leaf 2 (SDM volume 2A, CPUID). AMD: leaves 0x8000_0005 and 0x8000_0006 (APM
//! volume 3). A guest sees the host's words; whether its own pages fill such entries depends on the pages of the host.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::leaves::Leaves;
use super::source::Source;

/// The page sizes of interest.
const SMALL: u64 = 4 << 10;
const LARGE: u64 = 2 << 20;

/// Entries for data pages of one size at one level.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tlb {
    /// 1 or 2.
    pub level: u32,
    /// Bytes of a page: 4 KiB or 2 MiB.
    pub page_bytes: u64,
    /// Pages whose translations it holds.
    pub entries: u32,
}

/// Finds the translation caches of the first CPU, by level and page size.
pub(super) fn read(source: &Source) -> Fact<Vec<Tlb>> {
    let leaves = source.first();
    let found = [
        (leaf_0x18(&leaves), "cpuid 0x18"),
        (descriptors(&leaves), "cpuid 0x2"),
        (amd(&leaves), "cpuid 0x80000005 and 0x80000006"),
    ];
    for (mut list, from) in found {
        if !list.is_empty() {
            list.sort_unstable();
            return Fact::known(list, from);
        }
    }
    Fact::unknown("CPUID lists no TLB in leaves 0x18, 0x2, 0x80000005 and 0x80000006")
}

/// One subleaf each: sizes in EBX 0-3, ways in EBX 16-31, sets in ECX, kind and level in EDX.
fn leaf_0x18(leaves: &Leaves) -> Vec<Tlb> {
    let mut list = Vec::<Tlb>::new();
    for subleaf in 0..=leaves.leaf(0x18).eax.min(16) {
        let answer = leaves.subleaf(0x18, subleaf);
        let (kind, level) = (answer.edx & 0x1F, answer.edx >> 5 & 7);
        let entries = (answer.ebx >> 16).saturating_mul(answer.ecx);
        // 1 data, 3 unified, 4 loads only: a chain of loads meets these.
        if !matches!(kind, 1 | 3 | 4) || entries == 0 {
            continue;
        }
        for (bit, page_bytes) in [(0, SMALL), (1, LARGE)] {
            if answer.ebx >> bit & 1 == 1 {
                list.push(Tlb {
                    level,
                    page_bytes,
                    entries,
                });
            }
        }
    }
    list
}

/// Leaf 2's bytes that name a data TLB: level, pages, entries.
const DESCRIPTORS: &[(u8, u32, &[u64], u32)] = &[
    (0x03, 1, &[SMALL], 64),
    (0x57, 1, &[SMALL], 16),
    (0x5A, 1, &[LARGE], 32),
    (0x63, 1, &[LARGE], 32),
    (0x64, 1, &[SMALL], 512),
    (0xA0, 1, &[SMALL], 32),
    (0xB3, 1, &[SMALL], 128),
    (0xB4, 1, &[SMALL], 256),
    (0xBA, 1, &[SMALL], 64),
    (0xC1, 2, &[SMALL, LARGE], 1024),
    (0xC2, 1, &[SMALL, LARGE], 16),
    (0xC3, 2, &[SMALL, LARGE], 1536),
    (0xC4, 1, &[LARGE], 32),
    (0xCA, 2, &[SMALL], 512),
];

fn descriptors(leaves: &Leaves) -> Vec<Tlb> {
    let answer = leaves.leaf(2);
    // The lowest byte of EAX is a count; a register with its highest bit set says nothing.
    let registers = [answer.eax & !0xFF, answer.ebx, answer.ecx, answer.edx];
    let bytes = registers
        .iter()
        .filter(|register| **register >> 31 == 0)
        .flat_map(|register| register.to_le_bytes());
    let mut list = Vec::new();
    for byte in bytes {
        for (_, level, pages, entries) in DESCRIPTORS.iter().filter(|known| known.0 == byte) {
            list.extend(pages.iter().map(|&page_bytes| Tlb {
                level: *level,
                page_bytes,
                entries: *entries,
            }));
        }
    }
    list
}

/// What a number of the second level counts: 32 entries where leaf 0x8000_0021 says so in bit 14 of EAX (L2TlbSizeX32, since Zen 5).
const COUNTED_BY: u32 = 32;

/// Entries for data: level 1 in bits 16-23 of EAX (2 MB) and EBX (4 KB), level 2 in bits 16-27.
fn amd(leaves: &Leaves) -> Vec<Tlb> {
    let by_32 = leaves.leaf(0x8000_0021).eax >> 14 & 1 == 1;
    let each = if by_32 { COUNTED_BY } else { 1 };
    let (first, second) = (leaves.leaf(0x8000_0005), leaves.leaf(0x8000_0006));
    let all = [
        (1, LARGE, first.eax >> 16 & 0xFF),
        (1, SMALL, first.ebx >> 16 & 0xFF),
        (2, LARGE, (second.eax >> 16 & 0xFFF) * each),
        (2, SMALL, (second.ebx >> 16 & 0xFFF) * each),
    ];
    let row = |(level, page_bytes, entries)| Tlb {
        level,
        page_bytes,
        entries,
    };
    all.into_iter().filter(|tlb| tlb.2 > 0).map(row).collect()
}

/// The fact in reading order.
pub(super) fn entries(tlbs: &Fact<Vec<Tlb>>) -> Vec<Entry> {
    let show = |list: &Vec<Tlb>| {
        let text = |tlb: &Tlb| {
            let page = if tlb.page_bytes == SMALL {
                "4 KB"
            } else {
                "2 MB"
            };
            format!("L{} {} x {page}", tlb.level, tlb.entries)
        };
        let texts: Vec<String> = list.iter().map(text).collect();
        let values = texts.iter().cloned().map(Value::Text).collect();
        (Value::List(values), texts.join(", "))
    };
    vec![Entry::new(
        Section::Caches,
        "tlb.data",
        "TLB for data",
        tlbs,
        show,
    )]
}
