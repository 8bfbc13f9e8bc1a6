//! The folder of a run: who may write into it, whether the disk has room for it, and what lies where.
//!
//! `checkpoints/`, `metrics.jsonl`, and `config.json` and `tokenizer.json`, which with a checkpoint are all that using the model needs.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checkpoint::{CheckpointError, Checkpoints};
use super::disk_space;
use crate::atomic;
use crate::units::Bytes;

/// The file whose lock is the folder's.
const LOCK: &str = ".lock";

/// Why a folder cannot be trained in.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// It cannot be created or written.
    #[error("cannot use the run folder {}: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process trains in it.
    #[error("another run is using {}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The checkpoints would not fit on its disk.
    #[error(
        "the disk of {} has {} left, and the checkpoints of this run need {}",
        path.display(), Bytes(*available as f64), Bytes(*wanted as f64)
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes that the run needs.
        wanted: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// What a killed run left cannot be removed.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
}

/// Where the checkpoints of the run in `folder` are.
pub fn checkpoints(folder: &Path) -> Checkpoints {
    Checkpoints::new(folder.join("checkpoints"))
}

/// Where the tokenizer of the run in `folder` is.
pub fn tokenizer(folder: &Path) -> PathBuf {
    folder.join("tokenizer.json")
}

/// Where the effective configuration of the run in `folder` is.
pub fn config(folder: &Path) -> PathBuf {
    folder.join("config.json")
}

/// A folder that only this process trains in, as long as the value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether it was made for this run.
    is_new: bool,
    /// The lock goes when the file is closed, however the process ends.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder if need be, locks it, and removes what a killed run left half-written.
    ///
    /// # Errors
    /// When it cannot be created or written, or another process has it.
    pub fn lock(path: &Path) -> Result<RunFolder, RunFolderError> {
        let unusable = |source| RunFolderError::Unusable {
            path: path.to_owned(),
            source,
        };
        let is_new = !path.exists();
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::create(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunFolderError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        checkpoints(path).tidy()?;
        // Whoever wrote here had the lock.
        atomic::sweep(path, Duration::ZERO).map_err(unusable)?;
        Ok(RunFolder {
            path: path.to_owned(),
            is_new,
            _lock: lock,
        })
    }

    /// Leaves the folder as it was found, where nothing has been kept in it: for a run that is refused before it begins.
    pub fn abandon(self) {
        if self.is_new && fs::read_dir(&self.path).is_ok_and(|entries| entries.count() == 1) {
            // What cannot be removed is an empty folder: the refusal is what the reader must hear of.
            let _ = fs::remove_file(self.path.join(LOCK)).and_then(|()| fs::remove_dir(&self.path));
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        checkpoints(&self.path)
    }

    /// Its log of every step.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Refuses where the disk has less than `bytes` left.
    ///
    /// # Errors
    /// When it has, or does not say.
    pub fn require_space(&self, bytes: u64) -> Result<(), RunFolderError> {
        let unusable = |source| RunFolderError::Unusable {
            path: self.path.clone(),
            source,
        };
        let available = disk_space::available(&self.path).map_err(unusable)?;
        if available < bytes {
            return Err(RunFolderError::NoSpace {
                path: self.path.clone(),
                wanted: bytes,
                available,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_in_the_same_folder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er");
        let first = RunFolder::lock(&path).unwrap();
        let error = RunFolder::lock(&path).unwrap_err();
        assert!(matches!(error, RunFolderError::Busy { .. }), "{error}");
        drop(first);
        RunFolder::lock(&path).unwrap();
    }

    #[test]
    fn what_a_killed_run_has_not_finished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // A process id beyond any that Linux gives out.
        let left = folder.path().join(".config.json.99999999.0.tmp");
        fs::write(&left, "{").unwrap();
        RunFolder::lock(folder.path()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_refused_run_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        RunFolder::lock(&path).unwrap().abandon();
        assert!(!path.exists());
        let kept = RunFolder::lock(&path).unwrap();
        fs::write(kept.metrics(), "").unwrap();
        kept.abandon();
        RunFolder::lock(folder.path()).unwrap().abandon();
        assert!(path.join("metrics.jsonl").exists());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = RunFolder::lock(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn more_than_the_disk_has_is_refused_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::lock(folder.path()).unwrap();
        run.require_space(1).unwrap();
        let error = run.require_space(1 << 60).unwrap_err().to_string();
        assert!(
            error.contains(" left, and the checkpoints of this run need 1,048,576 TiB"),
            "{error}"
        );
    }
}
