//! Tests on what no machine should do: missing files, damaged recordings, random answers. The probe survives all of it.

use super::fixtures::ALL;
use super::leaves::{Leaves, Registers};
use super::source::Tree;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn machine(recording: &str) -> Machine {
    Machine::read(&parse_recording(recording).unwrap())
}

/// What must hold for every machine, however odd.
fn check_sound(machine: &Machine) {
    let cpus = machine.usable_cpus();
    assert!((1..=cpus.len()).contains(&machine.usable_threads()));
    assert!(machine.l3_threads() <= machine.usable_threads());
    assert_eq!(machine.fingerprint().len(), 16);
    assert!(
        machine
            .features
            .list
            .iter()
            .all(|feature| feature.cpu || !feature.os),
        "enabled means that it is there"
    );
    let entries = machine.entries();
    for (index, entry) in entries.iter().enumerate() {
        let known = entry.value.is_some() && !entry.source.is_empty() && entry.reason.is_none();
        let unknown = entry.value.is_none()
            && entry
                .reason
                .as_ref()
                .is_some_and(|reason| !reason.is_empty());
        assert!(known || unknown, "{entry:?}");
        assert!(
            entries[..index].iter().all(|other| other.key != entry.key),
            "{} twice",
            entry.key
        );
    }
    assert!(
        !page(
            machine,
            Style {
                width: 80,
                colour: false,
                explain: true
            }
        )
        .is_empty()
    );
}

#[test]
fn every_machine_without_any_one_line_is_still_sound() {
    for recording in ALL {
        check_sound(&machine(recording));
        for removed in 1..recording.lines().count() {
            let lines = recording
                .lines()
                .enumerate()
                .filter(|(index, _)| *index != removed)
                .map(|(_, line)| line);
            // Some lines cannot be taken away alone: then the file is refused.
            if let Ok(source) = parse_recording(&lines.collect::<Vec<_>>().join("\n")) {
                check_sound(&Machine::read(&source));
            }
        }
    }
}

#[test]
fn a_machine_that_tells_nothing_has_a_reason_for_everything() {
    let silent = machine("loopos machine 1\n");
    check_sound(&silent);
    assert_eq!(
        (
            silent.usable_cpus(),
            silent.usable_threads(),
            silent.widest_isa()
        ),
        (vec![0], 1, "scalar")
    );
    assert!(silent.processor.vendor.reason().unwrap().contains("CPUID"));
    assert!(silent.caches.reason().is_some() && silent.usable_memory_bytes().is_none());
}

#[test]
fn a_bad_recording_names_its_line() {
    let refused = |text: &str| {
        parse_recording(text)
            .err()
            .map(|error| (error.line, error.problem))
    };
    assert_eq!(refused(""), Some((1, "the file is empty".to_string())));
    assert_eq!(refused("hello\n").unwrap().0, 1);
    for line in [
        "leaf 1 0 0 0 0 0",
        "cpu x",
        "cpu 99999",
        "cpu 1 like 0",
        "|text",
        "trial cycles maybe 3",
        "folder",
        "what",
    ] {
        assert_eq!(
            refused(&format!("loopos machine 1\n# a comment\n{line}\n")).map(|(line, _)| line),
            Some(3),
            "{line}"
        );
    }
    assert_eq!(
        refused("loopos machine 1\ncpu 0\nleaf 1 0 0 0 0 zz\n")
            .unwrap()
            .1,
        "`zz` is not hexadecimal"
    );
}

/// Leaves that the probe asks for, with any answer.
fn any_leaves() -> impl Strategy<Value = Leaves> {
    let leaf = prop::sample::select(vec![
        0,
        1,
        4,
        6,
        7,
        0xA,
        0xB,
        0x15,
        0x16,
        0x1A,
        0x1D,
        0x1F,
        0x24,
        0x4000_0000,
        0x4000_0010,
        0x8000_0000,
        0x8000_0001,
        0x8000_0002,
        0x8000_0003,
        0x8000_0004,
        0x8000_0007,
        0x8000_0008,
        0x8000_001D,
        0x8000_001E,
        0x8000_0022,
    ]);
    let register = prop_oneof![any::<u32>(), Just(0), Just(u32::MAX), 0..64_u32];
    let answer = (
        register.clone(),
        register.clone(),
        register.clone(),
        register,
    );
    let answer = answer.prop_map(|(eax, ebx, ecx, edx)| Registers { eax, ebx, ecx, edx });
    let answers = prop::collection::btree_map((leaf, 0..5_u32), answer, 0..60);
    (answers, any::<Option<u64>>()).prop_map(|(answers, xcr0)| Leaves { answers, xcr0 })
}

/// Every file that the recorded machines hold, with any content.
fn any_tree() -> impl Strategy<Value = Tree> {
    let paths: Vec<String> = ALL
        .iter()
        .flat_map(|text| parse_recording(text).unwrap().tree().files.into_keys())
        .collect();
    let number = any::<i128>().prop_map(|number| number.to_string());
    let content = prop_oneof![
        "\\PC*",
        number,
        "[0-9,-]{0,20}",
        "[0-9 :/.a-z\n=]{0,80}",
        "[A-Z][a-zA-Z]{0,12}:? *[0-9]{0,25} kB"
    ];
    let files =
        prop::collection::btree_map(prop::sample::select(paths), content.prop_map(Ok), 0..80);
    let folders: BTreeMap<String, Vec<String>> = ALL
        .iter()
        .flat_map(|text| parse_recording(text).unwrap().tree().folders)
        .collect();
    files.prop_map(move |files| Tree {
        files,
        folders: folders.clone(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_answers_and_files_are_survived(
        leaves in prop::collection::btree_map(0..6_u32, any_leaves(), 0..4),
        tree in any_tree(),
        affinity in prop::collection::btree_set(0..8_u32, 0..5),
    ) {
        let affinity = Fact::known(affinity.into_iter().collect(), "sched_getaffinity");
        let source = Source::recorded(leaves, affinity, BTreeMap::new(), tree);
        check_sound(&Machine::read(&source));
        let again = parse_recording(&write_recording(&source)).unwrap();
        check_sound(&Machine::read(&again));
    }

    #[test]
    fn hostile_recordings_are_refused_or_survived(text in "(loopos machine 1\n)?((cpu|leaf|xcr0|file|folder|trial|affinity|\\|)[ 0-9a-f|-]{0,40}\n){0,20}") {
        if let Ok(source) = parse_recording(&text) {
            check_sound(&Machine::read(&source));
        }
    }
}
