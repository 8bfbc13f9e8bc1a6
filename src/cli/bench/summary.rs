//! What a run found, on one screen of 80 columns and 24 lines.

use std::fmt::Write;
use std::path::Path;

use crate::record::{self, Metric, Run};
use crate::report::headlines;
use crate::units::{Bytes, Hertz, Ratio, Seconds, digits};

/// Columns of the screen; longer lines are cut.
const COLUMNS: usize = 80;

/// Columns of the labels.
const LABEL: usize = 16;

/// Lines of what a suite of kernels found.
const LINES: usize = 3;

/// Training cases shown; the page has all.
const CASES: usize = 1;

/// Share of the CPUs' time that others may take without a word.
const DISTURBED: f64 = 0.05;

/// Optimizations shown by what they are worth.
const WORTH: usize = 3;

/// Reasons shown.
const REASONS: usize = 4;

/// The summary of `run`, whose page is at `page`.
pub(super) fn text(run: &Run, page: &Path) -> String {
    let mut text = String::new();
    let summary = &run.machine.summary;
    let name = summary
        .microarchitecture
        .as_deref()
        .unwrap_or(&summary.brand);
    let line = format!(
        "{name}, {} of {} threads usable, {}",
        summary.usable_threads,
        summary.threads,
        Seconds(run.elapsed_seconds)
    );
    push(&mut text, "machine", &line);
    ceilings(&mut text, run);
    let cases = cases(run);
    for (case, threads) in cases.iter().take(CASES) {
        training(&mut text, run, case, *threads);
    }
    // Beside a training case there is room for a line each.
    let most = if cases.is_empty() { LINES } else { 1 };
    for headline in headlines(run) {
        let lines = wrapped(&plain(&headline.line), COLUMNS - LABEL);
        for (index, line) in lines.iter().take(most).enumerate() {
            let label = if index == 0 { headline.suite } else { "" };
            push(&mut text, label, line);
        }
    }
    if cases.len() > CASES {
        push(
            &mut text,
            "",
            &format!("and {} more: see the page", cases.len() - CASES),
        );
    }
    push(&mut text, "page", &page.display().to_string());
    text
}

/// One line, the label in its own column.
fn push(text: &mut String, label: &str, line: &str) {
    let line: String = format!("{label:<LABEL$}{line}")
        .trim_end()
        .chars()
        .take(COLUMNS)
        .collect();
    let _ = writeln!(text, "{line}");
}

/// `text` in lines of at most `columns`, broken between words; a longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// In the letters that any terminal has.
fn plain(line: &str) -> String {
    line.replace('\u{d7}', "x")
        .replace('\u{b3}', "^3")
        .replace(" AB\u{1d40}", " A B^T")
        .replace(" A\u{1d40}B", " A^T B")
}

fn metric<'a>(run: &'a Run, name: &str) -> Option<&'a Metric> {
    run.metrics.iter().find(|metric| metric.name == name)
}

fn value(run: &Run, name: &str) -> Option<f64> {
    metric(run, name)?.value
}

/// `...tN...` of a name: what is before, and N.
fn threads_of(name: &str) -> Option<(&str, usize)> {
    let start = name.rfind(".t")?;
    let number = name[start + 2..].split('.').next()?;
    Some((&name[..start], number.parse().ok()?))
}

/// The training cases with the most threads that each ran on.
fn cases(run: &Run) -> Vec<(String, usize)> {
    let mut cases: Vec<(String, usize)> = Vec::new();
    for metric in &run.metrics {
        let Some(subject) = metric
            .name
            .strip_prefix("training.")
            .and_then(|name| name.strip_suffix(".tokens_per_second"))
        else {
            continue;
        };
        let Some((case, threads)) = threads_of(subject) else {
            continue;
        };
        match cases.iter_mut().find(|(known, _)| known == case) {
            Some((_, most)) => *most = threads.max(*most),
            None => cases.push((case.to_owned(), threads)),
        }
    }
    cases
}

/// The best multiply-add ceiling, the bandwidth of memory and the frequency, on the most threads.
fn ceilings(text: &mut String, run: &Run) {
    let peaks = run.metrics.iter().filter(|metric| {
        metric.name.starts_with("ceiling.fma.") && metric.name.ends_with(".gflops")
    });
    let best = peaks
        .filter_map(|metric| Some((metric, metric.value?)))
        .max_by(|one, other| one.1.total_cmp(&other.1));
    let Some((peak, gflops)) = best else { return };
    let Some((subject, threads)) = peak.name.strip_suffix(".gflops").and_then(threads_of) else {
        return;
    };
    let isa = subject.trim_start_matches("ceiling.fma.");
    let mut line = format!(
        "{} GFLOP/s ({isa}, {})",
        digits(gflops),
        of_threads(threads)
    );
    if let Some(ghz) = value(run, &format!("frequency.{isa}.t{threads}.ghz")) {
        let _ = write!(line, " at {}", Hertz(ghz * 1e9));
    }
    if let Some(gbps) = value(run, &format!("ceiling.bandwidth.dram.t{threads}.gbps")) {
        let _ = write!(line, ", memory {} GB/s", digits(gbps));
    }
    push(text, "could go", &line);
}

