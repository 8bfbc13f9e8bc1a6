//! A history as text: one run.json a line, with the numbers and without the curves, so that any tool that reads runs reads it.

use std::io::{BufRead, Write};

use rusqlite::types::Type;

use super::{History, HistoryError};
use crate::record::{Better, Machine, Metric, Provenance, Run, SCHEMA, Summary, read};

/// Runs that an import keeps at a time: memory stays small, however long the file is.
const BATCH: usize = 200;

/// A run of the file before its numbers are read.
struct Head {
    id: i64,
    run: Run,
}

impl History {
    /// Writes every run as a line of JSON, in the order of time; how many there are.
    ///
    /// # Errors
    /// The database or the writer failed.
    pub fn export(&self, out: &mut dyn Write) -> Result<usize, HistoryError> {
        let mut statement = self.database.prepare(
            "SELECT run.id, run.name, run.started, run.elapsed, run.command, run.version, run.revision, run.config, machine.summary, run.suites,
                    run.effort
             FROM run JOIN machine ON machine.id = run.machine ORDER BY run.started, run.name",
        )?;
        let mut heads = statement.query_map([], head)?;
        let mut count = 0;
        while let Some(head) = heads.next().transpose()? {
            let mut run = head.run;
            run.metrics = self.numbers(head.id)?;
            serde_json::to_writer(&mut *out, &run).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
        Ok(count)
    }

    /// Keeps the runs of an export, or any run.json written in a line; how many there were and how many of them are new.
    ///
    /// # Errors
    /// A line is no run, or the database or the reader failed; runs before that may have been kept.
    pub fn import(&mut self, input: &mut dyn BufRead) -> Result<(usize, usize), HistoryError> {
        let (mut count, mut new) = (0, 0);
        let mut batch: Vec<Run> = Vec::new();
        for (index, line) in input.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |reason: String| HistoryError::Import {
                line: index + 1,
                reason,
            };
            let document = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
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

    fn numbers(&self, run: i64) -> Result<Vec<Metric>, HistoryError> {
        let mut statement = self.database.prepare_cached(
            "SELECT metric.name, metric.unit, metric.better, number.value, number.low, number.high, number.provenance
             FROM number JOIN metric ON metric.id = number.metric WHERE number.run = ?1 ORDER BY metric.id",
        )?;
        let rows = statement.query_map([run], |row| {
            Ok(Metric {
                name: row.get(0)?,
                unit: row.get(1)?,
                better: json::<Better>(row.get(2)?)?,
                value: row.get(3)?,
                low: row.get(4)?,
                high: row.get(5)?,
                provenance: json::<Provenance>(row.get(6)?)?,
                how: String::new(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Head> {
    let run = Run {
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
    };
    Ok(Head {
        id: row.get(0)?,
        run,
    })
}

/// A value that is kept as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: String) -> rusqlite::Result<T> {
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

/// A provenance as it is kept.
pub(super) fn provenance(provenance: Provenance) -> String {
    serde_json::to_string(&provenance).unwrap_or_default()
}
