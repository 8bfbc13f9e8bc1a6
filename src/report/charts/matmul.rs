//! Matrix products: who reaches which part of the peak, and who is ahead.

use super::heat::{Cell, Heat, Margins, Row, tables};
use super::{Chart, Frame, Span, Subject};
use crate::report::contests::{Contest, Entry, contests, ends, peer};
use crate::report::draw::{Ink, Svg, clean};
use crate::report::values::{self, interval, many, quantity};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "matmul",
    title: "Matrix products beside other libraries",
    how_to_read: "Per cent of the highest multiply-add peak that the same threads reached in the same minute; the frame marks the fastest \
                  of a row. The lead is ours over the fastest peer: above 1, ours is ahead.",
    subject: Subject::Kernels,
    span: Span::Full,
    suite: "matmul",
    inputs,
    draw,
    table: None,
};

/// Products that are shown on each number of threads, and peers.
const ROWS: usize = 60;
const PEERS: usize = 8;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let under = |quantity: &str| {
        view.metrics_under("gemm.")
            .into_iter()
            .filter(|metric| metric.name.ends_with(quantity))
            .collect::<Vec<_>>()
    };
    [
        Input::of_metrics("speed", under(".gflops")),
        Input::of_metrics("share of the peak", under(".share_of_peak")),
        Input::of_metrics(
            "ours over the fastest peer",
            under(".speedup_over_best_peer"),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let all = contests(view, "gemm");
    let peers = peers(&all);
    let heats: Vec<Heat> = ends(&all)
        .into_iter()
        .map(|threads| heat(view, &all, threads, &peers))
        .filter(|heat| !heat.rows.is_empty())
        .collect();
    if heats.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let margins = Margins {
        label: if frame.narrow { 108.0 } else { 126.0 },
        end: if frame.narrow { 34.0 } else { 40.0 },
    };
    let canvas = tables(frame.width, frame.narrow, &heats, margins);
    let words: Vec<String> = heats
        .iter()
        .flat_map(|heat| heat.rows.iter().map(|row| (&heat.title, row)))
        .filter_map(|(title, row)| {
            let (lead, _) = row.end.as_ref()?;
            Some(format!(
                "{} {title}: {lead} times the fastest peer",
                row.label
            ))
        })
        .collect();
    Ok(canvas.finish(words.join("; ")))
}

/// Peers in the order of the document.
fn peers<'a>(contests: &[Contest<'a>]) -> Vec<&'a str> {
    let mut peers: Vec<&str> = Vec::new();
    for entry in contests.iter().flat_map(|contest| &contest.entries) {
        let new = !entry.is_ours() && !peers.contains(&entry.variant);
        if new && peers.len() < PEERS {
            peers.push(entry.variant);
        }
    }
    peers
}

fn heat<'a>(view: &View<'a>, all: &[Contest<'a>], threads: u32, peers: &[&str]) -> Heat {
    let here = all
        .iter()
        .filter(|contest| contest.threads == threads && contest.peak().is_some());
    let columns = std::iter::once("ours").chain(peers.iter().copied());
    Heat {
        title: format!("on {}", many(threads as usize, "thread")),
        columns: columns.map(heading).collect(),
        end: Some("lead"),
        rows: here
            .take(ROWS)
            .map(|contest| row(view, contest, peers))
            .collect(),
    }
}

/// A library's name in at most two lines.
fn heading(name: &str) -> Vec<String> {
    let lines: &[&str] = match name {
        "openblas" => &["Open", "BLAS"],
        "onednn" => &["one", "DNN"],
        "mkl" => &["MKL"],
        "blis" => &["BLIS"],
        "matrixmultiply" => &["mat", "mult"],
        other => return vec![clean(other)],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// An instruction set of ours, or a library.
fn name(entry: &Entry<'_>) -> String {
    if entry.is_ours() {
        format!("ours in {}", values::isa(entry.variant))
    } else {
        peer(entry.variant)
    }
}

fn row(view: &View<'_>, contest: &Contest<'_>, peers: &[&str]) -> Row {
    let ours = contest.ours();
    let lead = contest.lead(view).and_then(|metric| metric.value);
    let best_peer = contest.best_peer().and_then(|entry| entry.gflops);
    let gflops = ours.and_then(|entry| entry.gflops);
    // The lead is paired by round, so it and the medians may disagree where two are close: the lead decides.
    let ahead = match (lead, gflops, best_peer) {
        (Some(lead), ..) => lead >= 1.0,
        (None, ours, peer) => ours >= peer,
    };
    let entries = std::iter::once(ours).chain(peers.iter().map(|peer| contest.entry(peer)));
    let cell = |(place, entry): (usize, Option<&Entry<'_>>)| {
        let Some(entry) = entry else {
            return Cell::empty("not measured");
        };
        let (Some(gflops), Some(share)) = (entry.gflops, contest.share(entry)) else {
            return Cell::empty(&clean(&entry.metric.how));
        };
        let is_ours = place == 0;
        Cell {
            text: format!("{:.0}", share * 100.0),
            heat: Some(share),
            best: is_ours == ahead && (is_ours || Some(gflops) >= best_peer),
            hover: format!(
                "{} by {}: {}{}",
                contest.label(),
                clean(&name(entry)),
                quantity(gflops, "GFLOP/s"),
                interval(entry.metric).map_or(String::new(), |range| format!(" ({range})"))
            ),
        }
    };
    Row {
        label: clean(&contest.label()),
        cells: entries.enumerate().map(cell).collect(),
        end: lead.map(|lead| {
            let ink = if lead >= 1.0 { Ink::Green } else { Ink::Orange };
            (format!("{lead:.2}"), ink)
        }),
    }
}
