//! Facts in the form in which they are shown and stored: a key, a label, a value, a text, and the source or the reason.

use super::fact::Fact;

/// The parts of the page, in reading order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Section {
    /// Who made it and what it is called.
    Processor,
    /// CPUs, cores, packages, and which of them may be used.
    Topology,
    /// Cache instances.
    Caches,
    /// Instruction sets, in the CPU and enabled by the system.
    Instructions,
    /// Frequencies, governor, power limits.
    Clocks,
    /// Memory and its limits.
    Memory,
    /// Kernel and mitigations.
    System,
    /// What performance counters this process may open.
    Counters,
}

impl Section {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Processor => "Processor",
            Section::Topology => "Topology",
            Section::Caches => "Caches",
            Section::Instructions => "Instruction sets",
            Section::Clocks => "Clocks",
            Section::Memory => "Memory",
            Section::System => "System",
            Section::Counters => "Counters",
        }
    }
}

/// A fact's value, for programs.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number, in the unit that ends the key.
    Integer(i64),
    /// Any number, likewise.
    Real(f64),
    /// Words.
    Text(String),
    /// Several of them.
    List(Vec<Value>),
    /// Known to be none, as a limit that is not set.
    Nothing,
}

impl Value {
    /// A count or a size; what exceeds `i64` stays at its maximum.
    pub(super) fn count(number: impl TryInto<i64>) -> Value {
        Value::Integer(number.try_into().unwrap_or(i64::MAX))
    }
}

/// One fact, ready to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where on the page.
    pub section: Section,
    /// Dotted key, unit last: `memory.total_bytes`.
    pub key: String,
    /// What a person calls it.
    pub label: String,
    /// The value; `None` where unknown.
    pub value: Option<Value>,
    /// The value as a person reads it; empty where unknown.
    pub text: String,
    /// Where it was read; empty where unknown.
    pub source: String,
    /// Why it is unknown.
    pub reason: Option<String>,
}

impl Entry {
    /// A fact with its value and text, both made by `show`.
    pub(super) fn new<T>(
        section: Section,
        key: &str,
        label: &str,
        fact: &Fact<T>,
        show: impl FnOnce(&T) -> (Value, String),
    ) -> Entry {
        let shown = fact.value().map(show);
        let (value, text) =
            shown.map_or((None, String::new()), |(value, text)| (Some(value), text));
        Entry {
            section,
            key: key.to_string(),
            label: label.to_string(),
            value,
            text,
            source: fact.source().to_string(),
            reason: fact.reason().map(str::to_string),
        }
    }

    /// A fact that is a text already.
    pub(super) fn text(section: Section, key: &str, label: &str, fact: &Fact<String>) -> Entry {
        Entry::new(section, key, label, fact, |text| {
            (Value::Text(text.clone()), text.clone())
        })
    }

    /// A fact that is a whole number, shown as it is.
    pub(super) fn number(section: Section, key: &str, label: &str, fact: &Fact<u64>) -> Entry {
        Entry::new(section, key, label, fact, |&number| {
            (Value::count(number), number.to_string())
        })
    }
}
