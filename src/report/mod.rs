//! `run.json` as a page that a person wants to look at: `report.html` and each picture as an SVG file.
//!
//! [`render`] is pure: the same run gives the same page, on any machine. [`write()`] puts the page into a folder.
//! `draw/` draws, `charts/` has one picture per file, `html/` makes the page around them.

mod charts;
pub mod comparison;
mod contests;
mod draw;
pub mod formats;
mod headlines;
mod html;
pub mod timeline;
mod values;
mod view;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use headlines::{Headline, headlines};
pub use values::quantity;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::record::{Machine, Run, SCHEMA};

/// A rendered report.
#[derive(Clone, Debug)]
pub struct Page {
    /// `report.html`: complete in itself.
    pub html: String,
    /// File name and content of each picture.
    pub pictures: Vec<(String, String)>,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write the report to {path}: {source}; choose a folder that exists or can be made, with room for 3 MB"
)]
pub struct ReportError {
    path: PathBuf,
    source: std::io::Error,
}

/// Renders the page and the pictures of a run; never fails, whatever the run lacks.
pub fn render(run: &Run) -> Page {
    let cases = view::cases(run);
    let first = view::View::new(run, cases.first().cloned());
    let mut pictures = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let suffix = if index == 0 {
            String::new()
        } else {
            format!("-{}", index + 1)
        };
        let view = view::View::new(run, Some(case.clone()));
        pictures.extend(files(&view, charts::Subject::Training, &suffix));
    }
    let sections = charts::SECTIONS.map(|(subject, ..)| subject);
    for subject in sections.into_iter().chain([charts::Subject::Machine]) {
        pictures.extend(files(&first, subject, ""));
    }
    Page {
        html: html::page(run),
        pictures,
    }
}

/// The topology of a machine as an SVG file of its own.
///
/// # Errors
/// Why there is no picture: the machine lists no CPU.
pub fn topology(machine: &Machine) -> Result<String, String> {
    let run = Run {
        schema: SCHEMA.to_owned(),
        id: String::new(),
        started: String::new(),
        elapsed_seconds: 0.0,
        command: Vec::new(),
        suites: Vec::new(),
        effort: String::new(),
        version: String::new(),
        commit: None,
        machine: machine.clone(),
        config: serde_json::Value::Null,
        metrics: Vec::new(),
        series: Vec::new(),
        notes: Vec::new(),
        fleet: Vec::new(),
    };
    let chart = charts::topology::CHART;
    let drawn = chart.drawn(&view::View::new(&run, None))?;
    Ok(drawn.wide.standalone(chart.title))
}

fn files(view: &view::View<'_>, subject: charts::Subject, suffix: &str) -> Vec<(String, String)> {
    let drawn = charts::ALL
        .iter()
        .filter(|chart| chart.subject == subject && chart.wants(view))
        .filter_map(|chart| {
            let drawn = chart.drawn(view).ok()?;
            Some((
                format!("{}{suffix}.svg", chart.id),
                drawn.wide.standalone(chart.title),
            ))
        });
    drawn.collect()
}

/// Writes `report.html` and the pictures of `run` into `folder`, which is made where it is missing. Each file appears
/// complete or not at all.
///
/// # Errors
/// The folder cannot be made or a file not be written; what was written before stays.
pub fn write(run: &Run, folder: &Path) -> Result<PathBuf, ReportError> {
    let page = render(run);
    std::fs::create_dir_all(folder).map_err(|source| ReportError {
        path: folder.to_owned(),
        source,
    })?;
    for (name, svg) in &page.pictures {
        replace(&folder.join(name), svg)?;
    }
    let path = folder.join("report.html");
    replace(&path, &page.html)?;
    Ok(path)
}

fn replace(path: &Path, content: &str) -> Result<(), ReportError> {
    atomic::write(path, |file| file.write_all(content.as_bytes())).map_err(|source| ReportError {
        path: path.to_owned(),
        source,
    })
}
