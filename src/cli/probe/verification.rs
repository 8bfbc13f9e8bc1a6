//! `loopos probe --verify`: measures what the machine claims, and shows each claim beside its measurement.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::interrupt::Interrupt;
use crate::cli::outcome::{Exit, Failure, warn};
use crate::kernels::Isa;
use crate::measure::clock::Clock;
use crate::measure::turn::{Error as TurnError, Turn};
use crate::probe::{Machine, Style};
use crate::record::{Check, Verdict, Verification};
use crate::suites::verify::verify;
use crate::suites::{Context, Effort, Experiment, Host, Recorder, record_machine};

/// Measures, and writes `page` with the verdicts below it to stdout, or everything as JSON.
pub(super) fn run(machine: &Machine, page: Option<(String, Style)>) -> anyhow::Result<Exit> {
    let interrupt = Interrupt::install()?;
    let watcher = Watcher {
        stop: interrupt.stop(),
    };
    let _turn = match Turn::take(&std::env::temp_dir(), &mut || !watcher.stopped()) {
        Ok(turn) => Some(turn),
        Err(TurnError::Abandoned { .. }) => return Ok(interrupt.exit()),
        Err(error @ TurnError::Unusable { .. }) => {
            warn(error);
            None
        }
    };
    let experiment = Experiment {
        effort: Effort::Normal,
        threads: vec![1],
        isas: Isa::available(),
        counters: false,
        cases: Vec::new(),
        lessons: Vec::new(),
        seconds: None,
    };
    let clock = Clock::best();
    let mut context = Context::new(machine, &experiment, &clock, &watcher);
    let checks = verify(&mut context).map_err(Failure::failed)?;
    let text = match page {
        Some((page, style)) => page + &section(&checks, style),
        None => {
            let document = Verification {
                machine: record_machine(machine),
                checks,
                series: context.recorder.series().to_vec(),
            };
            serde_json::to_string_pretty(&document)? + "\n"
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(interrupt.exit())
}

/// Shows progress and passes Ctrl-C on.
struct Watcher<'a> {
    stop: &'a AtomicBool,
}

impl Host for Watcher<'_> {
    fn say(&self, text: &str) {
        // Nobody is left to be told when stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn keep(&self, _: &Recorder) -> Result<(), String> {
        Ok(())
    }
}

/// Column in which what a check says begins.
const INDENT: usize = 5;

/// The verdicts under a heading of their own.
fn section(checks: &[Check], style: Style) -> String {
    let rule = "\u{2500}".repeat(style.width.saturating_sub("Verification".len() + 2));
    let mut text = format!(
        "\n {} {}\n   {}\n",
        paint("Verification", "1", style),
        paint(&rule, "2", style),
        count(checks)
    );
    for check in checks {
        let (mark, colour) = match check.verdict {
            Verdict::Agree => ("\u{2713}", "32"),
            Verdict::Disagree => ("\u{2717}", "33"),
            Verdict::NoClaim => ("\u{b7}", "2"),
            Verdict::NotMeasurable => ("?", "2"),
        };
        let head = format!("{}: {}", check.label, verdict(check));
        text.push('\n');
        for (number, line) in wrap(&head, style.width - INDENT).iter().enumerate() {
            let mark = if number == 0 { mark } else { " " };
            text += &format!("   {} {line}\n", paint(mark, colour, style));
        }
        for line in wrap(&check.why, style.width - INDENT) {
            text += &format!("{:INDENT$}{}\n", "", paint(&line, "2", style));
        }
    }
    text
}

/// `8 agree, 1 disagrees, ..`.
fn count(checks: &[Check]) -> String {
    let of = |verdict: Verdict| {
        checks
            .iter()
            .filter(|check| check.verdict == verdict)
            .count()
    };
    let all = [
        Verdict::Agree,
        Verdict::Disagree,
        Verdict::NoClaim,
        Verdict::NotMeasurable,
    ];
    let told = all
        .into_iter()
        .filter(|verdict| of(*verdict) > 0)
        .map(|verdict| format!("{}: {}", verdict.name(), of(verdict)));
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => "stopped before anything was measured".to_string(),
        false => told.join(", "),
    }
}

/// `claimed 32.0 KiB (sysfs), measured 33.1 KiB: agree`.
fn verdict(check: &Check) -> String {
    let mut parts = Vec::new();
    if !check.claimed_text.is_empty() {
        parts.push(format!("claimed {} ({})", check.claimed_text, check.source));
    }
    if !check.measured_text.is_empty() {
        parts.push(format!("measured {}", check.measured_text));
    }
    parts.push(check.verdict.name().to_string());
    parts.join(", ")
}

fn paint(text: &str, code: &str, style: Style) -> String {
    match style.colour {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_string(),
    }
}

/// Breaks a text at spaces into lines of at most `width` columns; a longer word stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict) -> Check {
        Check {
            key: "verify.l3.bytes".into(),
            label: "L3 size".into(),
            claimed: Some(37_486_592.0),
            claimed_text: "35.8 MiB".into(),
            source: "sysfs and cpuid".into(),
            measured: Some(3e6),
            low: Some(2.8e6),
            high: Some(3.2e6),
            measured_text: "2.86 MiB".into(),
            verdict,
            why: "a load takes 75 cycles below, 340 above; ".repeat(5),
        }
    }

    #[test]
    fn a_claim_stands_beside_its_measurement() {
        let style = Style {
            width: 88,
            colour: false,
            explain: false,
        };
        let text = section(&[check(Verdict::Disagree), check(Verdict::Agree)], style);
        let line =
            "\u{2717} L3 size: claimed 35.8 MiB (sysfs and cpuid), measured 2.86 MiB, disagree";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("agree: 1, disagree: 1"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 88),
            "{text}"
        );
        let coloured = section(
            &[check(Verdict::Disagree)],
            Style {
                colour: true,
                ..style
            },
        );
        assert!(coloured.contains("\u{1b}[33m\u{2717}\u{1b}[0m"));
        assert!(section(&[], style).contains("stopped before"));
    }

    #[test]
    fn what_was_not_measured_shows_the_claim_alone() {
        let mut check = check(Verdict::NotMeasurable);
        check.measured_text.clear();
        assert_eq!(
            verdict(&check),
            "claimed 35.8 MiB (sysfs and cpuid), not measurable here"
        );
    }
}
