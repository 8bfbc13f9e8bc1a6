//! The machine as nested boxes: package, shared caches, cores, threads.

mod layout;
mod tree;

use layout::{GAP, INSET, Laid, PITCH, SQUARE, TITLE, lay_out};
use tree::{Core, Node};

use super::{Chart, Frame, Span, Subject};
use crate::record::{Cpu, Machine};
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, fit, width};
use crate::report::values::many;
use crate::report::view::{Input, View};

/// The row of the list.
pub(crate) const CHART: Chart = Chart {
    id: "topology",
    title: "Topology",
    how_to_read: "A box shares what its label names among all that it holds; filled squares are the logical CPUs that this run may use.",
    subject: Subject::Machine,
    span: Span::Beside,
    suite: "training",
    inputs,
    draw,
    table: Some(super::cache_table::table),
};

fn inputs(view: &View<'_>) -> Vec<Input> {
    let known = !view.run.machine.cpus.is_empty();
    let mut sources: Vec<String> = view
        .run
        .machine
        .caches
        .iter()
        .map(|cache| cache.source.clone())
        .collect();
    sources.dedup();
    let reason = "the probe recorded no CPU".to_owned();
    let how = if known { sources } else { vec![reason] };
    vec![Input {
        what: "CPUs and caches".to_owned(),
        origin: vec!["claimed".to_owned()],
        how,
        known,
    }]
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const FOOT: f64 = 30.0;
    const LINE: f64 = 18.0;
    let machine = &view.run.machine;
    let packages = tree::packages(machine);
    if packages.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let room = frame.width - 1.0;
    let (mut laid, mut height) = lay_out(&packages, room, true);
    let detailed = height <= if frame.narrow { 520.0 } else { 400.0 };
    if !detailed {
        (laid, height) = lay_out(&packages, room, false);
    }
    let captions = if detailed {
        Vec::new()
    } else {
        tree::captions(&packages)
    };
    let canvas = Canvas::new(frame.width, height + FOOT + captions.len() as f64 * LINE);
    for package in &laid {
        paint(&canvas, package, (0.5, 0.5), detailed);
    }
    for (line, caption) in captions.iter().enumerate() {
        let place = (0.0, height + 16.0 + line as f64 * LINE);
        canvas.text(
            place,
            &fit(caption, 12.0, false, frame.width),
            Type::plain(Ink::Soft),
        );
    }
    legend(&canvas, machine, canvas.height - 12.0);
    let usable = machine.cpus.iter().filter(|cpu| cpu.usable).count();
    let all = many(machine.cpus.len(), "logical CPU");
    Ok(canvas.finish(format!(
        "{}, {usable} of {all} usable.",
        many(packages.len(), "package")
    )))
}

fn paint(canvas: &Canvas, laid: &Laid<'_, '_>, origin: (f64, f64), detailed: bool) {
    let corner = (origin.0 + laid.corner.0, origin.1 + laid.corner.1);
    match laid.node {
        Node::Core(core) => paint_core(canvas, core, corner, laid.size, detailed),
        Node::Group { label, ink, .. } => {
            canvas.fill(corner, laid.size, *ink, 0.08);
            canvas.frame(corner, laid.size, 4.0, Stroke::solid(*ink, 1.0).faint(0.7));
            let text = fit(label, 12.0, false, laid.size.0 - 2.0 * GAP);
            let writes = if *ink == Ink::Quiet { Ink::Soft } else { *ink };
            canvas.text(
                (corner.0 + GAP, corner.1 + TITLE / 2.0),
                &text,
                Type::plain(writes),
            );
        }
    }
    for child in &laid.children {
        paint(canvas, child, corner, detailed);
    }
}

fn paint_core(
    canvas: &Canvas,
    core: &Core<'_>,
    corner: (f64, f64),
    size: (f64, f64),
    detailed: bool,
) {
    canvas.fill(corner, size, Ink::Card, 1.0);
    canvas.frame(corner, size, 4.0, Stroke::solid(Ink::Quiet, 1.0));
    let title = core.title();
    if detailed {
        let line = |row: usize, text: &str, ink: Ink| {
            let text = fit(text, 11.0, false, size.0 - 14.0);
            let place = (corner.0 + 8.0, corner.1 + 13.0 + row as f64 * 17.0);
            canvas.text(place, &text, Type::plain(ink).size(11.0));
        };
        line(0, &title, Ink::Text);
        core.caches
            .iter()
            .enumerate()
            .for_each(|(row, text)| line(row + 1, text, Ink::Soft));
    }
    let inset = if detailed { 8.0 } else { INSET };
    let top = corner.1 + size.1 - SQUARE - inset;
    for (place, cpu) in core.cpus.iter().enumerate() {
        let left = corner.0 + inset + place as f64 * PITCH;
        let usable = if cpu.usable {
            "usable"
        } else {
            "not usable by this run"
        };
        let (id, package, node) = (cpu.id, cpu.package, cpu.node);
        let hint = format!("CPU {id}, {title}, package {package}, memory node {node}: {usable}");
        canvas.hover(&hint, |canvas| square(canvas, (left, top), cpu));
    }
}

fn ink(cpu: &Cpu) -> Ink {
    if cpu.kind.as_deref() == Some("efficiency") {
        Ink::Green
    } else {
        Ink::Blue
    }
}

fn square(canvas: &Canvas, corner: (f64, f64), cpu: &Cpu) {
    let size = (SQUARE, SQUARE);
    if cpu.usable {
        canvas.fill(corner, size, ink(cpu), 0.28);
        canvas.frame(corner, size, 2.0, Stroke::solid(ink(cpu), 1.0));
    } else {
        canvas.frame(corner, size, 2.0, Stroke::dashed(Ink::Soft, 1.0));
    }
    let writes = if cpu.usable { Ink::Text } else { Ink::Soft };
    let text = fit(&cpu.id.to_string(), 11.0, false, SQUARE - 1.0);
    let middle = (corner.0 + SQUARE / 2.0, corner.1 + SQUARE / 2.0);
    canvas.text(
        middle,
        &text,
        Type::plain(writes).size(11.0).align(Align::Middle),
    );
}

/// What the squares mean, as far as they occur.
fn legend(canvas: &Canvas, machine: &Machine, y: f64) {
    let has = |test: fn(&Cpu) -> bool| machine.cpus.iter().any(test);
    let efficiency = has(|cpu| cpu.usable && cpu.kind.as_deref() == Some("efficiency"));
    let rows = [
        (
            has(|cpu| cpu.usable && cpu.kind.as_deref() != Some("efficiency")),
            "usable CPU",
            Some(Ink::Blue),
        ),
        (efficiency, "on an efficiency core", Some(Ink::Green)),
        (has(|cpu| !cpu.usable), "not usable", None),
    ];
    let mut x = 0.0;
    for (_, text, fill) in rows.into_iter().filter(|row| row.0) {
        let (corner, size) = ((x + 0.5, y - 6.0), (12.0, 12.0));
        match fill {
            Some(ink) => {
                canvas.fill(corner, size, ink, 0.28);
                canvas.frame(corner, size, 2.0, Stroke::solid(ink, 1.0));
            }
            None => canvas.frame(corner, size, 2.0, Stroke::dashed(Ink::Soft, 1.0)),
        }
        canvas.text((x + 18.0, y), text, Type::plain(Ink::Soft).size(11.0));
        x += 18.0 + width(text, 11.0, false) + 16.0;
    }
}
