//! Files that a checkpoint can vouch for: written and synced to the disk with their SHA-256 taken on the way, verified by it later.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::Parameters;

/// Large enough that system calls do not matter, small enough to stay in the L2 cache.
const BUFFER: usize = 256 * 1024;

/// Creates `path`, lets `fill` write it, and returns its SHA-256 in hexadecimal once the disk has it.
///
/// # Errors
/// When the file exists already or cannot be created, written or synced.
pub(crate) fn create(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<String> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut writer = Hashing {
        inner: BufWriter::with_capacity(BUFFER, file),
        hash: Sha256::new(),
    };
    fill(&mut writer)?;
    writer.flush()?;
    writer.inner.get_ref().sync_all()?;
    Ok(hexadecimal(&writer.hash.finalize()))
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Makes the names in a folder durable: a rename within it survives a power cut only after this.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// As digests are written.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// SHA-256 of a fingerprint followed by the weights of a model.
pub(crate) fn of_weights(data: [u8; 32], weights: &Parameters) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(data);
    for values in weights.values.chunks(1 << 14) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        digest.update(&bytes);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_the_digest_that_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        // FIPS 180-2, appendix B.1.
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            create(&path, |writer| writer.write_all(b"abc")).unwrap(),
            wanted
        );
        assert_eq!(of_file(&path).unwrap(), wanted);
        assert_eq!(
            create(&path, |_| Ok(())).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }
}
