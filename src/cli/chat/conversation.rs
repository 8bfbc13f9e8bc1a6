//! What was said, as the text that the model continues and as a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::atomic;

/// No conversation is longer.
const LONGEST_FILE: u64 = 64 << 20;

/// A question and its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Turn {
    /// What the user said.
    pub(super) user: String,
    /// What the model answered.
    pub(super) assistant: String,
}

/// Turns, and the names by which the model knows who speaks.
#[derive(Debug)]
pub(super) struct Conversation {
    user: String,
    assistant: String,
    /// The oldest first.
    pub(super) turns: Vec<Turn>,
}

impl Conversation {
    /// Nothing was said yet.
    pub(super) fn new(user: &str, assistant: &str) -> Conversation {
        Conversation {
            user: user.to_owned(),
            assistant: assistant.to_owned(),
            turns: Vec::new(),
        }
    }

    /// How a line of the user begins: where the model writes it, the answer is over.
    pub(super) fn user_speaks(&self) -> String {
        format!("\n{}:", self.user)
    }

    /// Ids of the text that an answer to `question` continues: at most `most` tokens, by dropping the oldest turns, the question
    /// itself in any case.
    pub(super) fn prompt(
        &self,
        question: &str,
        most: usize,
        encode: impl Fn(&str) -> Vec<u32>,
    ) -> Vec<u32> {
        let asked = |user: &str| format!("{}: {user}\n{}:", self.user, self.assistant);
        let mut parts = vec![encode(&asked(question))];
        let mut total = parts[0].len();
        for Turn { user, assistant } in self.turns.iter().rev() {
            let ids = encode(&format!("{} {assistant}\n", asked(user)));
            total += ids.len();
            if total > most {
                break;
            }
            parts.push(ids);
        }
        parts.into_iter().rev().flatten().collect()
    }

    /// Writes the turns to a file.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let turn = |turn: &Turn| json!({"user": turn.user, "assistant": turn.assistant});
        let turns: Vec<Value> = self.turns.iter().map(turn).collect();
        let content = json!({"schema": SCHEMA, "turns": turns});
        atomic::write(path, |file| writeln!(file, "{content:#}"))
    }

    /// Replaces the turns by those of a file; on an error nothing is changed.
    pub(super) fn load(&mut self, path: &Path) -> io::Result<()> {
        let mut text = String::new();
        File::open(path)?
            .take(LONGEST_FILE)
            .read_to_string(&mut text)?;
        let content: Value = serde_json::from_str(&text)?;
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if content["schema"] != SCHEMA {
            return Err(wrong("it is no conversation of loopos"));
        }
        let turn = |turn: &Value| {
            let said = |who: &str| turn[who].as_str().map(str::to_owned);
            let (user, assistant) = said("user").zip(said("assistant"))?;
            Some(Turn { user, assistant })
        };
        let turns = content["turns"]
            .as_array()
            .ok_or_else(|| wrong("`turns` is missing"))?;
        let turns: Option<Vec<Turn>> = turns.iter().map(turn).collect();
        self.turns = turns.ok_or_else(|| wrong("a turn needs `user` and `assistant`"))?;
        Ok(())
    }
}

/// The layout of a file.
const SCHEMA: &str = "loopos.chat/1";

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Conversation {
        let mut conversation = Conversation::new("Q", "A");
        for (user, assistant) in [("one", "1"), ("two", "2")] {
            let (user, assistant) = (user.to_owned(), assistant.to_owned());
            conversation.turns.push(Turn { user, assistant });
        }
        conversation
    }

    #[test]
    fn the_oldest_turns_are_dropped_first() {
        let encode = |text: &str| text.bytes().map(u32::from).collect::<Vec<u32>>();
        let prompt = |most| {
            let ids = conversation().prompt("three", most, encode);
            String::from_utf8(ids.iter().map(|id| *id as u8).collect()).unwrap()
        };
        let (newest, second, first) = ("Q: three\nA:", "Q: two\nA: 2\n", "Q: one\nA: 1\n");
        assert_eq!(prompt(100), [first, second, newest].concat());
        assert_eq!(prompt(34), [second, newest].concat());
        assert_eq!(prompt(23), [second, newest].concat());
        assert_eq!(prompt(22), newest);
        assert_eq!(prompt(0), newest);
    }

    #[test]
    fn what_is_saved_is_loaded_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        conversation().save(&path).unwrap();
        let mut loaded = Conversation::new("Q", "A");
        loaded.load(&path).unwrap();
        assert_eq!(loaded.turns, conversation().turns);
        let wrong = [
            "",
            "{}",
            "{\"schema\": \"loopos.chat/1\", \"turns\": [{\"user\": 1}]}",
        ];
        for text in wrong {
            std::fs::write(&path, text).unwrap();
            assert!(loaded.load(&path).is_err(), "{text}");
        }
        assert_eq!(loaded.turns, conversation().turns);
    }
}
