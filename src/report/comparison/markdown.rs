//! The comparison as Markdown, for a comment on a pull request.

use std::fmt::Write;

use super::{Against, Comparison, Row, Verdict, percent};
use crate::report::draw::clean;
use crate::report::values::quantity;

/// Rows of a table; the page has all.
const MOST: usize = 60;

impl Comparison {
    /// A heading with the verdict, what differs, a table of results, and the details folded.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for against in &self.against {
            let failed = against.results().any(|row| row.fails);
            let state = match (self.question.gate, failed) {
                (None, _) => String::new(),
                (Some(gate), true) => format!(": fails the gate of {}", quantity(gate, "ratio")),
                (Some(gate), false) => format!(": passes the gate of {}", quantity(gate, "ratio")),
            };
            let _ = writeln!(text, "### loopos: {}{state}\n", headline(against));
            let _ = writeln!(
                text,
                "`{}` ({}) beside `{}` ({}), on {}; {}.\n",
                code(&against.name),
                plain(&against.about),
                code(&self.baseline),
                plain(&self.about),
                plain(&self.machine),
                against.pairing.words()
            );
            for difference in &against.differences {
                let _ = writeln!(
                    text,
                    "- differs: **{}**, {} | {}",
                    plain(&difference.what),
                    plain(&difference.baseline),
                    plain(&difference.candidate)
                );
            }
            if !against.differences.is_empty() {
                text.push('\n');
            }
            table(&mut text, against.results());
            let details: Vec<&Row> = against.rows.iter().filter(|row| is_notable(row)).collect();
            if !details.is_empty() {
                text.push_str("\n<details><summary>Details that changed</summary>\n\n");
                table(&mut text, details.into_iter());
                text.push_str("\n</details>\n");
            }
            text.push('\n');
        }
        let _ = writeln!(text, "<sub>{}</sub>", self.method());
        text
    }
}

/// The verdicts of the results in a line.
pub(super) fn headline(against: &Against) -> String {
    let tally = against.tally();
    if tally.is_empty() {
        "nothing to compare".to_owned()
    } else {
        tally
    }
}

/// A detail that is not the same.
pub(super) fn is_notable(row: &Row) -> bool {
    row.role == super::Role::Detail && matches!(row.verdict, Verdict::Better | Verdict::Worse)
}

fn table<'a>(text: &mut String, rows: impl Iterator<Item = &'a Row>) {
    let rows: Vec<&Row> = rows.collect();
    if rows.is_empty() {
        text.push_str("No metric has a value in both.\n");
        return;
    }
    text.push_str(
        "| metric | baseline | candidate | change (95 %) | verdict |\n|---|--:|--:|---|---|\n",
    );
    for row in rows.iter().take(MOST) {
        let word = match row.verdict {
            Verdict::Better | Verdict::Worse => format!("**{}**", row.word()),
            _ => row.word().to_owned(),
        };
        let change = percent(row).unwrap_or_else(|reason| plain(&reason));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {change} | {word} |",
            code(&row.name),
            plain(&quantity(row.baseline, &row.unit)),
            plain(&quantity(row.candidate, &row.unit)),
        );
    }
    if rows.len() > MOST {
        let _ = writeln!(text, "\n{} more are on the page.", rows.len() - MOST);
    }
}

/// Text that starts no markup and leaves no cell of a table.
fn plain(text: &str) -> String {
    let mut escaped = String::new();
    for character in clean(text).chars() {
        if "\\`*_[]<>|#&!~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Text between backticks.
fn code(text: &str) -> String {
    clean(text).replace('`', "'").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        assert_eq!(plain("a|b <i> *c*"), "a\\|b \\<i\\> \\*c\\*");
        assert_eq!(code("a`b|c"), "a'b\\|c");
    }
}
