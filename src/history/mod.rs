//! Runs kept over months in one SQLite file, by the fingerprint of their machine.
//!
//! A run's single numbers are kept, its curves and notes are not: those stay in its run.json. A number that a run could not have is
//! not kept, so that a gap stays a gap. The same run is kept once, however often it is added. Every row has a digest (`digests`).

mod digests;
mod exchange;
mod tables;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::to_string;

use crate::record::{Better, Kept, Metric, Moment, Provenance, Run, Summary, Timeline};
use digests::{OfNumber, OfRun, agree, of_machine, twice};
use exchange::{json, written};

/// Why the history could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be opened or is no history.
    #[error("{}: {source}; name a history that loopos wrote, or a new file in a folder that can be written to", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It was written by a later version of loopos.
    #[error("{}: its layout is {found}, and this version knows up to {known}; use the version of loopos that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// Reading or writing failed on the way; nothing of the transaction was kept.
    #[error(
        "the history could not be read or written: {0}; is the disk full, or the file damaged?"
    )]
    Database(#[from] rusqlite::Error),
    /// A row is not what was kept.
    #[error(
        "the history is damaged: {what} is not what was kept; use a copy of the file, or begin a new one and add the runs again"
    )]
    Damaged {
        /// Which.
        what: String,
    },
    /// A line of an import is no run.
    #[error(
        "line {line} of the import is no run: {reason}; import what `loopos history export` wrote"
    )]
    Import {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The reader or writer of an import or export failed.
    #[error("{0}")]
    Stream(#[from] std::io::Error),
}

/// An open history.
#[derive(Debug)]
pub struct History {
    database: Connection,
}

impl History {
    /// Opens the history in `path`, or begins one; an older layout is brought up to date.
    ///
    /// # Errors
    /// The file cannot be opened, is something else, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Open {
            path: path.to_owned(),
            source,
        };
        let mut database = Connection::open(path).map_err(failed)?;
        // Readers do not wait for a writer, and a kill at any moment leaves whole transactions.
        database
            .pragma_update(None, "journal_mode", "wal")
            .map_err(failed)?;
        database
            .pragma_update(None, "synchronous", "normal")
            .map_err(failed)?;
        database
            .busy_timeout(std::time::Duration::from_secs(10))
            .map_err(failed)?;
        let layout = tables::upgrade(&mut database).map_err(failed)?;
        if layout > tables::LAYOUT {
            return Err(HistoryError::Newer {
                path: path.to_owned(),
                found: layout,
                known: tables::LAYOUT,
            });
        }
        Ok(Self { database })
    }

    /// Keeps runs, all or none; says how many of them are new.
    ///
    /// # Errors
    /// The database failed; nothing was kept.
    pub fn add<'a>(
        &mut self,
        runs: impl IntoIterator<Item = &'a Run>,
    ) -> Result<usize, HistoryError> {
        let transaction = self.database.transaction()?;
        let mut new = 0;
        for run in runs {
            new += usize::from(keep(&transaction, run)?);
        }
        transaction.commit()?;
        Ok(new)
    }

    /// The machines, that of the newest run first.
    ///
    /// # Errors
    /// The database failed, or a row is not what was kept.
    pub fn machines(&self) -> Result<Vec<Kept>, HistoryError> {
        self.each_run(|_| Ok(()))?;
        let mut statement = self.database.prepare(
            "SELECT machine.summary, count(*), min(run.started), max(run.started) AS last
             FROM run JOIN machine ON machine.id = run.machine GROUP BY machine.id ORDER BY last DESC",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Kept {
                machine: json::<Summary>(row.get(0)?)?,
                runs: row.get::<_, i64>(1)? as usize,
                first: row.get(2)?,
                last: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The metrics that runs of a machine have, with the number of those, in the order in which they came.
    ///
    /// # Errors
    /// The database failed, or the metrics have not as many numbers as the runs, or one is there twice or without any.
    pub fn metrics(&self, fingerprint: &str) -> Result<Vec<(Metric, usize)>, HistoryError> {
        let mut statement = self.database.prepare(
            "SELECT metric.name, metric.unit, metric.better, tally.runs, tally.metric,
               EXISTS (SELECT 1 FROM number WHERE number.machine = tally.machine AND number.metric = tally.metric)
             FROM tally LEFT JOIN metric ON metric.id = tally.metric JOIN machine NOT INDEXED ON machine.id = tally.machine
             WHERE machine.fingerprint = ?1 ORDER BY metric.id",
        )?;
        let rows = statement.query_map([fingerprint], |row| {
            let metric = Metric {
                name: row.get(0)?,
                value: None,
                low: None,
                high: None,
                unit: row.get(1)?,
                better: json::<Better>(row.get(2)?)?,
                provenance: Provenance::Unavailable,
                how: String::new(),
            };
            let (runs, id, has_some): (i64, i64, bool) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok((metric, runs, id, has_some))
        })?;
        let metrics: Vec<_> = rows.collect::<Result<_, _>>()?;
        let kept: i64 = self.database.query_row(
            "SELECT total(run.numbers) FROM run JOIN machine NOT INDEXED ON machine.id = run.machine WHERE machine.fingerprint = ?1",
            [fingerprint],
            |row| Ok(row.get::<_, f64>(0)? as i64),
        )?;
        let counted = metrics
            .iter()
            .fold(0_i64, |sum, (_, runs, ..)| sum.saturating_add(*runs));
        // One that stands for another keeps the sum: it is there twice then, or no run of this machine has it.
        let is_twice = metrics.windows(2).any(|pair| pair[0].2 == pair[1].2);
        if counted != kept || is_twice || metrics.iter().any(|(.., has_some)| !has_some) {
            return Err(HistoryError::Damaged {
                what: format!("the list of metrics of the machine {fingerprint}"),
            });
        }
        let counts = metrics.into_iter();
        Ok(counts
            .map(|(metric, runs, ..)| (metric, runs as usize))
            .collect())
    }

    /// A metric over the runs of a machine, in the order of time; without points where nobody has it.
    ///
    /// # Errors
    /// The database failed, or a number is not what was kept, or is missing.
    pub fn timeline(&self, fingerprint: &str, metric: &Metric) -> Result<Timeline, HistoryError> {
        // Past the indices of names, which have no digests: one that is damaged would find nothing.
        let mut statement = self.database.prepare_cached(
            "SELECT run.name, run.started, run.revision, number.value, number.low, number.high, number.provenance, number.digest
             FROM number LEFT JOIN run ON run.id = number.run
             WHERE number.metric = (SELECT id FROM metric NOT INDEXED WHERE name = ?2 AND unit = ?3)
               AND number.machine = (SELECT id FROM machine NOT INDEXED WHERE fingerprint = ?1)",
        )?;
        let better = written(to_string(&metric.better));
        let mut points = Vec::new();
        let mut rows = statement.query(params![fingerprint, metric.name, metric.unit])?;
        while let Some(row) = rows.next()? {
            let (low, high): (Option<f64>, Option<f64>) = (row.get(4)?, row.get(5)?);
            let provenance: String = row.get(6)?;
            let point = Moment {
                run: row.get(0)?,
                started: row.get(1)?,
                commit: row.get(2)?,
                value: row.get(3)?,
                interval: low.zip(high),
            };
            let number = OfNumber {
                fingerprint,
                metric: &metric.name,
                unit: &metric.unit,
                better: &better,
                run: &point.run,
                started: &point.started,
                revision: point.commit.as_deref(),
                value: point.value,
                low,
                high,
                provenance: &provenance,
            };
            agree(number.digest(), row.get(7)?, || {
                format!("{} of the run {}", metric.name, point.run)
            })?;
            points.push(point);
        }
        let kept: Option<i64> = self
            .database
            .prepare_cached(
                "SELECT runs FROM tally WHERE metric = (SELECT id FROM metric NOT INDEXED WHERE name = ?2 AND unit = ?3)
                 AND machine = (SELECT id FROM machine NOT INDEXED WHERE fingerprint = ?1)",
            )?
            .query_row(params![fingerprint, metric.name, metric.unit], |row| row.get(0))
            .optional()?;
        agree(points.len() as i64, kept.unwrap_or(0), || {
            format!("the number of runs with {}", metric.name)
        })?;
        points.sort_by(|one, other| (&one.started, &one.run).cmp(&(&other.started, &other.run)));
        if let Some(pair) = points.windows(2).find(|pair| pair[0].run == pair[1].run) {
            return Err(twice(format!("{} of the run {}", metric.name, pair[0].run)));
        }
        Ok(Timeline {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            better: metric.better,
            points,
        })
    }
}

/// Keeps one run; false where it is there already.
fn keep(transaction: &Transaction<'_>, run: &Run) -> rusqlite::Result<bool> {
    let (fingerprint, summary) = (
        &run.machine.summary.fingerprint,
        written(to_string(&run.machine.summary)),
    );
    transaction
        .prepare_cached("INSERT INTO machine (fingerprint, summary, digest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![fingerprint, summary, of_machine(fingerprint, &summary)])?;
    let machine: i64 = transaction
        .prepare_cached("SELECT id FROM machine WHERE fingerprint = ?1")?
        .query_row([fingerprint], |row| row.get(0))?;
    let (command, suites, config) = (
        written(to_string(&run.command)),
        written(to_string(&run.suites)),
        written(to_string(&run.config)),
    );
    let new = transaction
        .prepare_cached(
            "INSERT INTO run (name, machine, started, elapsed, command, version, revision, config, suites, effort)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            run.id,
            machine,
            run.started,
            run.elapsed_seconds,
            command,
            run.version,
            run.commit,
            config,
            suites,
            run.effort,
        ])?;
    if new == 0 {
        return Ok(false);
    }
    let id = transaction.last_insert_rowid();
    let mut numbers = 0;
    for metric in &run.metrics {
        numbers += i64::from(keep_number(transaction, (machine, id), run, metric)?);
    }
    let digest = OfRun {
        fingerprint,
        name: &run.id,
        started: &run.started,
        elapsed: run.elapsed_seconds,
        command: &command,
        suites: &suites,
        effort: &run.effort,
        version: &run.version,
        revision: run.commit.as_deref(),
        config: &config,
        numbers,
    }
    .digest();
    transaction
        .prepare_cached("UPDATE run SET numbers = ?2, digest = ?3 WHERE id = ?1")?
        .execute(params![id, numbers, digest])?;
    Ok(true)
}

/// Keeps a number of a run; false where there is none, or one of that metric already.
fn keep_number(
    transaction: &Transaction<'_>,
    (machine, run_id): (i64, i64),
    run: &Run,
    metric: &Metric,
) -> rusqlite::Result<bool> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let Some(value) = finite(metric.value) else {
        return Ok(false);
    };
    let (of_metric, better) = metric_id(transaction, metric)?;
    let (low, high) = (finite(metric.low), finite(metric.high));
    let provenance = written(to_string(&metric.provenance));
    let digest = OfNumber {
        fingerprint: &run.machine.summary.fingerprint,
        metric: &metric.name,
        unit: &metric.unit,
        better: &better,
        run: &run.id,
        started: &run.started,
        revision: run.commit.as_deref(),
        value,
        low,
        high,
        provenance: &provenance,
    }
    .digest();
    let kept = transaction
        .prepare_cached(
            "INSERT INTO number (machine, metric, run, value, low, high, provenance, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            machine, of_metric, run_id, value, low, high, provenance, digest
        ])?;
    if kept > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO tally (machine, metric, runs) VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET runs = runs + 1",
            )?
            .execute(params![machine, of_metric])?;
    }
    Ok(kept > 0)
}

/// The number of a metric, which is made where it is new, and which direction is better, as the first run of it said.
fn metric_id(transaction: &Transaction<'_>, metric: &Metric) -> rusqlite::Result<(i64, String)> {
    let known = transaction
        .prepare_cached("SELECT id, better FROM metric WHERE name = ?1 AND unit = ?2")?
        .query_row([&metric.name, &metric.unit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let better = written(to_string(&metric.better));
    transaction
        .prepare_cached("INSERT INTO metric (name, unit, better) VALUES (?1, ?2, ?3)")?
        .execute([&metric.name, &metric.unit, &better])?;
    Ok((transaction.last_insert_rowid(), better))
}

#[cfg(test)]
mod tests;
