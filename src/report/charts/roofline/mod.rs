//! The roofline of a step (Williams, Waterman, Patterson, 2009): one dot per operator and pass under the measured ceilings.

mod roofs;

use maud::{Markup, html};
pub(crate) use roofs::Roofs;

use super::ceilings::{self, Ceiling};
use super::step_breakdown::ink;
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{
    Align, Area, Axis, Canvas, Ink, Placer, Plot, Stroke, Svg, Type, extent,
};
use crate::report::values::{duration, quantity};
use crate::report::view::{Input, Operator, View};
use crate::units::digits;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "roofline",
    title: "Roofline of the step",
    how_to_read: "One dot per operator and pass, its area the time spent there: the nearer to the roof above it, the less can \
                  be won; under a slanted roof memory is the limit, under a flat one arithmetic.",
    subject: Subject::Training,
    span: Span::Beside,
    suite: "training",
    inputs,
    draw,
    table: Some(table),
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    let metrics = |quantity: &str| {
        view.operator_metrics(quantity)
            .into_iter()
            .map(|row| row.2)
            .collect::<Vec<_>>()
    };
    let roofs = |ceilings: Vec<Ceiling<'_>>| {
        ceilings
            .iter()
            .map(|ceiling| ceiling.metric.clone())
            .collect::<Vec<_>>()
    };
    let operators = metrics("gflops");
    if operators.is_empty() {
        return Vec::new();
    }
    let parts = [
        Input::of_metrics("GFLOP/s", operators),
        Input::of_metrics("FLOP per byte", metrics("intensity")),
        Input::of_metrics("flat roofs", &roofs(ceilings::arithmetic(view))),
        Input::of_metrics("slanted roofs", &roofs(ceilings::bandwidth(view))),
    ];
    parts.into_iter().flatten().collect()
}

/// An operator that has a place on the plot.
struct Dot {
    letter: String,
    operator: Operator,
    /// FLOP per byte, GFLOP/s.
    value: (f64, f64),
}

/// The operators, the longest first, each with its letter where it has a place on the plot.
fn lettered(view: &View<'_>) -> Vec<(Option<String>, Operator)> {
    let mut operators = view.operators();
    operators.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut letters = ('A'..='Z').chain('a'..='z');
    let row = |operator: Operator| {
        let placed = operator.gflops.is_some() && operator.intensity.is_some();
        (
            if placed {
                letters.next().map(String::from)
            } else {
                None
            },
            operator,
        )
    };
    operators.into_iter().map(row).collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let roofs = Roofs::of(view);
    let dot = |(letter, operator): (Option<String>, Operator)| {
        let value = (operator.intensity?, operator.gflops?);
        Some(Dot {
            letter: letter?,
            operator,
            value,
        })
    };
    let dots: Vec<Dot> = lettered(view).into_iter().filter_map(dot).collect();
    let [first, ..] = &dots[..] else {
        return Err(super::reasons(&inputs(view)));
    };
    let canvas = Canvas::new(frame.width, if frame.narrow { 420.0 } else { 560.0 });
    let plot = axes(&canvas, &roofs, &dots);
    let largest = if frame.narrow { 13.0 } else { 18.0 };
    let radius =
        |dot: &Dot| ((dot.operator.seconds / first.operator.seconds).sqrt() * largest).max(2.5);
    let discs: Vec<_> = dots
        .iter()
        .map(|dot| (plot.at(dot.value.0, dot.value.1), radius(dot)))
        .collect();
    let mut placer = Placer::new(plot.area);
    let letters: Vec<_> = discs
        .iter()
        .map(|disc| letter_place(&mut placer, *disc))
        .collect();
    let taken = letters.iter().flatten().map(|place| (*place, 8.0));
    roofs.draw_slanted(
        &canvas,
        &plot,
        &discs.iter().copied().chain(taken).collect::<Vec<_>>(),
    );
    roofs.draw_flat(&canvas, &plot);
    let total = view.step_seconds().unwrap_or(f64::INFINITY);
    for (dot, (at, radius)) in dots.iter().zip(&discs) {
        let title = told(dot, total);
        canvas.hover(&title, |canvas| {
            canvas.dot(*at, *radius, ink(&dot.operator.pass), 0.3)
        });
    }
    for ((dot, disc), place) in dots.iter().zip(&discs).zip(&letters) {
        if let Some(place) = place {
            write_letter(&canvas, &dot.letter, *disc, *place);
        }
    }
    let roofs = roofs.flat.len() + roofs.slanted.len();
    Ok(canvas.finish(format!(
        "{} operators under {roofs} roofs. The longest: {}.",
        dots.len(),
        told(first, total)
    )))
}

