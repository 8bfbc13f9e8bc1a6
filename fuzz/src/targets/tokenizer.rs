//! A `tokenizer.json`, which then encodes and decodes.

use loopos::text::Tokenizer;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "tokenizer",
    run,
    seeds,
    slack: 4 << 20,
};

/// A vocabulary of a few words, and the same with special tokens.
fn seeds() -> Vec<Vec<u8>> {
    let text =
        ["the river runs under a bridge, the rain falls on the river; 1, 2, 3 and 4".repeat(4)];
    let tokenizer = Tokenizer::train(&text, 265).expect("a tokenizer of that text");
    let special = tokenizer
        .with_special(&["<|problem|>", "<|end|>"])
        .expect("room for two tokens");
    [tokenizer, special]
        .map(|tokenizer| tokenizer.json().as_bytes().to_vec())
        .into()
}

fn run(data: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_json(&String::from_utf8_lossy(data)) else {
        return;
    };
    for text in [
        "the river runs 1234 <|endoftext|>",
        " \u{202e}\u{1f600}\n\n\0 a",
        "",
    ] {
        let ids = tokenizer.encode(text);
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
        let _ = tokenizer.decode(&ids);
    }
    let every: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
    let _ = tokenizer.decode(&every);
    let _ = tokenizer.with_special(&["<|problem|>", "<|end|>"]);
}
