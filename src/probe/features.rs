//! Instruction sets by name: the CPU has it (CPUID), and the system enables it (XCR0, read by XGETBV).
//!
//! A program may use an instruction set only where both hold: a kernel or a hypervisor can leave a register state off that
//! the CPU has.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::feature_table::{Register, Row, TABLE};
use super::leaves::{Leaves, Registers};
use super::source::Source;

/// The register state that an instruction set needs the system to save.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// General and SSE registers: every 64-bit system saves them.
    Base,
    /// 256-bit registers: XCR0 bits 1 and 2.
    Ymm,
    /// 512-bit and mask registers: XCR0 bits 1, 2, 5, 6 and 7.
    Zmm,
    /// AMX tiles: XCR0 bits 17 and 18.
    Tiles,
    /// The 16 further general registers of APX: XCR0 bit 19.
    Egpr,
}

impl State {
    /// The XCR0 bits that must all be set.
    pub fn mask(self) -> u64 {
        match self {
            State::Base => 0,
            State::Ymm => 0x06,
            State::Zmm => 0xE6,
            State::Tiles => 0x6_0000,
            State::Egpr => 0x8_0000,
        }
    }

    /// The system saves it. Without XCR0 only the base state is.
    fn enabled(self, xcr0: Option<u64>) -> bool {
        xcr0.unwrap_or(0) & self.mask() == self.mask()
    }
}

/// Where an instruction set is shown.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// Up to SSE4.2, scalar and bit instructions.
    Base,
    /// AVX, AVX2 and what came at 256 bits.
    Avx,
    /// Every subset of AVX-512, and AVX10.
    Avx512,
    /// Matrix tiles.
    Amx,
    /// Ciphers, hashes and Galois fields.
    Crypto,
}

impl Group {
    /// All groups, in the order of the page.
    pub const ALL: [Group; 5] = [
        Group::Base,
        Group::Avx,
        Group::Avx512,
        Group::Amx,
        Group::Crypto,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Base => "SSE, scalar",
            Group::Avx => "AVX, 256 bit",
            Group::Avx512 => "AVX-512",
            Group::Amx => "AMX, matrix",
            Group::Crypto => "crypto",
        }
    }
}

/// One instruction set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feature {
    /// Linux' spelling: `avx512_vnni`, `fma`, `pni` (SSE3).
    pub name: &'static str,
    /// A person's spelling within its group: `VNNI`.
    pub title: &'static str,
    /// Where it is shown.
    pub group: Group,
    /// Every CPU that was asked announces it.
    pub cpu: bool,
    /// And the system saves its registers on all of them, so that a program may use it.
    pub os: bool,
}

/// All instruction sets of the table, and what the system enables.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// In the order of the table.
    pub list: Vec<Feature>,
    /// XCR0 of the first CPU.
    pub xcr0: Fact<u64>,
    /// AVX10's version and its widest vectors in bits; `None` where the CPU has no AVX10.
    pub avx10: Fact<Option<(u32, u32)>>,
    /// AMX tiles: how many, rows of each, bytes of a row; `None` where the CPU has no AMX.
    pub tiles: Fact<Option<(u32, u32, u32)>>,
    /// Instruction sets that only some of the asked CPUs announce.
    pub mixed: Vec<&'static str>,
}

/// Reads every instruction set on every CPU that was visited.
pub(super) fn read(source: &Source) -> Features {
    let cpus: Vec<&Leaves> = source.cpus.values().collect();
    let on_all =
        |test: &dyn Fn(&Leaves) -> bool| !cpus.is_empty() && cpus.iter().all(|leaves| test(leaves));
    let mut mixed = Vec::new();
    let mut list = Vec::new();
    for row in TABLE {
        let &(name, title, group, .., state) = row;
        let cpu = on_all(&|leaves| announced(leaves, row));
        if !cpu && cpus.iter().any(|leaves| announced(leaves, row)) {
            mixed.push(name);
        }
        let os = cpu && on_all(&|leaves| state.enabled(leaves.xcr0));
        list.push(Feature {
            name,
            title,
            group,
            cpu,
            os,
        });
    }
    let first = source.first();
    let xcr0 = match (first.xcr0, cpus.is_empty()) {
        (Some(xcr0), _) => Fact::known(xcr0, "xgetbv"),
        (None, false) => Fact::unknown(
            "the system has not enabled XSAVE (CPUID 0x1 lacks OSXSAVE), so XGETBV must not run",
        ),
        (None, true) => Fact::unknown("no CPU could be asked for its CPUID"),
    };
    Features {
        list,
        xcr0,
        avx10: avx10(&first),
        tiles: tiles(&first),
        mixed,
    }
}

fn announced(leaves: &Leaves, row: &Row) -> bool {
    let &(.., leaf, subleaf, register, bit, _) = row;
    // Subleaf 0 of leaf 7 tells the highest subleaf.
    if leaf == 7 && subleaf > leaves.leaf(7).eax {
        return false;
    }
    let Registers { eax, ebx, ecx, edx } = leaves.subleaf(leaf, subleaf);
    let value = match register {
        Register::Eax => eax,
        Register::Ebx => ebx,
        Register::Ecx => ecx,
        Register::Edx => edx,
    };
    value >> bit & 1 == 1
}

