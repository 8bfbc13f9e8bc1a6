//! Names of microarchitectures by vendor, family, model and stepping.
//!
//! Source: the vendors' own documents, as collected in Linux' `intel-family.h` and `amd.c` (facts only). Where one name covers
//! a chip's cores and another the chip, the chip's is given: people look for `Tiger Lake`, not for `Willow Cove`.

use std::ops::RangeInclusive;

/// A row: family, first and last model, first and last stepping, name.
type Row = (u32, RangeInclusive<u32>, RangeInclusive<u32>, &'static str);

/// Any stepping.
const ANY: RangeInclusive<u32> = 0..=15;

/// Finds the name; `None` where the tables do not know it.
pub(super) fn name(vendor: &str, family: u32, model: u32, stepping: u32) -> Option<&'static str> {
    let rows = match vendor {
        "GenuineIntel" => INTEL,
        "AuthenticAMD" => AMD,
        "HygonGenuine" => HYGON,
        _ => return None,
    };
    let fits = |row: &&Row| row.0 == family && row.1.contains(&model) && row.2.contains(&stepping);
    rows.iter().find(fits).map(|row| row.3)
}

const INTEL: &[Row] = &[
    (6, 0x0F..=0x0F, ANY, "Merom"),
    (6, 0x16..=0x16, ANY, "Merom"),
    (6, 0x17..=0x17, ANY, "Penryn"),
    (6, 0x1D..=0x1D, ANY, "Dunnington"),
    (6, 0x1A..=0x1A, ANY, "Nehalem"),
    (6, 0x1E..=0x1F, ANY, "Nehalem"),
    (6, 0x2E..=0x2E, ANY, "Nehalem"),
    (6, 0x25..=0x25, ANY, "Westmere"),
    (6, 0x2C..=0x2C, ANY, "Westmere"),
    (6, 0x2F..=0x2F, ANY, "Westmere"),
    (6, 0x2A..=0x2A, ANY, "Sandy Bridge"),
    (6, 0x2D..=0x2D, ANY, "Sandy Bridge"),
    (6, 0x3A..=0x3A, ANY, "Ivy Bridge"),
    (6, 0x3E..=0x3E, ANY, "Ivy Bridge"),
    (6, 0x3C..=0x3C, ANY, "Haswell"),
    (6, 0x3F..=0x3F, ANY, "Haswell"),
    (6, 0x45..=0x46, ANY, "Haswell"),
    (6, 0x3D..=0x3D, ANY, "Broadwell"),
    (6, 0x47..=0x47, ANY, "Broadwell"),
    (6, 0x4F..=0x4F, ANY, "Broadwell"),
    (6, 0x56..=0x56, ANY, "Broadwell"),
    (6, 0x4E..=0x4E, ANY, "Skylake"),
    (6, 0x5E..=0x5E, ANY, "Skylake"),
    (6, 0x55..=0x55, 0..=4, "Skylake-SP"),
    (6, 0x55..=0x55, 5..=7, "Cascade Lake"),
    (6, 0x55..=0x55, 10..=11, "Cooper Lake"),
    (6, 0x8E..=0x8E, 0..=9, "Kaby Lake"),
    (6, 0x8E..=0x8E, 10..=10, "Coffee Lake"),
    (6, 0x8E..=0x8E, 11..=15, "Whiskey Lake"),
    (6, 0x9E..=0x9E, 0..=9, "Kaby Lake"),
    (6, 0x9E..=0x9E, 10..=15, "Coffee Lake"),
    (6, 0xA5..=0xA6, ANY, "Comet Lake"),
    (6, 0x66..=0x66, ANY, "Cannon Lake"),
    (6, 0x6A..=0x6A, ANY, "Ice Lake-SP"),
    (6, 0x6C..=0x6C, ANY, "Ice Lake-D"),
    (6, 0x7D..=0x7E, ANY, "Ice Lake"),
    (6, 0x9D..=0x9D, ANY, "Ice Lake"),
    (6, 0xA7..=0xA7, ANY, "Rocket Lake"),
    (6, 0x8C..=0x8D, ANY, "Tiger Lake"),
    (6, 0x8F..=0x8F, ANY, "Sapphire Rapids"),
    (6, 0xCF..=0xCF, ANY, "Emerald Rapids"),
    (6, 0xAD..=0xAE, ANY, "Granite Rapids"),
    (6, 0xD7..=0xD7, ANY, "Bartlett Lake"),
    (6, 0x8A..=0x8A, ANY, "Lakefield"),
    (6, 0x97..=0x97, ANY, "Alder Lake"),
    (6, 0x9A..=0x9A, ANY, "Alder Lake"),
    (6, 0xB7..=0xB7, ANY, "Raptor Lake"),
    (6, 0xBA..=0xBA, ANY, "Raptor Lake"),
    (6, 0xBF..=0xBF, ANY, "Raptor Lake"),
    (6, 0xAA..=0xAA, ANY, "Meteor Lake"),
    (6, 0xAC..=0xAC, ANY, "Meteor Lake"),
    (6, 0xB5..=0xB5, ANY, "Arrow Lake"),
    (6, 0xC5..=0xC6, ANY, "Arrow Lake"),
    (6, 0xBD..=0xBD, ANY, "Lunar Lake"),
    (6, 0xCC..=0xCC, ANY, "Panther Lake"),
    (6, 0xE5..=0xE5, ANY, "Panther Lake"),
    (6, 0xD5..=0xD5, ANY, "Wildcat Lake"),
    (18, 0x01..=0x01, ANY, "Nova Lake"),
    (18, 0x03..=0x03, ANY, "Nova Lake"),
    (19, 0x01..=0x01, ANY, "Diamond Rapids"),
    (6, 0x1C..=0x1C, ANY, "Bonnell"),
    (6, 0x26..=0x26, ANY, "Bonnell"),
    (6, 0x27..=0x27, ANY, "Saltwell"),
    (6, 0x35..=0x36, ANY, "Saltwell"),
    (6, 0x37..=0x37, ANY, "Silvermont"),
    (6, 0x4A..=0x4A, ANY, "Silvermont"),
    (6, 0x4D..=0x4D, ANY, "Silvermont"),
    (6, 0x5A..=0x5A, ANY, "Silvermont"),
    (6, 0x4C..=0x4C, ANY, "Airmont"),
    (6, 0x75..=0x75, ANY, "Airmont"),
    (6, 0x5C..=0x5C, ANY, "Goldmont"),
    (6, 0x5F..=0x5F, ANY, "Goldmont"),
    (6, 0x7A..=0x7A, ANY, "Goldmont Plus"),
    (6, 0x86..=0x86, ANY, "Tremont"),
    (6, 0x96..=0x96, ANY, "Tremont"),
    (6, 0x9C..=0x9C, ANY, "Tremont"),
    (6, 0xBE..=0xBE, ANY, "Gracemont"),
    (6, 0xAF..=0xAF, ANY, "Sierra Forest"),
    (6, 0xB6..=0xB6, ANY, "Grand Ridge"),
    (6, 0xDD..=0xDD, ANY, "Clearwater Forest"),
    (6, 0x57..=0x57, ANY, "Knights Landing"),
    (6, 0x85..=0x85, ANY, "Knights Mill"),
];

