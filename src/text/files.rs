//! Text files of the user to documents, piece by piece: a text may be larger than memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::TextError;

/// A document is cut where it is longer than this many times the usual size.
const LONG: usize = 4;

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The text files at a path, checked and not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    path: PathBuf,
    texts: Vec<TextFile>,
    /// Files that are no text.
    pub(super) skipped: usize,
    /// Bytes of a document that is cut from a long text.
    usual: usize,
}

/// A file that is text.
#[derive(Clone, Debug)]
struct TextFile {
    path: PathBuf,
    /// Bytes of its byte-order mark, or none.
    mark: u64,
    /// Bytes behind it.
    bytes: u64,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> TextError {
    let path = path.to_owned();
    move |source| TextError::Read { path, source }
}

impl Files {
    /// Finds a text file, or the text files of a folder, and reads each once to see that it is text.
    pub(super) fn find(path: &Path) -> Result<Files, TextError> {
        let paths = if fs::metadata(path).map_err(failed(path))?.is_dir() {
            let mut paths = Vec::new();
            walk(path, &mut |file| paths.push(file.to_owned()))
                .map_err(|(at, source)| failed(&at)(source))?;
            paths
        } else {
            vec![path.to_owned()]
        };
        let mut found = Files {
            path: path.to_owned(),
            ..Files::default()
        };
        for path in paths {
            match text_file(&path).map_err(failed(&path))? {
                Some(text) => found.texts.push(text),
                None => found.skipped += 1,
            }
        }
        let bytes: u64 = found.texts.iter().map(|text| text.bytes).sum();
        // Some fifty documents at least, so that whole ones can be kept for validation.
        found.usual = (bytes / 50).clamp(1 << 10, 64 << 10) as usize;
        Ok(found)
    }

    /// Text files.
    pub(super) fn count(&self) -> usize {
        self.texts.len()
    }

    /// Calls `f` with each document in turn, of which no more than one is in memory.
    pub(super) fn visit(
        &self,
        f: &mut dyn FnMut(&str) -> Result<(), TextError>,
    ) -> Result<(), TextError> {
        for text in &self.texts {
            let path = &text.path;
            let mut file = File::open(path).map_err(failed(path))?;
            file.seek(SeekFrom::Start(text.mark))
                .map_err(failed(path))?;
            let mut cutter = Cutter::new(file, text.bytes, self.usual);
            while let Some(document) = cutter.next_document().map_err(failed(path))? {
                f(document)?;
            }
        }
        Ok(())
    }

    /// What is wrong where there is no document.
    pub(super) fn empty(&self) -> TextError {
        let what = match (self.count() + self.skipped, self.skipped) {
            (0, _) => "the folder is empty".to_owned(),
            (1, 1) => "it is not UTF-8".to_owned(),
            (_, 0) => "there is nothing but white space".to_owned(),
            (files, skipped) => {
                format!("of {files} files {skipped} are not UTF-8 and the rest is white space")
            }
        };
        TextError::Empty {
            path: self.path.clone(),
            what,
        }
    }
}

/// Calls `f` with every file below a folder, in the order of names; hidden entries and links to folders are left out.
pub(super) fn walk(folder: &Path, f: &mut dyn FnMut(&Path)) -> Result<(), (PathBuf, io::Error)> {
    let failed = |source| (folder.to_owned(), source);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push((entry.file_name(), entry.file_type().map_err(failed)?));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in entries {
        let path = folder.join(name);
        if kind.is_dir() {
            walk(&path, f)?;
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            f(&path);
        }
    }
    Ok(())
}

/// Reads a file; `None` for one that is no text.
fn text_file(path: &Path) -> io::Result<Option<TextFile>> {
    let mut file = File::open(path)?;
    let (mut mark, mut bytes, mut rest) = (None, 0, Vec::new());
    loop {
        let start = rest.len();
        let read = file
            .by_ref()
            .take(READ_BYTES as u64)
            .read_to_end(&mut rest)?;
        if read == 0 {
            // What is left is the beginning of a character that never ends.
            return Ok(rest.is_empty().then(|| TextFile {
                path: path.to_owned(),
                mark: mark.unwrap_or(0),
                bytes,
            }));
        }
        if rest[start..].contains(&0) {
            return Ok(None);
        }
        if mark.is_none() {
            let len = if rest.starts_with(BYTE_ORDER_MARK) {
                BYTE_ORDER_MARK.len()
            } else {
                0
            };
            rest.drain(..len);
            mark = Some(len as u64);
        }
        let Some(valid) = valid_up_to(&rest) else {
            return Ok(None);
        };
        bytes += valid as u64;
        rest.drain(..valid);
    }
}

/// Bytes of whole characters at the front, where at most one character is cut off behind them; `None` for what is no UTF-8.
fn valid_up_to(bytes: &[u8]) -> Option<usize> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Some(bytes.len()),
        Err(error) if error.error_len().is_none() => Some(error.valid_up_to()),
        Err(_) => None,
    }
}

