//! One fact about the machine: known with its source, or unknown with the reason. The probe has no other kind of failure.

/// A value with the place it was read from, or the reason why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<T> {
    /// The machine said so.
    Known {
        /// What it said.
        value: T,
        /// Where: a CPUID leaf, a file, a formula over other facts.
        source: String,
    },
    /// The machine did not say.
    Unknown {
        /// Why, in words that a person can act on.
        reason: String,
    },
}

impl<T> Fact<T> {
    /// A known value and where it was read.
    pub fn known(value: T, source: impl Into<String>) -> Fact<T> {
        Fact::Known {
            value,
            source: source.into(),
        }
    }

    /// No value, and why.
    pub fn unknown(reason: impl Into<String>) -> Fact<T> {
        Fact::Unknown {
            reason: reason.into(),
        }
    }

    /// The value, where known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Fact::Known { value, .. } => Some(value),
            Fact::Unknown { .. } => None,
        }
    }

    /// The source, empty where unknown.
    pub fn source(&self) -> &str {
        match self {
            Fact::Known { source, .. } => source,
            Fact::Unknown { .. } => "",
        }
    }

    /// The reason, where unknown.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Fact::Known { .. } => None,
            Fact::Unknown { reason } => Some(reason),
        }
    }

    /// The same source with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known { value, source } => Fact::Known {
                value: change(value),
                source,
            },
            Fact::Unknown { reason } => Fact::Unknown { reason },
        }
    }

    /// Reads the value further; where `read` refuses, the fact is unknown because the source is not `wanted`.
    pub fn read<U>(self, wanted: &str, read: impl FnOnce(&T) -> Option<U>) -> Fact<U>
    where
        T: std::fmt::Debug,
    {
        match self {
            Fact::Known { value, source } => match read(&value) {
                Some(value) => Fact::Known { value, source },
                None => {
                    let seen = format!("{value:?}");
                    Fact::unknown(match seen.chars().count() {
                        0..=60 => format!("{source} holds {seen}, not {wanted}"),
                        _ => format!("{source} does not hold {wanted}"),
                    })
                }
            },
            Fact::Unknown { reason } => Fact::Unknown { reason },
        }
    }

    /// This fact, or the other one where this is unknown; of two reasons the first stays.
    pub fn or(self, other: impl FnOnce() -> Fact<T>) -> Fact<T> {
        match self {
            Fact::Known { .. } => self,
            Fact::Unknown { reason } => match other() {
                Fact::Unknown { .. } => Fact::Unknown { reason },
                known => known,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_reading_names_source_and_content() {
        let fact = Fact::known("many".to_string(), "/sys/x")
            .read("a number", |text| text.parse::<u32>().ok());
        assert_eq!(fact.reason(), Some("/sys/x holds \"many\", not a number"));
        let long = Fact::known("many ".repeat(100), "/proc/x")
            .read("a number", |text| text.parse::<u32>().ok());
        assert_eq!(long.reason(), Some("/proc/x does not hold a number"));
    }

    #[test]
    fn of_two_unknowns_the_first_reason_stays() {
        let fact = Fact::<u32>::unknown("first").or(|| Fact::unknown("second"));
        assert_eq!(fact.reason(), Some("first"));
        assert_eq!(
            Fact::unknown("first").or(|| Fact::known(3, "x")).value(),
            Some(&3)
        );
    }
}
