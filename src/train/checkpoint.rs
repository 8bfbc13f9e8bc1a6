//! Checkpoints: all that a run needs to continue to the bit, in a folder that appears whole or not at all.
//!
//! `checkpoints/step-000100/` holds `model.safetensors` (weights, in Hugging Face's GPT-2 names), `optimizer.safetensors` (AdamW's
//! moments as `m.NAME` and `v.NAME`), `state.json`, and `SHA256SUMS` over the three, which `sha256sum -c` reads too. It is written
//! under a temporary name, synced to the disk and renamed: a kill at any moment leaves the previous checkpoint as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::digest;
use super::state::{SCHEMA, State};
use super::tensor_file::{self, Tensor, TensorFileError, TensorMut};
use crate::bounded;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const SUMS: &str = "SHA256SUMS";

/// The most bytes of the small files: a state is the configuration and some numbers, the sums are three lines.
const LONGEST_STATE: u64 = 4 << 20;
const LONGEST_SUMS: u64 = 1 << 16;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// Tensors that do not fit the model.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Write { path, source }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Read { path, source }
}

/// A checkpoint whose digests have been verified.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Where the run stood.
    pub state: State,
}

impl Checkpoint {
    /// Opens the checkpoint in a folder after verifying the SHA-256 of each of its files.
    ///
    /// # Errors
    /// When a file is missing, is not what was written, or is of another version.
    pub fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
        verify(path)?;
        let file = path.join(STATE);
        let bytes = bounded::read(&file, LONGEST_STATE).map_err(read_error(&file))?;
        let damaged = |reason| CheckpointError::Damaged {
            path: file.clone(),
            reason,
        };
        let state: State =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if state.schema != SCHEMA {
            return Err(damaged(format!(
                "its layout is {}, and this program reads {SCHEMA}",
                state.schema
            )));
        }
        Ok(Checkpoint {
            path: path.to_owned(),
            state,
        })
    }

    /// Fills the weights.
    ///
    /// # Errors
    /// When the file cannot be read or holds other tensors than the targets.
    pub fn read_model(&self, weights: &mut [TensorMut<'_>]) -> Result<(), CheckpointError> {
        Ok(tensor_file::read(&self.path.join(MODEL), weights)?)
    }

    /// Fills the optimizer's moments.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    pub fn read_optimizer(&self, moments: &mut [TensorMut<'_>]) -> Result<(), CheckpointError> {
        Ok(tensor_file::read(&self.path.join(OPTIMIZER), moments)?)
    }
}

fn verify(folder: &Path) -> Result<(), CheckpointError> {
    let sums = folder.join(SUMS);
    let text = bounded::read_text(&sums, LONGEST_SUMS).map_err(read_error(&sums))?;
    for name in [MODEL, OPTIMIZER, STATE] {
        let path = folder.join(name);
        let found = digest::of_file(&path).map_err(read_error(&path))?;
        if !text.lines().any(|line| line == format!("{found}  {name}")) {
            let reason = format!("its SHA-256 is {found}, which is not what {SUMS} says");
            return Err(CheckpointError::Damaged { path, reason });
        }
    }
    Ok(())
}

