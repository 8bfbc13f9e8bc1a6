//! Each operator and pass of a step in one table: time, arithmetic, bytes, frequency, its roof, and what keeps it below.

use maud::{Markup, html};

use crate::report::charts::Roofs;
use crate::report::values::{known, quantity};
use crate::report::view::View;
use crate::units::digits;

/// Below this share, what is lost has no reason worth a word.
const LITTLE: f64 = 0.05;

/// One row in words; nothing where it is unknown.
struct Row {
    name: String,
    pass: String,
    cells: Vec<String>,
}

/// What stands over the cells of a row.
const HEADINGS: [&str; 8] = [
    "time",
    "GFLOP/s",
    "declared",
    "into L1",
    "from memory",
    "GHz",
    "of its roof",
    "largest reason for the rest",
];

/// The card, folded; nothing where the run timed no operators.
pub(super) fn table(view: &View<'_>) -> Markup {
    let rows = rows(view);
    // A column that no operator has a number for is left out: the counters' card says why.
    let used: Vec<usize> = (0..HEADINGS.len())
        .filter(|column| rows.iter().any(|row| !row.cells[*column].is_empty()))
        .collect();
    html! {
        @if !rows.is_empty() {
            section.card { details.more {
                summary { "Every operator" span { "time, arithmetic, bytes, frequency, roof" } }
                div.wrap { table {
                    thead { tr { th { "operator" } @for column in &used { th.n { (HEADINGS[*column]) } } } }
                    tbody { @for row in &rows { tr {
                        td.what { (row.name) " " span.soft { (row.pass) } }
                        @for column in &used { td.n { (row.cells[*column]) } }
                    } } }
                } }
                p.sub { "Time is a share of the step; declared bytes count each input and output once. The largest reason compares what threads \
                         lose, against one thread, with what the kernel loses below its roof." }
            } }
        }
    }
}

fn rows(view: &View<'_>) -> Vec<Row> {
    let roofs = Roofs::of(view);
    let total = view.step_seconds().unwrap_or(f64::INFINITY);
    let threads = view.threads.unwrap_or(1);
    let mut rows: Vec<(f64, Row)> = Vec::new();
    for (name, pass, metric) in view.operator_metrics("step_seconds") {
        let Some(seconds) = known(metric.value).filter(|seconds| *seconds > 0.0) else {
            continue;
        };
        let at = |threads: u32, what: &str| {
            view.value(&view.case_name("training", &format!("{name}.{pass}.t{threads}.{what}")))
        };
        let number = |what: &str| at(threads, what).filter(|value| *value > 0.0);
        let bytes = |what: &str| number(what).map(|bytes| quantity(bytes, "bytes"));
        let roof = number("gflops").and_then(|gflops| roofs.over(gflops, number("intensity")));
        let alone = at(1, "step_seconds").filter(|_| threads > 1);
        let efficiency = alone.map(|alone| alone / (f64::from(threads) * seconds));
        let told = roof
            .as_ref()
            .map(|(roof, share)| format!("{roof} {:.0} %", share * 100.0));
        let cells = [
            Some(quantity(seconds / total, "ratio")),
            number("gflops").map(digits),
            bytes("bytes"),
            bytes("bytes_into_l1"),
            bytes("bytes_from_memory"),
            number("ghz").map(|ghz| format!("{ghz:.2}")),
            told,
            roof.and_then(|(roof, share)| reason(&roof, share, efficiency)),
        ];
        let row = Row {
            name: crate::report::values::operator(name),
            pass: pass.to_owned(),
            cells: cells.map(Option::unwrap_or_default).to_vec(),
        };
        rows.push((seconds, row));
    }
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What keeps an operator below its roof most: the threads, memory, or the kernel itself.
fn reason(roof: &str, share: f64, efficiency: Option<f64>) -> Option<String> {
    // A dot may lie a little above its roof, and threads may gain more than ideal: neither is a loss.
    let share = share.clamp(0.01, 1.0);
    let efficiency = efficiency.unwrap_or(1.0).clamp(share, 1.0);
    let (threads, kernel) = (1.0 - efficiency, 1.0 - share / efficiency);
    if threads.max(1.0 - share) < LITTLE {
        return None;
    }
    Some(if threads > kernel {
        format!("threads: {:.0} % lost", threads * 100.0)
    } else if roof == "FMA" {
        format!("kernel: {:.0} % of the peak alone", (1.0 - kernel) * 100.0)
    } else {
        format!(
            "{roof}: {:.0} % of its bandwidth alone",
            (1.0 - kernel) * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_loss_is_the_reason() {
        let of = |roof: &str, share, efficiency| reason(roof, share, efficiency);
        // 80 % of the roof on two threads that are 98 % efficient: the kernel.
        assert_eq!(
            of("FMA", 0.8, Some(0.98)).as_deref(),
            Some("kernel: 82 % of the peak alone")
        );
        // 70 % of the roof, 72 % efficient: alone it is nearly there.
        assert_eq!(
            of("FMA", 0.7, Some(0.72)).as_deref(),
            Some("threads: 28 % lost")
        );
        assert_eq!(
            of("DRAM", 0.5, None).as_deref(),
            Some("DRAM: 50 % of its bandwidth alone")
        );
        assert_eq!(of("FMA", 0.98, Some(0.99)), None);
        // More than ideal, and no number.
        assert!(of("FMA", 0.5, Some(1.2)).is_some_and(|text| text.starts_with("kernel")));
        assert!(of("L2", 0.0, Some(0.0)).is_some());
        assert_eq!(of("FMA", 1.0007, Some(1.1)), None);
    }
}
