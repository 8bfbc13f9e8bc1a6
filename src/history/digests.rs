//! A digest in every row: SQLite finds a page that is none, and believes a number of which a bit has flipped.
//!
//! The digest of a row covers what its keys stand for, so that a row that has come to belong to another machine, metric or run is
//! found too. It guards against disks and memory, not against malice.

use rusqlite::{Row, Transaction, params};

use super::HistoryError;

/// FNV-1a of 64 bits (Fowler, Noll and Vo): every step is one to one, so that no single change goes unseen.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn bytes(self, bytes: &[u8]) -> Self {
        let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(self.0, step))
    }

    /// A text with its length, so that no two lists of texts are the same bytes.
    fn text(self, text: &str) -> Self {
        self.bytes(&(text.len() as u64).to_le_bytes())
            .bytes(text.as_bytes())
    }

    fn maybe<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.bytes(&[0]),
            Some(value) => add(self.bytes(&[1]), value),
        }
    }

    fn number(self, number: f64) -> Self {
        // SQLite keeps no negative zero.
        self.bytes(&(number + 0.0).to_bits().to_le_bytes())
    }

    fn done(self) -> i64 {
        self.0.cast_signed()
    }
}

fn texts<const N: usize>(texts: [&str; N]) -> Digest {
    let begin = Digest(0xcbf2_9ce4_8422_2325);
    texts.iter().fold(begin, |digest, text| digest.text(text))
}

/// A machine's row.
pub(super) fn of_machine(fingerprint: &str, summary: &str) -> i64 {
    texts([fingerprint, summary]).done()
}

/// What a run's row says of it.
pub(super) struct OfRun<'a> {
    pub(super) fingerprint: &'a str,
    pub(super) name: &'a str,
    pub(super) started: &'a str,
    pub(super) elapsed: f64,
    /// As JSON.
    pub(super) command: &'a str,
    pub(super) suites: &'a str,
    pub(super) effort: &'a str,
    pub(super) version: &'a str,
    pub(super) revision: Option<&'a str>,
    /// As JSON.
    pub(super) config: &'a str,
    /// How many numbers are kept of it.
    pub(super) numbers: i64,
}

impl OfRun<'_> {
    pub(super) fn digest(&self) -> i64 {
        texts([
            self.fingerprint,
            self.name,
            self.started,
            self.command,
            self.suites,
            self.effort,
            self.version,
            self.config,
        ])
        .number(self.elapsed)
        .bytes(&self.numbers.to_le_bytes())
        .maybe(self.revision, Digest::text)
        .done()
    }
}

/// What a number's row says of it.
pub(super) struct OfNumber<'a> {
    pub(super) fingerprint: &'a str,
    pub(super) metric: &'a str,
    pub(super) unit: &'a str,
    /// As JSON.
    pub(super) better: &'a str,
    pub(super) run: &'a str,
    pub(super) started: &'a str,
    pub(super) revision: Option<&'a str>,
    pub(super) value: f64,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// As JSON.
    pub(super) provenance: &'a str,
}

impl OfNumber<'_> {
    pub(super) fn digest(&self) -> i64 {
        texts([
            self.fingerprint,
            self.metric,
            self.unit,
            self.better,
            self.run,
            self.started,
            self.provenance,
        ])
        .maybe(self.revision, Digest::text)
        .number(self.value)
        .maybe(self.low, Digest::number)
        .maybe(self.high, Digest::number)
        .done()
    }
}

/// Refuses a row whose digest is not the one that was kept with it.
pub(super) fn agree(
    found: i64,
    kept: i64,
    what: impl FnOnce() -> String,
) -> Result<(), HistoryError> {
    if found == kept {
        return Ok(());
    }
    Err(HistoryError::Damaged { what: what() })
}

/// The refusal of what is there twice, where it is kept once.
pub(super) fn twice(what: String) -> HistoryError {
    HistoryError::Damaged {
        what: format!("{what}, which is there twice,"),
    }
}

/// Gives the rows of an older layout their digests, and runs the number of their numbers.
pub(super) fn fill(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let each = |query: &str, update: &dyn Fn(&Row<'_>) -> rusqlite::Result<usize>| {
        let mut statement = transaction.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            update(row)?;
        }
        rusqlite::Result::Ok(())
    };
    let text = |row: &Row<'_>, column: usize| row.get::<_, String>(column);
    each("SELECT id, fingerprint, summary FROM machine", &|row| {
        let digest = of_machine(&text(row, 1)?, &text(row, 2)?);
        transaction
            .prepare_cached("UPDATE machine SET digest = ?2 WHERE id = ?1")?
            .execute(params![row.get::<_, i64>(0)?, digest])
    })?;
    transaction.execute_batch(
        "UPDATE run SET numbers = (SELECT count(*) FROM number WHERE number.run = run.id)",
    )?;
    each(
        "SELECT run.id, machine.fingerprint, run.name, run.started, run.elapsed, run.command, run.suites, run.effort, run.version,
                run.revision, run.config, run.numbers
         FROM run JOIN machine ON machine.id = run.machine",
        &|row| {
            let revision: Option<String> = row.get(9)?;
            let of = OfRun {
                fingerprint: &text(row, 1)?,
                name: &text(row, 2)?,
                started: &text(row, 3)?,
                elapsed: row.get(4)?,
                command: &text(row, 5)?,
                suites: &text(row, 6)?,
                effort: &text(row, 7)?,
                version: &text(row, 8)?,
                revision: revision.as_deref(),
                config: &text(row, 10)?,
                numbers: row.get(11)?,
            };
            transaction
                .prepare_cached("UPDATE run SET digest = ?2 WHERE id = ?1")?
                .execute(params![row.get::<_, i64>(0)?, of.digest()])
        },
    )?;
    each(
        "SELECT number.machine, number.metric, number.run, machine.fingerprint, metric.name, metric.unit, metric.better, run.name,
                run.started, run.revision, number.value, number.low, number.high, number.provenance
         FROM number JOIN machine ON machine.id = number.machine JOIN metric ON metric.id = number.metric JOIN run ON run.id = number.run",
        &|row| {
            let revision: Option<String> = row.get(9)?;
            let of = OfNumber {
                fingerprint: &text(row, 3)?,
                metric: &text(row, 4)?,
                unit: &text(row, 5)?,
                better: &text(row, 6)?,
                run: &text(row, 7)?,
                started: &text(row, 8)?,
                revision: revision.as_deref(),
                value: row.get(10)?,
                low: row.get(11)?,
                high: row.get(12)?,
                provenance: &text(row, 13)?,
            };
            let ids: [i64; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            transaction
                .prepare_cached(
                    "UPDATE number SET digest = ?4 WHERE machine = ?1 AND metric = ?2 AND run = ?3",
                )?
                .execute(params![ids[0], ids[1], ids[2], of.digest()])
        },
    )
}