fn training(text: &mut String, run: &Run, case: &str, threads: usize) {
    let get = |quantity: &str| value(run, &format!("training.{case}.t{threads}.{quantity}"));
    push(
        text,
        "trained",
        &format!("on {}: {case}", of_threads(threads)),
    );
    let speed = metric(
        run,
        &format!("training.{case}.t{threads}.tokens_per_second"),
    );
    if let Some((speed, tokens)) = speed.and_then(|speed| Some((speed, speed.value?))) {
        let interval = speed
            .low
            .zip(speed.high)
            .map_or(String::new(), |(low, high)| {
                format!(" ({} to {})", digits(low), digits(high))
            });
        push(
            text,
            "speed",
            &format!("{} tokens/s{interval}", digits(tokens)),
        );
    }
    if let Some(seconds) = get("step_seconds") {
        push(text, "step", &Seconds(seconds).to_string());
    }
    phases(text, &get);
    if let (Some(mfu), Some(gflops)) = (get("mfu"), get("gflops")) {
        push(
            text,
            "of the peak",
            &format!(
                "{}, {} GFLOP/s of the model's arithmetic",
                Ratio(mfu),
                digits(gflops)
            ),
        );
    }
    if let (Some(speedup), Some(efficiency)) = (get("speedup"), get("thread_efficiency"))
        && threads > 1
    {
        push(
            text,
            "threads",
            &format!(
                "{} times one thread, {} efficient",
                digits(speedup),
                Ratio(efficiency)
            ),
        );
    }
    if let (Some(peak), Some(planned)) = (get("peak_rss_bytes"), get("planned_bytes")) {
        push(
            text,
            "memory",
            &format!("{} at most, {} planned", Bytes(peak), Bytes(planned)),
        );
    }
    if let Some(loss) = get("loss") {
        let validation =
            get("validation_loss").map_or(String::new(), |loss| format!(", validation {loss:.3}"));
        let unigram = get("unigram_entropy").map_or(String::new(), |entropy| {
            format!(" (token frequencies alone: {entropy:.3})")
        });
        push(text, "loss", &format!("{loss:.3}{validation}{unigram}"));
    }
    ledger(text, run, case, threads);
    reasons(text, run, case, threads);
    disturbance(text, run, case, threads);
}

/// Speeds and shares of the phases of reinforcement, and what it came to.
fn phases(text: &mut String, get: &dyn Fn(&str) -> Option<f64>) {
    for (label, phase) in [("writing", "rollout"), ("learning", "update")] {
        let speed = get(&format!("{phase}_tokens_per_second"));
        if let (Some(speed), Some(share)) = (speed, get(&format!("{phase}_share"))) {
            let line = format!("{} tokens/s, {} of the step", digits(speed), Ratio(share));
            push(text, label, &line);
        }
    }
}

/// What the optimizations are worth, all together and those that matter most.
fn ledger(text: &mut String, run: &Run, case: &str, threads: usize) {
    let worth = |id: &str| value(run, &format!("ledger.{case}.{id}.t{threads}.speedup"));
    let mut each: Vec<(f64, &str)> = record::OPTIMIZATIONS
        .iter()
        .filter(|(id, _)| *id != "all")
        .filter_map(|(id, words)| Some((worth(id)?, words.split_once(' ')?.1)))
        .collect();
    each.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut parts: Vec<String> = worth("all")
        .map(|all| format!("all {}x", digits(all)))
        .into_iter()
        .collect();
    let most = each.iter().take(WORTH);
    parts.extend(most.map(|(factor, words)| format!("{words} {}x", digits(*factor))));
    if !parts.is_empty() {
        push(text, "worth", &parts.join(", "));
    }
}

/// Who else used the machine, where that was much.
fn disturbance(text: &mut String, run: &Run, case: &str, threads: usize) {
    let get = |quantity: &str| {
        value(run, &format!("counters.{case}.t{threads}.{quantity}")).unwrap_or(0.0)
    };
    let (foreign, steal) = (get("foreign_ratio"), get("steal_ratio"));
    if foreign + steal > DISTURBED {
        let line = format!(
            "other programs took {}, the hypervisor {} of the CPUs",
            Ratio(foreign),
            Ratio(steal)
        );
        push(text, "disturbed", &line);
    }
}

fn reasons(text: &mut String, run: &Run, case: &str, threads: usize) {
    let (prefix, suffix) = (
        format!("training.{case}.lost."),
        format!(".t{threads}.share_of_step"),
    );
    let reason = |metric: &Metric| {
        let reason = metric.name.strip_prefix(&prefix)?.strip_suffix(&suffix)?;
        Some((
            metric.value.filter(|share| *share > 0.0)?,
            record::reason(reason),
        ))
    };
    let mut reasons: Vec<(f64, String)> = run.metrics.iter().filter_map(reason).collect();
    reasons.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (rank, (share, reason)) in reasons.iter().take(REASONS).enumerate() {
        push(
            text,
            if rank == 0 { "why not faster" } else { "" },
            &format!("{:>6}  {reason}", Ratio(*share).to_string()),
        );
    }
}

