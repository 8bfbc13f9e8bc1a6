//! Which counters a microarchitecture has: one file per family of encodings, listed in [`TABLES`].
//!
//! A new microarchitecture is one file and one row. Names are quantities (`l1d_misses`), the same on every CPU where the
//! meaning is the same; `why` names the manual's event.

mod fixed;
mod ice_lake;
mod ice_lake_server;
mod msr;
mod skylake_server;
mod software;
mod traffic;
mod zen;

pub use fixed::FIXED;
pub use msr::MSR;
pub use software::SOFTWARE;
pub use traffic::TRAFFIC;

use super::event::{Group, Processor};

/// The raw events of some models.
#[derive(Debug)]
pub struct Table {
    /// What the models are called.
    pub name: &'static str,
    /// Whether a CPU is one of them.
    pub covers: fn(&Processor) -> bool,
    /// The groups, one pass each.
    pub groups: &'static [Group],
}

/// Every table; the first that covers a CPU counts.
pub const TABLES: &[Table] = &[
    ice_lake::TABLE,
    skylake_server::TABLE,
    ice_lake_server::ICE_LAKE,
    ice_lake_server::SAPPHIRE_RAPIDS,
    zen::ZEN_2,
    zen::ZEN_3,
    zen::ZEN_4,
    zen::ZEN_5,
];

/// The table of `processor`; `None` where nobody has written one.
pub fn of(processor: &Processor) -> Option<&'static Table> {
    TABLES.iter().find(|table| (table.covers)(processor))
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;
    use std::collections::HashSet;

    fn processor(vendor: &str, family: u8, model: u8) -> Processor {
        Processor {
            vendor: vendor.into(),
            family,
            model,
        }
    }

    #[test]
    fn models_find_their_table() {
        let name =
            |vendor, family, model| of(&processor(vendor, family, model)).map(|table| table.name);
        assert_eq!(
            name("GenuineIntel", 6, 0x8c),
            Some("Ice Lake and Tiger Lake client")
        );
        assert_eq!(
            name("GenuineIntel", 6, 0x55),
            Some("Skylake and Cascade Lake server")
        );
        assert_eq!(name("GenuineIntel", 6, 0x6a), Some("Ice Lake server"));
        assert_eq!(
            name("GenuineIntel", 6, 0x8f),
            Some("Sapphire and Emerald Rapids")
        );
        assert_eq!(name("AuthenticAMD", 0x17, 0x31), Some("Zen 2"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x01), Some("Zen 3"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x21), Some("Zen 3"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x61), Some("Zen 4"));
        assert_eq!(name("AuthenticAMD", 0x19, 0x11), Some("Zen 4"));
        assert_eq!(name("AuthenticAMD", 0x1a, 0x02), Some("Zen 5"));
        assert_eq!(name("AuthenticAMD", 0x1a, 0x44), Some("Zen 5"));
        assert_eq!(name("AuthenticAMD", 0x1a, 0x50), None);
        assert_eq!(name("AuthenticAMD", 0x17, 0x01), None);
        assert_eq!(name("GenuineIntel", 6, 0x3c), None);
    }

    #[test]
    fn every_group_fits_the_hardware_and_names_each_quantity_once() {
        for table in TABLES {
            let mut names = HashSet::new();
            for group in table.groups {
                // Slots and their four metrics have counters of their own.
                let most = if group.counters[0].unit == "slots" {
                    5
                } else {
                    4
                };
                assert!(
                    (1..=most).contains(&group.counters.len()),
                    "{}: {}",
                    table.name,
                    group.name
                );
                for counter in group.counters {
                    assert!(
                        names.insert(counter.name),
                        "{}: {} twice",
                        table.name,
                        counter.name
                    );
                    assert!(matches!(counter.event, Event::Raw(_)) && counter.weight > 0.0);
                    assert!(
                        counter.why.len() > 10
                            && counter
                                .name
                                .chars()
                                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                    );
                }
            }
        }
    }
}
