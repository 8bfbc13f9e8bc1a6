//! The page: one HTML file that needs nothing beside it.

mod cards;
mod hero;
mod operators;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::{SECTIONS, Subject};
use super::draw::{FACES, classes, clean, variables};
use super::values::{duration, many, minute};
use super::view::{self, View};
use crate::record::Run;

/// The whole page of a run.
pub(super) fn page(run: &Run) -> String {
    let cases = view::cases(run);
    let views: Vec<View<'_>> = cases
        .iter()
        .map(|case| View::new(run, Some(case.clone())))
        .collect();
    let machine = View::new(run, cases.first().cloned());
    let title = format!(
        "loopos: {} on {}",
        cases.first().map_or("kernels", String::as_str),
        run.machine.summary.brand
    );
    let body = html! {
        (head(run, &views, &machine))
        (hero::hero(&machine))
        (hero::cases(&views))
        @for view in &views { (training(view, views.len() > 1)) }
        @for (subject, id, heading) in sections(&machine) {
            h2 id=(id) { (heading) }
            div.grid { (cards::pictures(&machine, subject, None)) }
        }
        h2 id="machine" { "The machine" }
        div.grid {
            (cards::pictures(&machine, Subject::Machine, None))
            (tables::ceilings(&machine))
            (tables::features(run))
            (tables::facts(run))
        }
        h2 id="evidence" { "Evidence" }
        div.grid {
            (tables::counters(run))
            (tables::notes(run))
            (cards::absent(&machine))
            (tables::metrics(run))
            (tables::config(run))
        }
        (foot(run))
    };
    document(&title, &body)
}

/// A page around `body`: complete in itself, in the look of all pages.
pub(super) fn document(title: &str, body: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (clean(title)) }
                style { (PreEscaped(style())) }
            }
            body {
                main { (body) }
                div #tip role="presentation" {}
                script { (PreEscaped(include_str!("hover.js"))) }
            }
        }
    };
    markup.into_string()
}

/// Text of a run in which what stands between `backticks` is to be typed.
fn told(text: &str) -> Markup {
    let text = clean(text);
    let parts: Vec<&str> = text.split('`').collect();
    // Without a partner a backtick is a letter like others.
    let paired = parts.len() % 2 == 1;
    html! {
        @if paired {
            @for (place, part) in parts.iter().enumerate() {
                @if place % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

fn style() -> String {
    let theme = |dark: bool, page: &str| format!("--page:{page};{}", variables(dark));
    format!(
        ":root{{{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}body{{font-family:{FACES}}}{}{}",
        theme(false, "#f8f8f6"),
        theme(true, "#101419"),
        include_str!("style.css"),
        classes()
    )
}

/// The parts that the run has something for.
fn sections(view: &View<'_>) -> impl Iterator<Item = (Subject, &'static str, &'static str)> {
    SECTIONS
        .into_iter()
        .filter(|(subject, ..)| cards::any(view, *subject))
}

fn head(run: &Run, views: &[View<'_>], machine: &View<'_>) -> Markup {
    html! {
        header {
            b { "loopos" }
            nav {
                @if let Some(first) = views.first() { a href={ "#" (anchor(first)) } { "Training" } }
                @for (_, id, heading) in sections(machine) { a href={ "#" (id) } { (heading) } }
                a href="#machine" { "Machine" }
                a href="#evidence" { "Evidence" }
            }
            time { (clean(&minute(&run.started))) }
        }
    }
}

/// The anchor of a training case: only characters that an id and a link may hold.
fn anchor(view: &View<'_>) -> String {
    let case = view.case.as_deref().unwrap_or_default();
    let plain: String = case
        .chars()
        .take(60)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    format!("training-{plain}")
}

fn training(view: &View<'_>, several: bool) -> Markup {
    let case = view.case.as_deref().unwrap_or_default();
    let prefix = several.then(|| anchor(view));
    html! {
        h2 id=(anchor(view)) {
            "Training" small { bdi { (clean(case)) } @if let Some(threads) = view.threads { ", " (many(threads as usize, "thread")) } }
        }
        div.grid {
            (cards::pictures(view, Subject::Training, prefix.as_deref()))
            (operators::table(view))
        }
    }
}

fn foot(run: &Run) -> Markup {
    html! {
        footer {
            p { "Run " bdi { (clean(&run.id)) } ", " (duration(run.elapsed_seconds)) ", by loopos " (clean(&run.version))
                @if let Some(commit) = &run.commit { ", revision " (clean(commit)) } "." }
            p { code { (clean(&run.command.join(" "))) } }
            p { "Every number on this page is in run.json beside it; " code { "loopos report" } " makes the page again from that file alone." }
        }
    }
}
