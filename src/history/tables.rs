//! The tables, and how an older file becomes one of this version.

use rusqlite::Connection;

/// The layout that this version reads and writes.
pub(super) const LAYOUT: i64 = STEPS.len() as i64;

/// What brings a file from each layout to the next; 0 is an empty file.
///
/// The numbers of one metric on one machine lie side by side, because that is how they are read: a timeline of 5,000 runs is one
/// range of the file. `tally` counts them, so that no list of metrics has to visit all numbers.
const STEPS: [&str; 1] = ["
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
"];

/// Brings the file to [`LAYOUT`] where it is older; the layout that it has then. A later one stays as it is.
pub(super) fn upgrade(database: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = database.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    let layout = found.max(LAYOUT);
    transaction.pragma_update(None, "user_version", layout)?;
    transaction.commit()?;
    Ok(layout)
}
