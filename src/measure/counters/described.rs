//! An event as sysfs describes it: the format files of a unit say where the parts of a description go.

/// What an event of a unit is to the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Type of the unit.
    pub unit: u32,
    /// The event.
    pub config: u64,
    /// One CPU for each package.
    pub cpus: Vec<u32>,
    /// Positive and finite.
    pub bytes_a_count: f64,
}

/// The event of a unit whose files are `text`, by their path within its folder. `None` where the unit has no such event, or tells
/// nonsense.
pub fn describe(text: &dyn Fn(&str) -> Option<String>, event: &str) -> Option<Described> {
    let text = |name: String| Some(text(&name)?.trim().to_owned());
    let terms = text(format!("events/{event}"))?;
    let mut config = 0;
    for term in terms.split(',') {
        let (field, value) = term.split_once('=').unwrap_or((term, "1"));
        let place = text(format!("format/{}", name_of_field(field)?))?;
        config |= placed(number(value)?, &place)?;
    }
    let scale: f64 = match text(format!("events/{event}.scale")) {
        Some(scale) => scale.parse().ok()?,
        None => 1.0,
    };
    let factor = match text(format!("events/{event}.unit")).as_deref() {
        Some("MiB") => 1024.0 * 1024.0,
        Some("KiB") => 1024.0,
        Some("Bytes" | "B") => 1.0,
        // A count of nobody knows what.
        _ => return None,
    };
    let bytes_a_count = scale * factor;
    let sensible = bytes_a_count.is_finite() && bytes_a_count > 0.0;
    let cpus = cpu_numbers(&text("cpumask".to_owned())?)?;
    sensible.then_some(Described {
        unit: text("type".to_owned())?.parse().ok()?,
        config,
        cpus,
        bytes_a_count,
    })
}

/// A field, which names a file of the unit and none elsewhere.
fn name_of_field(text: &str) -> Option<&str> {
    let name = text.trim();
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-';
    (!name.is_empty() && name.bytes().all(is_plain)).then_some(name)
}

/// One CPU a package, between commas.
fn cpu_numbers(list: &str) -> Option<Vec<u32>> {
    let numbers = list.split(',').map(|number| number.trim().parse().ok());
    numbers.collect()
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A value at its bits: `config:8-15`, or several ranges that it fills from its lowest bit on, `config:0-7,32-35`.
fn placed(value: u64, format: &str) -> Option<u64> {
    let (mut rest, mut config) = (value, 0);
    for range in format.strip_prefix("config:")?.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > 63 {
            return None;
        }
        let width = last - first + 1;
        let mask = u64::MAX >> (64 - width);
        config |= (rest & mask) << first;
        rest = rest.checked_shr(width).unwrap_or(0);
    }
    (rest == 0).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_their_bits() {
        assert_eq!(placed(0x3ff, "config:0-7,32-35"), Some(0x3_0000_00ff));
        assert_eq!(placed(u64::MAX, "config:0-63"), Some(u64::MAX));
        assert_eq!(placed(0x100, "config:0-7"), None);
        assert_eq!(placed(0, "config:7-0"), None);
    }

    #[test]
    fn no_description_names_a_file_elsewhere() {
        let asked = std::cell::RefCell::new(Vec::new());
        let text = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some("../../../proc/self/mem=1".to_owned())
        };
        assert_eq!(describe(&text, "data_read"), None);
        assert_eq!(*asked.borrow(), ["events/data_read"]);
    }
}
