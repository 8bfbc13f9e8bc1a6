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
    html! { @for (chart, lone) in arranged(wanted.copied().collect()) { (card(chart, lone, view, prefix)) } }
}

/// The pictures in their order, except that the next half one comes up beside each half one; one that stays alone is marked.
fn arranged(mut charts: Vec<&Chart>) -> Vec<(&Chart, bool)> {
    charts.reverse();
    let mut arranged = Vec::with_capacity(charts.len());
    while let Some(chart) = charts.pop() {
        let half = |chart: &&Chart| chart.span == Span::Half;
        let partner = charts
            .iter()
            .rposition(half)
            .filter(|_| chart.span == Span::Half);
        arranged.push((chart, half(&chart) && partner.is_none()));
        arranged.extend(partner.map(|place| (charts.remove(place), false)));
    }
    arranged
}

fn card(chart: &Chart, lone: bool, view: &View<'_>, prefix: Option<&str>) -> Markup {
    let id = prefix.map_or_else(
        || chart.id.to_owned(),
        |prefix| format!("{prefix}-{}", chart.id),
    );
    let drawn = chart.drawn(view);
    // A picture of half the width that stands alone has its words at its left.
    let span = match (chart.span, lone && drawn.is_ok()) {
        (_, true) => "all lone",
        (Span::Half, false) if !lone => "half",
        _ => "all",
    };
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
                Err(reason) => p.none { (super::told(&reason)) },
            }
        }
    }
}

fn both(chart: &Chart, drawn: &Drawn, id: &str) -> Markup {
    html! {
        div.plots {
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
    let mut absent: Vec<(&str, Vec<&str>)> = Vec::new();
    for chart in ALL
        .iter()
        .filter(|chart| !chart.wants(view) && !ran(chart.suite))
    {
        match absent.iter_mut().find(|(suite, _)| *suite == chart.suite) {
            Some((_, titles)) => titles.push(chart.title),
            None => absent.push((chart.suite, vec![chart.title])),
        }
    }
    html! {
        @if !absent.is_empty() {
            section.card {
                h3 { "Not in this run" }
                p.how { "Pictures that need measurements which this run was not asked for." }
                table { tbody { @for (suite, titles) in absent {
                    tr { td { code { "loopos bench --suite " (suite) } br; (titles.join(" · ")) } }
                } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::charts::Frame;
    use crate::report::draw::Svg;

    const fn chart(id: &'static str, span: Span) -> Chart {
        fn none(_: &View<'_>) -> Vec<Input> {
            Vec::new()
        }
        fn nothing(_: &View<'_>, _: Frame) -> Result<Svg, String> {
            Err(String::new())
        }
        Chart {
            id,
            title: "",
            how_to_read: "",
            subject: Subject::Machine,
            span,
            suite: "",
            inputs: none,
            draw: nothing,
            table: None,
        }
    }

    #[test]
    fn halves_stand_in_pairs() {
        let all = [
            chart("a", Span::Half),
            chart("b", Span::Full),
            chart("c", Span::Half),
            chart("d", Span::Half),
            chart("e", Span::Beside),
        ];
        let order = arranged(all.iter().collect());
        let order: Vec<_> = order
            .iter()
            .map(|(chart, lone)| (chart.id, *lone))
            .collect();
        let expected = [
            ("a", false),
            ("c", false),
            ("b", false),
            ("d", true),
            ("e", false),
        ];
        assert_eq!(order, expected);
    }
}
