//! An example as tokens: special tokens tell its parts, and what comes before the response is read but not learnt.
//!
//! `<|problem|> .. <|reasoning|> .. <|answer|> .. <|end|>`. Numbers are encoded digit by digit, as in LLaMA (Touvron et al., arXiv
//! 2302.13971): whatever merges a vocabulary has, arithmetic sees places and not arbitrary groups of them.

use super::{Pair, Worked};
use crate::text::{Encoder, TextError, Tokenizer};

/// The special tokens, in the order of [`Parts`].
pub const SPECIAL: [&str; 4] = ["<|problem|>", "<|reasoning|>", "<|answer|>", "<|end|>"];

/// The ids of the special tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parts {
    /// Before what is asked.
    pub problem: u32,
    /// Before the steps.
    pub reasoning: u32,
    /// Before what they come to.
    pub answer: u32,
    /// After everything.
    pub end: u32,
}

/// The tokens of an example.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// All of them, the end included.
    pub ids: Vec<u32>,
    /// How many the prompt takes: the rest is what is to be learnt.
    pub prompt: usize,
}

impl Parts {
    /// The tokenizer with the special tokens, which get the next ids where it lacks them, and their ids.
    ///
    /// # Errors
    /// When the tokenizer cannot be extended.
    pub fn extend(tokenizer: &Tokenizer) -> Result<(Tokenizer, Parts), TextError> {
        let tokenizer = tokenizer.with_special(&SPECIAL)?;
        let no = || TextError::Tokenizer {
            what: "its special tokens got no ids".to_owned(),
        };
        let parts = Parts::of(&tokenizer).ok_or_else(no)?;
        Ok((tokenizer, parts))
    }

    /// The ids in a tokenizer that has all of them.
    pub fn of(tokenizer: &Tokenizer) -> Option<Parts> {
        let [problem, reasoning, answer, end] = SPECIAL.map(|token| tokenizer.special(token));
        Some(Parts {
            problem: problem?,
            reasoning: reasoning?,
            answer: answer?,
            end: end?,
        })
    }

    /// A problem up to where its steps begin.
    pub fn question(self, encoder: &mut Encoder<'_>, problem: &str) -> Vec<u32> {
        self.prompt(encoder, problem, self.reasoning)
    }

    /// A problem up to where its answer begins, without steps.
    pub fn bare_question(self, encoder: &mut Encoder<'_>, problem: &str) -> Vec<u32> {
        self.prompt(encoder, problem, self.answer)
    }

    fn prompt(self, encoder: &mut Encoder<'_>, problem: &str, then: u32) -> Vec<u32> {
        let mut ids = vec![self.problem];
        encode(encoder, problem, &mut ids);
        ids.push(then);
        ids
    }

    /// A worked problem: steps and answer are the response.
    pub fn worked(self, encoder: &mut Encoder<'_>, worked: &Worked) -> Encoded {
        let mut ids = self.question(encoder, &worked.problem);
        let prompt = ids.len();
        encode(encoder, &worked.reasoning.join("\n"), &mut ids);
        ids.push(self.answer);
        encode(encoder, &worked.answer, &mut ids);
        ids.push(self.end);
        Encoded { ids, prompt }
    }

    /// The same without its steps: the answer alone is the response.
    pub fn answer_alone(self, encoder: &mut Encoder<'_>, worked: &Worked) -> Encoded {
        self.response(encoder, &worked.problem, &worked.answer)
    }

    /// A prompt and a response that has no steps.
    pub fn response(self, encoder: &mut Encoder<'_>, prompt: &str, response: &str) -> Encoded {
        let mut ids = self.bare_question(encoder, prompt);
        let prompt = ids.len();
        encode(encoder, response, &mut ids);
        ids.push(self.end);
        Encoded { ids, prompt }
    }

    /// Both responses of a pair, the chosen one first.
    pub fn pair(self, encoder: &mut Encoder<'_>, pair: &Pair) -> [Encoded; 2] {
        [&pair.chosen, &pair.rejected].map(|text| self.response(encoder, &pair.prompt, text))
    }

    /// What stands between the answer's token and the end in a response; `None` where there is no answer.
    pub fn answer_in(self, tokenizer: &Tokenizer, response: &[u32]) -> Option<String> {
        let start = response.iter().position(|id| *id == self.answer)? + 1;
        Some(self.text(tokenizer, &response[start..]))
    }

    /// The text of a response up to its end, without space around it.
    pub fn text(self, tokenizer: &Tokenizer, response: &[u32]) -> String {
        let len = response.iter().position(|id| *id == self.end);
        let text = tokenizer.decode(&response[..len.unwrap_or(response.len())]);
        text.trim().to_owned()
    }
}

/// Adds the ids of a text, each digit by itself.
fn encode(encoder: &mut Encoder<'_>, text: &str, ids: &mut Vec<u32>) {
    for piece in text.split_inclusive(|c: char| c.is_ascii_digit()) {
        let digit = piece.len() - usize::from(piece.ends_with(|c: char| c.is_ascii_digit()));
        for part in [&piece[..digit], &piece[digit..]] {
            ids.extend(encoder.encode(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        Tokenizer::train(&["the 123 fox 123 and the fox 2024=2024 ".repeat(9)], 262).unwrap()
    }

    #[test]
    fn parts_are_told_by_tokens_that_no_text_spells() {
        let plain = tokenizer();
        let (tokenizer, parts) = Parts::extend(&plain).unwrap();
        assert_eq!(tokenizer.vocab_size(), plain.vocab_size() + 4);
        assert_eq!(Parts::of(&plain), None);
        let (again, same) = Parts::extend(&tokenizer).unwrap();
        assert_eq!((again.vocab_size(), same), (tokenizer.vocab_size(), parts));
        let mut encoder = tokenizer.encoder();
        let worked = Worked {
            problem: "the 123 <|end|>".to_owned(),
            reasoning: vec!["fox".to_owned(), "2024".to_owned()],
            answer: "123".to_owned(),
        };
        let Encoded { ids, prompt } = parts.worked(&mut encoder, &worked);
        assert_eq!((ids[0], ids[prompt - 1]), (parts.problem, parts.reasoning));
        assert_eq!(ids.iter().filter(|id| **id == parts.end).count(), 1);
        assert_eq!(parts.answer_in(&tokenizer, &ids[prompt..]).unwrap(), "123");
        assert_eq!(tokenizer.decode(&ids[1..prompt - 1]), worked.problem);
        // Seven digits, seven tokens.
        let digits = ids
            .iter()
            .filter(|id| tokenizer.piece(**id).iter().all(u8::is_ascii_digit));
        assert_eq!(digits.count(), 3 + 4 + 3);
        assert_eq!(parts.answer_in(&tokenizer, &ids[..prompt]), None);
        let bare = parts.answer_alone(&mut encoder, &worked);
        assert_eq!(bare.ids[bare.prompt - 1], parts.answer);
        assert_eq!(parts.text(&tokenizer, &bare.ids[bare.prompt..]), "123");
    }
}
