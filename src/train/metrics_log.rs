//! `metrics.jsonl`: one JSON line for each step and each validation of a run, for scripts, plots and post-mortems.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What one optimizer step did. A figure that was not finite is `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRecord {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean loss of the batch before the update, in nats a token.
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f32,
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens trained on each second.
    pub tokens_per_second: f64,
    /// Wall seconds of the step.
    pub seconds: f64,
    /// Whether the update was left out.
    pub skipped: bool,
    /// Why, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// What this kind of training found beside its loss.
    #[serde(flatten)]
    pub figures: BTreeMap<&'static str, f64>,
}

/// What one validation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValidationRecord {
    /// Steps done.
    pub step: u64,
    /// Mean loss over the validation text, in nats a token.
    pub validation_loss: f64,
    /// Share of what was right, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Wall seconds it took.
    pub validation_seconds: f64,
}

/// The most bytes of a line: a step with a hundred figures has a tenth of it.
const LONGEST_LINE: u64 = 1 << 16;

/// What a line of a log says, read again. What was not finite, or is not there, is NaN.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An optimizer step.
    Step {
        /// Steps done, this one included.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its wall seconds.
        seconds: f64,
        /// Tokens trained on each second.
        tokens_per_second: f64,
        /// All other numbers of the line.
        figures: Vec<(String, f64)>,
    },
    /// A validation.
    Validation {
        /// Steps done.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Share of what was right, where that can be said.
        accuracy: Option<f64>,
    },
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LogError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Gives every step and validation of a log to `take`, in their order.
///
/// # Errors
/// At the first line that is no JSON, too long, or cannot be read.
pub fn read(log: &mut dyn BufRead, mut take: impl FnMut(Entry)) -> Result<(), LogError> {
    let mut text = Vec::new();
    for line in 1.. {
        let wrong = |reason: String| LogError { line, reason };
        text.clear();
        let bytes = (&mut *log)
            .take(LONGEST_LINE + 1)
            .read_until(b'\n', &mut text)
            .map_err(|error| wrong(error.to_string()))?;
        if bytes == 0 {
            break;
        }
        if bytes as u64 > LONGEST_LINE {
            return Err(wrong(format!(
                "it has more than {LONGEST_LINE} bytes, as no line of a log has"
            )));
        }
        let value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        entry(&value).into_iter().for_each(&mut take);
    }
    Ok(())
}

/// What a line says; `None` where that is something else.
fn entry(line: &Value) -> Option<Entry> {
    const OWN: [&str; 5] = [
        "step",
        "loss",
        "seconds",
        "tokens_per_second",
        "learning_rate",
    ];
    let number = |key: &str| line.get(key).and_then(Value::as_f64);
    let step = line.get("step")?.as_u64()?;
    if line.get("validation_loss").is_some() {
        return Some(Entry::Validation {
            step,
            loss: number("validation_loss").unwrap_or(f64::NAN),
            accuracy: number("validation_accuracy"),
        });
    }
    let others = line.as_object().into_iter().flatten();
    let others = others.filter(|(key, _)| !OWN.contains(&key.as_str()));
    Some(Entry::Step {
        step,
        loss: number("loss").unwrap_or(f64::NAN),
        seconds: number("seconds")?,
        tokens_per_second: number("tokens_per_second").unwrap_or(f64::NAN),
        figures: others
            .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
            .collect(),
    })
}

/// The log, open at its end.
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    line: Vec<u8>,
}

impl MetricsLog {
    /// Opens or creates the log of a run that goes on after `step`: what it says about later steps is cut off,
    /// and so is a last line that a kill left unfinished.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> io::Result<MetricsLog> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let valid = bytes_up_to(&file, step)?;
        // Cutting off a tail cannot leave a broken line behind, so this needs no temporary file.
        file.set_len(valid)?;
        let line = Vec::new();
        Ok(MetricsLog { file, line })
    }

    /// Appends a line in a single write: readers never see half of it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn append(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}

/// The length of the log's beginning that is about steps up to `step`.
fn bytes_up_to(file: &File, step: u64) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    let mut reader = BufReader::new(file);
    let (mut valid, mut line) = (0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        let earlier = serde_json::from_slice::<Line>(&line).is_ok_and(|line| line.step <= step);
        if !earlier || line.last() != Some(&b'\n') {
            break;
        }
        valid += line.len() as u64;
        line.clear();
    }
    Ok(valid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn step(step: u64) -> StepRecord {
        StepRecord {
            step,
            loss: 2.5,
            learning_rate: 1e-3,
            gradient_norm: f64::NAN,
            tokens_per_second: 100.0,
            seconds: 0.5,
            skipped: true,
            skip_reason: Some("its loss or gradient is not finite".to_owned()),
            figures: BTreeMap::from([("reward", 0.5)]),
        }
    }

    #[test]
    fn what_was_logged_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        log.append(&step(1)).unwrap();
        let validation = ValidationRecord {
            step: 1,
            validation_loss: f64::NAN,
            validation_accuracy: Some(0.5),
            validation_seconds: 1.0,
        };
        log.append(&validation).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut found = Vec::new();
        read(&mut text.as_bytes(), |entry| found.push(entry)).unwrap();
        let figures = vec![("reward".to_owned(), 0.5)];
        let first = Entry::Step {
            step: 1,
            loss: 2.5,
            seconds: 0.5,
            tokens_per_second: 100.0,
            figures,
        };
        assert_eq!(found[0], first);
        let [
            _,
            Entry::Validation {
                step: 1,
                loss,
                accuracy: Some(0.5),
            },
        ] = found[..]
        else {
            panic!("{found:?}")
        };
        assert!(loss.is_nan());
        let error = read(&mut format!("{text}{{").as_bytes(), |_| ()).unwrap_err();
        assert_eq!(error.line, 3);
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut endless = BufReader::new(io::repeat(b' '));
        let error = read(&mut endless, |_| ()).unwrap_err();
        assert!(
            error.to_string().contains("more than 65536 bytes"),
            "{error}"
        );
    }

    #[test]
    fn a_resumed_run_replaces_what_its_predecessor_said_of_later_steps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        for number in 1..=4 {
            log.append(&step(number)).unwrap();
        }
        let validation = ValidationRecord {
            step: 4,
            validation_loss: 2.0,
            validation_accuracy: None,
            validation_seconds: 1.0,
        };
        log.append(&validation).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with("{\"step\":1,\"loss\":2.5,"), "{whole}");
        assert!(whole.contains("\"gradient_norm\":null"), "{whole}");
        fs::write(&path, format!("{whole}{{\"step\":5,\"lo")).unwrap();
        drop(MetricsLog::open(&path, 9).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        let mut log = MetricsLog::open(&path, 2).unwrap();
        log.append(&step(3)).unwrap();
        let lines: Vec<_> = whole.lines().take(3).collect();
        assert_eq!(
            fs::read_to_string(&path)
                .unwrap()
                .lines()
                .collect::<Vec<_>>(),
            lines
        );
        drop(MetricsLog::open(&path, 0).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
