//! The tables, and how an older file becomes one of this version.

use rusqlite::{Connection, Transaction};

use super::digests;

/// The layout that this version reads and writes.
pub(super) const LAYOUT: i64 = STEPS.len() as i64;

/// What brings a file from a layout to the next.
type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The step from each layout; 0 is an empty file.
const STEPS: [Step; 2] = [
    |file| file.execute_batch(FIRST),
    |file| {
        file.execute_batch(WITH_DIGESTS)?;
        digests::fill(file)
    },
];

/// The numbers of one metric on one machine lie side by side, because that is how they are read: a timeline of 5,000 runs is one
/// range of the file. `tally` counts them, so that no list of metrics has to visit all numbers.
const FIRST: &str = "
    CREATE TABLE machine (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        summary TEXT NOT NULL
    );
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        machine INTEGER NOT NULL REFERENCES machine (id),
        started TEXT NOT NULL,
        elapsed REAL NOT NULL,
        command TEXT NOT NULL,
        suites TEXT NOT NULL,
        effort TEXT NOT NULL,
        version TEXT NOT NULL,
        revision TEXT,
        config TEXT NOT NULL
    );
    CREATE TABLE metric (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        unit TEXT NOT NULL,
        better TEXT NOT NULL,
        UNIQUE (name, unit)
    );
    CREATE TABLE number (
        machine INTEGER NOT NULL REFERENCES machine (id),
        metric INTEGER NOT NULL REFERENCES metric (id),
        run INTEGER NOT NULL REFERENCES run (id),
        value REAL NOT NULL,
        low REAL,
        high REAL,
        provenance TEXT NOT NULL,
        PRIMARY KEY (machine, metric, run)
    ) WITHOUT ROWID;
    CREATE TABLE tally (
        machine INTEGER NOT NULL REFERENCES machine (id),
        metric INTEGER NOT NULL REFERENCES metric (id),
        runs INTEGER NOT NULL,
        PRIMARY KEY (machine, metric)
    ) WITHOUT ROWID;
    CREATE INDEX numbers_of_a_run ON number (run);
";

/// What no flipped bit survives, and how many numbers a run has, so that none is missed.
const WITH_DIGESTS: &str = "
    ALTER TABLE machine ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN numbers INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE number ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
";

/// Brings the file to [`LAYOUT`] where it is older; the layout that it has then. A later one stays as it is.
pub(super) fn upgrade(database: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = database.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in STEPS.iter().skip(done) {
        step(&transaction)?;
    }
    let layout = found.max(LAYOUT);
    transaction.pragma_update(None, "user_version", layout)?;
    transaction.commit()?;
    Ok(layout)
}
