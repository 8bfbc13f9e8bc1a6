//! Token ids as people and programs write them: whole numbers between commas or white space.

use sha2::{Digest, Sha256};

use super::tokens::Key;

/// Why a text is no list of ids.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdsError {
    /// Something that is no id.
    #[error(
        "line {line}: {found:?} is no token id: ids are whole numbers between commas or white space"
    )]
    NoId {
        /// Where, from 1.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// An id that the model does not know.
    #[error(
        "token {position} is {id}, and the model knows the ids 0 to {}", vocab_size.saturating_sub(1)
    )]
    Unknown {
        /// Which one, from 1.
        position: usize,
        /// The id.
        id: u32,
        /// Tokens that the model knows.
        vocab_size: usize,
    },
}

/// The ids of a text, each below `vocab_size`. `[5, 17]`, as programs print lists, is read too.
///
/// # Errors
/// When something else is there, or an id is not in the vocabulary.
pub fn parse(text: &str, vocab_size: usize) -> Result<Vec<u32>, IdsError> {
    let mut ids = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'));
        for word in words.filter(|word| !word.is_empty()) {
            let id = word.parse().map_err(|_| IdsError::NoId {
                line: number + 1,
                found: word.chars().take(40).collect(),
            })?;
            ids.push(id);
            if id as usize >= vocab_size {
                return Err(IdsError::Unknown {
                    position: ids.len(),
                    id,
                    vocab_size,
                });
            }
        }
    }
    Ok(ids)
}

/// SHA-256 of ids.
pub fn key(ids: &[u32]) -> Key {
    let mut hash = Sha256::new();
    ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_however_they_are_written() {
        for text in ["5,17,0", " 5 17\n0\n", "[5, 17, 0]", "5,\n17,\r\n0,"] {
            assert_eq!(parse(text, 18), Ok(vec![5, 17, 0]), "{text:?}");
        }
        assert_eq!(parse("", 1), Ok(vec![]));
    }

    #[test]
    fn what_is_no_id_is_shown_with_its_place() {
        let error = |text: &str| parse(text, 18).unwrap_err().to_string();
        assert!(error("5\n-1").contains("line 2: \"-1\""));
        assert!(error("5 0x3").contains("0x3"));
        assert!(error("99999999999").contains("99999999999"));
        assert!(error("5, 18").contains("token 2 is 18, and the model knows the ids 0 to 17"));
    }
}
