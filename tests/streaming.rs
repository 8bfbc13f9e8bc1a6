//! A text larger than the memory it is given: files are encoded piece by piece, and neither text nor tokens are ever held whole.
//!
//! One test alone is in this program: what it counts is counted for the whole process.
#![allow(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loopos::parallel::Pool;
use loopos::text::{Corpus, Tokenizer, tokens_of};

/// The system's allocator, which knows how much is held and how much was at most.
struct Peak;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all requests go to the system's allocator as they are; what grows is allocated anew by the trait's own `realloc`.
unsafe impl GlobalAlloc for Peak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Peak = Peak;

#[test]
fn a_long_text_is_encoded_in_a_part_of_its_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let sentence = |n: usize| {
        format!(
            "Line {n} tells of {} apples and {} pears.\n",
            n % 91,
            n % 13
        )
    };
    let text: String = (0..600_000).map(sentence).collect();
    let tokenizer = Tokenizer::train(&[&text[..50_000]], 400).expect("a tokenizer");
    let path = folder.path().join("long.txt");
    fs::write(&path, &text).expect("room");
    let size = text.len();
    drop(text);

    let pool = Pool::new(&[0]).expect("a thread");
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let (tokens, warnings) = pool
        .install(|| {
            let corpus = Corpus::from_path(&path)?;
            tokens_of(&corpus, &tokenizer, Some(&folder.path().join("cache")))
        })
        .expect("tokens");
    let most = MOST.load(Relaxed) - before;
    assert_eq!(warnings, [""; 0]);
    // Ten bytes of this text are some four tokens of two bytes.
    assert!(tokens.len() > size / 5, "{} tokens", tokens.len());
    // Two megabytes of text and its tokens at a time: 10.2 MB at most, when a text of 13 MB was encoded.
    assert!(
        size > 24 << 20 && most < 12 << 20,
        "{most} bytes for a text of {size}"
    );
}
