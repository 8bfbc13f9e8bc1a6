//! JSON lines to learn from: worked problems in both forms, and preferences.

use loopos::text::examples::{read_pairs, read_worked};

use super::{Target, folder};

pub(super) const TARGET: Target = Target {
    name: "examples",
    run,
    seeds: || {
        let lines = [
            r#"{"problem": "2+3", "reasoning": ["2+3=5"], "answer": "5"}"#,
            r#"{"question": "How many?", "answer": "One and one.\n#### 1,002"}"#,
            r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
        ];
        let mut seeds: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        seeds.push(lines.join("\n\n").into_bytes());
        seeds
    },
    slack: 1 << 20,
};

fn run(data: &[u8]) {
    let path = folder().join("examples.jsonl");
    std::fs::write(&path, data).expect("a file in a temporary folder");
    let lines = data.split(|byte| *byte == b'\n').count();
    match read_worked(&path) {
        Ok(read) => assert!(read.items.len() + read.skipped.count <= lines),
        Err(error) => drop(error.to_string()),
    }
    match read_pairs(&path) {
        Ok(read) => assert!(read.items.iter().all(|pair| pair.chosen != pair.rejected)),
        Err(error) => drop(error.to_string()),
    }
}
