//! The header of a safetensors file, read without trust: what it names, where the values lie, and nothing that is not so.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::tensor_file::TensorFileError;

/// The longest header that is believed. A model of a hundred layers needs a tenth of it; without a limit a crafted header of
/// 70 MB takes seconds and a gigabyte to parse.
pub(super) const HEADER_LIMIT: u64 = 1 << 20;

/// The most tensors that are believed. A model of a hundred layers has some 1,200.
const MOST_TENSORS: usize = 10_000;

/// The header of a file, which is left at the first byte of the values.
pub(super) fn read(path: &Path, file: &mut File) -> Result<Metadata, TensorFileError> {
    let unreadable = |source| TensorFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let malformed = |reason: String| TensorFileError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes < 8 {
        return Err(malformed(format!("it has {bytes} bytes")));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(unreadable)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT.min(bytes - 8) {
        return Err(malformed(format!("it claims a header of {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(unreadable)?;
    let metadata = parse(&header).map_err(|error| malformed(error.to_string()))?;
    let (claimed, present) = (metadata.data_len() as u64, bytes - 8 - length);
    if claimed != present {
        return Err(malformed(format!(
            "its header claims {claimed} bytes of values, and it has {present}"
        )));
    }
    Ok(metadata)
}

/// As in `F32 (1024, 768)`.
pub(super) fn describe(info: &TensorInfo) -> String {
    let dims: Vec<_> = info.shape.iter().map(ToString::to_string).collect();
    format!("{:?} ({})", info.dtype, dims.join(", "))
}

fn parse(header: &[u8]) -> Result<Metadata, serde_json::Error> {
    // The official parser takes the last of two tensors of one name.
    let mut names = serde_json::Deserializer::from_slice(header);
    (&mut names).deserialize_map(Names)?;
    serde_json::from_slice(header)
}

/// Looks at the names alone.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, IgnoredAny)) = entries.next_entry::<String, IgnoredAny>()? {
            if seen.len() == MOST_TENSORS {
                let what = format!("it names more than {MOST_TENSORS} tensors");
                return Err(A::Error::custom(what));
            }
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            seen.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(header: &str) -> String {
        parse(header.as_bytes()).unwrap_err().to_string()
    }

    fn entry(name: &str) -> String {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
    }

    #[test]
    fn a_name_is_there_once() {
        let (a, b) = (entry("a"), entry("b"));
        assert!(parse(format!("{{{a},{b}}}").as_bytes()).is_ok());
        assert!(refusal(&format!("{{{a},{b},{a}}}")).contains("`a` is there twice"));
        // Written otherwise it is the same name.
        let spelt = entry("\\u0061");
        assert!(refusal(&format!("{{{a},{spelt}}}")).contains("twice"));
    }

    #[test]
    fn there_are_not_more_tensors_than_a_model_has() {
        let entries: Vec<_> = (0..=MOST_TENSORS)
            .map(|number| entry(&number.to_string()))
            .collect();
        let most = entries[1..].join(",");
        assert!(parse(format!("{{{most}}}").as_bytes()).is_ok());
        let all = entries.join(",");
        assert!((all.len() as u64) < HEADER_LIMIT);
        assert!(refusal(&format!("{{{all}}}")).contains("more than 10000"));
    }
}