fn of_threads(count: usize) -> String {
    if count == 1 {
        "1 thread".into()
    } else {
        format!("{count} threads")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Machine;
    use crate::record::SCHEMA;
    use crate::stats::Interval;
    use crate::suites::{Recorder, quantity, record_machine};

    const CASE: &str = "a_case_with_a_very_long_name_that_goes_on_and_on_and_on_for_ever_and_ever";

    fn run() -> Run {
        let mut recorder = Recorder::default();
        let exactly = |value| Interval {
            estimate: value,
            low: value * 0.99,
            high: value * 1.01,
        };
        for threads in [1, 2] {
            let subject = format!("training.{CASE}.t{threads}");
            recorder.measured(
                &subject,
                quantity::TOKENS_PER_SECOND,
                exactly(2_600.0 * threads as f64),
                "",
            );
            for (quantity, value) in [
                (quantity::STEP_SECONDS, 0.786),
                (quantity::MFU, 0.712),
                (quantity::GFLOPS, 182.0),
                (quantity::SPEEDUP, 1.86),
                (quantity::THREAD_EFFICIENCY, 0.93),
                (quantity::PEAK_RSS_BYTES, 231e6),
                (quantity::PLANNED_BYTES, 212e6),
                (quantity::LOSS, 6.31),
                (quantity::VALIDATION_LOSS, 6.4),
                (quantity::UNIGRAM_ENTROPY, 6.87),
            ] {
                recorder.reading(&subject, quantity, value, "");
            }
            recorder.measured(
                &format!("ceiling.fma.avx512.t{threads}"),
                quantity::GFLOPS,
                exactly(128.0 * threads as f64),
                "",
            );
            recorder.measured(
                &format!("frequency.avx512.t{threads}"),
                quantity::GHZ,
                exactly(2.4),
                "",
            );
            for (id, factor) in [("all", 118.0), ("simd", 7.9), ("threads", 1.9)] {
                let subject = format!("ledger.{CASE}.{id}.t{threads}");
                recorder.computed(&subject, quantity::SPEEDUP, factor, "");
            }
            recorder.reading(
                &format!("counters.{CASE}.t{threads}"),
                quantity::FOREIGN_RATIO,
                0.31,
                "",
            );
            for (index, reason) in ["attention_below_peak", "stolen", "c", "d", "e", "saved"]
                .iter()
                .enumerate()
            {
                let subject = format!("training.{CASE}.lost.{reason}.t{threads}");
                recorder.computed(
                    &subject,
                    quantity::SHARE_OF_STEP,
                    0.081 - 0.02 * index as f64,
                    "",
                );
            }
        }
        Run {
            schema: SCHEMA.into(),
            id: "1".into(),
            started: String::new(),
            elapsed_seconds: 94.0,
            command: Vec::new(),
            suites: Vec::new(),
            effort: String::new(),
            version: String::new(),
            commit: None,
            machine: record_machine(&Machine::detect()),
            config: serde_json::Value::Null,
            metrics: recorder.metrics().to_vec(),
            series: Vec::new(),
            notes: Vec::new(),
            fleet: Vec::new(),
        }
    }

    #[test]
    fn it_fits_the_screen_and_says_what_matters() {
        let text = text(&run(), Path::new("reports/latest/report.html"));
        assert!(
            text.lines().count() <= 23 && text.lines().all(|line| line.chars().count() <= COLUMNS),
            "{text}"
        );
        for part in [
            "5,200 tokens/s",
            "on 2 threads",
            "71.2 %",
            "1.86 times",
            "8.1 %  attention below peak",
            "6.1 %  stolen by other guests of the host",
            "256 GFLOP/s (avx512",
            "worth           all 118x, SIMD 7.90x, threads 1.90x",
            "report.html",
            "other programs took 31.0 %",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("saved"), "{text}");
    }

    #[test]
    fn a_run_of_kernels_alone_makes_sense() {
        let mut recorder = Recorder::default();
        let subject = |variant: &str| format!("gemm.1024x1024x1024.nn.{variant}.t1");
        for (variant, gflops) in [("avx512", 130.0), ("openblas", 120.0)] {
            recorder.reading(&subject(variant), quantity::GFLOPS, gflops, "");
            recorder.computed(
                &subject(variant),
                quantity::SHARE_OF_PEAK,
                gflops / 143.0,
                "",
            );
        }
        let lead = quantity::SPEEDUP_OVER_BEST_PEER;
        recorder.computed(&subject("avx512"), lead, 1.083, "");
        let run = Run {
            metrics: recorder.metrics().to_vec(),
            ..run()
        };
        let text = text(&run, Path::new("p"));
        let wanted = "matmul          1024^3 90.9 % of peak on 1 thread, 1.08x the best peer\n";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn an_empty_run_is_shown_too() {
        let run = Run {
            metrics: Vec::new(),
            ..run()
        };
        assert_eq!(text(&run, Path::new("p")).lines().count(), 2);
    }
}
