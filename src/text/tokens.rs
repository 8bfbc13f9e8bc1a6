//! The token ids of a corpus: documents one after the other, each ended by the end-of-text token.
//!
//! In memory and on disk it is the same run of bytes, little-endian, so that a cached corpus is mapped, not read:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `loopostk` |
//! | 8..12 | version, u32 |
//! | 12..16 | bytes per id, u32: 2 or 4 |
//! | 16..24 | documents, u64 |
//! | 24..32 | ids, u64 |
//! | 32..64 | key: what the ids were made from |
//! | 64..96 | SHA-256 of everything else |
//! | 96.. | end of each document in ids, u64 each; then the ids |

use std::ops::Range;

use memmap2::Mmap;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"loopostk";
const VERSION: u32 = 1;
const CHECKSUM: Range<usize> = 64..96;
const HEADER: usize = 96;

/// SHA-256 of what something was made from.
pub type Key = [u8; 32];

/// Token ids with the ends of their documents.
#[derive(Debug)]
pub struct Tokens {
    bytes: Bytes,
    width: usize,
    documents: usize,
    len: usize,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    File(Mmap),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Bytes::Memory(bytes) => bytes,
            Bytes::File(map) => map,
        }
    }
}

impl Tokens {
    /// Joins documents, each without its end-of-text token, which is added. Ids below 65,536 take two bytes each.
    pub fn from_documents(documents: &[Vec<u32>], end_of_text: u32, key: Key) -> Tokens {
        Tokens::joined(documents, Some(end_of_text), key)
    }

    /// One document of ids as they are.
    pub fn from_ids(ids: Vec<u32>, key: Key) -> Tokens {
        Tokens::joined(&[ids], None, key)
    }

    fn joined(documents: &[Vec<u32>], end_of_text: Option<u32>, key: Key) -> Tokens {
        let ids = || documents.iter().flatten().copied().chain(end_of_text);
        let width = if ids().max().unwrap_or(0) <= u32::from(u16::MAX) {
            2
        } else {
            4
        };
        let ended = |document: &Vec<u32>| document.len() + usize::from(end_of_text.is_some());
        let len: usize = documents.iter().map(ended).sum();
        let mut bytes = Vec::with_capacity(HEADER + documents.len() * 8 + len * width);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&(documents.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(len as u64).to_le_bytes());
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&[0; 32]);
        let mut end = 0;
        for document in documents {
            end += ended(document) as u64;
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        for id in documents
            .iter()
            .flat_map(|document| document.iter().chain(&end_of_text))
        {
            bytes.extend_from_slice(&id.to_le_bytes()[..width]);
        }
        let checksum = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(&checksum);
        Tokens {
            bytes: Bytes::Memory(bytes),
            width,
            documents: documents.len(),
            len,
        }
    }

    /// Checks a mapped file from end to end; the error says what is wrong with it.
    pub(super) fn from_file(map: Mmap, key: &Key) -> Result<Tokens, &'static str> {
        if map.len() < HEADER || &map[..8] != MAGIC {
            return Err("it is not a token file");
        }
        if word(&map, 8) != VERSION {
            return Err("it is of another version");
        }
        if map[32..64] != key[..] {
            return Err("it was made from other text");
        }
        let width = word(&map, 12) as usize;
        let (documents, len) = (long(&map, 16), long(&map, 24));
        let size = documents
            .checked_mul(8)
            .zip(len.checked_mul(width as u64))
            .and_then(|(ends, ids)| ends.checked_add(ids)?.checked_add(HEADER as u64));
        if !matches!(width, 2 | 4) || size != Some(map.len() as u64) {
            return Err("it is cut off");
        }
        if map[CHECKSUM] != checksum(&map) {
            return Err("its checksum does not match");
        }
        Ok(Tokens {
            width,
            documents: documents as usize,
            len: len as usize,
            bytes: Bytes::File(map),
        })
    }

    /// The bytes as they are written to disk.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.all()
    }

    /// Ids, the ends of text included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Where a document's ids are, its end of text included; empty for an index that does not exist.
    pub fn document(&self, index: usize) -> Range<usize> {
        if index >= self.documents {
            return 0..0;
        }
        let end = |index: usize| long(self.bytes.all(), HEADER + index * 8) as usize;
        let start = if index == 0 { 0 } else { end(index - 1) };
        start..end(index)
    }

    /// Copies `out.len()` ids from position `from`; both ends must lie within the ids.
    pub fn copy(&self, from: usize, out: &mut [u32]) {
        let ids = &self.bytes.all()[HEADER + self.documents * 8..][from * self.width..];
        if self.width == 2 {
            for (id, bytes) in out.iter_mut().zip(ids.as_chunks::<2>().0) {
                *id = u32::from(u16::from_le_bytes(*bytes));
            }
        } else {
            for (id, bytes) in out.iter_mut().zip(ids.as_chunks::<4>().0) {
                *id = u32::from_le_bytes(*bytes);
            }
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&bytes[..CHECKSUM.start]);
    hash.update(&bytes[CHECKSUM.end..]);
    hash.finalize().into()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::text::map;

    fn documents() -> Vec<Vec<u32>> {
        vec![vec![1, 2, 3], vec![], vec![65_535, 4]]
    }

    fn mapped(bytes: &[u8]) -> Mmap {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        map::read_only(&file).unwrap()
    }

    fn ids(tokens: &Tokens) -> Vec<u32> {
        let mut ids = vec![0; tokens.len()];
        tokens.copy(0, &mut ids);
        ids
    }

    #[test]
    fn documents_are_joined_by_the_end_of_text() {
        for (largest, width) in [(65_535, 2), (65_536, 4)] {
            let mut documents = documents();
            documents[2][0] = largest;
            let tokens = Tokens::from_documents(&documents, 9, [7; 32]);
            assert_eq!(ids(&tokens), [1, 2, 3, 9, 9, largest, 4, 9]);
            assert_eq!(tokens.width, width);
            assert_eq!(
                [0, 1, 2, 3].map(|index| tokens.document(index)),
                [0..4, 4..5, 5..8, 0..0]
            );
            let mut two = [0; 2];
            tokens.copy(5, &mut two);
            assert_eq!(two, [largest, 4]);
            let read = Tokens::from_file(mapped(tokens.as_bytes()), &[7; 32]).unwrap();
            assert_eq!(ids(&read), ids(&tokens));
            assert_eq!(read.document(2), 5..8);
        }
        assert!(Tokens::from_documents(&[], 0, [0; 32]).is_empty());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let tokens = Tokens::from_documents(&documents(), 9, [7; 32]);
        let whole = tokens.as_bytes();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Tokens::from_file(mapped(&damaged), &[7; 32]).is_err(),
                "bit {bit}"
            );
        }
        for length in 1..whole.len() {
            assert!(
                Tokens::from_file(mapped(&whole[..length]), &[7; 32]).is_err(),
                "length {length}"
            );
        }
        assert!(Tokens::from_file(mapped(&[whole, &[0]].concat()), &[7; 32]).is_err());
        let other = Tokens::from_file(mapped(whole), &[8; 32]).unwrap_err();
        assert_eq!(other, "it was made from other text");
    }
}
