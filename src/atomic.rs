//! Files that are there whole or not at all: written beside their place, synced, renamed.
//!
//! A kill or a full disk at any moment leaves the old file as it was; at worst a `.NAME.PID.COUNT.tmp` stays, which the next [`write()`] of
//! this file, or [`sweep`], removes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long nobody must have written to a temporary file before it counts as left: a process of another machine or container, which is
/// not seen here, may be writing the same file.
const LEFT: Duration = Duration::from_secs(60);

/// Writes a file through `fill`; on any error the old file stays and the temporary one is removed. A device, a pipe and `/dev/stdout`
/// are written to as they are, for another file in their place would be none of them.
///
/// The folder must exist. The error is that of the system, without the path.
pub fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    if is_stream(path) {
        let stream = OpenOptions::new().write(true).truncate(true).open(path)?;
        let mut writer = BufWriter::new(stream);
        return fill(&mut writer).and_then(|()| writer.flush());
    }
    // What cannot be removed is in nobody's way.
    let _ = sweep_beside(path, LEFT);
    let temporary = temporary(path)?;
    let done = fill_and_rename(&temporary, path, fill);
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// Removes what processes that no longer live left unfinished in a folder, if nobody wrote to it for `idle`; says how many files and
/// folders that were. In a folder that other machines or containers write to, whose processes are not seen here, `idle` must be long.
pub fn sweep(folder: &Path, idle: Duration) -> io::Result<usize> {
    sweep_those(folder, idle, |_| true)
}

/// As [`sweep`], but only what was to become the file or folder `path`.
pub fn sweep_beside(path: &Path, idle: Duration) -> io::Result<usize> {
    let wanted = path.file_name().map(OsStr::as_bytes);
    sweep_those(folder_of(path), idle, |name| Some(name) == wanted)
}

fn sweep_those(
    folder: &Path,
    idle: Duration,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<usize> {
    let is_dead = |writer: u32| !Path::new(&format!("/proc/{writer}")).exists();
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((target, writer)) = target_and_writer(name.as_bytes()) else {
            continue;
        };
        if is_wanted(target) && is_dead(writer) && is_idle(&entry, idle) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a path names what bytes flow into, not what keeps them; what the shell has put behind `/dev/stdout` may be a file.
fn is_stream(path: &Path) -> bool {
    let of_process = path.starts_with("/dev") && !path.starts_with("/dev/shm");
    let is_other = |about: fs::Metadata| !about.is_file() && !about.is_dir();
    of_process || path.starts_with("/proc") || fs::metadata(path).is_ok_and(is_other)
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

/// `.NAME.PID.COUNT.tmp` beside a file or folder: on the same file system, and of this call only.
///
/// # Errors
/// When the path ends in no name.
pub fn temporary(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or_else(no_name)?);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    name.push(format!(".{process}.{count}.tmp"));
    Ok(folder_of(path).join(name))
}

/// What a name of [`temporary`]'s form was to become, and the process that it belongs to.
fn target_and_writer(name: &[u8]) -> Option<(&[u8], u32)> {
    let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<u32>().ok();
    let middle = name.strip_prefix(b".")?.strip_suffix(b".tmp")?;
    let mut parts = middle.rsplitn(3, |&byte| byte == b'.');
    let (_count, process) = (number(parts.next()?)?, number(parts.next()?)?);
    parts.next().map(|target| (target, process))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
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

    #[test]
    fn a_file_written_again_takes_what_a_killed_process_left_of_it_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OsStr::from_bytes(b"page.\xff.html"));
        let left = |name: &[u8], age: Duration| {
            let path = folder.path().join(OsStr::from_bytes(name));
            let file = File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let old = left(b".page.\xff.html.99999999.0.tmp", 2 * LEFT);
        let kept = [
            left(b".page.\xff.html.99999999.1.tmp", LEFT / 2),
            left(b".html.99999999.0.tmp", 2 * LEFT),
        ];
        write(&path, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!old.exists());
        assert!(kept.iter().all(|path| path.exists()));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    }

    #[test]
    fn a_device_or_a_pipe_is_written_to_and_stays_one() {
        let (mut reader, writer) = io::pipe().unwrap();
        let pipe = format!("/proc/self/fd/{}", writer.as_raw_fd());
        write(Path::new(&pipe), |file| file.write_all(b"through")).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        // A link to a device, as somebody else's name for it.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        write(&path, |file| file.write_all(b"nowhere")).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("/dev/null"));
        assert_eq!(names(folder.path()), ["null"]);
        assert!(write(Path::new("/dev/not-there"), |_| Ok(())).is_err());
        assert!(!Path::new("/dev/not-there").exists());
    }
}