/// The checkpoints of one run: `checkpoints/` in its folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in `folder`, which need not exist yet; the folder that it lies in must.
    pub fn new(folder: PathBuf) -> Checkpoints {
        Checkpoints { folder }
    }

    /// Writes a checkpoint and returns its folder; `keep` remain, the newest, and where all of those are newer than the step `proven`,
    /// one that is not.
    ///
    /// # Errors
    /// When the disk does not take it; the checkpoints that were there stay, and no partial one does.
    pub fn save(
        &self,
        state: &State,
        weights: &[Tensor<'_>],
        moments: &[Tensor<'_>],
        keep: usize,
        proven: u64,
    ) -> Result<PathBuf, CheckpointError> {
        // Not its parents: where the run's folder is gone, a new one would hold checkpoints and nothing else.
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map_err(write_error(&self.folder)),
        }?;
        let temporary = self.folder.join(format!(".step-{:06}.tmp", state.step));
        let path = self.folder.join(format!("step-{:06}", state.step));
        let written = remove(&temporary)
            .and_then(|()| write(&temporary, state, weights, moments))
            .and_then(|()| self.put_in_place(&temporary, &path));
        if let Err(error) = written {
            // The reason is worth more to the reader than a failure to tidy up after it.
            let _ = remove(&temporary);
            return Err(error);
        }
        let mut all = self.list()?;
        let newest = all.split_off(all.len().saturating_sub(keep.max(1)));
        if newest.iter().all(|(step, _)| *step > proven) {
            let good = all.iter().rposition(|(step, _)| *step <= proven);
            good.map(|index| all.remove(index));
        }
        all.into_iter()
            .try_for_each(|(step, old)| self.discard(step, &old))?;
        Ok(path)
    }

    /// The newest checkpoint that can be trusted, and why each newer one cannot.
    ///
    /// # Errors
    /// When the folder cannot be listed. Without any checkpoint the result is `None`, not an error.
    pub fn latest(&self) -> Result<(Option<Checkpoint>, Vec<CheckpointError>), CheckpointError> {
        let mut refused = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match Checkpoint::open(&path) {
                Ok(checkpoint) => return Ok((Some(checkpoint), refused)),
                Err(error) => refused.push(error),
            }
        }
        Ok((None, refused))
    }

    /// Sets aside, as `damaged-step-..`, the checkpoints that are newer than `step`, so that they count no longer.
    ///
    /// # Errors
    /// When one cannot be renamed.
    pub fn set_aside_after(&self, step: u64) -> Result<(), CheckpointError> {
        for (newer, path) in self.list()? {
            let aside = self.folder.join(format!("damaged-step-{newer:06}"));
            if newer > step {
                remove(&aside)?;
                fs::rename(&path, &aside).map_err(write_error(&path))?;
            }
        }
        Ok(())
    }

    /// Removes what a killed run left half-written. Only for the run that holds the folder's lock.
    ///
    /// # Errors
    /// When the folder cannot be listed or a leftover cannot be removed.
    pub fn tidy(&self) -> Result<(), CheckpointError> {
        let leftovers = self.entries()?.into_iter().filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(".step-") && name.ends_with(".tmp")
        });
        leftovers.into_iter().try_for_each(|path| remove(&path))
    }

    /// Steps and folders of all checkpoints, by step.
    ///
    /// # Errors
    /// When the folder exists and cannot be listed.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let step = |path: &Path| {
            path.file_name()?
                .to_str()?
                .strip_prefix("step-")?
                .parse::<u64>()
                .ok()
        };
        let mut all: Vec<_> = self
            .entries()?
            .into_iter()
            .filter_map(|path| Some((step(&path)?, path)))
            .collect();
        all.sort();
        Ok(all)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(read_error(&self.folder)(error)),
        };
        entries
            .map(|entry| Ok(entry.map_err(read_error(&self.folder))?.path()))
            .collect()
    }

    /// Removes a checkpoint; killed in between, it leaves something that [`Checkpoints::tidy`] knows.
    fn discard(&self, step: u64, path: &Path) -> Result<(), CheckpointError> {
        let leaving = self.folder.join(format!(".step-{step:06}.tmp"));
        fs::rename(path, &leaving).map_err(write_error(path))?;
        remove(&leaving)
    }

    /// Gives a finished checkpoint its name; one of the same step, refused as damaged before, makes way.
    fn put_in_place(&self, temporary: &Path, path: &Path) -> Result<(), CheckpointError> {
        remove(path)?;
        fs::rename(temporary, path).map_err(write_error(path))?;
        digest::sync_folder(&self.folder).map_err(write_error(&self.folder))
    }
}