/// Text without its byte-order mark; `None` for what is no text.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    let mut text = String::from_utf8(bytes).ok()?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Some(text)
}

/// A text as documents: whole where it is not long, else cut at empty lines, or at line ends where there are none. Documents of
/// nothing but white space are left out.
struct Cutter<R> {
    from: R,
    /// Bytes of the text that are not read yet.
    unread: u64,
    /// Read, and not part of a document so far.
    pending: Vec<u8>,
    /// Bytes of `pending` that the last document takes.
    given: usize,
    usual: usize,
    is_long: bool,
}

impl<R: Read> Cutter<R> {
    /// Cuts the text of `bytes` bytes that `from` gives.
    fn new(from: R, bytes: u64, usual: usize) -> Cutter<R> {
        Cutter {
            from,
            unread: bytes,
            pending: Vec::new(),
            given: 0,
            usual,
            is_long: bytes > (LONG * usual) as u64,
        }
    }

    fn next_document(&mut self) -> io::Result<Option<&str>> {
        loop {
            self.pending.drain(..self.given);
            self.given = 0;
            self.read()?;
            if self.pending.is_empty() {
                return Ok(None);
            }
            let valid = valid_up_to(&self.pending).ok_or_else(changed)?;
            if valid == 0 || self.unread == 0 && valid < self.pending.len() {
                return Err(changed());
            }
            let text = std::str::from_utf8(&self.pending[..valid]).map_err(|_| changed())?;
            self.given = if self.is_long && text.len() > self.usual {
                end(text, self.usual)
            } else {
                text.len()
            };
            if !text[..self.given].trim().is_empty() {
                break;
            }
        }
        std::str::from_utf8(&self.pending[..self.given])
            .map(Some)
            .map_err(|_| changed())
    }

