//! From a corpus to a tokenizer and tokens, which are kept in a folder and found again by what they were made from.
//!
//! `tokenizer-TEXT-CONTENT.json` holds a tokenizer: TEXT names the text and the vocabulary it was trained for, CONTENT is the hash of
//! the file. `tokens-KEY.bin` holds the tokens of a text by a tokenizer (`tokens.rs`). A file that is damaged is reported and made
//! anew. A folder that cannot be written to costs time at the next run, and nothing else.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::corpus::Corpus;
use super::error::TextError;
use super::map;
use super::tokenizer::Tokenizer;
use super::tokens::{Key, Tokens, Writer};
use crate::atomic;

/// Text that a tokenizer is trained on: more of the same hardly changes it.
const SAMPLE_BYTES: usize = 8 << 20;

/// Bytes of text that are encoded at a time by each thread.
const ENCODED_AT_A_TIME: usize = 2 << 20;

/// A file that nobody has written to for so long is not being written, wherever its writer is.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Raised when the same text would give another tokenizer.
const METHOD: &[u8] = b"byte-level BPE 1";

/// A corpus ready to train on.
#[derive(Debug)]
pub struct Prepared {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The corpus by this tokenizer.
    pub tokens: Tokens,
    /// What went wrong with kept files; none of it matters for the result.
    pub warnings: Vec<String>,
}

/// Trains a tokenizer of `vocab_size` tokens on a corpus, and encodes it; both are kept in `folder`, or found there.
///
/// Runs on the current rayon pool. Of a text in files, a few megabytes a thread are in memory at a time, and the tokens are mapped
/// from the file that they are kept in; without `folder` they are in memory.
pub fn prepare(
    corpus: &Corpus,
    vocab_size: usize,
    folder: Option<&Path>,
) -> Result<Prepared, TextError> {
    let mut shelf = Shelf::new(folder);
    let tokenizer = shelf.tokenizer(corpus, vocab_size)?;
    let tokens = shelf.tokens(corpus, &tokenizer)?;
    Ok(Prepared {
        tokenizer,
        tokens,
        warnings: shelf.warnings,
    })
}

/// Encodes a corpus by a tokenizer that there is already; the tokens are kept in `folder`, or found there. Also what went wrong
/// with kept files.
///
/// Runs on the current rayon pool, in as little memory as [`prepare`].
pub fn tokens_of(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    folder: Option<&Path>,
) -> Result<(Tokens, Vec<String>), TextError> {
    let mut shelf = Shelf::new(folder);
    let tokens = shelf.tokens(corpus, tokenizer)?;
    Ok((tokens, shelf.warnings))
}

struct Shelf<'p> {
    folder: Option<&'p Path>,
    warnings: Vec<String>,
}

