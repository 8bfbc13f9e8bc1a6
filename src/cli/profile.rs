//! Where tuned profiles are kept, and what a training run takes from one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::environment;
use super::outcome::{Failure, warn};
use super::trained::shape;
use crate::atomic;
use crate::bounded;
use crate::config::{Config, Parallel};
use crate::kernels::Isa;
use crate::probe::Machine;
use crate::record::{PROFILE_SCHEMA, Profile, Workload};
use crate::units::digits;

/// The most bytes of a profile, which has a dozen lines.
const LONGEST: u64 = 1 << 16;

/// What a configuration asks of this machine.
pub(crate) fn workload(machine: &Machine, isa: Isa, config: &Config) -> Workload {
    let shape = shape(config);
    Workload {
        machine: machine.fingerprint(),
        isa: isa.name().to_owned(),
        vocab_size: shape.vocab_size,
        d_model: shape.d_model,
        heads: shape.heads,
        layers: shape.layers,
        d_ff: shape.d_ff,
        length: config.training.max_length,
        batch: config.training.batch_size,
    }
}

/// Where the profile of a workload is kept; `None` without a home.
pub(crate) fn usual_path(workload: &Workload) -> Option<PathBuf> {
    let key: String = Sha256::digest(format!("{workload:?}"))
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = environment::config_folder()?.join("profiles");
    Some(folder.join(format!("{key}.json")))
}

/// Writes a profile, with the folders that it needs.
pub(crate) fn write(path: &Path, profile: &Profile) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
            .help("name a file that can be written by --out FILE")
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let text = serde_json::to_string_pretty(profile).map_err(|error| failed(error.into()))?;
    atomic::write(path, |file| writeln!(file, "{text}")).map_err(failed)
}

/// Reads a profile for `workload`.
///
/// # Errors
/// Why it cannot be used.
fn read(path: &Path, workload: &Workload) -> Result<Profile, String> {
    let text = bounded::read_text(path, LONGEST).map_err(|error| error.to_string())?;
    let profile: Profile =
        serde_json::from_str(&text).map_err(|error| format!("it is no profile: {error}"))?;
    if profile.schema != PROFILE_SCHEMA {
        let schema = &profile.schema;
        return Err(format!("it is of schema {schema:?}, not {PROFILE_SCHEMA}"));
    }
    if profile.workload != *workload {
        return Err("it was made for another machine, model or batch".to_owned());
    }
    let (micro, batch) = (profile.micro_batch, workload.batch);
    if micro == 0 || !batch.is_multiple_of(micro) || profile.threads == 0 {
        let threads = profile.threads;
        return Err(format!(
            "{micro} sequences at a time and {threads} threads cannot be for a batch of {batch}"
        ));
    }
    Ok(profile)
}

/// Sets threads and micro-batch of `config` as a profile has them, where neither configuration nor command line does: a line that
/// says so. The batch stays, since another one is another training run.
///
/// # Errors
/// When the profile that was `named` cannot be used.
pub(crate) fn apply(config: &mut Config, named: Option<&Path>) -> Result<Option<String>, Failure> {
    let (machine, isa) = (Machine::detect(), environment::isa()?);
    let workload = workload(&machine, isa, config);
    let (path, profile) = match named {
        Some(path) => {
            let refused = |reason| {
                Failure::wrong_use(format!("{}: {reason}", path.display()))
                    .help("make one for this configuration by `loopos tune --config .. --out FILE`")
            };
            (path.to_owned(), read(path, &workload).map_err(refused)?)
        }
        None => match usual_path(&workload).filter(|path| path.exists()) {
            None => return Ok(None),
            Some(path) => match read(&path, &workload) {
                Ok(profile) => (path, profile),
                Err(reason) => {
                    warn(format!("profile {} is not used: {reason}", path.display()));
                    return Ok(None);
                }
            },
        },
    };
    let parts = take(config, &profile, machine.usable_cpus().len());
    let what = if parts.is_empty() {
        "nothing: the configuration says all of it".to_owned()
    } else {
        parts.join(", ")
    };
    let speed = profile.tokens_per_second.map_or(String::new(), |speed| {
        format!("; {} tokens/s when tuned", digits(speed))
    });
    Ok(Some(format!("profile: {what}{speed} ({})", path.display())))
}

