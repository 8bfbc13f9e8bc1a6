//! Numbers and names as people read them.

use crate::record::{self, Metric};
use crate::units::{Bytes, Ratio, Seconds, digits, grouped};

/// Larger than anything that can be measured here: what is beyond is a mistake, not a number.
const LARGEST: f64 = 1e24;

/// Characters of a unit that are shown.
const LONGEST_UNIT: usize = 16;

/// `value` where it is a number that can be shown and drawn.
pub(crate) fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.abs() <= LARGEST)
}

/// A value with its unit: `2,131 tokens/s`, `35.8 MiB`, `86.5 %`.
pub fn quantity(value: f64, unit: &str) -> String {
    let (number, unit) = parts(value, unit);
    if unit.is_empty() {
        number
    } else {
        format!("{number} {unit}")
    }
}

/// The same in two parts, so that a column can align the numbers.
pub(crate) fn parts(value: f64, unit: &str) -> (String, String) {
    if known(Some(value)).is_none() {
        return ("not a number".to_owned(), String::new());
    }
    let text = match unit {
        "ratio" => Ratio(value).to_string(),
        "bytes" => Bytes(value).to_string(),
        "seconds" => duration(value),
        "nanoseconds" | "ns" => duration(value / 1e9),
        "count" => return (count(value), String::new()),
        "nats" => return (format!("{value:.3}"), "nats".to_owned()),
        "" => return (digits(value), String::new()),
        other => return (digits(value), other.chars().take(LONGEST_UNIT).collect()),
    };
    match text.rsplit_once(' ') {
        Some((number, unit)) if !number.contains(' ') => (number.to_owned(), unit.to_owned()),
        _ => (text, String::new()),
    }
}

/// A duration; `units` writes plain letters, a page has the sign for micro.
pub(crate) fn duration(seconds: f64) -> String {
    Seconds(seconds).to_string().replace(" us", " \u{b5}s")
}

/// A claimed size: without the decimals that a measured one has. `32 KiB`.
pub(crate) fn claim(bytes: f64) -> String {
    let text = Bytes(bytes).to_string();
    match text.split_once('.') {
        Some((whole, rest)) if rest.trim_start_matches('0').starts_with(' ') => {
            format!("{whole} {}", rest.trim_start_matches('0').trim_start())
        }
        _ => text,
    }
}

fn count(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        grouped(value as i64)
    } else {
        digits(value)
    }
}

/// `2,119 to 2,142`, in the unit of the value; `None` without an interval.
pub(crate) fn interval(metric: &Metric) -> Option<String> {
    let (low, high) = (known(metric.low)?, known(metric.high)?);
    let ((low, low_unit), (high, high_unit)) =
        (parts(low, &metric.unit), parts(high, &metric.unit));
    let low = if low_unit == high_unit || low_unit.is_empty() {
        low
    } else {
        format!("{low} {low_unit}")
    };
    Some(if high_unit.is_empty() {
        format!("{low} to {high}")
    } else {
        format!("{low} to {high} {high_unit}")
    })
}

/// An operator's name: `mlp_up` is `MLP up`.
pub(crate) fn operator(name: &str) -> String {
    match name {
        "layernorm" => "layer norm".to_owned(),
        "adamw" => "AdamW".to_owned(),
        other => words(other),
    }
}

