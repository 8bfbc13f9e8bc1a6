//! Vector kernels: which part of the bandwidth each uses, from L1 to memory.

use super::heat::{Cell, Heat, Margins, Row, tables};
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Svg, clean};
use crate::report::headlines::{Share, set_label, shares};
use crate::report::values::{self, many, quantity};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "vector-kernels",
    title: "Vector kernels and the bandwidth they use",
    how_to_read: "Traffic as a part of what a plain copy moves over the same working set on the same threads, or a plain read where \
                  nothing is written: low in L1 means bound by arithmetic, near 100 % in memory means bound by bandwidth.",
    subject: Subject::Kernels,
    span: Span::Full,
    suite: "simd",
    inputs,
    draw,
    table: None,
};

/// Kernels and working sets that are shown.
const ROWS: usize = 40;
const COLUMNS: usize = 6;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let under = |quantity: &str| {
        view.metrics_under("simd.")
            .into_iter()
            .filter(|metric| metric.name.ends_with(quantity))
            .collect::<Vec<_>>()
    };
    [
        Input::of_metrics("speed", under(".elements_per_second")),
        Input::of_metrics("share of bandwidth", under(".share_of_bandwidth")),
        Input::of_metrics("bandwidth", under(".gbps")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let shares = shares(view);
    let counts = || shares.iter().map(|share| share.threads);
    let mut ends: Vec<u32> = counts().min().into_iter().chain(counts().max()).collect();
    ends.dedup();
    let heats: Vec<Heat> = ends
        .iter()
        .map(|threads| heat(view, &shares, *threads))
        .collect();
    if heats.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let margins = Margins {
        label: if frame.narrow { 104.0 } else { 130.0 },
        end: 0.0,
    };
    let canvas = tables(frame.width, frame.narrow, &heats, margins);
    let words = shares
        .iter()
        .filter(|share| Some(share.threads) == ends.last().copied());
    let words: Vec<String> = words
        .map(|share| {
            let kernel = clean(&values::words(share.kernel));
            format!(
                "{kernel} at {}: {:.0} %",
                clean(&set_label(share.set)),
                share.share * 100.0
            )
        })
        .collect();
    Ok(canvas.finish(words.join("; ")))
}

fn heat(view: &View<'_>, shares: &[Share<'_>], threads: u32) -> Heat {
    let here: Vec<&Share<'_>> = shares
        .iter()
        .filter(|share| share.threads == threads)
        .collect();
    let mut sets: Vec<&str> = Vec::new();
    let mut kernels: Vec<&str> = Vec::new();
    for share in shares {
        if !sets.contains(&share.set) && sets.len() < COLUMNS {
            sets.push(share.set);
        }
    }
    for share in &here {
        if !kernels.contains(&share.kernel) && kernels.len() < ROWS {
            kernels.push(share.kernel);
        }
    }
    let cell = |kernel: &str, set: &str| {
        let share = here
            .iter()
            .find(|share| share.kernel == kernel && share.set == set);
        share.map_or_else(|| Cell::empty("not measured"), |share| cell(view, share))
    };
    let row = |kernel: &&str| Row {
        label: clean(&values::words(kernel)),
        cells: sets.iter().map(|set| cell(kernel, set)).collect(),
        end: None,
    };
    let heading = |set: &&str| vec![clean(&set_label(set)), ceiling(view, set, threads)];
    Heat {
        title: format!("on {}", many(threads as usize, "thread")),
        columns: sets.iter().map(heading).collect(),
        end: None,
        rows: kernels.iter().map(row).collect(),
    }
}

/// What the fastest plain copy moves: `18 GB/s`.
fn ceiling(view: &View<'_>, set: &str, threads: u32) -> String {
    let (prefix, suffix) = (format!("simd.copy.{set}."), format!(".t{threads}.bus_gbps"));
    view.metrics_under(&prefix)
        .into_iter()
        .filter(|metric| metric.name.ends_with(&suffix))
        .filter_map(|metric| values::known(metric.value))
        .max_by(f64::total_cmp)
        .map_or(String::new(), |gbps| quantity(gbps, "GB/s"))
}

fn cell(view: &View<'_>, share: &Share<'_>) -> Cell {
    let Share {
        kernel,
        set,
        threads,
        isa,
        share,
    } = share;
    let name = |of: &str| format!("simd.{kernel}.{set}.{isa}.t{threads}.{of}");
    let facts = [
        "elements_per_second",
        "gbps",
        "bus_gbps",
        "elements_per_cycle",
    ]
    .into_iter()
    .filter_map(|of| {
        let metric = view.metric(&name(of))?;
        let bus = if of == "bus_gbps" { " on the bus" } else { "" };
        let value = quantity(values::known(metric.value)?, &metric.unit);
        Some(format!("{value}{bus}"))
    });
    let facts: Vec<String> = facts.collect();
    Cell {
        text: format!("{:.0}", share * 100.0),
        heat: Some(*share),
        best: false,
        hover: clean(&format!(
            "{} in {}, {}: {}",
            values::words(kernel),
            set_label(set),
            values::isa(isa),
            facts.join(", ")
        )),
    }
}
