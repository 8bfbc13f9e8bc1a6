//! The first screen: which machine, how fast, how much of what it can give, why not more, and what to do.

use maud::{Markup, html};

use crate::record::{Metric, Summary};
use crate::report::charts::posttraining;
use crate::report::draw::clean;
use crate::report::headlines::{Headline, headlines};
use crate::report::values::{self, duration, interval, many, quantity, reason};
use crate::report::view::{View, at_threads, origin, points};
use crate::units::{Bytes, digits};

/// One reason why training is not faster.
struct Loss<'a> {
    reason: String,
    share: f64,
    metric: &'a Metric,
}

/// The losses of the case at its most threads, the largest first.
fn losses<'a>(view: &View<'a>) -> Vec<Loss<'a>> {
    let prefix = view.case_name("training", "lost.");
    let all = view
        .metrics_under(&prefix)
        .into_iter()
        .filter_map(|metric| {
            let (before, threads, quantity) = at_threads(&metric.name)?;
            let share = values::known(metric.value).filter(|share| *share > 0.0)?;
            let fits =
                quantity == "share_of_step" && view.threads.is_none_or(|most| most == threads);
            fits.then(|| Loss {
                reason: reason(before.strip_prefix(&prefix).unwrap_or(before)),
                share,
                metric,
            })
        });
    let mut all: Vec<Loss<'a>> = all.collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// The first screen of the page.
pub(super) fn hero(view: &View<'_>) -> Markup {
    html! {
        (machine(view))
        (cautions(view))
        div.grid {
            @if view.case.is_some() {
                (speed(view))
                // Of post-training nobody knows the arithmetic beforehand, and a log has none: phases say where the time goes.
                @let (shares, explained) = (phase_shares(view), view.metric(&view.name("training", "mfu")).is_some());
                @if explained { (attainable(view)) }
                @if !shares.is_empty() { (phases(view, &shares)) }
                (step(view))
                @if explained { (why(view)) }
                (advice(view, explained))
            }
            @let findings = headlines(view.run);
            @let span = if view.case.is_some() { "third" } else { span_of(findings.len()) };
            @for finding in &findings { (kernels(finding, span)) }
            @if view.case.is_none() {
                @if findings.is_empty() { section.card { p.none { "This run trained nothing, so there is no training speed to show." } } }
                (advice(view, false))
            }
        }
    }
}

/// How wide each of so many findings is, where nothing else is beside them.
fn span_of(findings: usize) -> &'static str {
    match findings {
        1 => "all fact",
        2 | 4 => "half",
        _ => "third",
    }
}

/// What a suite of kernels found.
fn kernels(finding: &Headline, span: &str) -> Markup {
    html! {
        section.card.(span) {
            p.lab { (finding.title) }
            p.big { (clean(&finding.big.0)) " " small { (clean(&finding.big.1)) } }
            dl.pairs {
                @for (what, value) in &finding.pairs { dt { (clean(what)) } dd { (clean(value)) } }
            }
        }
    }
}

/// What limits how far the numbers can be believed stands before them.
fn cautions(view: &View<'_>) -> Markup {
    let limits: Vec<_> = view
        .run
        .notes
        .iter()
        .filter(|note| note.topic == "limits")
        .take(3)
        .collect();
    html! { @for note in limits { p.caution { b { "Mind: " } (super::told(&note.text)) } } }
}

fn machine(view: &View<'_>) -> Markup {
    let summary = &view.run.machine.summary;
    let brand = if summary.brand.trim().is_empty() {
        "An unknown processor".to_owned()
    } else {
        clean(&summary.brand)
    };
    html! {
        div.machine {
            h1 { bdi { (brand) } }
            p { @for fact in facts(view, summary) { span { (fact) } " " } }
        }
    }
}

fn facts(view: &View<'_>, summary: &Summary) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(summary.microarchitecture.as_deref().map(clean));
    let mut counts = format!(
        "{}, {}",
        many(summary.cores as usize, "core"),
        many(summary.threads as usize, "thread")
    );
    if summary.usable_threads != summary.threads {
        counts.push_str(&format!(", {} usable", summary.usable_threads));
    }
    facts.push(counts);
    facts.push(values::isa(&clean(&summary.isa)));
    let mut levels: Vec<(u32, u64)> = Vec::new();
    for cache in view
        .run
        .machine
        .caches
        .iter()
        .filter(|cache| cache.kind != "instruction")
    {
        match levels.iter_mut().find(|level| level.0 == cache.level) {
            Some(level) => level.1 = level.1.max(cache.bytes),
            None => levels.push((cache.level, cache.bytes)),
        }
    }
    levels.sort_unstable();
    facts.extend(
        levels
            .into_iter()
            .map(|(level, bytes)| format!("L{level} {}", Bytes(bytes as f64))),
    );
    let memory = view
        .run
        .machine
        .facts
        .iter()
        .find(|fact| fact.key == "memory.total_bytes");
    facts.extend(
        memory
            .filter(|fact| !fact.text.is_empty())
            .map(|fact| format!("{} of memory", clean(&fact.text))),
    );
    facts.extend(
        summary
            .hypervisor
            .as_deref()
            .map(|name| format!("virtual, under {}", clean(name))),
    );
    facts
}

