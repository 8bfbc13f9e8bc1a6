//! The system around the program: kernel, SMT switch, mitigations of CPU vulnerabilities.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::source::Source;

/// What the system says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// Kernel release.
    pub kernel: Fact<String>,
    /// SMT: `on`, `off`, `forceoff`, `notsupported`, ...
    pub smt: Fact<String>,
    /// Each known vulnerability of CPUs and what the kernel says about it here.
    pub mitigations: Fact<Vec<(String, String)>>,
}

/// Reads what the system says about itself.
pub(super) fn read(source: &Source) -> System {
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    let status = |name: &String| {
        Some((
            name.clone(),
            source.text(&format!("{folder}/{name}")).value()?.clone(),
        ))
    };
    let mitigations: Vec<(String, String)> = source
        .names(folder)
        .iter()
        .take(100)
        .filter_map(status)
        .collect();
    System {
        kernel: source.text("/proc/sys/kernel/osrelease"),
        smt: source.text("/sys/devices/system/cpu/smt/control"),
        mitigations: match mitigations.is_empty() {
            true => Fact::unknown(format!("{folder} lists none")),
            false => Fact::known(mitigations, folder),
        },
    }
}

/// Which vulnerabilities the CPU is free of, which are mitigated (each may cost time), and which stay open.
fn show_mitigations(all: &[(String, String)]) -> (Value, String) {
    let list = all
        .iter()
        .map(|(name, status)| Value::Text(format!("{name}: {status}")))
        .collect();
    let named = |test: &dyn Fn(&str) -> bool| {
        all.iter()
            .filter(|(_, status)| test(status))
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
    };
    let unaffected = named(&|status| status.starts_with("Not affected"));
    let mitigated = named(&|status| status.starts_with("Mitigation"));
    let open =
        named(&|status| !status.starts_with("Not affected") && !status.starts_with("Mitigation"));
    let mut parts = Vec::new();
    if !open.is_empty() {
        parts.push(format!("open: {}", open.join(", ")));
    }
    if !mitigated.is_empty() {
        parts.push(format!("mitigated: {}", mitigated.join(", ")));
    }
    parts.push(format!("{} not affected", unaffected.len()));
    (Value::List(list), parts.join("; "))
}

impl System {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::System;
        vec![
            Entry::text(section, "system.kernel", "Linux", &self.kernel),
            Entry::text(section, "system.smt", "SMT switch", &self.smt),
            Entry::new(
                section,
                "system.mitigations",
                "vulnerabilities",
                &self.mitigations,
                |all| show_mitigations(all),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ones_come_first() {
        let all = [
            ("a", "Not affected"),
            ("b", "Mitigation: PTI"),
            ("c", "Vulnerable"),
            ("d", "Unknown: No mitigations"),
        ];
        let all: Vec<_> = all
            .map(|(name, status)| (name.to_string(), status.to_string()))
            .into();
        assert_eq!(
            show_mitigations(&all).1,
            "open: c, d; mitigated: b; 1 not affected"
        );
    }
}
