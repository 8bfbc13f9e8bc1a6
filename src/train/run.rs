//! The training loop: steps, validations and checkpoints in their turn, until the work is done, the caller says stop, or the
//! loss is lost. It prints nothing: what happens is told to [`Events`] and to `metrics.jsonl`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::data::spread;
use super::guard::Guard;
use super::metrics_log::{MetricsLog, StepRecord, ValidationRecord};
use super::named_tensors::{FIRST, SECOND, tensors_mut};
use super::run_folder::RunFolder;
use super::schedule::Schedule;
use super::state::State;
use super::task::{Task, Turn};
use super::trainer::Trainer;
use crate::model::{Observer, Unobserved};

/// How long a run is and what it does on the way.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Steps after which the run is done.
    pub steps: u64,
    /// Steps between validations; without, one at the end.
    pub validation_every: Option<u64>,
    /// Batches in a validation; without, all there are.
    pub validation_batches: Option<usize>,
    /// Steps between checkpoints; without, one at the end.
    pub checkpoint_every: Option<u64>,
    /// Checkpoints kept, the newest.
    pub keep_checkpoints: usize,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// Which steps are left out, and how many in a row end the run.
    pub guard: Guard,
}

/// Who wants to know how a run goes.
pub trait Events {
    /// A step is done.
    fn step(&mut self, record: &StepRecord);
    /// A validation is done.
    fn validated(&mut self, record: &ValidationRecord);
    /// A checkpoint is on the disk.
    fn saved(&mut self, step: u64, path: &Path);
    /// Who watches the operators of the step that begins.
    fn watcher(&mut self, _step: u64) -> Option<&mut dyn Observer> {
        None
    }
}

/// Why a run ended before its last step, other than at the caller's wish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ranks of a fleet do not have the same weights: memory or a library has failed one of them.
    #[error(
        "after step {step} the weights of rank {rank} are not those of rank 0: nothing of this state is saved"
    )]
    Stray {
        /// Steps done.
        step: u64,
        /// The first such rank.
        rank: usize,
    },
    /// Too many steps in a row were left out.
    #[error(
        "the loss is lost: {skips} steps in a row up to step {step} were left out, the last one because {reason}"
    )]
    Diverged {
        /// The last of them.
        step: u64,
        /// How many.
        skips: u32,
        /// Why the last of them was.
        reason: String,
        /// The newest checkpoint from before, where there is one.
        last_good: Option<PathBuf>,
    },
    /// An update has left numbers that are none.
    #[error("the weights are lost: after step {step} {what}, and nothing of this state is saved")]
    Spoilt {
        /// Steps done.
        step: u64,
        /// How that shows.
        what: String,
        /// The newest checkpoint from before, where there is one.
        last_good: Option<PathBuf>,
    },
}

/// Gives a trainer the weights and moments of a checkpoint.
///
/// # Errors
/// When its files cannot be read or hold another model.
pub fn restore(trainer: &mut Trainer, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let [weights, first, second] = trainer.restore(checkpoint.state.updates);
    checkpoint.read_model(&mut tensors_mut(weights, ""))?;
    let mut moments = tensors_mut(first, FIRST);
    moments.extend(tensors_mut(second, SECOND));
    checkpoint.read_optimizer(&mut moments)
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whether all steps were done, or the caller said stop.
    pub finished: bool,
    /// Where it stands.
    pub state: State,
    /// The checkpoint of that state; none on a rank that keeps nothing.
    pub checkpoint: Option<PathBuf>,
}

/// One run: the trainer holds the weights of `state`.
pub struct Run<'a> {
    /// Who learns.
    pub trainer: &'a mut Trainer,
    /// What.
    pub task: &'a mut dyn Task,
    /// For how long.
    pub settings: Settings,
    /// Where it is kept; by one of the ranks of a fleet.
    pub folder: Option<&'a RunFolder>,
    /// Where it stands.
    pub state: State,
    /// The checkpoint of that state, where there is one already.
    pub checkpoint: Option<PathBuf>,
    /// Who is told.
    pub events: &'a mut dyn Events,
}

