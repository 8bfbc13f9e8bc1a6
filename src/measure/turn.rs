//! One measurement at a time on a machine: a lock in the folder for temporary files, which the system drops when its holder ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the lock file; the same for every user and every version.
const NAME: &str = "loopos.measuring.lock";

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to measure, held until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

/// Why the right to measure could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock file cannot be opened or locked.
    #[error("cannot lock {}: {source}; measurements of two programs may disturb each other", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller gave up while another program measured.
    #[error("another loopos measures on this machine (lock {}); wait for it to end", path.display())]
    Abandoned {
        /// The lock file.
        path: PathBuf,
    },
}

impl Turn {
    /// The file that is locked in the folder for temporary files.
    pub fn lock_file(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    /// Takes the turn, waiting for other measurements that lock the same `folder` (the one for temporary files); `keep_waiting` is asked ten times a second and says whether to go on.
    ///
    /// # Errors
    /// [`Error::Unusable`] if there is no usable lock file, [`Error::Abandoned`] if `keep_waiting` said no.
    pub fn take(folder: &Path, keep_waiting: &mut dyn FnMut() -> bool) -> Result<Self, Error> {
        let path = Self::lock_file(folder);
        let unusable = |source| Error::Unusable {
            path: path.clone(),
            source,
        };
        let file = open(&path).map_err(unusable)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
                Err(TryLockError::WouldBlock) if !keep_waiting() => {
                    return Err(Error::Abandoned { path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// Another user's file may be read but not written, and that is enough to lock it.
fn open(path: &Path) -> io::Result<File> {
    let created = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    created.or_else(|_| File::open(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Turn::take(folder.path(), &mut || false).unwrap();
        let mut asked = 0;
        let mut twice = || {
            asked += 1;
            asked < 2
        };
        assert!(matches!(
            Turn::take(folder.path(), &mut twice),
            Err(Error::Abandoned { .. })
        ));
        assert_eq!(asked, 2);
        drop(first);
        assert!(Turn::take(folder.path(), &mut || false).is_ok());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Turn::take(Path::new("/nonexistent/folder"), &mut || true).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }
}
