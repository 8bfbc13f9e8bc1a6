//! The roofline of a step (Williams, Waterman, Patterson, 2009): one dot per operator and pass under the measured ceilings.

use maud::{Markup, html};

use super::ceilings::{self, Ceiling};
use super::step_breakdown::ink;
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{
    Align, Area, Axis, Canvas, Ink, Placer, Plot, Stroke, Svg, Type, extent, spread, width,
};
use crate::report::values::{self, duration, quantity};
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

/// The roofs of a run, the highest first.
struct Roofs {
    flat: Vec<(String, f64)>,
    slanted: Vec<(String, f64)>,
}

impl Roofs {
    fn of(view: &View<'_>) -> Self {
        let sorted = |ceilings: Vec<Ceiling<'_>>| {
            let near = ceilings::nearest(ceilings, view.threads);
            let mut roofs: Vec<_> = near
                .into_iter()
                .filter_map(|roof| Some((roof.label.clone(), roof.value()?)))
                .collect();
            roofs.sort_by(|a, b| b.1.total_cmp(&a.1));
            roofs
        };
        Self {
            flat: sorted(ceilings::arithmetic(view)),
            slanted: sorted(ceilings::bandwidth(view)),
        }
    }

    fn peak(&self) -> Option<f64> {
        self.flat.first().map(|roof| roof.1)
    }

    /// The lowest roof that is not below the dot, and the share of it that the dot reaches.
    fn above(&self, operator: &Operator) -> Option<(String, f64)> {
        let gflops = operator.gflops?;
        let flat = self
            .flat
            .first()
            .map(|_| ("FMA".to_owned(), self.peak().unwrap_or(f64::INFINITY)));
        let slanted = self
            .slanted
            .iter()
            .filter_map(|(name, bandwidth)| Some((name.clone(), bandwidth * operator.intensity?)));
        let over = slanted.chain(flat).filter(|roof| roof.1 >= gflops * 0.98);
        let lowest = over.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((lowest.0, gflops / lowest.1))
    }
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
    let operators = lettered(view);
    let dots: Vec<(&str, &Operator, f64, f64)> = operators
        .iter()
        .filter_map(|(letter, operator)| {
            Some((
                letter.as_deref()?,
                operator,
                operator.intensity?,
                operator.gflops?,
            ))
        })
        .collect();
    if dots.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let canvas = Canvas::new(frame.width, if frame.narrow { 420.0 } else { 560.0 });
    let mut plot = axes(&canvas, &roofs, &dots);
    let mut placer = Placer::new(plot.area);
    let longest = dots.iter().map(|dot| dot.1.seconds).fold(0.0, f64::max);
    let largest = if frame.narrow { 13.0 } else { 18.0 };
    let radius = |operator: &Operator| ((operator.seconds / longest).sqrt() * largest).max(2.5);
    let points: Vec<_> = dots
        .iter()
        .map(|(_, operator, x, y)| (plot.at(*x, *y), radius(operator)))
        .collect();
    slanted(&canvas, &mut plot, &roofs, &points);
    flat(&canvas, &mut plot, &roofs);
    let total: f64 = view
        .operators()
        .iter()
        .map(|operator| operator.seconds)
        .sum();
    for ((_, operator, x, y), (at, radius)) in dots.iter().zip(&points) {
        let title = format!(
            "{}, {}: {} ({} of the operators' time), {} GFLOP/s at {} FLOP per byte",
            operator.label,
            operator.pass,
            duration(operator.seconds),
            quantity(operator.seconds / total, "ratio"),
            digits(*y),
            digits(*x)
        );
        canvas.hover(&title, |canvas| {
            canvas.dot(*at, *radius, ink(&operator.pass), 0.3)
        });
    }
    for ((letter, ..), (at, radius)) in dots.iter().zip(&points) {
        write_letter(&canvas, &mut placer, letter, *at, *radius);
    }
    let first = &dots[0];
    let told = format!(
        "{} operators under {} roofs. The longest, {} {}, reaches {} GFLOP/s at {} FLOP per byte.",
        dots.len(),
        roofs.flat.len() + roofs.slanted.len(),
        first.1.label,
        first.1.pass,
        digits(first.3),
        digits(first.2)
    );
    Ok(canvas.finish(told))
}

