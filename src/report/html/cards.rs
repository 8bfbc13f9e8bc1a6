//! Cards with pictures: heading, how to read it, the picture in two widths, and where its numbers come from.

use maud::{Markup, PreEscaped, html};

use crate::report::charts::{ALL, Chart, Drawn, Span, Subject};
use crate::report::draw::clean;
use crate::report::view::{Input, View};

/// The cards of all pictures about `subject` that the run looked at. `prefix` keeps their ids apart between cases.
pub(super) fn pictures(view: &View<'_>, subject: Subject, prefix: Option<&str>) -> Markup {
    let wanted = ALL
        .iter()
        .filter(|chart| chart.subject == subject && chart.wants(view));
    html! { @for chart in wanted { (card(chart, view, prefix)) } }
}

fn card(chart: &Chart, view: &View<'_>, prefix: Option<&str>) -> Markup {
    let id = prefix.map_or_else(
        || chart.id.to_owned(),
        |prefix| format!("{prefix}-{}", chart.id),
    );
    let span = if chart.span == Span::Half {
        "half"
    } else {
        "all"
    };
    let drawn = chart.drawn(view);
    html! {
        section.card.(span) id=(id) {
            h3 { (chart.title) }
            @match drawn {
                Ok(drawn) => {
                    p.how { (chart.how_to_read) }
                    @match chart.table {
                        Some(table) if chart.span == Span::Full => { (both(chart, &drawn, &id)) div.wrap { (table(view)) } },
                        Some(table) => div.beside { (both(chart, &drawn, &id)) div.wrap { (table(view)) } },
                        None => (both(chart, &drawn, &id)),
                    }
                    (sources(&(chart.inputs)(view)))
                }
                Err(reason) => p.none { (clean(&reason)) },
            }
        }
    }
}

fn both(chart: &Chart, drawn: &Drawn, id: &str) -> Markup {
    html! {
        div {
            div.plot.wide { (PreEscaped(drawn.wide.inline(&format!("{id}-w"), chart.title))) }
            div.plot.narrow { (PreEscaped(drawn.narrow.inline(&format!("{id}-n"), chart.title))) }
        }
    }
}

/// One tag per input; opened, the tags tell how each was obtained.
fn sources(inputs: &[Input]) -> Markup {
    html! {
        details.sources {
            summary {
                @for input in inputs {
                    @if input.known {
                        span.tag { b { (clean(&input.what)) } " " (clean(&input.origin.join(", "))) }
                    } @else {
                        span.tag.unavailable { b { (clean(&input.what)) } " unavailable" }
                    }
                }
            }
            dl { @for input in inputs { dt { (clean(&input.what)) } dd { (clean(&input.how.join(" "))) } } }
        }
    }
}

/// Whether the run looked at any picture about `subject`.
pub(super) fn any(view: &View<'_>, subject: Subject) -> bool {
    ALL.iter()
        .any(|chart| chart.subject == subject && chart.wants(view))
}

/// Pictures that this run did not look at, and the suites that would draw them. What a suite that was run has left out is not for this
/// run: pretraining has no rewards.
pub(super) fn absent(view: &View<'_>) -> Markup {
    let ran = |suite: &str| view.run.suites.iter().any(|name| name == suite);
    let absent: Vec<_> = ALL
        .iter()
        .filter(|chart| !chart.wants(view) && !ran(chart.suite))
        .collect();
    html! {
        @if !absent.is_empty() {
            section.card {
                h3 { "Not in this run" }
                p.how { "Pictures that need measurements which this run was not asked for." }
                table { tbody { @for chart in absent {
                    tr { td { (chart.title) } td { code { "loopos bench --suite " (chart.suite) } } }
                } } }
            }
        }
    }
}
