//! The comparison as a page in the look of the reports: verdict, picture, what differs, every number.

use maud::{Markup, PreEscaped, html};

use super::markdown::headline;
use super::{Against, Comparison, Role, Row, Verdict, Weight, forest, percent};
use crate::report::draw::clean;
use crate::report::html::document;
use crate::report::values::{capital, many, parts, quantity, sentence};

/// Failures named beside the verdict.
const FAILURES: usize = 5;

/// Differences listed.
const DIFFERENCES: usize = 40;

/// Rows of a table; run.json has all.
const MOST: usize = 1_500;

impl Comparison {
    /// One offline HTML file.
    pub fn page(&self) -> String {
        let title = format!("loopos: comparison with {}", clean(&self.baseline));
        let body = html! {
            header {
                b { "loopos" }
                nav {
                    @for (index, against) in self.against.iter().enumerate() { a href={ "#c" (index) } { (clean(&against.name)) } }
                    a href="#method" { "Method" }
                }
            }
            div.machine {
                h1 { "Comparison with " bdi { (clean(&self.baseline)) } }
                p { span { (clean(&self.machine)) } " " span { "baseline: " (clean(&self.about)) } }
            }
            @for (index, against) in self.against.iter().enumerate() { (self.one(against, index)) }
            h2 id="method" { "Method" }
            div.grid { section.card { p.how { (self.method()) } } }
            footer { p { code { "loopos compare" } " makes this page from the run.json files alone." } }
        };
        document(&title, &body)
    }

    fn one(&self, against: &Against, index: usize) -> Markup {
        let id = format!("c{index}");
        html! {
            h2 id=(id) { bdi { (clean(&against.name)) } small { (clean(&against.about)) } }
            (caution(against))
            div.grid {
                (verdict(self, against))
                (picture(self, against, &id))
                (differences(against))
                (table(against, Role::Result, "Results"))
                (table(against, Role::Detail, "Details"))
            }
        }
    }
}

/// What makes the numbers those of two machines, in one sentence.
fn caution(against: &Against) -> Markup {
    let what: Vec<String> = (against.forbidden())
        .map(|difference| clean(&difference.what))
        .collect();
    html! {
        @if !what.is_empty() {
            p.caution {
                b { "Not to be compared: " }
                "the " (what.join(", ")) (if what.len() == 1 { " is" } else { " are" }) " not the same, so that no number here tells one \
                 program from the other."
            }
        }
    }
}

/// What came out, in words.
fn verdict(comparison: &Comparison, against: &Against) -> Markup {
    let results = against.results().count();
    let failures: Vec<&Row> = against.results().filter(|row| row.fails).collect();
    let settled = results - against.count(Verdict::Inconclusive);
    html! {
        section.card {
            p.lab { "Verdict on " (many(results, "result")) }
            p.big { (capital(&headline(against))) }
            @if let Some(gate) = comparison.question.gate {
                @if failures.is_empty() {
                    p.sub { "No result fails the gate of " (quantity(gate, "ratio")) "." }
                } @else {
                    p.sub { "The gate of " (quantity(gate, "ratio")) " fails:" }
                    ul.do { @for row in failures.iter().take(FAILURES) { li { code { (clean(&row.name)) } " " (change(row)) } } }
                    @if failures.len() > FAILURES { p.sub { (many(failures.len() - FAILURES, "more result")) " in the table." } }
                }
            }
            p.sub { (sentence(&against.pairing.words())) }
            @if results > 0 && settled < results {
                p.sub { "What is inconclusive needs more runs of each side, in turn: measure one, then the other, then again." }
            }
            @if against.unmatched > 0 { p.sub { (many(against.unmatched, "number")) " of one side without a partner on the other." } }
            @if against.differences.is_empty() {
                p.sub { "Nothing else differs: the same machine, microcode, settings, configuration and program." }
            }
        }
    }
}

fn differences(against: &Against) -> Markup {
    html! {
        @if !against.differences.is_empty() {
            section.card {
                h3 { "What differs" }
                div.wrap { table.stack {
                    thead { tr { th { "what" } th { "baseline" } th { "candidate" } th { "" } } }
                    tbody { @for difference in against.differences.iter().take(DIFFERENCES) { tr {
                        td { b { (capital(&clean(&difference.what))) } }
                        td.long { (clean(&difference.baseline)) }
                        td.long { (clean(&difference.candidate)) }
                        td.soft { @if difference.weight == Weight::Forbids { "forbids a comparison" } }
                    } } }
                } }
                @if against.differences.len() > DIFFERENCES { p.sub { (many(against.differences.len() - DIFFERENCES, "more difference")) "." } }
            }
        }
    }
}

fn picture(comparison: &Comparison, against: &Against, id: &str) -> Markup {
    let draw = |narrow| forest::draw(against, comparison.margin(), narrow);
    let title = "Results beside the baseline";
    html! {
        section.card {
            h3 { (title) }
            @if let (Some(wide), Some(narrow)) = (draw(false), draw(true)) {
                p.how { "Each dot is how much better or worse a result became, each line its 95 % interval; within the grey band nothing \
                         changed that matters. Hollow dots are inconclusive." }
                div.plot.wide { (PreEscaped(wide.inline(&format!("{id}-w"), title))) }
                div.plot.narrow { (PreEscaped(narrow.inline(&format!("{id}-n"), title))) }
                @if against.results().count() > forest::MOST { p.sub { "The first " (forest::MOST) "; the table has all." } }
            } @else {
                p.none { "No result has an interval on both sides." }
            }
        }
    }
}

fn table(against: &Against, role: Role, title: &str) -> Markup {
    let rows: Vec<&Row> = against.rows.iter().filter(|row| row.role == role).collect();
    html! {
        @if !rows.is_empty() {
            section.card { details.more open[role == Role::Result && rows.len() <= 24] {
                summary { (title) span { (many(rows.len(), "number")) } }
                div.wrap { table.stack {
                    thead { tr { th { "name" } th.n { "baseline" } th.n { "candidate" } th { "change, 95 % interval" } th.n { "p, corrected" } th { "verdict" } } }
                    tbody { @for row in rows.iter().take(MOST) { (line(row)) } }
                } }
                @if rows.len() > MOST { p.sub { (many(rows.len() - MOST, "more number")) "." } }
            } }
        }
    }
}

fn line(row: &Row) -> Markup {
    let value = |value: f64| {
        let (number, unit) = parts(value, &row.unit);
        html! { (number) " " span.soft { (clean(&unit)) } }
    };
    html! {
        tr {
            td.name { code { (clean(&row.name)) } }
            td.n { (value(row.baseline)) }
            td.n { (value(row.candidate)) }
            td.soft { (change(row)) }
            td.n.soft { @if let Ok(change) = &row.change { "p " (p_value(change.adjusted)) } }
            td { @if matches!(row.verdict, Verdict::Better | Verdict::Worse) { b { (row.word()) } } @else { (row.word()) } }
        }
    }
}

fn change(row: &Row) -> String {
    percent(row).unwrap_or_else(|reason| clean(&reason))
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}