/// An identifier as words: `attention_below_peak` is `attention below peak`, `mlp_up` is `MLP up`.
pub(crate) fn words(identifier: &str) -> String {
    let word = |word: &str| match word {
        "mlp" | "qkv" | "rss" | "mfu" | "gemm" | "simd" | "fma" | "tlb" | "dtlb" | "itlb"
        | "ipc" | "cpu" => word.to_uppercase(),
        "flops" => "FLOPs".to_owned(),
        "l1d" => "L1d".to_owned(),
        "l1" | "l2" | "l3" => word.to_uppercase(),
        "adamw" => "AdamW".to_owned(),
        "layernorm" => "layer norm".to_owned(),
        "dram" => "DRAM".to_owned(),
        other => other.to_owned(),
    };
    identifier
        .split('_')
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A reason why a step is not faster: in plain words, and these as [`words`] writes them.
pub(crate) fn reason(name: &str) -> String {
    words(&record::reason(name).replace(' ', "_"))
}

/// An instruction set as people write it.
pub(crate) fn isa(name: &str) -> String {
    match name {
        "avx512" => "AVX-512".to_owned(),
        "avx512vl" => "AVX-512VL".to_owned(),
        "avx2" => "AVX2".to_owned(),
        other => words(other),
    }
}

/// `1 thread`, `2 threads`, `2 losses`.
pub(crate) fn many(count: usize, noun: &str) -> String {
    let plural = match count {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", grouped(count as i64))
}

/// With a capital at the start.
pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// As a sentence: with a full stop at the end, and a capital at the start unless that is a name like `perf_event_open`.
pub(crate) fn sentence(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let plain = word.chars().all(|c| c.is_lowercase() || c == ',');
    let text = if plain {
        capital(text.trim())
    } else {
        text.trim().to_owned()
    };
    if text.is_empty() || text.ends_with(['.', '!', '?']) {
        text
    } else {
        format!("{text}.")
    }
}

/// `2026-11-22 14:15 UTC` of an RFC 3339 time in UTC; anything else as it is.
pub(crate) fn minute(time: &str) -> String {
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let utc = shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z');
    if utc {
        format!("{} {} UTC", &time[..10], &time[11..16])
    } else {
        time.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Better, Provenance};

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(quantity(0.8649, "ratio"), "86.5 %");
        assert_eq!(quantity(2131.4, "tokens/s"), "2,131 tokens/s");
        assert_eq!(quantity(12_345.0, "count"), "12,345");
        assert_eq!(quantity(2.5e-5, "seconds"), "25.0 \u{b5}s");
        assert_eq!(
            parts(310.0, "seconds"),
            ("5 min 10 s".to_owned(), String::new())
        );
        assert_eq!(quantity(f64::NAN, "bytes"), "not a number");
        assert_eq!(operator("mlp_up"), "MLP up");
        assert_eq!(
            [32768.0, 1310720.0, 512.0].map(claim),
            ["32 KiB", "1.25 MiB", "512 B"]
        );
        assert_eq!(words("l3_misses"), "L3 misses");
        assert_eq!(
            [many(1, "loss"), many(2, "loss"), many(1200, "thread")],
            ["1 loss", "2 losses", "1,200 threads"]
        );
        assert_eq!(minute("2026-11-22T14:15:03Z"), "2026-11-22 14:15 UTC");
        assert_eq!(minute("yesterday"), "yesterday");
        assert_eq!(
            [
                sentence("no PMU here"),
                sentence("Why?"),
                sentence(" "),
                sentence("io_uring is off")
            ],
            ["No PMU here.", "Why?", "", "io_uring is off."]
        );
        assert_eq!(
            [known(Some(f64::NAN)), known(Some(1e300)), known(Some(-2.0))],
            [None, None, Some(-2.0)]
        );
    }

    #[test]
    fn an_interval_names_its_unit_once() {
        let mut metric = Metric {
            name: String::new(),
            value: Some(1.0),
            low: Some(2119.0),
            high: Some(2142.0),
            unit: "tokens/s".to_owned(),
            better: Better::Higher,
            provenance: Provenance::Measured,
            how: String::new(),
        };
        assert_eq!(interval(&metric).unwrap(), "2,119 to 2,142 tokens/s");
        (metric.unit, metric.low, metric.high) = ("bytes".to_owned(), Some(1000.0), Some(2048.0));
        assert_eq!(interval(&metric).unwrap(), "1000 B to 2.00 KiB");
        metric.high = None;
        assert_eq!(interval(&metric), None);
    }
}