impl Run<'_> {
    /// Trains until the last step is done or `stop` is raised; either way the state is saved before this returns.
    ///
    /// # Errors
    /// When the disk takes no checkpoint or log line, or loss or weights are lost; the checkpoints saved before stay as they are.
    pub fn go(mut self, stop: &AtomicBool) -> Result<Summary, RunError> {
        let mut log = self
            .folder
            .map(|folder| Log::open(folder, self.state.step))
            .transpose()?;
        let mut sorted = Vec::with_capacity(self.settings.guard.window);
        let losses = &mut self.state.recent_losses;
        losses.reserve(self.settings.guard.window.saturating_sub(losses.len()));
        let mut saved = self.saved_before();
        let finished = loop {
            if self.validation_is_due() {
                self.agree()?;
                let Some(record) = self.validate(stop) else {
                    break false;
                };
                if let Some(log) = &mut log {
                    log.write(|log| log.append(&record))?;
                }
                self.events.validated(&record);
                if !record.validation_loss.is_finite() {
                    return Err(self.spoilt("the validation loss is not finite".to_owned())?);
                }
            }
            let is_saved = saved
                .as_ref()
                .is_some_and(|(step, _)| *step == self.state.step);
            if self.checkpoint_is_due() && !is_saved {
                saved = Some((self.state.step, self.save()?));
            }
            if self.state.step >= self.settings.steps {
                break true;
            }
            if self.trainer.any(stop.load(Ordering::Relaxed)) {
                break false;
            }
            let record = self.step(&mut sorted);
            if let Some(log) = &mut log {
                log.write(|log| log.append(&record))?;
            }
            self.events.step(&record);
            if self.state.skipped_in_a_row >= self.settings.guard.most_skips {
                return Err(self.give_up(record.skip_reason)?);
            }
        };
        let checkpoint = match saved {
            Some((step, path)) if step == self.state.step => path,
            _ => self.save()?,
        };
        Ok(Summary {
            finished,
            state: self.state,
            checkpoint,
        })
    }

    /// The step and the checkpoint that the run begins with. A rank that keeps nothing takes that of rank 0 for granted.
    fn saved_before(&mut self) -> Option<(u64, Option<PathBuf>)> {
        let step = self.state.step;
        match self.checkpoint.take() {
            None if self.folder.is_some() || step == 0 => None,
            checkpoint => Some((step, checkpoint)),
        }
    }

    fn step(&mut self, sorted: &mut Vec<f64>) -> StepRecord {
        let begin = Instant::now();
        let learning_rate = self
            .settings
            .schedule
            .rate(self.state.step, &self.state.schedule);
        let (guard, state) = (&self.settings.guard, &mut self.state);
        let turn = Turn {
            step: state.step,
            learning_rate,
            limit: guard.limit(&state.recent_losses, sorted),
        };
        let mut nobody = Unobserved;
        let observer = self.events.watcher(state.step + 1).unwrap_or(&mut nobody);
        let report = self.task.step(self.trainer, turn, observer);
        state.memory = self.task.memory();
        let seconds = begin.elapsed().as_secs_f64();
        state.step += 1;
        state.tokens += report.tokens as u64;
        if report.skipped.is_some() {
            state.skipped_in_a_row += 1;
        } else {
            state.skipped_in_a_row = 0;
            guard.remember(report.loss, &mut state.recent_losses);
        }
        state.updates = self.trainer.updates();
        state.history.step(report.loss);
        StepRecord {
            step: state.step,
            loss: report.loss,
            learning_rate,
            gradient_norm: report.grad_norm,
            tokens_per_second: report.tokens as f64 / seconds,
            seconds,
            skipped: report.skipped.is_some(),
            skip_reason: report.skipped.map(|why| why.to_string()),
            figures: self.task.figures().iter().copied().collect(),
        }
    }

    /// `None` where the caller said stop before it was done.
    fn validate(&mut self, stop: &AtomicBool) -> Option<ValidationRecord> {
        let begin = Instant::now();
        let most = self.settings.validation_batches.unwrap_or(usize::MAX);
        let (mut sum, mut count, mut right) = (0.0, 0, None);
        for index in spread(self.task.validation_batches(), most) {
            if self.trainer.any(stop.load(Ordering::Relaxed)) {
                return None;
            }
            let score = self.task.validate(self.trainer, index);
            sum += score.loss;
            count += score.count;
            right = score.right.map(|more| more + right.unwrap_or(0));
        }
        let validation_loss = sum / count as f64;
        let step = self.state.step;
        self.settings
            .schedule
            .observe(validation_loss, &mut self.state.schedule);
        self.state.history.validation(step, validation_loss);
        Some(ValidationRecord {
            step,
            validation_loss,
            validation_accuracy: right.map(|right| right as f64 / count as f64),
            validation_seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// Refuses weights that are not the same on all ranks.
    fn agree(&self) -> Result<(), RunError> {
        let step = self.state.step;
        self.trainer
            .stray()
            .map_or(Ok(()), |rank| Err(RunError::Stray { step, rank }))
    }

    /// The checkpoint, where this process keeps any. What is not finite is no state to go on from.
    fn save(&mut self) -> Result<Option<PathBuf>, RunError> {
        self.agree()?;
        let proven = self.proven();
        let [weights, moments] = self.trainer.tensors();
        let mut all = weights.iter().chain(&moments);
        if let Some(tensor) = all.find(|tensor| !is_finite(tensor.values)) {
            let what = format!("{} has values that are not finite", tensor.name);
            return Err(self.spoilt(what)?);
        }
        let Some(folder) = self.folder else {
            return Ok(None);
        };
        let checkpoints = folder.checkpoints();
        let path = checkpoints.save(
            &self.state,
            &weights,
            &moments,
            self.settings.keep_checkpoints,
            proven,
        )?;
        self.events.saved(self.state.step, &path);
        Ok(Some(path))
    }

    /// The newest step whose weights are known to be of use, because a loss that was believed has been computed with them: those
    /// before the last update, or, after a validation, the present ones.
    fn proven(&self) -> u64 {
        let step = self.state.step;
        if step > 0 && self.state.history.last_validation_step == Some(step) {
            return step;
        }
        step.saturating_sub(u64::from(self.state.skipped_in_a_row) + 1)
    }

    /// The weights that fail on one batch after the other may have been saved before they failed first: that checkpoint is set
    /// aside.
    fn give_up(&self, reason: Option<String>) -> Result<RunError, CheckpointError> {
        let (step, skips) = (self.state.step, self.state.skipped_in_a_row);
        Ok(RunError::Diverged {
            step,
            skips,
            reason: reason.unwrap_or_default(),
            last_good: self.go_back(step - u64::from(skips))?,
        })
    }

    fn spoilt(&self, what: String) -> Result<RunError, CheckpointError> {
        let step = self.state.step;
        Ok(RunError::Spoilt {
            step,
            what,
            last_good: self.go_back(step - u64::from(self.state.skipped_in_a_row))?,
        })
    }

    /// Sets aside what was saved after the update `last` or later, and says what is left.
    fn go_back(&self, last: u64) -> Result<Option<PathBuf>, CheckpointError> {
        let Some(folder) = self.folder else {
            return Ok(None);
        };
        let checkpoints = folder.checkpoints();
        checkpoints.set_aside_after(last.saturating_sub(1))?;
        Ok(checkpoints.list()?.pop().map(|(_, path)| path))
    }

    /// A validation that was interrupted is due again when the run is resumed.
    fn validation_is_due(&self) -> bool {
        let step = self.state.step;
        step > 0
            && self.task.validation_batches() > 0
            && self.state.history.last_validation_step != Some(step)
            && (self
                .settings
                .validation_every
                .is_some_and(|every| step.is_multiple_of(every))
                || step >= self.settings.steps)
    }

    /// Weights that have just produced a loss that was left out wait: they may be past saving.
    fn checkpoint_is_due(&self) -> bool {
        let step = self.state.step;
        let due = self
            .settings
            .checkpoint_every
            .is_some_and(|every| step.is_multiple_of(every));
        step > 0 && due && self.state.skipped_in_a_row == 0
    }
}

fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// The log, which names its file when it fails.
struct Log {
    path: PathBuf,
    log: MetricsLog,
}

impl Log {
    fn open(folder: &RunFolder, step: u64) -> Result<Log, RunError> {
        let path = folder.metrics();
        match MetricsLog::open(&path, step) {
            Ok(log) => Ok(Log { path, log }),
            Err(source) => Err(RunError::Log { path, source }),
        }
    }

    fn write(
        &mut self,
        line: impl FnOnce(&mut MetricsLog) -> io::Result<()>,
    ) -> Result<(), RunError> {
        line(&mut self.log).map_err(|source| RunError::Log {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