fn told(dot: &Dot, total: f64) -> String {
    let operator = &dot.operator;
    format!(
        "{}, {}: {}, {} of the step, {} GFLOP/s at {} FLOP per byte",
        operator.label,
        operator.pass,
        duration(operator.seconds),
        quantity(operator.seconds / total, "ratio"),
        digits(dot.value.1),
        digits(dot.value.0)
    )
}

/// Axes that hold all dots, the highest roof, and the foot of each slanted one.
fn axes<'a>(canvas: &'a Canvas, roofs: &Roofs, dots: &[Dot]) -> Plot<'a> {
    let (left, right) = extent(dots.iter().map(|dot| dot.value.0)).unwrap_or((0.1, 100.0));
    let (bottom, top) = extent(dots.iter().map(|dot| dot.value.1)).unwrap_or((1.0, 100.0));
    let top = roofs.peak().unwrap_or(top).max(top);
    let ridge = |roof: Option<&(String, f64)>| roof.map(|roof| top / roof.1);
    let left = ridge(roofs.slanted.first()).map_or(left, |fastest| left.min(fastest / 2.0)) / 2.0;
    let right = ridge(roofs.slanted.last()).map_or(right, |slowest| right.max(slowest)) * 2.2;
    let x = Axis::decades(left, right);
    let y = Axis::decades((bottom / 2.0).max(top / 1e5), top * 1.35);
    canvas.plot(
        canvas.bounds(),
        roofs.gap(),
        (x, "FLOP per byte moved, as declared"),
        (y, "GFLOP/s"),
    )
}

/// Where the letter of a dot goes: into it where it is large and free, else beside it.
fn letter_place(placer: &mut Placer, (at, radius): ((f64, f64), f64)) -> Option<(f64, f64)> {
    const BOX: (f64, f64) = (10.0, 11.0);
    let around = |distance: f64| {
        let directions =
            [0.0, 315.0, 45.0, 180.0, 225.0, 135.0, 270.0, 90.0f64].map(f64::to_radians);
        directions.map(|angle| (at.0 + angle.cos() * distance, at.1 + angle.sin() * distance))
    };
    let inside = (radius >= 7.0).then_some(at);
    let outside = [8.0, 16.0, 26.0, 38.0, 52.0]
        .into_iter()
        .flat_map(|gap| around(radius + gap));
    let centres = inside.into_iter().chain(outside);
    let area = |centre: (f64, f64)| Area {
        x: centre.0 - BOX.0 / 2.0,
        y: centre.1 - BOX.1 / 2.0,
        width: BOX.0,
        height: BOX.1,
    };
    let place = placer.place(centres.map(area))?;
    Some((place.x + BOX.0 / 2.0, place.y + BOX.1 / 2.0))
}

/// Writes a letter, with a line to its dot where it had to go far.
fn write_letter(canvas: &Canvas, letter: &str, (at, radius): ((f64, f64), f64), place: (f64, f64)) {
    let (dx, dy) = (place.0 - at.0, place.1 - at.1);
    let distance = dx.hypot(dy);
    if distance > radius + 10.0 {
        let on = |length: f64| (at.0 + dx / distance * length, at.1 + dy / distance * length);
        canvas.line(
            &[on(radius), on(distance - 7.0)],
            Stroke::solid(Ink::Soft, 0.8),
        );
    }
    canvas.text(
        place,
        letter,
        Type::plain(Ink::Text)
            .size(11.0)
            .bold()
            .align(Align::Middle)
            .halo(),
    );
}

fn table(view: &View<'_>) -> Markup {
    let roofs = Roofs::of(view);
    let rows = lettered(view);
    let total = view.step_seconds().unwrap_or(f64::INFINITY);
    let share = |operator: &Operator| quantity(operator.seconds / total, "ratio");
    html! {
        table.key {
            thead { tr { th {} th { "operator" } th.n { "time" } th.n { "GFLOP/s" } th.n { "of its roof" } } }
            tbody {
                @for (letter, operator) in &rows {
                    tr {
                        td { @if let Some(letter) = letter { b.dot.(operator.pass) { (letter) } } }
                        td.what { (operator.label) " " span.soft { (operator.pass) } }
                        td.n { (share(operator)) }
                        td.n { (operator.gflops.map(digits).unwrap_or_default()) }
                        td.n { @if let Some((roof, share)) = roofs.above(operator) {
                            span.soft { (roof) } " " (format!("{:.0} %", share * 100.0))
                        } }
                    }
                }
            }
        }
    }
}
