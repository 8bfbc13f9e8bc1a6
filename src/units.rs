//! Quantities with their unit in the type: seconds, bytes, FLOPs, hertz and ratios, and how people read them.

use std::fmt;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $get:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(pub f64);

        impl $name {
            /// The bare number, in the unit that the type names.
            pub fn $get(self) -> f64 {
                self.0
            }
        }
    };
}

quantity!(
    /// A duration in seconds.
    Seconds,
    seconds
);
quantity!(
    /// An amount of memory or traffic in bytes.
    Bytes,
    bytes
);
quantity!(
    /// Floating-point operations: an addition or a multiplication is one, a fused multiply-add two.
    Flops,
    flops
);
quantity!(
    /// A frequency in cycles a second.
    Hertz,
    hertz
);
quantity!(
    /// A share or a factor without a unit; `0.87` prints as `87.0 %`.
    Ratio,
    ratio
);

/// Three significant digits without an exponent: `1.23`, `12.3`, `123`, `1,234`.
pub fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if magnitude >= 999.5 {
        return grouped(value.round() as i64);
    }
    let places = if magnitude >= 99.95 {
        0
    } else if magnitude >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}

/// An integer with a comma between groups of three digits.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

fn scaled(value: f64, step: f64, names: &[&str]) -> String {
    let mut scaled = value;
    let mut rank = 0;
    while scaled.abs() >= step * 0.9995 && rank + 1 < names.len() {
        scaled /= step;
        rank += 1;
    }
    format!("{} {}", digits(scaled), names[rank])
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        if seconds >= 120.0 {
            let whole = seconds.round() as u64;
            let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
            return if hours > 0 {
                write!(f, "{hours} h {minutes:02} min")
            } else {
                write!(f, "{minutes} min {rest:02} s")
            };
        }
        let text = if seconds >= 0.9995 || seconds == 0.0 {
            format!("{} s", digits(seconds))
        } else {
            scaled(seconds * 1e9, 1e3, &["ns", "us", "ms"])
        };
        f.write_str(&text)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1024.0 {
            return write!(f, "{} B", self.0.round());
        }
        f.write_str(&scaled(self.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"]))
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&scaled(
            self.0,
            1e3,
            &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"],
        ))
    }
}

impl fmt::Display for Hertz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&scaled(self.0, 1e3, &["Hz", "kHz", "MHz", "GHz"]))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them() {
        assert_eq!(Bytes(48.0 * 1024.0).to_string(), "48.0 KiB");
        assert_eq!(Bytes(37_486_592.0).to_string(), "35.8 MiB");
        assert_eq!(Bytes(0.0).to_string(), "0 B");
        assert_eq!(Seconds(0.000_030).to_string(), "30.0 us");
        assert_eq!(Seconds(1.5).to_string(), "1.50 s");
        assert_eq!(Seconds(310.0).to_string(), "5 min 10 s");
        assert_eq!(Hertz(2.4e9).to_string(), "2.40 GHz");
        assert_eq!(Ratio(0.8649).to_string(), "86.5 %");
        assert_eq!(Flops(81.7e6).to_string(), "81.7 MFLOP");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(digits(1825.4), "1,825");
    }
}