impl Shelf<'_> {
    fn new(folder: Option<&Path>) -> Shelf<'_> {
        Shelf {
            folder,
            warnings: Vec::new(),
        }
    }

    fn tokenizer(&mut self, corpus: &Corpus, vocab_size: usize) -> Result<Tokenizer, TextError> {
        let sample = sample(corpus, SAMPLE_BYTES)?;
        let sample: Vec<&str> = sample.iter().map(String::as_str).collect();
        let mut hash = Sha256::new();
        hash.update(METHOD);
        hash.update((vocab_size as u64).to_le_bytes());
        for document in &sample {
            hash.update((document.len() as u64).to_le_bytes());
            hash.update(document);
        }
        let stem = format!("tokenizer-{}", short(&hash.finalize().into()));
        if let Some(tokenizer) = self.kept_tokenizer(&stem) {
            return Ok(tokenizer);
        }
        let tokenizer = Tokenizer::train(&sample, vocab_size)?;
        let name = format!("{stem}-{}.json", short(&tokenizer.key()));
        self.keep(&name, tokenizer.json().as_bytes());
        Ok(tokenizer)
    }

    fn kept_tokenizer(&mut self, stem: &str) -> Option<Tokenizer> {
        let entries = fs::read_dir(self.folder?).ok()?.flatten();
        let ours = |path: &PathBuf| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with(stem) && name.ends_with(".json")
        };
        let path = entries.map(|entry| entry.path()).find(ours)?;
        let json = fs::read_to_string(&path).unwrap_or_default();
        let hash: Key = Sha256::digest(&json).into();
        if path.to_str()?.ends_with(&format!("-{}.json", short(&hash)))
            && let Ok(tokenizer) = Tokenizer::from_json(&json)
        {
            return Some(tokenizer);
        }
        self.damaged(&path, "its checksum does not match");
        // Its name would keep it in the way of the new one.
        let _ = fs::remove_file(&path);
        None
    }

    fn tokens(&mut self, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Tokens, TextError> {
        let mut hash = Sha256::new();
        hash.update(corpus.key());
        hash.update(tokenizer.key());
        let key: Key = hash.finalize().into();
        let name = format!("tokens-{}.bin", short(&key));
        if let Some(tokens) = self.kept_tokens(&name, &key) {
            return Ok(tokens);
        }
        // From a file the pages can be given back to the system when memory is short.
        let mut unreadable = None;
        self.write(&name, |file| {
            encode(corpus, tokenizer, key, file).map_err(|error| match error {
                EncodeError::Text(error) => {
                    unreadable = Some(error);
                    io::ErrorKind::Interrupted.into()
                }
                EncodeError::Write(error) => error,
            })
        });
        if let Some(error) = unreadable {
            return Err(error);
        }
        match self.kept_tokens(&name, &key) {
            Some(tokens) => Ok(tokens),
            None => Tokens::in_memory(|file| {
                encode(corpus, tokenizer, key, file).map_err(|error| match error {
                    EncodeError::Text(error) => error,
                    EncodeError::Write(source) => TextError::Write {
                        path: name.clone().into(),
                        source,
                    },
                })
            }),
        }
    }

    fn kept_tokens(&mut self, name: &str, key: &Key) -> Option<Tokens> {
        let path = self.folder?.join(name);
        let file = File::open(&path).ok()?;
        match map::read_only(&file) {
            Ok(map) => Tokens::from_file(map, key)
                .map_err(|what| self.damaged(&path, what))
                .ok(),
            Err(error) => {
                self.damaged(&path, &error.to_string());
                None
            }
        }
    }

    fn keep(&mut self, name: &str, bytes: &[u8]) {
        self.write(name, |file| file.write_all(bytes));
    }

    fn write(&mut self, name: &str, fill: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>) {
        let Some(folder) = self.folder else { return };
        let path = folder.join(name);
        let written = fs::create_dir_all(folder).and_then(|()| {
            // What stays of a run that was killed takes room, and does no harm otherwise.
            let _ = atomic::sweep(folder, FORGOTTEN);
            atomic::write(&path, fill)
        });
        if let Err(error) = written {
            self.warnings.push(format!(
                "cannot write {}: {error}; the next run makes it again",
                path.display()
            ));
        }
    }

    fn damaged(&mut self, path: &Path, what: &str) {
        self.warnings
            .push(format!("{} is made anew: {what}", path.display()));
    }
}

/// Why a corpus could not be encoded into a file.
enum EncodeError {
    /// The text cannot be read.
    Text(TextError),
    /// The tokens cannot be written.
    Write(io::Error),
}

impl From<io::Error> for EncodeError {
    fn from(error: io::Error) -> EncodeError {
        EncodeError::Write(error)
    }
}

/// Writes the tokens of a corpus, some documents at a time.
fn encode(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    key: Key,
    file: impl Write + Seek,
) -> Result<(), EncodeError> {
    let end_of_text = Some(tokenizer.end_of_text());
    let mut writer = Writer::new(file, tokenizer.vocab_size(), end_of_text, key)?;
    let mut flush = |documents: &mut Vec<String>| {
        let encode = |encoder: &mut super::Encoder<'_>, document: &String| encoder.encode(document);
        // One encoder a thread: it gets faster the more words it has seen.
        let share = documents.len().div_ceil(rayon::current_num_threads());
        let tokens: Vec<Vec<u32>> = documents
            .par_iter()
            .with_min_len(share)
            .map_init(|| tokenizer.encoder(), encode)
            .collect();
        documents.clear();
        tokens
            .iter()
            .try_for_each(|document| writer.document(document))
    };
    let most = ENCODED_AT_A_TIME * rayon::current_num_threads();
    let (mut documents, mut bytes) = (Vec::new(), 0);
    let mut full = Ok(());
    corpus
        .visit(&mut |document| {
            // Nothing more is needed of the text when the file takes no more.
            if full.is_ok() {
                documents.push(document.to_owned());
                bytes += document.len();
            }
            if bytes >= most {
                bytes = 0;
                full = flush(&mut documents);
            }
            Ok(())
        })
        .map_err(EncodeError::Text)?;
    full?;
    flush(&mut documents)?;
    Ok(writer.finish()?)
}