fn unavailable(metric: Option<&Metric>) -> Markup {
    let reason = metric
        .map(|metric| values::sentence(&clean(&metric.how)))
        .filter(|how| !how.is_empty());
    html! { p.none { (reason.unwrap_or_else(|| "The run holds no number for it.".to_owned())) } }
}

fn speed(view: &View<'_>) -> Markup {
    let metric = view.metric(&view.name("training", "tokens_per_second"));
    let value = metric
        .and_then(|metric| values::known(metric.value))
        .filter(|value| *value > 0.0);
    let speedup = view
        .series(&view.case_name("training", "speedup"))
        .map(points)
        .unwrap_or_default();
    let speedup = speedup
        .into_iter()
        .rev()
        .find_map(|point| Some((point.0, point.1?)))
        .filter(|point| point.0 > 1.0);
    html! {
        section.card.third {
            p.lab { "Training speed" }
            @if let (Some(metric), Some(value)) = (metric, value) {
                p.big { (digits(value)) " " small { (clean(&metric.unit)) } }
                dl.pairs {
                    @if let Some(interval) = interval(metric) { dt { "95 % interval" } dd { (interval_only(&interval, &metric.unit)) } }
                    dt { "a million tokens" } dd { "in " (duration(1e6 / value)) }
                    @if let Some((threads, factor)) = speedup { dt { "over one thread" } dd { (digits(factor)) " \u{d7} on " (threads) } }
                }
                p.sub { (values::capital(origin(metric.provenance))) ": " (clean(&metric.how)) }
            } @else { (unavailable(metric)) }
        }
    }
}

/// An interval without its unit, where the big number beside it has the same.
fn interval_only(interval: &str, unit: &str) -> String {
    interval
        .strip_suffix(unit)
        .unwrap_or(interval)
        .trim_end()
        .to_owned()
}

fn attainable(view: &View<'_>) -> Markup {
    let metric = view.metric(&view.name("training", "mfu"));
    let value = metric.and_then(|metric| values::known(metric.value));
    let achieved = view.value(&view.name("training", "gflops"));
    // The peak that the share is of: what the ceilings measured at another time may differ.
    let peak = achieved
        .zip(value.filter(|share| *share > 0.0))
        .map(|(achieved, share)| achieved / share);
    html! {
        section.card.third {
            p.lab { "Of what this machine can give" }
            @if let (Some(metric), Some(value)) = (metric, value) {
                p.big { (format!("{:.1}", value * 100.0)) " " small { "%" } }
                (split(view, value))
                dl.pairs {
                    @if let Some(interval) = interval(metric) { dt { "95 % interval" } dd { (interval) } }
                    @if let Some(achieved) = achieved { dt { "training" } dd { (digits(achieved)) " GFLOP/s" } }
                    @if let Some(peak) = peak { dt { "FMA peak meanwhile" } dd { (digits(peak)) " GFLOP/s" } }
                }
                p.sub { (values::capital(origin(metric.provenance))) ": " (clean(&metric.how)) }
            } @else { (unavailable(metric)) }
        }
    }
}

/// The phases of a step of reinforcement with their shares, the longest first.
fn phase_shares(view: &View<'_>) -> Vec<(&'static str, f64)> {
    let share = |(name, what): &(&str, &'static str)| {
        let metric = format!("{name}_share");
        Some((*what, view.value(&view.name("training", &metric))?))
    };
    let mut shares: Vec<_> = posttraining::PHASES.iter().filter_map(share).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares
}

/// Where a step of reinforcement goes.
fn phases(view: &View<'_>, shares: &[(&'static str, f64)]) -> Markup {
    let number = |quantity: &str| view.value(&view.name("training", quantity));
    let speeds = [
        ("written", number("rollout_tokens_per_second")),
        ("learnt from", number("update_tokens_per_second")),
    ];
    html! {
        section.card.third {
            p.lab { "Where a step goes" }
            @if let Some((what, share)) = shares.first() {
                p.big { (format!("{:.0}", share * 100.0)) " " small { "% " (what) } }
            }
            dl.pairs {
                @for (what, share) in shares.iter().skip(1) { dt { (what) } dd { (quantity(*share, "ratio")) } }
                @for (what, speed) in speeds { @if let Some(speed) = speed { dt { (what) } dd { (digits(speed)) " tokens/s" } } }
            }
        }
    }
}

