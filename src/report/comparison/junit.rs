//! The gate as JUnit's XML, which CI servers show as tests: one test a result.

use std::fmt::Write;

use super::{Comparison, Row, Verdict, percent};
use crate::report::draw::escape;
use crate::report::values::quantity;

impl Comparison {
    /// One suite for each candidate: a result that fails the gate is a failure, one that cannot be decided is skipped.
    pub fn junit(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"loopos compare\">\n",
        );
        for against in &self.against {
            let count = |of: fn(&Row) -> bool| against.results().filter(|row| of(row)).count();
            let _ = writeln!(
                text,
                "  <testsuite name=\"{} beside {}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"0\">",
                escape(&against.name),
                escape(&self.baseline),
                against.results().count(),
                count(|row| row.fails),
                count(is_skipped),
            );
            for row in against.results() {
                test(&mut text, row);
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

fn is_skipped(row: &Row) -> bool {
    row.verdict == Verdict::Inconclusive
}

fn test(text: &mut String, row: &Row) {
    let (suite, name) = row.name.split_once('.').unwrap_or(("", &row.name));
    let _ = write!(
        text,
        "    <testcase classname=\"loopos.{}\" name=\"{}\"",
        escape(suite),
        escape(name)
    );
    let change = percent(row).unwrap_or_else(|reason| reason);
    let message = escape(&format!(
        "{}: {} to {}, {change}",
        row.word(),
        quantity(row.baseline, &row.unit),
        quantity(row.candidate, &row.unit)
    ));
    let _ = if row.fails {
        writeln!(text, "><failure message=\"{message}\"/></testcase>")
    } else if is_skipped(row) {
        writeln!(text, "><skipped message=\"{message}\"/></testcase>")
    } else {
        writeln!(text, "><system-out>{message}</system-out></testcase>")
    };
}