/// Axes that hold all dots, the highest roof, and the foot of each slanted one.
fn axes<'a>(canvas: &'a Canvas, roofs: &Roofs, dots: &[(&str, &Operator, f64, f64)]) -> Plot<'a> {
    let (left, right) = extent(dots.iter().map(|dot| dot.2)).unwrap_or((0.1, 100.0));
    let (bottom, top) = extent(dots.iter().map(|dot| dot.3)).unwrap_or((1.0, 100.0));
    let top = roofs.peak().unwrap_or(top).max(top);
    let ridge = |roof: Option<&(String, f64)>| roof.map(|roof| top / roof.1);
    let left = ridge(roofs.slanted.first()).map_or(left, |fastest| left.min(fastest / 2.0)) / 2.0;
    let right = ridge(roofs.slanted.last()).map_or(right, |slowest| right.max(slowest)) * 2.2;
    let area = Area {
        x: 0.0,
        y: 0.0,
        width: canvas.width,
        height: canvas.height,
    };
    let x = Axis::decades(left, right);
    let y = Axis::decades((bottom / 2.0).max(top / 1e5), top * 1.35);
    let names = roofs
        .flat
        .iter()
        .map(|(name, gflops)| width(&flat_name(name, *gflops), 11.0, false))
        .fold(0.0, f64::max);
    canvas.plot(
        area,
        names + 9.0,
        (x, "FLOP per byte moved, as declared"),
        (y, "GFLOP/s"),
    )
}

/// Bandwidth roofs, each with its name along it where no dot lies.
fn slanted(canvas: &Canvas, plot: &mut Plot<'_>, roofs: &Roofs, dots: &[((f64, f64), f64)]) {
    let peak = roofs.peak().unwrap_or(f64::INFINITY).min(plot.ends().1.1);
    let ((left, _), (bottom, _)) = plot.ends();
    let colours = [Ink::Gold, Ink::Purple, Ink::Sky, Ink::Red];
    let mut named: Vec<((f64, f64), (f64, f64))> = Vec::new();
    for (index, (name, bandwidth)) in roofs.slanted.iter().enumerate() {
        let colour = colours[index % colours.len()];
        let start = left.max(bottom / bandwidth);
        if start * bandwidth >= peak {
            continue;
        }
        let (from, to) = (
            plot.at(start, start * bandwidth),
            plot.at(peak / bandwidth, peak),
        );
        let text = format!("{name} {} GB/s", digits(*bandwidth));
        canvas.hover(&text, |canvas| {
            canvas.line(&[from, to], Stroke::solid(colour, 1.5))
        });
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let long = dx.hypot(dy);
        let (half, along) = (
            width(&text, 11.0, false) / 2.0 + 4.0,
            (dx / long, dy / long),
        );
        let over = |distance: f64| {
            (
                from.0 + along.0 * distance + along.1 * 9.0,
                from.1 + along.1 * distance - along.0 * 9.0,
            )
        };
        let clear = |centre: (f64, f64), of: (f64, f64), radius: f64| {
            let (x, y) = (of.0 - centre.0, of.1 - centre.1);
            let (beside, across) = (
                (x * along.0 + y * along.1).abs(),
                (x * along.1 - y * along.0).abs(),
            );
            beside > half + radius || across > 8.0 + radius
        };
        let mut places = (0..40)
            .map(|step| half + 4.0 + f64::from(step) * 8.0)
            .take_while(|place| place + half + 6.0 < long)
            .map(over);
        let free = |place: &(f64, f64)| {
            let middle = |(from, to): &((f64, f64), (f64, f64))| {
                ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0)
            };
            dots.iter()
                .all(|(dot, radius)| clear(*place, *dot, *radius))
                && named.iter().all(|other| {
                    [other.0, middle(other), other.1]
                        .iter()
                        .all(|point| clear(*place, *point, 8.0))
                })
        };
        if let Some(place) = places.find(free) {
            canvas.turned(
                place,
                along.1.atan2(along.0).to_degrees(),
                &text,
                Type::plain(colour).size(11.0).align(Align::Middle).halo(),
            );
            let reach = (along.0 * half, along.1 * half);
            named.push((
                (place.0 - reach.0, place.1 - reach.1),
                (place.0 + reach.0, place.1 + reach.1),
            ));
        }
    }
}