/// The step as a bar: what is used, the three largest losses, the rest.
fn split(view: &View<'_>, used: f64) -> Markup {
    let mut left = 1.0 - used.clamp(0.0, 1.0);
    let mut parts = Vec::new();
    for (rank, loss) in losses(view).into_iter().take(3).enumerate() {
        let share = loss.share.min(left);
        left -= share;
        parts.push((
            share,
            opacity(rank),
            format!("{}: {}", loss.reason, quantity(loss.share, "ratio")),
        ));
    }
    html! {
        div.bar role="img" aria-label={ (quantity(used, "ratio")) " used" } {
            i.used style=(format!("width:{:.2}%", used.clamp(0.0, 1.0) * 100.0)) title="used" {}
            @for (share, opacity, title) in parts {
                i.lost style=(format!("width:{:.2}%;opacity:{opacity:.2}", share * 100.0)) title=(title) {}
            }
        }
    }
}

/// How strong the colour of a loss is: the largest strongest, in the bar and in the list.
fn opacity(rank: usize) -> f64 {
    1.0 - 0.28 * rank as f64
}

fn step(view: &View<'_>) -> Markup {
    let training = |quantity: &str| view.metric(&view.name("training", quantity));
    let step = training("step_seconds");
    let value = step.and_then(|metric| values::known(metric.value));
    let of = |metrics: [Option<&Metric>; 2]| {
        metrics
            .into_iter()
            .flatten()
            .find_map(|metric| Some(quantity(values::known(metric.value)?, &metric.unit)))
    };
    let memory = |quantity: &str| {
        of([
            training(quantity),
            view.metric(&view.name("memory", quantity)),
        ])
    };
    let rows = [
        ("peak memory", memory("peak_rss_bytes")),
        ("memory as planned", memory("planned_bytes")),
        ("loss at the end", of([training("loss"), None])),
        ("validation loss", of([training("validation_loss"), None])),
        ("unigram entropy", of([training("unigram_entropy"), None])),
    ];
    html! {
        section.card.third {
            p.lab { "One step" }
            @if let Some(value) = value {
                @let (number, unit) = values::parts(value, "seconds");
                p.big { (number) " " small { (unit) } }
            } @else { (unavailable(step)) }
            dl.pairs {
                @for (name, value) in rows { @if let Some(value) = value { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn why(view: &View<'_>) -> Markup {
    let losses = losses(view);
    let advised = view.run.notes.iter().any(|note| note.topic == "advice");
    let more = losses.len().saturating_sub(3);
    let missing = view.metrics_under(&view.case_name("training", "lost."));
    html! {
        section.card.(if advised { "seven" } else { "all" }) {
            h3 { "Why not faster" }
            @if losses.is_empty() { (unavailable(missing.first().copied())) }
            ol.why {
                @for (rank, loss) in losses.iter().take(3).enumerate() {
                    li {
                        b { (quantity(loss.share, "ratio")) i.lost style=(format!("opacity:{:.2}", opacity(rank))) {} }
                        div {
                            strong { (values::capital(&loss.reason)) } " " small.soft { (origin(loss.metric.provenance)) }
                            span { (values::sentence(&clean(&loss.metric.how))) }
                        }
                    }
                }
            }
            @if more > 0 { p.sub { "Shares of the step's time. " (many(more, "smaller loss")) (if more == 1 { " is" } else { " are" }) " in the table of all numbers." } }
        }
    }
}

/// `beside` the reasons, where there are any.
fn advice(view: &View<'_>, beside: bool) -> Markup {
    let advice: Vec<_> = view
        .run
        .notes
        .iter()
        .filter(|note| note.topic == "advice")
        .collect();
    html! {
        @if !advice.is_empty() {
            section.card.(if beside { "five" } else { "all" }) {
                h3 { "What to do" }
                ul.do { @for note in advice.iter().take(8) { li { (super::told(&note.text)) } } }
            }
        }
    }
}

/// All training cases side by side, where there are several.
pub(super) fn cases(views: &[View<'_>]) -> Markup {
    let cell = |view: &View<'_>, name: &str| {
        let metric = view.metric(&view.name("training", name));
        let value = metric.and_then(|metric| Some((values::known(metric.value)?, metric)));
        match value {
            Some((value, _)) if name == "step_seconds" => duration(value),
            Some((value, metric)) => quantity(value, &metric.unit),
            None => "\u{2013}".to_owned(),
        }
    };
    const COLUMNS: [(&str, &str); 6] = [
        ("tokens_per_second", "speed"),
        ("mfu", "of the attainable"),
        ("step_seconds", "step"),
        ("peak_rss_bytes", "peak memory"),
        ("loss", "loss"),
        ("validation_loss", "validation loss"),
    ];
    html! {
        @if views.len() > 1 {
            h2 { "All cases" }
            div.grid { section.card { div.wrap { table {
                thead { tr { th { "case" } th.n { "threads" } @for (_, title) in COLUMNS { th.n { (title) } } } }
                tbody {
                    @for view in views {
                        tr {
                            td.long { a href={ "#" (super::anchor(view)) } { bdi { (clean(view.case.as_deref().unwrap_or_default())) } } }
                            td.n { (view.threads.unwrap_or_default()) }
                            @for (name, _) in COLUMNS { td.n { (cell(view, name)) } }
                        }
                    }
                }
            } } } }
        }
    }
}