/// Leaf 0x24: EBX bits 0-7 the version, bits 17 and 18 vectors of 256 and 512 bits.
fn avx10(leaves: &Leaves) -> Fact<Option<(u32, u32)>> {
    let has = leaves.leaf(7).eax >= 1 && leaves.subleaf(7, 1).edx >> 19 & 1 == 1;
    if !has {
        return Fact::known(None, "cpuid 0x7.1");
    }
    let answer = leaves.leaf(0x24).ebx;
    let bits = [(18, 512), (17, 256)]
        .into_iter()
        .find(|(bit, _)| answer >> bit & 1 == 1)
        .map_or(128, |(_, bits)| bits);
    match answer & 0xFF {
        0 => Fact::unknown("cpuid 0x24 tells no version"),
        version => Fact::known(Some((version, bits)), "cpuid 0x24"),
    }
}

/// Leaf 0x1D, palette 1: EBX bits 0-15 bytes of a row, 16-31 tiles, ECX bits 0-15 rows.
fn tiles(leaves: &Leaves) -> Fact<Option<(u32, u32, u32)>> {
    if leaves.leaf(7).edx >> 24 & 1 == 0 {
        return Fact::known(None, "cpuid 0x7");
    }
    let palette = leaves.subleaf(0x1D, 1);
    match palette.ebx {
        0 => Fact::unknown("cpuid 0x1d tells no tile palette"),
        size => Fact::known(
            Some((size >> 16, palette.ecx & 0xFFFF, size & 0xFFFF)),
            "cpuid 0x1d",
        ),
    }
}

impl Features {
    /// The CPU has it and the system enables it. Names are Linux' own.
    pub fn has(&self, name: &str) -> bool {
        self.list
            .iter()
            .any(|feature| feature.name == name && feature.os)
    }

    /// The CPU has it, whatever the system does.
    pub fn in_cpu(&self, name: &str) -> bool {
        self.list
            .iter()
            .any(|feature| feature.name == name && feature.cpu)
    }

    /// The facts beside the list itself.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Instructions;
        let mut entries = vec![Entry::new(
            section,
            "features.xcr0",
            "enabled states",
            &self.xcr0,
            |&xcr0| {
                (
                    Value::Text(format!("{xcr0:#x}")),
                    format!("{} (XCR0 {xcr0:#x})", states(xcr0)),
                )
            },
        )];
        if self.avx10.value() != Some(&None) {
            entries.push(Entry::new(
                section,
                "features.avx10",
                "AVX10",
                &self.avx10,
                |avx10| {
                    let (version, bits) = avx10.unwrap_or((0, 0));
                    (
                        Value::count(version),
                        format!("version {version}, vectors up to {bits} bits"),
                    )
                },
            ));
        }
        if self.tiles.value() != Some(&None) {
            entries.push(Entry::new(
                section,
                "features.amx_tiles",
                "AMX tiles",
                &self.tiles,
                |tiles| {
                    let (count, rows, bytes) = tiles.unwrap_or((0, 0, 0));
                    let text = format!(
                        "{count} tiles of {rows} rows x {bytes} bytes; Linux grants them on request"
                    );
                    (Value::count(count), text)
                },
            ));
        }
        if !self.mixed.is_empty() {
            let mixed: Fact<()> = Fact::known((), "cpuid of every CPU");
            entries.push(Entry::new(
                section,
                "features.mixed",
                "only on some CPUs",
                &mixed,
                |()| {
                    let names = self
                        .mixed
                        .iter()
                        .map(|name| Value::Text(name.to_string()))
                        .collect();
                    (
                        Value::List(names),
                        format!("{}: counted as absent", self.mixed.join(", ")),
                    )
                },
            ));
        }
        entries
    }
}

/// Names of the vector states in XCR0.
fn states(xcr0: u64) -> String {
    let named = [
        (0x2, "SSE"),
        (0x4, "AVX"),
        (0xE0, "AVX-512"),
        (0x200, "PKRU"),
        (0x6_0000, "AMX"),
        (0x8_0000, "APX"),
    ];
    let on: Vec<&str> = named
        .iter()
        .filter(|(mask, _)| xcr0 & mask == *mask)
        .map(|(_, name)| *name)
        .collect();
    on.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_are_unique() {
        for (index, row) in TABLE.iter().enumerate() {
            for other in &TABLE[index + 1..] {
                assert_ne!(row.0, other.0);
                let place = |row: &Row| (row.3, row.4, row.5 as u8, row.6);
                assert_ne!(place(row), place(other), "{} and {}", row.0, other.0);
            }
        }
    }

    #[test]
    fn every_state_needs_all_of_its_bits() {
        for (state, enough, short) in [
            (State::Ymm, 0x07, 0x03),
            (State::Ymm, 0x06, 0x04),
            (State::Zmm, 0xE7, 0x67),
            (State::Zmm, 0xE6, 0xE0),
            (State::Zmm, 0x602E7, 0x60007),
            (State::Tiles, 0x602E7, 0x202E7),
            (State::Egpr, 0x8_0007, 0x7_0007),
        ] {
            assert!(state.enabled(Some(enough)), "{state:?} {enough:#x}");
            assert!(!state.enabled(Some(short)), "{state:?} {short:#x}");
            assert!(!state.enabled(None));
        }
        assert!(
            State::Base.enabled(None),
            "SSE is saved by every 64-bit system"
        );
    }
}
