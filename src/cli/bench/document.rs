//! The document of a run: who, when, where, with what, around what the recorder holds.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::cli::environment;
use crate::probe::Machine;
use crate::record::{self, Run, SCHEMA};
use crate::suites::{self, Effort, Experiment, Recorder};

/// What is known about a run from its start.
#[derive(Debug)]
pub(in crate::cli) struct Document {
    /// Unique and sortable: `20261122T141503-4f2a91`.
    pub(super) id: String,
    started: String,
    begin: Instant,
    command: Vec<String>,
    suites: Vec<String>,
    effort: Effort,
    machine: record::Machine,
}

impl Document {
    /// A run that starts now on `machine` with what was asked for.
    pub(in crate::cli) fn new(machine: &Machine, suite: &str, effort: Effort) -> Self {
        let command: Vec<String> = environment::command_line().collect();
        let machine = suites::record_machine(machine);
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let [year, month, day, hour, minute, second] = civil(since_epoch.as_secs());
        // The process and the nanoseconds tell apart what one command starts twice in a second.
        let identity = format!(
            "{} {command:?} {} {since_epoch:?}",
            machine.summary.fingerprint,
            std::process::id()
        );
        let hash: String = Sha256::digest(identity)
            .iter()
            .take(3)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            id: format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}-{hash}"),
            started: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            begin: Instant::now(),
            command,
            suites: vec![suite.to_owned()],
            effort,
            machine,
        }
    }

    /// Seconds since the start.
    pub(super) fn elapsed(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// The document with what was recorded so far.
    pub(super) fn run(&self, recorder: &Recorder, experiment: &Experiment) -> Run {
        let cases = experiment.cases.iter();
        let cases = cases.map(|case| (case.name.clone(), case.config.clone()));
        let lessons = experiment.lessons.iter();
        let lessons = lessons.map(|lesson| (lesson.name.clone(), lesson.config.clone()));
        let config: serde_json::Map<_, _> = cases.chain(lessons).collect();
        Run {
            config: config.into(),
            ..self.of_recorder(recorder)
        }
    }

    /// The same without configurations.
    pub(in crate::cli) fn of_recorder(&self, recorder: &Recorder) -> Run {
        Run {
            schema: SCHEMA.to_owned(),
            id: self.id.clone(),
            started: self.started.clone(),
            elapsed_seconds: self.begin.elapsed().as_secs_f64(),
            command: self.command.clone(),
            suites: self.suites.clone(),
            effort: self.effort.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // build.rs asks git, unless whoever builds says it.
            commit: option_env!("LOOPOS_COMMIT")
                .filter(|commit| !commit.is_empty())
                .map(str::to_owned),
            machine: self.machine.clone(),
            config: serde_json::Value::Null,
            metrics: recorder.metrics().to_vec(),
            series: recorder.series().to_vec(),
            notes: recorder.notes().to_vec(),
            fleet: Vec::new(),
        }
    }
}

/// Year, month, day, hour, minute and second in UTC, after Hinnant, "chrono-compatible low-level date algorithms".
fn civil(seconds: u64) -> [u64; 6] {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of year 0; eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [year, month, day, rest / 3_600, rest / 60 % 60, rest % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        assert_eq!(civil(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(civil(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(civil(1_795_356_903), [2026, 11, 22, 14, 15, 3]);
        assert_eq!(civil(4_107_542_399), [2100, 2, 28, 23, 59, 59]);
        assert_eq!(civil(4_107_542_400), [2100, 3, 1, 0, 0, 0]);
    }

    #[test]
    fn ids_sort_by_time_and_differ() {
        let machine = Machine::detect();
        let start = || Document::new(&machine, "training", Effort::Quick);
        let (one, other) = (start(), start());
        assert_ne!(one.id, other.id);
        assert!(one.id[..15] <= other.id[..15] && one.id.len() == 22);
        assert_eq!(one.started.len(), "2026-11-22T14:15:03Z".len());
    }
}
