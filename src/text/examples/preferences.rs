//! Preferences: `{"prompt", "chosen", "rejected"}`.

use std::path::Path;

use super::lines::{self, Lines, LinesError, text};

/// Two responses to a prompt, of which one is preferred.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// What both respond to.
    pub prompt: String,
    /// The preferred response.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
}

/// Reads a file of preferences; a pair of equal responses prefers nothing and is left out.
///
/// # Errors
/// When the file cannot be read or has none.
pub fn read_pairs(path: &Path) -> Result<Lines<Pair>, LinesError> {
    lines::read(path, |object| {
        let pair = Pair {
            prompt: text(object, "prompt")?,
            chosen: text(object, "chosen")?,
            rejected: text(object, "rejected")?,
        };
        if pair.chosen == pair.rejected {
            return Err("`chosen` and `rejected` are the same".to_owned());
        }
        Ok(pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_needs_two_different_responses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        let lines = [
            r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
            r#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#,
            r#"{"prompt": "a", "chosen": "b"}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let read = read_pairs(&path).unwrap();
        assert_eq!((read.items.len(), read.skipped.count), (1, 2));
        let told = read.skipped.to_string();
        assert!(
            told.contains(":2: `chosen` and `rejected` are the same"),
            "{told}"
        );
        assert!(told.contains(":3: `rejected` is missing"), "{told}");
    }
}
