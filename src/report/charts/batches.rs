//! Batches of products: one call for all, one call each, and the peers.

use super::{Chart, Frame, Span, Subject};
use crate::report::contests::{Contest, Entry, contests, ends, peer};
use crate::report::draw::{Align, Canvas, Ink, Svg, Type, clean, fit};
use crate::report::values::{self, many, quantity};
use crate::report::view::{Input, View};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "batched",
    title: "Many small products at once",
    how_to_read: "GFLOP/s of a batch of independent products by one call of ours, by one call of ours for each product, and by the fastest \
                  other libraries.",
    subject: Subject::Kernels,
    span: Span::Full,
    suite: "batched",
    inputs,
    draw,
    table: None,
};

/// Batches that are shown on each number of threads, and peers of each.
const BATCHES: usize = 12;
const PEERS: usize = 3;

const BAR: f64 = 19.0;
const HEAD: f64 = 26.0;
const GAP: f64 = 14.0;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let under = |quantity: &str| {
        view.metrics_under("batched.")
            .into_iter()
            .filter(|metric| metric.name.ends_with(quantity))
            .collect::<Vec<_>>()
    };
    [
        Input::of_metrics("speed", under(".gflops")),
        Input::of_metrics("one call over many", under(".speedup_over_loop")),
        Input::of_metrics(
            "ours over the fastest peer",
            under(".speedup_over_best_peer"),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One bar.
struct Bar {
    label: String,
    gflops: f64,
    ink: Ink,
    opacity: f64,
}

/// A batch's name and its bars.
type Group = (String, Vec<Bar>);

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let all = contests(view, "batched");
    let columns: Vec<(u32, Vec<Group>)> = ends(&all)
        .into_iter()
        .map(|threads| (threads, groups(&all, threads)))
        .filter(|(_, groups)| !groups.is_empty())
        .collect();
    if columns.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let height = |groups: &[Group]| {
        let group = |(_, bars): &Group| HEAD + BAR * bars.len() as f64 + GAP;
        30.0 + groups.iter().map(group).sum::<f64>()
    };
    let heights = columns.iter().map(|(_, groups)| height(groups));
    let total = if frame.narrow {
        heights.sum()
    } else {
        heights.fold(0.0, f64::max)
    };
    let canvas = Canvas::new(frame.width, total);
    let across = if frame.narrow { 1 } else { columns.len() };
    let width = (frame.width - 34.0 * (across - 1) as f64) / across as f64;
    let mut y = 0.0;
    for (index, (threads, groups)) in columns.iter().enumerate() {
        let x = if frame.narrow {
            0.0
        } else {
            index as f64 * (width + 34.0)
        };
        let title = format!("on {}", many(*threads as usize, "thread"));
        canvas.text((x, y + 8.0), &title, Type::plain(Ink::Text).bold());
        column(&canvas, (x, y + 30.0), width, groups);
        if frame.narrow {
            y += height(groups);
        }
    }
    let words: Vec<String> = columns
        .iter()
        .flat_map(|(threads, groups)| groups.iter().map(move |group| (threads, group)))
        .map(|(threads, (name, bars))| {
            let bars: Vec<String> = bars
                .iter()
                .map(|bar| format!("{} {}", bar.label, quantity(bar.gflops, "GFLOP/s")))
                .collect();
            format!(
                "{name} on {}: {}",
                many(*threads as usize, "thread"),
                bars.join(", ")
            )
        })
        .collect();
    Ok(canvas.finish(words.join("; ")))
}

fn groups(all: &[Contest<'_>], threads: u32) -> Vec<Group> {
    all.iter()
        .filter(|contest| contest.threads == threads)
        .map(|contest| (clean(&contest.label()), bars(contest)))
        .filter(|(_, bars)| !bars.is_empty())
        .take(BATCHES)
        .collect()
}

fn bars(contest: &Contest<'_>) -> Vec<Bar> {
    let ours = contest.ours();
    let single = ours.and_then(|ours| contest.entry(&format!("{}_loop", ours.variant)));
    let bar = |entry: &Entry<'_>, label: String, ink: Ink, opacity: f64| {
        let gflops = entry.gflops?;
        Some(Bar {
            label,
            gflops,
            ink,
            opacity,
        })
    };
    let isa = |entry: &Entry<'_>| {
        clean(&values::isa(
            entry.variant.split('_').next().unwrap_or_default(),
        ))
    };
    let mut peers: Vec<&Entry<'_>> = contest
        .entries
        .iter()
        .filter(|entry| !entry.is_ours() && entry.gflops.is_some())
        .collect();
    peers.sort_by(|one, other| {
        other
            .gflops
            .unwrap_or(0.0)
            .total_cmp(&one.gflops.unwrap_or(0.0))
    });
    let ours = ours.and_then(|entry| bar(entry, format!("ours, {}", isa(entry)), Ink::Blue, 0.75));
    let single = single.and_then(|entry| bar(entry, "ours, one by one".to_owned(), Ink::Blue, 0.3));
    let peers = peers
        .into_iter()
        .take(PEERS)
        .filter_map(|entry| bar(entry, clean(&peer(entry.variant)), Ink::Orange, 0.5));
    ours.into_iter().chain(single).chain(peers).collect()
}

/// The groups of one number of threads; each has a scale of its own.
fn column(canvas: &Canvas, corner: (f64, f64), width: f64, groups: &[Group]) {
    const LABEL: f64 = 112.0;
    const VALUE: f64 = 48.0;
    let (x, mut y) = corner;
    for (name, bars) in groups {
        let title = fit(name, 12.0, false, width);
        canvas.text((x, y + 8.0), &title, Type::plain(Ink::Soft));
        y += HEAD;
        let most = bars.iter().map(|bar| bar.gflops).fold(0.0, f64::max);
        for bar in bars {
            let long = (width - LABEL - VALUE) * bar.gflops / most;
            let centre = y + BAR / 2.0 - 2.0;
            let label = fit(&bar.label, 11.0, false, LABEL - 8.0);
            let told = format!("{name}, {}: {}", bar.label, quantity(bar.gflops, "GFLOP/s"));
            canvas.hover(&told, |canvas| {
                canvas.text((x, centre), &label, Type::plain(Ink::Text).size(11.0));
                canvas.fill(
                    (x + LABEL, y),
                    (long.max(0.5), BAR - 4.0),
                    bar.ink,
                    bar.opacity,
                );
                let look = Type::plain(Ink::Text).size(11.0).align(Align::Start);
                canvas.text((x + LABEL + long + 5.0, centre), &digits(bar.gflops), look);
            });
            y += BAR;
        }
        y += GAP;
    }
}
