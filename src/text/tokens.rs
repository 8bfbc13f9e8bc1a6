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
//! | 64..96 | SHA-256 of what follows, then of the 64 bytes before |
//! | 96.. | the ids; then the end of each document in ids, u64 each |
//!
//! So the file can be written from one end to the other, document by document, and its first bytes last.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::ops::Range;

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::map;

const MAGIC: &[u8; 8] = b"loopostk";
const VERSION: u32 = 2;
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
        let ids = ids().max().unwrap_or(0) as usize + 1;
        Tokens::in_memory(|file| {
            let mut writer = Writer::new(file, ids, end_of_text, key)?;
            documents
                .iter()
                .try_for_each(|document| writer.document(document))?;
            writer.finish()
        })
        .expect("memory takes what is written to it")
    }

    /// Tokens that `write` writes by a [`Writer`], kept in memory.
    pub(super) fn in_memory<E>(
        write: impl FnOnce(&mut Cursor<Vec<u8>>) -> Result<(), E>,
    ) -> Result<Tokens, E> {
        let mut file = Cursor::new(Vec::new());
        write(&mut file)?;
        let bytes = file.into_inner();
        Ok(Tokens {
            width: word(&bytes, 12) as usize,
            documents: long(&bytes, 16) as usize,
            len: long(&bytes, 24) as usize,
            bytes: Bytes::Memory(bytes),
        })
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
        map::let_go(&map);
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
        let start = if index == 0 { 0 } else { self.end(index - 1) };
        start..self.end(index)
    }

    /// Where a document ends, which must exist.
    fn end(&self, index: usize) -> usize {
        long(self.bytes.all(), HEADER + self.len * self.width + index * 8) as usize
    }

    /// The positions in `range` at which a document begins, but for the first document.
    pub fn beginnings(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        // The first document that ends in the range or behind it.
        let (mut low, mut high) = (0, self.documents);
        while low < high {
            let middle = low.midpoint(high);
            if self.end(middle) < range.start {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let last = self.documents.saturating_sub(1);
        (low..last)
            .map(|index| self.end(index))
            .take_while(move |at| *at < range.end)
    }

    /// Copies `out.len()` ids from position `from`; both ends must lie within the ids.
    pub fn copy(&self, from: usize, out: &mut [u32]) {
        let ids = &self.bytes.all()[HEADER + from * self.width..];
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
    hash.update(&bytes[HEADER..]);
    hash.update(&bytes[..CHECKSUM.start]);
    hash.finalize().into()
}

/// Writes a token file document by document; of the ids none is kept.
pub(super) struct Writer<W> {
    file: W,
    width: usize,
    end_of_text: Option<u32>,
    key: Key,
    hash: Sha256,
    ends: Vec<u64>,
    len: u64,
    bytes: Vec<u8>,
}

impl<W: Write + Seek> Writer<W> {
    /// A file of ids below `vocab_size`, made from what `key` says. Each document is followed by the end of text, where there is
    /// one.
    pub(super) fn new(
        mut file: W,
        vocab_size: usize,
        end_of_text: Option<u32>,
        key: Key,
    ) -> io::Result<Writer<W>> {
        file.write_all(&[0; HEADER])?;
        Ok(Writer {
            file,
            width: if vocab_size <= 1 << 16 { 2 } else { 4 },
            end_of_text,
            key,
            hash: Sha256::new(),
            ends: Vec::new(),
            len: 0,
            bytes: Vec::new(),
        })
    }

    /// Appends a document.
    pub(super) fn document(&mut self, ids: &[u32]) -> io::Result<()> {
        self.bytes.clear();
        for id in ids.iter().chain(&self.end_of_text) {
            self.bytes
                .extend_from_slice(&id.to_le_bytes()[..self.width]);
            self.len += 1;
        }
        self.ends.push(self.len);
        self.append()
    }

    /// Writes what the beginning and the end of the file say.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.bytes.clear();
        self.bytes
            .extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        self.append()?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(self.width as u32).to_le_bytes());
        header.extend_from_slice(&(self.ends.len() as u64).to_le_bytes());
        header.extend_from_slice(&self.len.to_le_bytes());
        header.extend_from_slice(&self.key);
        self.hash.update(&header);
        header.extend_from_slice(&self.hash.finalize());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)
    }

    fn append(&mut self) -> io::Result<()> {
        self.hash.update(&self.bytes);
        self.file.write_all(&self.bytes)
    }
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
            let beginnings = |range| tokens.beginnings(range).collect::<Vec<_>>();
            assert_eq!(beginnings(0..8), [4, 5]);
            assert_eq!(beginnings(4..5), [4]);
            assert_eq!(beginnings(6..8), [0; 0]);
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
