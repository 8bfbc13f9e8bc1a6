//! A history as text: one run.json a line, with the numbers and without the curves, so that any tool that reads runs reads it.

use std::io::{BufRead, Read, Write};

use rusqlite::Row;
use rusqlite::types::Type;

use super::digests::{OfNumber, OfRun, agree, of_machine, twice};
use super::{History, HistoryError};
use crate::json::parse;
use crate::record::{Better, Machine, Metric, Provenance, Run, SCHEMA, Summary, read, sealed};

/// Runs that an import keeps at a time: memory stays small, however long the file is.
const BATCH: usize = 200;

/// The most bytes of a run in an import: fifty times what the largest has.
const LONGEST: u64 = 64 << 20;

impl History {
    /// Writes every run as a line of JSON, in the order of time; how many there are.
    ///
    /// # Errors
    /// The database or the writer failed, or a row is not what was kept.
    pub fn export(&self, out: &mut dyn Write) -> Result<usize, HistoryError> {
        let mut count = 0;
        self.each_run(|row| {
            let mut run = head(row)?;
            run.metrics = self.numbers(row.get(0)?, &run)?;
            agree(run.metrics.len() as i64, row.get(11)?, || {
                format!("the number of numbers of the run {}", run.id)
            })?;
            let document = sealed(&run).map_err(std::io::Error::from)?;
            serde_json::to_writer(&mut *out, &document).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Gives the row of every run to `take`, in the order of time.
    ///
    /// # Errors
    /// Those of `take`, the database failed, or a run is not what was kept.
    pub(super) fn each_run(
        &self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), HistoryError>,
    ) -> Result<(), HistoryError> {
        let mut statement = self.database.prepare(
            "SELECT run.id, run.name, run.started, run.elapsed, run.command, run.version, run.revision, run.config, machine.summary, run.suites,
                    run.effort, run.numbers, run.digest, machine.fingerprint, machine.digest
             FROM run LEFT JOIN machine ON machine.id = run.machine ORDER BY run.started, run.name",
        )?;
        let mut rows = statement.query([])?;
        let (mut last, mut numbers) = (None, 0_i64);
        while let Some(row) = rows.next()? {
            check(row)?;
            // Where a page's list of rows is damaged, one may be found in the place of another.
            let id: i64 = row.get(0)?;
            if last.replace(id) == Some(id) {
                return Err(twice(row.get(1)?));
            }
            numbers = numbers.saturating_add(row.get(11)?);
            take(row)?;
        }
        let counted: i64 = self
            .database
            .query_row("SELECT total(runs) FROM tally", [], |row| {
                Ok(row.get::<_, f64>(0)? as i64)
            })?;
        agree(numbers, counted, || "the list of runs".to_owned())
    }

    /// Keeps the runs of an export, or any run.json written in a line; how many there were and how many of them are new.
    ///
    /// # Errors
    /// A line is no run, or the database or the reader failed; runs before that may have been kept.
    pub fn import(&mut self, input: &mut dyn BufRead) -> Result<(usize, usize), HistoryError> {
        let (mut count, mut new) = (0, 0);
        let mut batch: Vec<Run> = Vec::new();
        let mut text = Vec::new();
        for line in 1.. {
            let wrong = |reason: String| HistoryError::Import { line, reason };
            text.clear();
            let bytes = (&mut *input)
                .take(LONGEST + 1)
                .read_until(b'\n', &mut text)?;
            if bytes == 0 {
                break;
            }
            if bytes as u64 > LONGEST {
                return Err(wrong(format!("it has more than {LONGEST} bytes")));
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let document = parse(&text).map_err(|error| wrong(error.to_string()))?;
            batch.push(read(document).map_err(|error| wrong(error.to_string()))?);
            count += 1;
            if batch.len() == BATCH {
                new += self.add(&batch)?;
                batch.clear();
            }
        }
        new += self.add(&batch)?;
        Ok((count, new))
    }

    fn numbers(&self, id: i64, run: &Run) -> Result<Vec<Metric>, HistoryError> {
        let mut statement = self.database.prepare_cached(
            "SELECT metric.name, metric.unit, metric.better, number.value, number.low, number.high, number.provenance, number.digest
             FROM number LEFT JOIN metric ON metric.id = number.metric WHERE number.run = ?1 ORDER BY metric.id",
        )?;
        let mut rows = statement.query([id])?;
        let mut metrics = Vec::new();
        while let Some(row) = rows.next()? {
            let (better, provenance): (String, String) = (row.get(2)?, row.get(6)?);
            let (name, unit): (String, String) = (row.get(0)?, row.get(1)?);
            let (value, low, high) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let number = OfNumber {
                fingerprint: &run.machine.summary.fingerprint,
                metric: &name,
                unit: &unit,
                better: &better,
                run: &run.id,
                started: &run.started,
                revision: run.commit.as_deref(),
                value,
                low,
                high,
                provenance: &provenance,
            };
            agree(number.digest(), row.get(7)?, || {
                format!("{name} of the run {}", run.id)
            })?;
            if metrics
                .last()
                .is_some_and(|last: &Metric| (&last.name, &last.unit) == (&name, &unit))
            {
                return Err(twice(format!("{name} of the run {}", run.id)));
            }
            metrics.push(Metric {
                better: json::<Better>(better)?,
                value: Some(value),
                low,
                high,
                provenance: json::<Provenance>(provenance)?,
                how: String::new(),
                name,
                unit,
            });
        }
        Ok(metrics)
    }
}

/// Refuses a run, or its machine, that is not what was kept.
fn check(row: &Row<'_>) -> Result<(), HistoryError> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let (name, fingerprint) = (text(1)?, text(13)?);
    let run = OfRun {
        fingerprint,
        name,
        started: text(2)?,
        elapsed: row.get(3)?,
        command: text(4)?,
        suites: text(9)?,
        effort: text(10)?,
        version: text(5)?,
        revision: row
            .get_ref(6)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)?,
        config: text(7)?,
        numbers: row.get(11)?,
    };
    agree(run.digest(), row.get(12)?, || format!("the run {name}"))?;
    agree(of_machine(fingerprint, text(8)?), row.get(14)?, || {
        format!("the machine {fingerprint}")
    })
}

fn head(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        schema: SCHEMA.to_owned(),
        id: row.get(1)?,
        started: row.get(2)?,
        elapsed_seconds: row.get(3)?,
        command: json(row.get(4)?)?,
        suites: json(row.get(9)?)?,
        effort: row.get(10)?,
        version: row.get(5)?,
        commit: row.get(6)?,
        config: json(row.get(7)?)?,
        machine: Machine {
            summary: json::<Summary>(row.get(8)?)?,
            cpus: Vec::new(),
            caches: Vec::new(),
            features: Vec::new(),
            facts: Vec::new(),
        },
        metrics: Vec::new(),
        series: Vec::new(),
        notes: Vec::new(),
        fleet: Vec::new(),
    })
}

/// A value that is kept as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: String) -> rusqlite::Result<T> {
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

/// A value as it is kept, from what became of writing it as JSON.
pub(super) fn written(json: serde_json::Result<String>) -> String {
    json.unwrap_or_else(|_| "null".to_owned())
}