/// Documents spread evenly over the corpus, of at most `limit` bytes.
fn sample(corpus: &Corpus, limit: usize) -> Result<Vec<String>, TextError> {
    let total = corpus.bytes();
    let (mut seen, mut taken) = (0, 0);
    let mut sample = Vec::new();
    corpus.visit(&mut |document| {
        seen += document.len();
        let with = taken + document.len();
        // So far no more than the share of the whole that the limit is.
        if with as u128 * total as u128 <= limit as u128 * seen as u128 || total <= limit {
            taken = with;
            sample.push(document.to_owned());
        }
        Ok(())
    })?;
    Ok(sample)
}

/// The first half of a key, as text.
fn short(key: &Key) -> String {
    key[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::text::corpus::Source;

    fn corpus(lines: usize) -> Corpus {
        let line = |n: usize| {
            format!(
                "Line {n} of the text tells of {} apples and {} pears.\n",
                n * 7,
                n % 13
            )
        };
        texts((0..lines).map(line).collect())
    }

    fn texts(documents: Vec<String>) -> Corpus {
        let source = Source::Path {
            path: PathBuf::from("here"),
            files: 1,
            skipped: 0,
        };
        Corpus::of(source, documents).unwrap()
    }

    fn ids(tokens: &Tokens) -> Vec<u32> {
        let mut ids = vec![0; tokens.len()];
        tokens.copy(0, &mut ids);
        ids
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_is_what_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("below/cache");
        let fresh = prepare(&corpus(300), 330, None).unwrap();
        let made = prepare(&corpus(300), 330, Some(&cache)).unwrap();
        let kept = names(&cache);
        assert_eq!(kept.len(), 2, "{kept:?}");
        let found = prepare(&corpus(300), 330, Some(&cache)).unwrap();
        for prepared in [&made, &found] {
            assert!(prepared.tokenizer.json() == fresh.tokenizer.json());
            assert!(ids(&prepared.tokens) == ids(&fresh.tokens));
            assert_eq!(prepared.warnings, [""; 0]);
        }
        assert_eq!(names(&cache), kept);
        assert_eq!(fresh.tokens.documents(), 300);
        let mut text = String::new();
        let keep = corpus(1).visit(&mut |document| {
            text.push_str(document);
            Ok(())
        });
        keep.unwrap();
        let mut first = fresh.tokenizer.encode(&text);
        first.push(fresh.tokenizer.end_of_text());
        assert_eq!(ids(&fresh.tokens)[..first.len()], first);
    }

    #[test]
    fn other_text_or_another_vocabulary_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        for (lines, vocabulary, files) in
            [(300, 330, 2), (300, 320, 4), (301, 330, 6), (300, 330, 6)]
        {
            prepare(&corpus(lines), vocabulary, Some(folder.path())).unwrap();
            assert_eq!(names(folder.path()).len(), files);
        }
    }

    #[test]
    fn damaged_files_are_reported_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing mapped is kept: this test, unlike the program, changes files in place.
        let wanted = ids(&prepare(&corpus(300), 330, Some(folder.path()))
            .unwrap()
            .tokens);
        for name in names(folder.path()) {
            let path = folder.path().join(&name);
            let good = fs::read(&path).unwrap();
            let mut flipped = good.clone();
            flipped[good.len() / 2] ^= 1;
            for bad in [&flipped[..], &good[..good.len() / 2], b"", b"\xff"] {
                fs::write(&path, bad).unwrap();
                let again = prepare(&corpus(300), 330, Some(folder.path())).unwrap();
                assert!(ids(&again.tokens) == wanted, "{name}");
                assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
                assert!(
                    again.warnings[0].contains(&name) && again.warnings[0].contains("made anew")
                );
                assert_eq!(fs::read(&path).unwrap(), good);
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_used_costs_a_warning_only() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        fs::set_permissions(&blocked, fs::Permissions::from_mode(0o400)).unwrap();
        let prepared = prepare(&corpus(300), 330, Some(&blocked.join("cache"))).unwrap();
        assert_eq!(prepared.warnings.len(), 2);
        assert!(
            prepared.warnings[0].starts_with("cannot write "),
            "{:?}",
            prepared.warnings
        );
    }

    #[test]
    fn a_sample_is_spread_over_the_corpus() {
        let corpus = texts((0..100).map(|n| format!("{n:0100}")).collect());
        let sample = |limit| sample(&corpus, limit).unwrap();
        let taken = sample(2_500);
        assert_eq!(taken.len(), 25);
        assert!(taken[0].ends_with("03") && taken[24].ends_with("99"));
        assert_eq!(sample(10_000).len(), 100);
        assert_eq!(sample(10).len(), 0);
    }
}
