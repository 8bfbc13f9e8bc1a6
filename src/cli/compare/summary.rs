//! A comparison on a terminal: what is compared, what differs, and a line for each result.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use clap::builder::styling::{AnsiColor, Style};

use crate::cli::environment;
use crate::cli::outcome::shown;
use crate::report::comparison::{Against, Comparison, Role, Row, Verdict, Weight, percent};
use crate::report::quantity;
use crate::units::Ratio;

/// Results shown; the page has all.
const RESULTS: usize = 40;

/// Details shown of those that changed.
const DETAILS: usize = 8;

/// Columns of the labels.
const LABEL: usize = 11;

/// The comparison, with colours where stdout is a terminal that wants them.
pub(super) fn text(comparison: &Comparison) -> String {
    let colors = io::stdout().is_terminal() && environment::color();
    let mut text = String::new();
    line(&mut text, "machine", &comparison.machine);
    line(
        &mut text,
        "baseline",
        &format!("{}: {}", comparison.baseline, comparison.about),
    );
    for against in &comparison.against {
        one(&mut text, comparison, against, colors);
    }
    text
}

fn line(text: &mut String, label: &str, content: &str) {
    let _ = writeln!(text, "{label:<LABEL$}{}", shown(content));
}

fn one(text: &mut String, comparison: &Comparison, against: &Against, colors: bool) {
    line(
        text,
        "candidate",
        &format!("{}: {}", against.name, against.about),
    );
    line(text, "pairs", &against.pairing.words());
    for difference in &against.differences {
        let mark = if difference.weight == Weight::Forbids {
            "NOT SAME"
        } else {
            "differs"
        };
        let both = format!(
            "{}: {} | {}",
            difference.what, difference.baseline, difference.candidate
        );
        line(text, mark, &both);
    }
    let results: Vec<&Row> = against.results().collect();
    table(text, &results, RESULTS, colors);
    let changed = |row: &&Row| {
        row.role == Role::Detail && matches!(row.verdict, Verdict::Better | Verdict::Worse)
    };
    let details: Vec<&Row> = against.rows.iter().filter(changed).collect();
    if !details.is_empty() {
        text.push_str("details that changed\n");
        table(text, &details, DETAILS, colors);
    }
    let tally = against.tally();
    line(
        text,
        "verdict",
        if tally.is_empty() {
            "nothing to compare"
        } else {
            &tally
        },
    );
    if let Some(gate) = comparison.question.gate {
        let failed = results.iter().filter(|row| row.fails).count();
        let outcome = match failed {
            0 => "no regression".to_owned(),
            1 => "1 regression".to_owned(),
            more => format!("{more} regressions"),
        };
        line(text, "gate", &format!("{}: {outcome}", Ratio(gate)));
    }
}

/// Rows under the case that they share, so that a line fits 80 columns.
fn table(text: &mut String, rows: &[&Row], most: usize, colors: bool) {
    let mut case = "";
    for row in rows.iter().take(most) {
        let (head, rest) = split(&row.name);
        let (rest, values) = (shown(rest), shown(&values(row)));
        if head != case {
            let _ = writeln!(text, "{}", shown(head));
            case = head;
        }
        let change = percent(row).unwrap_or_else(|reason| reason);
        let style = style(row, colors);
        let _ = writeln!(
            text,
            "  {rest:<21} {change:<25} {style}{:<12}{style:#} {values}",
            row.word()
        );
    }
    if rows.len() > most {
        let _ = writeln!(
            text,
            "  and {} more: --html FILE shows all",
            rows.len() - most
        );
    }
}

/// `988 -> 933 tokens/s`: the unit once, where both have the same.
fn values(row: &Row) -> String {
    let [before, after] = [row.baseline, row.candidate].map(|value| quantity(value, &row.unit));
    match (before.rsplit_once(' '), after.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} -> {after}"),
        _ => format!("{before} -> {after}"),
    }
}

fn style(row: &Row, colors: bool) -> Style {
    match row.verdict {
        _ if !colors => Style::new(),
        Verdict::Better => AnsiColor::Green.on_default().bold(),
        Verdict::Worse => AnsiColor::Red.on_default().bold(),
        Verdict::Same => Style::new(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
    }
}

/// `training.small` and `t2.tokens_per_second`.
fn split(name: &str) -> (&str, &str) {
    let threads = name.rmatch_indices(".t").find(|(at, _)| {
        let digits = name[at + 2..].split('.').next().unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    match threads.map(|(at, _)| at).or_else(|| name.rfind('.')) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => ("", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_before_its_threads() {
        assert_eq!(
            split("training.small.t2.loss"),
            ("training.small", "t2.loss")
        );
        assert_eq!(split("training.tiny.loss"), ("training.tiny", "loss"));
        assert_eq!(split("loss"), ("", "loss"));
    }
}