/// Arithmetic roofs, from the fastest memory's ridge to the right edge, their names beside it.
fn flat(canvas: &Canvas, plot: &mut Plot<'_>, roofs: &Roofs) {
    let area = plot.area;
    let edge = area.x + area.width;
    let level = |gflops: f64| plot.at(plot.ends().0.0, gflops).1;
    let wanted: Vec<f64> = roofs.flat.iter().map(|roof| level(roof.1)).collect();
    let places = spread(
        &wanted,
        &vec![14.0; wanted.len()],
        area.y - 10.0,
        area.y + area.height,
    );
    for (index, ((name, gflops), place)) in roofs.flat.iter().zip(places).enumerate() {
        let fastest = roofs
            .slanted
            .first()
            .map_or(f64::MIN_POSITIVE, |roof| gflops / roof.1);
        let (x, y) = plot.at(fastest, *gflops);
        let (ink, thick) = if index == 0 {
            (Ink::Text, 1.8)
        } else {
            (Ink::Soft, 1.0)
        };
        let title = format!("{name}, FMA peak {} GFLOP/s", digits(*gflops));
        canvas.hover(&title, |canvas| {
            canvas.line(&[(x.max(area.x), y), (edge, y)], Stroke::solid(ink, thick))
        });
        canvas.text(
            (edge + 7.0, place),
            &flat_name(name, *gflops),
            Type::plain(ink).size(11.0),
        );
    }
}

fn flat_name(name: &str, gflops: f64) -> String {
    format!("{name} {}", digits(gflops))
}

/// The letter of a dot: in it where it is large and free, else beside it, with a line where it had to go far.
fn write_letter(canvas: &Canvas, placer: &mut Placer, letter: &str, at: (f64, f64), radius: f64) {
    const BOX: (f64, f64) = (10.0, 11.0);
    let around = |distance: f64| {
        let directions = [0.0, 315.0, 45.0, 180.0, 225.0, 135.0, 270.0, 90.0f64];
        directions.map(|angle| {
            (
                at.0 + angle.to_radians().cos() * distance,
                at.1 + angle.to_radians().sin() * distance,
            )
        })
    };
    let inside = if radius >= 7.0 { vec![at] } else { Vec::new() };
    let outside = [
        radius + 8.0,
        radius + 16.0,
        radius + 26.0,
        radius + 38.0,
        radius + 52.0,
    ]
    .map(around);
    let centres: Vec<(f64, f64)> = inside
        .into_iter()
        .chain(outside.into_iter().flatten())
        .collect();
    let area = |centre: &(f64, f64)| Area {
        x: centre.0 - BOX.0 / 2.0,
        y: centre.1 - BOX.1 / 2.0,
        width: BOX.0,
        height: BOX.1,
    };
    let Some(place) = placer.place(centres.iter().map(area)) else {
        return;
    };
    let centre = (place.x + BOX.0 / 2.0, place.y + BOX.1 / 2.0);
    let (dx, dy) = (centre.0 - at.0, centre.1 - at.1);
    let distance = dx.hypot(dy);
    if distance > radius + 10.0 {
        let on = |length: f64| (at.0 + dx / distance * length, at.1 + dy / distance * length);
        canvas.line(
            &[on(radius), on(distance - 7.0)],
            Stroke::solid(Ink::Soft, 0.8),
        );
    }
    canvas.text(
        centre,
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
    let total: f64 = rows.iter().map(|row| row.1.seconds).sum();
    html! {
        table.key {
            thead { tr { th {} th { "operator" } th.n { "time" } th.n { "GFLOP/s" } th.n { "of its roof" } } }
            tbody {
                @for (letter, operator) in &rows {
                    tr {
                        td { @if let Some(letter) = letter { b.dot.(operator.pass) { (letter) } } }
                        td.what { (operator.label) " " span.soft { (operator.pass) } }
                        td.n { (values::quantity(operator.seconds / total, "ratio")) }
                        td.n { (operator.gflops.map(digits).unwrap_or_default()) }
                        td.n { @if let Some((roof, share)) = roofs.above(operator) { span.soft { (roof) } " " (format!("{:.0} %", share * 100.0)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_above_a_dot_is_the_lowest_that_it_has_not_passed() {
        let roofs = Roofs {
            flat: vec![("AVX2".to_owned(), 200.0)],
            slanted: vec![("L2".to_owned(), 100.0), ("DRAM".to_owned(), 10.0)],
        };
        let operator = |intensity: f64, gflops: f64| Operator {
            label: String::new(),
            pass: String::new(),
            seconds: 1.0,
            gflops: Some(gflops),
            intensity: Some(intensity),
        };
        assert_eq!(
            roofs.above(&operator(1.0, 5.0)),
            Some(("DRAM".to_owned(), 0.5))
        );
        assert_eq!(
            roofs.above(&operator(1.0, 50.0)),
            Some(("L2".to_owned(), 0.5))
        );
        assert_eq!(
            roofs.above(&operator(100.0, 150.0)),
            Some(("FMA".to_owned(), 0.75))
        );
        assert_eq!(roofs.above(&operator(10.0, 5000.0)), None);
    }
}
