//! The digest in a document: a flipped bit of a kept run would be a number that nobody measured.
//!
//! It is the SHA-256 of the document without it, as JSON without white space, so that a copy that was laid out anew is still whole.
//! Documents that have none, as older ones, are read as they are.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Run;

/// The digest's key.
const KEY: &str = "sha256";

/// The document of a run, with its digest.
///
/// # Errors
/// Those of serialization.
pub fn sealed(run: &Run) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(run)?;
    let digest = digest(&document)?;
    document[KEY] = digest.into();
    Ok(document)
}

/// Takes the digest out of a document; false where it is that of another one.
pub(super) fn unsealed(document: &mut Map<String, Value>) -> bool {
    // `remove` would put the last key in its place.
    match document.shift_remove(KEY) {
        None => true,
        Some(told) => digest(document).is_ok_and(|found| told == found),
    }
}

fn digest(document: &impl serde::Serialize) -> serde_json::Result<String> {
    let digest = Sha256::digest(serde_json::to_vec(document)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{ReadError, read};
    use super::*;

    fn run() -> Run {
        let document = serde_json::json!({
            "schema": super::super::SCHEMA, "id": "1", "started": "", "elapsed_seconds": 0.1, "command": [], "suites": [], "effort": "quick",
            "version": "0.1.0", "commit": null, "config": {"b": 1, "a": 1e300}, "metrics": [], "series": [], "notes": [],
            "machine": {
                "summary": { "brand": "é", "vendor": "GenuineIntel", "microarchitecture": null, "hypervisor": null,
                    "packages": 1, "cores": 1, "threads": 1, "usable_threads": 1, "isa": "avx2", "fingerprint": "0" },
                "cpus": [], "caches": [], "features": [], "facts": []
            }
        });
        read(document).unwrap()
    }

    #[test]
    fn no_flipped_bit_is_believed() {
        let whole = serde_json::to_string_pretty(&sealed(&run()).unwrap()).unwrap();
        assert_eq!(read(serde_json::from_str(&whole).unwrap()).unwrap(), run());
        let mut bytes = whole.clone().into_bytes();
        let mut refused = 0;
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = serde_json::from_slice(&bytes).ok().map(read);
            match found {
                // White space for white space, or the digest's own key.
                Some(Ok(found)) => assert_eq!(found, run(), "bit {bit}"),
                _ => refused += 1,
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(
            refused > bytes.len() * 6,
            "{refused} of {}",
            8 * bytes.len()
        );
    }

    #[test]
    fn a_change_by_hand_is_refused_and_a_new_layout_is_not() {
        let mut document = sealed(&run()).unwrap();
        let compact = serde_json::from_str(&document.to_string()).unwrap();
        assert_eq!(read(compact).unwrap(), run());
        document["elapsed_seconds"] = 0.2.into();
        let error = read(document.clone()).unwrap_err();
        assert!(matches!(error, ReadError::Damaged), "{error}");
        document.as_object_mut().unwrap().shift_remove(KEY);
        assert_eq!(read(document).unwrap().elapsed_seconds, 0.2);
    }
}
