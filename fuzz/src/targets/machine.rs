//! A recorded machine: CPUID answers, files of `/proc`, `/sys` and control groups, and what became of opening each counter.

use loopos::probe::{Machine, Source, Style, page, parse_recording, write_recording};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "machine",
    run,
    seeds,
    slack: 8 << 20,
};

/// This machine, whole, and the parts of its recording without each other.
fn seeds() -> Vec<Vec<u8>> {
    let source = Source::live();
    let _ = Machine::read(&source);
    let whole = write_recording(&source);
    let of = |word: &str| {
        let lines = whole
            .lines()
            .filter(|line| line.starts_with("loopos ") || line.starts_with(word));
        lines.collect::<Vec<_>>().join("\n")
    };
    let files = whole.lines().filter(|line| {
        ["loopos ", "file ", "|", "folder "]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let files = files.collect::<Vec<_>>().join("\n");
    let cpu = whole.lines().filter(|line| {
        ["loopos ", "cpu ", "leaf ", "xcr0 "]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let cpu = cpu.collect::<Vec<_>>().join("\n");
    [of("trial "), of("affinity "), files, cpu, whole.clone()]
        .map(String::into_bytes)
        .into()
}

fn run(data: &[u8]) {
    let Ok(source) = parse_recording(&String::from_utf8_lossy(data)) else {
        return;
    };
    let machine = Machine::read(&source);
    let cpus = machine.usable_cpus();
    assert!((1..=cpus.len()).contains(&machine.usable_threads()));
    assert_eq!(machine.fingerprint().len(), 16);
    for entry in machine.entries() {
        assert!(entry.value.is_some() != entry.reason.is_some(), "{entry:?}");
    }
    let style = Style {
        width: 88,
        colour: false,
        explain: true,
    };
    assert!(!page(&machine, style).is_empty());
    let again = write_recording(&source);
    parse_recording(&again).expect("what was recorded is read again");
}