const AMD: &[Row] = &[
    (0x10, 0x00..=0xFF, ANY, "K10"),
    (0x12, 0x00..=0xFF, ANY, "Llano"),
    (0x14, 0x00..=0xFF, ANY, "Bobcat"),
    (0x15, 0x00..=0x01, ANY, "Bulldozer"),
    (0x15, 0x02..=0x02, ANY, "Piledriver"),
    (0x15, 0x10..=0x1F, ANY, "Piledriver"),
    (0x15, 0x30..=0x3F, ANY, "Steamroller"),
    (0x15, 0x60..=0x7F, ANY, "Excavator"),
    (0x16, 0x00..=0x0F, ANY, "Jaguar"),
    (0x16, 0x30..=0x3F, ANY, "Puma"),
    (0x17, 0x08..=0x08, ANY, "Zen+"),
    (0x17, 0x18..=0x18, ANY, "Zen+"),
    (0x17, 0x00..=0x2F, ANY, "Zen"),
    (0x17, 0x50..=0x5F, ANY, "Zen"),
    (0x17, 0x30..=0x4F, ANY, "Zen 2"),
    (0x17, 0x60..=0x7F, ANY, "Zen 2"),
    (0x17, 0x84..=0x87, ANY, "Zen 2"),
    (0x17, 0x90..=0x91, ANY, "Zen 2"),
    (0x17, 0x98..=0x98, ANY, "Zen 2"),
    (0x17, 0xA0..=0xAF, ANY, "Zen 2"),
    (0x19, 0x00..=0x0F, ANY, "Zen 3"),
    (0x19, 0x20..=0x3F, ANY, "Zen 3"),
    (0x19, 0x40..=0x4F, ANY, "Zen 3+"),
    (0x19, 0x50..=0x5F, ANY, "Zen 3"),
    (0x19, 0x10..=0x1F, ANY, "Zen 4"),
    (0x19, 0x60..=0x9F, ANY, "Zen 4"),
    (0x19, 0xA0..=0xAF, ANY, "Zen 4c"),
    (0x1A, 0x10..=0x1F, ANY, "Zen 5c"),
    (0x1A, 0x00..=0x2F, ANY, "Zen 5"),
    (0x1A, 0x40..=0x4F, ANY, "Zen 5"),
    (0x1A, 0x60..=0x7F, ANY, "Zen 5"),
    (0x1A, 0x50..=0x5F, ANY, "Zen 6"),
    (0x1A, 0x80..=0xAF, ANY, "Zen 6"),
    (0x1A, 0xC0..=0xCF, ANY, "Zen 6"),
];

const HYGON: &[Row] = &[(0x18, 0x00..=0xFF, ANY, "Dhyana")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_model_several_names() {
        let intel = |model, stepping| name("GenuineIntel", 6, model, stepping);
        assert_eq!(intel(0x55, 4), Some("Skylake-SP"));
        assert_eq!(intel(0x55, 7), Some("Cascade Lake"));
        assert_eq!(intel(0x55, 11), Some("Cooper Lake"));
        assert_eq!(intel(0x8C, 1), Some("Tiger Lake"));
        assert_eq!(intel(0x9E, 12), Some("Coffee Lake"));
        assert_eq!(name("AuthenticAMD", 0x17, 0x08, 2), Some("Zen+"));
        assert_eq!(name("AuthenticAMD", 0x17, 0x01, 2), Some("Zen"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x01, 1), Some("Zen 3"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x61, 2), Some("Zen 4"));
        assert_eq!(intel(0xFE, 0), None);
        assert_eq!(name("CentaurHauls", 6, 0x8C, 1), None);
    }

    #[test]
    fn no_two_intel_rows_claim_the_same_chip() {
        for (index, row) in INTEL.iter().enumerate() {
            for other in &INTEL[index + 1..] {
                let apart = row.0 != other.0
                    || row.1.end() < other.1.start()
                    || other.1.end() < row.1.start()
                    || row.2.end() < other.2.start()
                    || other.2.end() < row.2.start();
                assert!(apart, "{row:?} and {other:?}");
            }
        }
    }
}
