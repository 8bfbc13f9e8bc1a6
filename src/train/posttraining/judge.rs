//! Who says how good a response is.

use super::preferences::rewards;
use crate::text::Tokenizer;
use crate::text::examples::{Encoded, Parts, rule};
use crate::train::trainer::Trainer;

/// What a response is asked for by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prompt {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// The right answer, where there is one.
    pub answer: Option<String>,
}

/// A rule that can be checked without a model.
#[derive(Debug)]
pub struct Rule {
    /// Of the policy.
    pub tokenizer: Tokenizer,
    /// Its special tokens.
    pub parts: Parts,
}

impl Rule {
    /// 1 for the right answer and else 0; of a prompt without an answer what the hidden rule of sentences says.
    pub fn score(&self, prompt: &Prompt, response: &[u32]) -> f64 {
        let Some(answer) = &prompt.answer else {
            return rule(&self.parts.text(&self.tokenizer, response));
        };
        let found = match prompt.ids.last() {
            Some(last) if *last == self.parts.answer => {
                Some(self.parts.text(&self.tokenizer, response))
            }
            _ => self.parts.answer_in(&self.tokenizer, response),
        };
        f64::from(u8::from(found.as_ref() == Some(answer)))
    }
}

/// Who says how good a response is: a reward model, where there is one, or the rule.
#[derive(Debug)]
pub struct Judge {
    /// Can be checked; none of prompts that nobody knows the answers of.
    pub rule: Option<Rule>,
    /// A trained reward model.
    pub model: Option<Box<Trainer>>,
}

impl Judge {
    /// What the policy is to make larger, and what the rule says, for each response.
    pub(super) fn scores(
        &mut self,
        prompts: &[&Prompt],
        responses: &[&Encoded],
    ) -> (Vec<f64>, Option<Vec<f64>>) {
        let by_rule = self.rule.as_ref().map(|rule| {
            let pairs = prompts.iter().zip(responses);
            pairs
                .map(|(prompt, all)| rule.score(prompt, &all.ids[all.prompt..]))
                .collect::<Vec<_>>()
        });
        let scores = match &mut self.model {
            Some(model) => rewards(model, responses),
            None => by_rule
                .clone()
                .unwrap_or_else(|| vec![0.0; responses.len()]),
        };
        (scores, by_rule)
    }
}
