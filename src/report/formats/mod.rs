//! A run in the formats of other programs: one file per format, and the list of them.

mod bencher;
mod csv;
mod folded;
mod github;

use crate::record::Run;

/// A format: what it is called, what reads it, and the files that it makes of a run.
#[derive(Debug)]
pub struct Format {
    /// What the user types.
    pub id: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// Name and content of each file.
    pub files: fn(&Run) -> Vec<(String, String)>,
}

/// Every format.
pub const ALL: [&Format; 4] = [
    &csv::FORMAT,
    &github::FORMAT,
    &bencher::FORMAT,
    &folded::FORMAT,
];

/// The format of that name.
pub fn find(id: &str) -> Option<&'static Format> {
    ALL.into_iter().find(|format| format.id == id)
}

#[cfg(test)]
mod tests;