fn write(
    folder: &Path,
    state: &State,
    weights: &[Tensor<'_>],
    moments: &[Tensor<'_>],
) -> Result<(), CheckpointError> {
    fs::create_dir(folder).map_err(write_error(folder))?;
    let at = |name: &str| folder.join(name);
    let json =
        serde_json::to_vec_pretty(state).map_err(|error| write_error(&at(STATE))(error.into()))?;
    let digests = [
        (
            MODEL,
            tensor_file::write(&at(MODEL), weights).map_err(write_error(&at(MODEL)))?,
        ),
        (
            OPTIMIZER,
            tensor_file::write(&at(OPTIMIZER), moments).map_err(write_error(&at(OPTIMIZER)))?,
        ),
        (
            STATE,
            digest::create(&at(STATE), |file| file.write_all(&json))
                .map_err(write_error(&at(STATE)))?,
        ),
    ];
    let sums: String = digests
        .iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"))
        .collect();
    digest::create(&at(SUMS), |file| file.write_all(sums.as_bytes()))
        .map_err(write_error(&at(SUMS)))?;
    digest::sync_folder(folder).map_err(write_error(folder))
}

/// Removes a folder and all in it; that it is not there is no error.
fn remove(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::identity;
    use super::*;

    const DIMS: &[usize] = &[2, 3];

    fn save(checkpoints: &Checkpoints, step: u64, keep: usize) -> PathBuf {
        let state = State {
            step,
            ..State::new(identity())
        };
        let values = [0.0, -0.0, 1.0, f32::MIN_POSITIVE, 5e-45, step as f32];
        let model = [Tensor {
            name: "w".to_owned(),
            dims: DIMS,
            values: &values,
        }];
        let moments = ["m.w", "v.w"].map(|name| Tensor {
            name: name.to_owned(),
            dims: DIMS,
            values: &values,
        });
        checkpoints
            .save(&state, &model, &moments, keep, step)
            .unwrap()
    }

    fn store() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"));
        (folder, checkpoints)
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        checkpoints
            .list()
            .unwrap()
            .into_iter()
            .map(|(step, _)| step)
            .collect()
    }

    #[test]
    fn the_newest_are_kept_and_come_back_whole() {
        let (_folder, checkpoints) = store();
        assert!(checkpoints.latest().unwrap().0.is_none());
        for step in [1, 9, 10, 1_000_000] {
            save(&checkpoints, step, 2);
        }
        assert_eq!(steps(&checkpoints), [10, 1_000_000]);
        let newest = checkpoints.latest().unwrap().0.unwrap();
        assert_eq!(
            newest.state,
            State {
                step: 1_000_000,
                ..State::new(identity())
            }
        );
        let mut values = [9.0; 6];
        newest
            .read_model(&mut [TensorMut {
                name: "w".to_owned(),
                dims: DIMS,
                values: &mut values,
            }])
            .unwrap();
        assert_eq!(
            values.map(f32::to_bits),
            [0.0, -0.0, 1.0, f32::MIN_POSITIVE, 5e-45, 1e6].map(f32::to_bits)
        );
        let (mut m, mut v) = ([9.0; 6], [9.0; 6]);
        let targets = &mut [
            TensorMut {
                name: "v.w".to_owned(),
                dims: DIMS,
                values: &mut v,
            },
            TensorMut {
                name: "m.w".to_owned(),
                dims: DIMS,
                values: &mut m,
            },
        ];
        newest.read_optimizer(targets).unwrap();
        assert_eq!([m[5], v[5]], [1e6, 1e6]);
    }

    #[test]
    fn one_that_is_proven_stays_beside_newer_ones() {
        let (_folder, checkpoints) = store();
        let state = |step| State {
            step,
            ..State::new(identity())
        };
        for (step, keep, proven, left) in [
            (1, 1, 0, vec![1]),
            (2, 1, 1, vec![1, 2]),
            (3, 1, 1, vec![1, 3]),
            (4, 1, 3, vec![3, 4]),
            (5, 2, 3, vec![3, 4, 5]),
            (6, 2, 5, vec![5, 6]),
            (7, 1, 7, vec![7]),
        ] {
            checkpoints
                .save(&state(step), &[], &[], keep, proven)
                .unwrap();
            assert_eq!(steps(&checkpoints), left, "after step {step}");
        }
    }

    #[test]
    fn a_flipped_bit_or_a_lost_byte_in_any_file_falls_back_to_the_one_before() {
        let (_folder, checkpoints) = store();
        save(&checkpoints, 1, 3);
        let newest = save(&checkpoints, 2, 3);
        for name in [MODEL, OPTIMIZER, STATE, SUMS] {
            let file = newest.join(name);
            let whole = fs::read(&file).unwrap();
            let middle = whole.len() / 2;
            let mut flipped = whole.clone();
            flipped[middle] ^= 4;
            for damaged in [flipped, whole[..middle].to_vec(), Vec::new()] {
                fs::write(&file, damaged).unwrap();
                let (found, refused) = checkpoints.latest().unwrap();
                assert_eq!(found.unwrap().state.step, 1, "{name}");
                assert!(
                    refused[0].to_string().contains("step-000002"),
                    "{}",
                    refused[0]
                );
            }
            fs::remove_file(&file).unwrap();
            assert_eq!(checkpoints.latest().unwrap().0.unwrap().state.step, 1);
            fs::write(&file, whole).unwrap();
        }
        assert_eq!(checkpoints.latest().unwrap().0.unwrap().state.step, 2);
    }

    #[test]
    fn what_is_damaged_or_half_written_makes_way() {
        let (_folder, checkpoints) = store();
        save(&checkpoints, 1, 2);
        let newest = save(&checkpoints, 2, 2);
        fs::write(newest.join(MODEL), "not a model").unwrap();
        let partial = checkpoints.folder.join(".step-000003.tmp");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join(MODEL), "half").unwrap();
        assert_eq!(checkpoints.latest().unwrap().0.unwrap().state.step, 1);
        checkpoints.tidy().unwrap();
        assert!(!partial.exists());
        checkpoints.set_aside_after(1).unwrap();
        assert_eq!(steps(&checkpoints), [1]);
        assert!(checkpoints.folder.join("damaged-step-000002").exists());
        save(&checkpoints, 2, 2);
        save(&checkpoints, 2, 2);
        assert_eq!(checkpoints.latest().unwrap().0.unwrap().state.step, 2);
        assert_eq!(steps(&checkpoints), [1, 2]);
    }

    #[test]
    fn a_failed_save_leaves_no_trace() {
        let (_folder, checkpoints) = store();
        save(&checkpoints, 1, 2);
        let state = State {
            step: 2,
            ..State::new(identity())
        };
        let wrong = [Tensor {
            name: "w".to_owned(),
            dims: &[7],
            values: &[1.0; 6],
        }];
        let error = checkpoints.save(&state, &wrong, &[], 2, 2).unwrap_err();
        assert!(error.to_string().contains(MODEL), "{error}");
        assert_eq!(fs::read_dir(&checkpoints.folder).unwrap().count(), 1);
        assert_eq!(steps(&checkpoints), [1]);
    }
}
