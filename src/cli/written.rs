//! Files that a user asked for by name.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::outcome::Failure;
use crate::atomic;

/// Writes `content` to `path`, whole or not at all; folders on the way are made.
///
/// # Errors
/// It cannot be written there.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| atomic::write(path, |file| file.write_all(content.as_bytes())))
        .map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
                .help("name a file in a folder that can be written to")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_a_closed_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        write(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        let error = write(&path.join("below"), "").unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
    }
}
