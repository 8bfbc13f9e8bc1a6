//! Files that are there whole or not at all: written beside their place, synced, renamed.
//!
//! A kill or a full disk at any moment leaves the old file as it was; at worst a `.NAME.PID.tmp` stays, which [`sweep`] removes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Writes a file through `fill`; on any error the old file stays and the temporary one is removed.
///
/// The folder must exist. The error is that of the system, without the path.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary(path)?;
    let done = fill_and_rename(&temporary, path, fill);
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// Removes what processes that no longer live left unfinished in a folder, if nobody wrote to it for `idle`; says how many files that
/// were. In a folder that other machines or containers write to, whose processes are not seen here, `idle` must be long.
pub fn sweep(folder: &Path, idle: Duration) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let writer = entry.file_name().to_str().and_then(writer_of);
        let is_dead = |writer: u32| !Path::new(&format!("/proc/{writer}")).exists();
        if writer.is_some_and(is_dead) && is_idle(&entry, idle) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether nobody has written to it for so long. A file that is of the future, as after a jump of the clock, or gone by now, is left alone.
fn is_idle(entry: &fs::DirEntry, idle: Duration) -> bool {
    let written = entry.metadata().and_then(|about| about.modified());
    written.is_ok_and(|time| idle.is_zero() || time.elapsed().is_ok_and(|passed| passed >= idle))
}

fn fill_and_rename(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(temporary)?;
    let mut writer = BufWriter::new(file);
    fill(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    // The rename itself is durable once the folder is.
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.NAME.PID.COUNT.tmp` beside the file: on the same file system, and of this call only.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    Ok(folder_of(path).join(format!(".{name}.{process}.{count}.tmp")))
}

/// The process that a name of [`temporary`]'s form belongs to.
fn writer_of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit('.');
    let _count: u64 = parts.next()?.parse().ok()?;
    let process = parts.next()?.parse().ok()?;
    parts.next().map(|_| process)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::SystemTime;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(folder).unwrap().map(name).collect()
    }

    #[test]
    fn the_new_file_replaces_the_old_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for text in ["old", "new"] {
            write(&path, |file| file.write_all(text.as_bytes())).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn an_error_keeps_the_old_file_and_cleans_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |file| file.write_all(b"old")).unwrap();
        let error = write(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk on fire"))
        });
        assert_eq!(error.unwrap_err().to_string(), "disk on fire");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert!(write(Path::new("/no/such/folder/a"), |_| Ok(())).is_err());
        assert!(write(Path::new("/"), |_| Ok(())).is_err());
    }

    #[test]
    fn only_the_dead_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let living = temporary(&folder.path().join("b.bin")).unwrap();
        let kept = [
            "a.tmp",
            ".x.tmp",
            "model.7.1.tmp",
            ".model.seven.1.tmp",
            ".7.1.tmp",
        ];
        for name in kept {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::write(&living, "").unwrap();
        // Larger than any process id that Linux gives out.
        fs::write(folder.path().join(".model.bin.99999999.1.tmp"), "").unwrap();
        let hour = Duration::from_secs(3600);
        assert_eq!(sweep(folder.path(), hour).unwrap(), 0);
        assert_eq!(sweep(folder.path(), Duration::ZERO).unwrap(), 1);
        let old = File::create(folder.path().join(".tokens.bin.99999999.2.tmp")).unwrap();
        old.set_modified(SystemTime::now() - 2 * hour).unwrap();
        assert_eq!(sweep(folder.path(), hour).unwrap(), 1);
        assert_eq!(names(folder.path()).len(), kept.len() + 1);
    }
}
