//! Text files of the user to documents.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::TextError;

/// A document is cut where it is longer than this many times the usual size.
const LONG: usize = 4;

/// What was found at a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) documents: Vec<String>,
    pub(super) files: usize,
    pub(super) skipped: usize,
}

/// Reads a text file, or the text files of a folder.
pub(super) fn read(path: &Path) -> Result<Found, TextError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TextError::Read { path, source }
    };
    let paths = if fs::metadata(path).map_err(failed(path))?.is_dir() {
        let mut paths = Vec::new();
        walk(path, &mut |file| paths.push(file.to_owned()))
            .map_err(|(at, source)| failed(&at)(source))?;
        paths
    } else {
        vec![path.to_owned()]
    };
    let mut found = Found::default();
    let mut texts = Vec::new();
    for path in &paths {
        match text(fs::read(path).map_err(failed(path))?) {
            Some(text) => texts.push(text),
            None => found.skipped += 1,
        }
    }
    found.files = texts.len();
    let bytes: usize = texts.iter().map(String::len).sum();
    // Some fifty documents at least, so that whole ones can be kept for validation.
    let usual = (bytes / 50).clamp(1 << 10, 64 << 10);
    found.documents = texts
        .into_iter()
        .flat_map(|text| cut(text, usual))
        .collect();
    if found.documents.is_empty() {
        let what = match (paths.len(), found.skipped) {
            (0, _) => "the folder is empty".to_owned(),
            (1, 1) => "it is not UTF-8".to_owned(),
            (_, 0) => "there is nothing but white space".to_owned(),
            (files, skipped) => {
                format!("of {files} files {skipped} are not UTF-8 and the rest is white space")
            }
        };
        return Err(TextError::Empty {
            path: path.to_owned(),
            what,
        });
    }
    Ok(found)
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

/// A text as documents: whole where it is not long, else cut at empty lines, or at line ends where there are none.
pub(super) fn cut(text: String, usual: usize) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    if text.len() <= LONG * usual {
        return vec![text];
    }
    let mut documents = Vec::new();
    let mut rest = text.as_str();
    while rest.len() > usual {
        let (document, tail) = rest.split_at(end(rest, usual));
        documents.push(document.to_owned());
        rest = tail;
    }
    documents.push(rest.to_owned());
    documents.retain(|document| !document.trim().is_empty());
    documents
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
        let found = read(folder.path()).unwrap();
        assert_eq!(found.documents, ["first", "second", "naïve"]);
        assert_eq!((found.files, found.skipped), (4, 2));
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
            let message = read(&folder.path().join(name)).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_paragraphs() {
        let paragraphs: Vec<String> = (0..100)
            .map(|n| format!("Paragraph {n},\nin two lines.\n\n"))
            .collect();
        let documents = cut(paragraphs.concat(), 200);
        assert!(documents.len() > 10);
        assert!(
            documents
                .iter()
                .all(|document| document.starts_with("Paragraph") && document.ends_with("\n\n"))
        );
        assert_eq!(cut("short".into(), 200), ["short"]);
        let lines = cut("one verse\n".repeat(500), 200);
        assert!(
            lines
                .iter()
                .all(|document| document.ends_with("verse\n") && document.len() <= 400)
        );
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(text in "[a\u{e9}\u{1f600}\\n]{0,300}", usual in 1usize..40) {
            let documents = cut(text.clone(), usual);
            let kept: String = documents.concat();
            prop_assert_eq!(kept.replace('\n', ""), text.replace('\n', ""));
            prop_assert!(documents.iter().all(|document| document.len() <= LONG * usual.max(4)));
        }
    }
}
