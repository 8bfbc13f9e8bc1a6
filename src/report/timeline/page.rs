//! The history of a machine as a page in the look of the reports.

use maud::{Markup, PreEscaped, html};

use super::{Course, Turn, Verdict, chart};
use crate::record::Kept;
use crate::report::draw::clean;
use crate::report::html::document;
use crate::report::values::{many, minute, quantity};

/// Pictures of a page.
const MOST: usize = 60;

/// One offline HTML file: what changed and when, then a picture of each metric.
pub fn page(kept: &Kept, courses: &[Course]) -> String {
    let brand = clean(&kept.machine.brand);
    let body = html! {
        header { b { "loopos" } nav { a href="#changes" { "Changes" } a href="#metrics" { "Metrics" } } time { (clean(&minute(&kept.last))) } }
        div.machine {
            h1 { bdi { (brand) } ": history" }
            p {
                span { (many(kept.runs, "run")) } " "
                span { (clean(&minute(&kept.first))) " to " (clean(&minute(&kept.last))) } " "
                span { "machine " (clean(&kept.machine.fingerprint)) }
            }
        }
        h2 id="changes" { "Changes" }
        div.grid { (changes(courses)) }
        h2 id="metrics" { "Metrics" }
        div.grid { @for (index, course) in courses.iter().take(MOST).enumerate() { (card(course, index)) } }
        @if courses.len() > MOST { p.sub { (many(courses.len() - MOST, "more metric")) ": choose some by --only." } }
        footer { p {
            "A level is the median of at least three runs; a change is where fewer absolute errors pay for another level (Potts functional). "
            code { "loopos history" } " makes this page from the history file alone."
        } }
    };
    document(&format!("loopos: history of {brand}"), &body)
}

/// Every change of every metric, the newest first.
fn changes(courses: &[Course]) -> Markup {
    let mut all: Vec<(&Course, Turn)> = Vec::new();
    for course in courses {
        all.extend(course.turns().into_iter().map(|turn| (course, turn)));
    }
    let started = |one: &(&Course, Turn)| {
        one.0
            .timeline
            .points
            .get(one.1.at)
            .map(|point| point.started.clone())
    };
    all.sort_by_key(|one| std::cmp::Reverse(started(one)));
    html! {
        section.card {
            @if all.is_empty() { p.none { "No level changed." } } @else {
                div.wrap { table.stack {
                    thead { tr { th { "since" } th { "metric" } th.n { "before" } th.n { "after" } th.n { "change" } th { "" } th { "revision" } } }
                    tbody { @for (course, turn) in all.iter().take(200) { (row(course, turn)) } }
                } }
            }
        }
    }
}

fn row(course: &Course, turn: &Turn) -> Markup {
    let timeline = &course.timeline;
    let point = &timeline.points[turn.at.min(timeline.points.len() - 1)];
    let commit: String = point
        .commit
        .as_deref()
        .unwrap_or_default()
        .chars()
        .take(10)
        .collect();
    html! {
        tr {
            td.soft { (clean(&minute(&point.started))) }
            td.name { code { (clean(&timeline.name)) } }
            td.n { (clean(&quantity(turn.before, &timeline.unit))) }
            td.n { (clean(&quantity(turn.after, &timeline.unit))) }
            td.n { (turn.change().map_or(String::new(), |change| format!("{:+.1} %", change * 100.0))) }
            td { @if turn.verdict == Verdict::Worse { b { (turn.verdict.word(&timeline.unit)) } } @else { (turn.verdict.word(&timeline.unit)) } }
            td.soft { code { (clean(&commit)) } }
        }
    }
}

fn card(course: &Course, index: usize) -> Markup {
    let timeline = &course.timeline;
    let id = format!("m{index}");
    let title = clean(&timeline.name);
    html! {
        section.card id=(id) {
            h3 { code { (title) } }
            @if let (Some(wide), Some(narrow)) = (chart::draw(course, false), chart::draw(course, true)) {
                p.how { "Each dot is a run in the order of time, each line a level; a dashed line marks where the level changed." }
                div.plot.wide { (PreEscaped(wide.inline(&format!("{id}-w"), &title))) }
                div.plot.narrow { (PreEscaped(narrow.inline(&format!("{id}-n"), &title))) }
            } @else { p.none { "No run has a value." } }
        }
    }
}