/// What `config` takes from the profile, in words.
fn take(config: &mut Config, profile: &Profile, cpus: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let may_share_sequences = config.may_share_sequences();
    let training = &mut config.training;
    if training.threads.is_none() && profile.threads <= cpus {
        training.threads = Some(profile.threads);
        let plural = if profile.threads == 1 { "" } else { "s" };
        parts.push(format!("{} thread{plural}", profile.threads));
    }
    if training.micro_batch.is_none() {
        training.micro_batch = Some(profile.micro_batch);
        parts.push(format!("{} sequences at a time", profile.micro_batch));
    }
    if training.parallel.is_none()
        && profile.by_sequences
        && may_share_sequences
        && training.threads == Some(profile.threads)
    {
        training.parallel = Some(Parallel::Sequences);
        parts.push("each thread its own sequences".to_owned());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(workload: Workload) -> Profile {
        Profile {
            schema: PROFILE_SCHEMA.to_owned(),
            workload,
            threads: 2,
            micro_batch: 8,
            by_sequences: false,
            tokens_per_second: Some(5_000.0),
            advised_batch: Some(16),
            run: String::new(),
        }
    }

    fn config() -> Config {
        Config::find("autoregressive_training_small").unwrap()
    }

    #[test]
    fn a_profile_holds_for_its_workload_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/profile.json");
        let workload = workload(&Machine::detect(), Isa::best(), &config());
        let known = profile(workload.clone());
        write(&path, &known).unwrap();
        assert_eq!(read(&path, &workload), Ok(known.clone()));
        let other = Workload {
            batch: workload.batch + 1,
            ..workload.clone()
        };
        assert!(read(&path, &other).unwrap_err().contains("another machine"));
        for (micro_batch, threads, schema) in [
            (0, 1, PROFILE_SCHEMA),
            (5, 1, PROFILE_SCHEMA),
            (8, 0, PROFILE_SCHEMA),
            (8, 1, "x"),
        ] {
            let broken = Profile {
                micro_batch,
                threads,
                schema: schema.to_owned(),
                ..known.clone()
            };
            write(&path, &broken).unwrap();
            assert!(read(&path, &workload).is_err(), "{broken:?}");
        }
        fs::write(&path, "{").unwrap();
        assert!(read(&path, &workload).unwrap_err().contains("no profile"));
    }

    #[test]
    fn the_configuration_comes_before_the_profile_and_the_batch_stays() {
        let mut free = config();
        let batch = free.training.batch_size;
        let known = profile(workload(&Machine::detect(), Isa::best(), &free));
        assert_eq!(
            take(&mut free, &known, 2),
            ["2 threads", "8 sequences at a time"]
        );
        let training = &free.training;
        let found = (training.threads, training.micro_batch, training.batch_size);
        assert_eq!(found, (Some(2), Some(8), batch));
        let mut fixed = config();
        fixed.training.threads = Some(1);
        fixed.training.micro_batch = Some(4);
        assert!(take(&mut fixed, &known, 2).is_empty());
        assert_eq!(fixed.training.micro_batch, Some(4));
        // Sequences are shared out only among the threads that it was measured with, and only where a loss compares none.
        let apart = Profile {
            by_sequences: true,
            ..known.clone()
        };
        let mut free = config();
        assert_eq!(take(&mut free, &apart, 2).len(), 3);
        assert_eq!(free.training.parallel, Some(Parallel::Sequences));
        assert!(take(&mut fixed, &apart, 2).is_empty());
        let mut comparing = Config::find("rlhf_training_small").unwrap();
        take(&mut comparing, &apart, 2);
        assert_eq!(comparing.training.parallel, None);
        // Fewer CPUs than when it was made.
        assert_eq!(take(&mut config(), &known, 1), ["8 sequences at a time"]);
    }
}
