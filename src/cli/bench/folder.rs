//! Where a run's results go: `runs/<id>/` in the folder for reports, and a copy in `latest/`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::cli::outcome::Failure;
use crate::record::{Run, sealed};
use crate::report;

/// The folder of one run, made and known to be writable.
#[derive(Debug)]
pub(super) struct Folder {
    run: PathBuf,
    latest: PathBuf,
}

impl Folder {
    /// Makes the folder of run `id` below `reports` and tries to write in both places, so that an hour of measuring does not
    /// end before a closed door.
    ///
    /// # Errors
    /// Wrong use, if nothing can be written there.
    pub(super) fn new(reports: &Path, id: &str) -> Result<Self, Failure> {
        let folder = Self {
            run: reports.join("runs").join(id),
            latest: reports.join("latest"),
        };
        for place in [&folder.run, &folder.latest] {
            try_writing(place).map_err(|error| {
                Failure::wrong_use(format!(
                    "cannot write results to {}: {error}",
                    place.display()
                ))
                .help("name a folder that can be written to by --out DIR")
            })?;
        }
        Ok(folder)
    }

    /// Writes run.json.
    pub(super) fn keep(&self, run: &Run) -> Result<(), Failure> {
        write_json(&self.run, run).map_err(|error| failed(&self.run, &error))
    }

    /// Writes run.json, the page and its pictures, and makes them the latest: the path of the page.
    pub(super) fn publish(&self, run: &Run) -> Result<PathBuf, Failure> {
        self.keep(run)?;
        report::write(run, &self.run).map_err(Failure::failed)?;
        copy(&self.run, &self.latest).map_err(|error| failed(&self.latest, &error))?;
        Ok(self.latest.join("report.html"))
    }

    /// Takes the folder away again, if it is empty.
    pub(super) fn discard(&self) {
        // What is left behind is an empty folder at worst.
        let _ = fs::remove_dir(&self.run);
    }
}

fn failed(place: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "cannot write results to {}: {error}",
        place.display()
    ))
}

fn try_writing(place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let path = place.join(format!(".try.{}", std::process::id()));
    File::create(&path)?.write_all(b"loopos")?;
    fs::remove_file(path)
}

fn write_json(folder: &Path, run: &Run) -> io::Result<()> {
    let document = sealed(run)?;
    atomic::write(&folder.join("run.json"), |file| {
        serde_json::to_writer_pretty(&mut *file, &document)?;
        file.write_all(b"\n")
    })
}

/// Replaces the files of `latest` by those of `from`; files that only an older run had are taken away.
fn copy(from: &Path, latest: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, temporary) = (entry.file_name(), latest.join("copying.tmp"));
        fs::copy(entry.path(), &temporary)?;
        fs::rename(&temporary, latest.join(&name))?;
        names.push(name);
    }
    for entry in fs::read_dir(latest)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !names.contains(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_folder_is_the_newest_run() {
        let reports = tempfile::tempdir().unwrap();
        let (one, two) = (
            Folder::new(reports.path(), "1").unwrap(),
            Folder::new(reports.path(), "2").unwrap(),
        );
        fs::write(one.run.join("a.svg"), "old").unwrap();
        fs::write(one.run.join("only-old.svg"), "old").unwrap();
        fs::write(two.run.join("a.svg"), "new").unwrap();
        copy(&one.run, &one.latest).unwrap();
        copy(&two.run, &two.latest).unwrap();
        assert_eq!(
            fs::read_to_string(reports.path().join("latest/a.svg")).unwrap(),
            "new"
        );
        assert_eq!(
            fs::read_dir(reports.path().join("latest")).unwrap().count(),
            1
        );
        one.discard();
        assert!(
            one.run.join("a.svg").exists(),
            "a folder with results stays"
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_before_measuring() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Folder::new(file.path(), "1").unwrap_err();
        assert!(
            error.to_string().contains("cannot write results"),
            "{error}"
        );
    }
}