    /// Reads on until `pending` holds the next document: all of a text that is not long, else the longest cut and a character.
    fn read(&mut self) -> io::Result<()> {
        let wanted = if self.is_long {
            2 * self.usual + 4
        } else {
            usize::MAX
        };
        let missing = wanted.saturating_sub(self.pending.len()) as u64;
        let bytes = missing.min(self.unread);
        let read = self
            .from
            .by_ref()
            .take(bytes)
            .read_to_end(&mut self.pending)?;
        self.unread -= bytes;
        if read as u64 == bytes {
            Ok(())
        } else {
            Err(changed())
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("the file changed while it was read")
}

/// The first good place to cut at or after `usual`: after an empty line, a line, a character; none later than twice `usual`.
fn end(text: &str, usual: usize) -> usize {
    let from = text.ceil_char_boundary(usual);
    let window = &text[from..text.floor_char_boundary((2 * usual).max(from))];
    let after = |mark: &str| window.find(mark).map(|at| from + at + mark.len());
    after("\n\n").or_else(|| after("\n")).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn read(path: &Path) -> Result<(Vec<String>, Files), TextError> {
        let (files, mut documents) = (Files::find(path)?, Vec::new());
        files.visit(&mut |document| {
            documents.push(document.to_owned());
            Ok(())
        })?;
        Ok((documents, files))
    }

    fn cut(text: &str, usual: usize) -> Vec<String> {
        let mut cutter = Cutter::new(text.as_bytes(), text.len() as u64, usual);
        let mut documents = Vec::new();
        while let Some(document) = cutter.next_document().unwrap() {
            documents.push(document.to_owned());
        }
        documents
    }

    #[test]
    fn a_folder_gives_its_text_files_in_order_and_counts_the_others() {
        let files: [(&str, &[u8]); 7] = [
            ("b.txt", b"second"),
            ("a/z.md", b"\xef\xbb\xbffirst"),
            ("c.bin", b"zero\0byte"),
            ("d.txt", b"\xff\xfe"),
            (".git/config", b"hidden"),
            ("e.txt", b" \n\t"),
            ("f", "na\u{ef}ve".as_bytes()),
        ];
        let folder = folder(&files);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        let (documents, files) = read(folder.path()).unwrap();
        assert_eq!(documents, ["first", "second", "naïve"]);
        assert_eq!((files.count(), files.skipped), (4, 2));
    }

    #[test]
    fn what_holds_no_text_is_refused_by_name() {
        let folder = folder(&[
            ("a/b.bin", b"\0"),
            ("empty.txt", b""),
            ("none/x/.keep", b""),
        ]);
        for (name, words) in [
            ("a/b.bin", "b.bin holds no text: it is not UTF-8"),
            (
                "empty.txt",
                "empty.txt holds no text: there is nothing but white space",
            ),
            ("none", "the folder is empty"),
            ("a", "a holds no text: it is not UTF-8"),
            ("", "of 2 files 1 are not UTF-8"),
            ("missing.txt", "cannot read"),
        ] {
            let message = match read(&folder.path().join(name)) {
                Ok((documents, files)) => {
                    assert_eq!(documents, [""; 0]);
                    files.empty().to_string()
                }
                Err(error) => error.to_string(),
            };
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_paragraphs() {
        let paragraphs: Vec<String> = (0..100)
            .map(|n| format!("Paragraph {n},\nin two lines.\n\n"))
            .collect();
        let documents = cut(&paragraphs.concat(), 200);
        assert!(documents.len() > 10);
        assert!(
            documents
                .iter()
                .all(|document| document.starts_with("Paragraph") && document.ends_with("\n\n"))
        );
        assert_eq!(cut("short", 200), ["short"]);
        let lines = cut(&"one verse\n".repeat(500), 200);
        assert!(
            lines
                .iter()
                .all(|document| document.ends_with("verse\n") && document.len() <= 400)
        );
    }

    #[test]
    fn texts_longer_than_a_read_are_cut_between_characters_and_noticed_when_they_change() {
        // An odd beginning puts a character of two bytes across the end of the first read.
        let text = format!("x{}", "na\u{ef}ve \u{e9}t\u{e9}\n".repeat(100_000));
        assert!(text.len() > READ_BYTES && !text.is_char_boundary(READ_BYTES));
        let folder = folder(&[("long.txt", text.as_bytes()), ("cut.txt", b"half \xc3")]);
        let (documents, files) = read(folder.path()).unwrap();
        assert!(documents.concat() == text, "the text changed");
        assert_eq!((files.count(), files.skipped), (1, 1));
        fs::write(folder.path().join("long.txt"), &text[..text.len() / 2]).unwrap();
        let error = files.visit(&mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("changed while it was read"), "{error}");
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(text in "[a\u{e9}\u{1f600}\\n]{0,300}", usual in 1usize..40) {
            let documents = cut(&text, usual);
            let kept: String = documents.concat();
            prop_assert_eq!(kept.replace('\n', ""), text.replace('\n', ""));
            prop_assert!(documents.iter().all(|document| document.len() <= LONG * usual.max(4)));
        }
    }
}
