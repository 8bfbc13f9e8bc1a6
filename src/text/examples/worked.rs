//! Worked problems: `{"problem", "reasoning": [..], "answer"}`, and GSM8K's `{"question", "answer"}` (Cobbe et al., arXiv
//! 2110.14168), whose answer has the steps line by line and `#### N` at the end.

use std::path::Path;

use serde_json::{Map, Value};

use super::lines::{self, Lines, LinesError, text};

/// What ends the steps in an answer of GSM8K.
const GSM8K_ANSWER: &str = "####";

/// A problem with the way to its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Worked {
    /// What is asked.
    pub problem: String,
    /// The steps, in order.
    pub reasoning: Vec<String>,
    /// What they come to.
    pub answer: String,
}

/// Reads a file of worked problems; both forms may be mixed.
///
/// # Errors
/// When the file cannot be read or has none.
pub fn read_worked(path: &Path) -> Result<Lines<Worked>, LinesError> {
    lines::read(path, worked)
}

fn worked(object: &Map<String, Value>) -> Result<Worked, String> {
    if object.contains_key("question") {
        return gsm8k(object);
    }
    let steps = match object.get("reasoning") {
        Some(Value::Array(steps)) => steps,
        Some(_) => return Err("`reasoning` is no list of texts".to_owned()),
        None => return Err("`reasoning` is missing".to_owned()),
    };
    let step = |step: &Value| match step {
        Value::String(step) => Ok(step.trim().to_owned()),
        _ => Err("`reasoning` has something that is no text".to_owned()),
    };
    Ok(Worked {
        problem: text(object, "problem")?,
        reasoning: steps.iter().map(step).collect::<Result<_, _>>()?,
        answer: text(object, "answer")?,
    })
}

fn gsm8k(object: &Map<String, Value>) -> Result<Worked, String> {
    let (problem, answer) = (text(object, "question")?, text(object, "answer")?);
    let Some((steps, answer)) = answer.rsplit_once(GSM8K_ANSWER) else {
        return Err(format!(
            "`answer` has no `{GSM8K_ANSWER}` before its result"
        ));
    };
    let answer = answer.trim().replace(',', "");
    if answer.is_empty() {
        return Err(format!("`answer` has nothing after `{GSM8K_ANSWER}`"));
    }
    let steps = steps.lines().map(str::trim).filter(|step| !step.is_empty());
    Ok(Worked {
        problem,
        reasoning: steps.map(str::to_owned).collect(),
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_forms_are_read_and_what_is_neither_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mixed.jsonl");
        let lines = [
            r#"{"problem": " 1+1? ", "reasoning": ["1+1=2"], "answer": 2}"#,
            r#"{"question": "Eggs?", "answer": "3 + 4 = 7\n\nso 9\n#### 1,800"}"#,
            "",
            "{broken",
            r#"{"problem": "x", "reasoning": "y", "answer": "z"}"#,
            r#"{"question": "x", "answer": "no end"}"#,
            "[1]",
            r#"{"problem": "", "reasoning": [], "answer": "z"}"#,
            r#"{"problem": "x", "reasoning": [1], "answer": "z"}"#,
        ];
        fs::write(&path, lines.join("\n")).unwrap();
        let read = read_worked(&path).unwrap();
        assert_eq!(read.items.len(), 2);
        assert_eq!(read.items[0].problem, "1+1?");
        assert_eq!(read.items[0].answer, "2");
        assert_eq!(read.items[1].reasoning, ["3 + 4 = 7", "so 9"]);
        assert_eq!(read.items[1].answer, "1800");
        let told = read.skipped.to_string();
        assert!(told.contains("6 lines left out"), "{told}");
        let wanted = [
            ":4: it is no JSON",
            ":5: `reasoning` is no list",
            ":6: `answer` has no `####`",
            ":7: it is JSON, but no object",
            ":8: `problem` is empty",
            "and 1 more",
        ];
        for part in wanted {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }

    #[test]
    fn a_file_without_any_is_an_error_that_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.jsonl");
        let missing = read_worked(&path).unwrap_err().to_string();
        assert!(missing.contains("none.jsonl"), "{missing}");
        fs::write(&path, "{}\n").unwrap();
        let error = read_worked(&path).unwrap_err().to_string();
        assert!(
            error.contains("none.jsonl:1: `reasoning` is missing"),
            "{error}"
        );
        fs::write(&path, "\n").unwrap();
        let error = read_worked(&path).unwrap_err().to_string();
        assert!(error.ends_with("it is empty"), "{error}");
    }
}
