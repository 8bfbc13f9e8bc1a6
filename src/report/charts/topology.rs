//! The machine as nested boxes: package, shared caches, cores, threads.

use std::collections::BTreeMap;

use super::{Chart, Frame, Span, Subject};
use crate::record::{Cache, Cpu, Machine};
use crate::report::draw::{Align, Canvas, Ink, Stroke, Svg, Type, clean, fit, width};
use crate::report::values::many;
use crate::report::view::{Input, View};
use crate::units::Bytes;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
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

/// A box with what it holds.
enum Node<'a> {
    Group {
        label: String,
        ink: Ink,
        children: Vec<Node<'a>>,
    },
    Core(Core<'a>),
}

/// A physical core.
struct Core<'a> {
    cpus: Vec<&'a Cpu>,
    /// `L1d 48 KiB` and so on: the caches that it has for itself.
    caches: Vec<String>,
}

/// A box with its place, relative to the box around it.
struct Laid<'a, 'n> {
    node: &'n Node<'a>,
    corner: (f64, f64),
    size: (f64, f64),
    children: Vec<Laid<'a, 'n>>,
}

const GAP: f64 = 8.0;
const TITLE: f64 = 24.0;
const SQUARE: f64 = 26.0;

fn round(bytes: u64) -> String {
    Bytes(bytes as f64)
        .to_string()
        .replace(".00 ", " ")
        .replace(".0 ", " ")
}

/// The cache instance of a level that serves data to a CPU.
fn serving(machine: &Machine, cpu: &Cpu, level: u32) -> Option<usize> {
    machine.caches.iter().position(|cache| {
        cache.level == level && cache.kind != "instruction" && cache.shared_by.contains(&cpu.id)
    })
}

fn grouped<'a, K: Ord>(cpus: &[&'a Cpu], key: impl Fn(&Cpu) -> K) -> Vec<(K, Vec<&'a Cpu>)> {
    let mut groups: BTreeMap<K, Vec<&'a Cpu>> = BTreeMap::new();
    for cpu in cpus {
        groups.entry(key(cpu)).or_default().push(cpu);
    }
    groups.into_iter().collect()
}

/// Packages, with L3 and shared L2 caches inside.
fn tree(machine: &Machine) -> Vec<Node<'_>> {
    let all: Vec<&Cpu> = machine.cpus.iter().collect();
    let mut packages = Vec::new();
    for (package, cpus) in grouped(&all, |cpu| cpu.package) {
        let mut children = Vec::new();
        for (level3, cpus) in grouped(&cpus, |cpu| serving(machine, cpu, 3)) {
            let mut inner = Vec::new();
            for (level2, cpus) in grouped(&cpus, |cpu| serving(machine, cpu, 2)) {
                let cores = grouped(&cpus, |cpu| cpu.core);
                let shared = level2
                    .filter(|_| cores.len() > 1)
                    .map(|index| &machine.caches[index]);
                let nodes: Vec<Node<'_>> = cores
                    .into_iter()
                    .map(|(_, cpus)| core(machine, cpus, shared.is_none()))
                    .collect();
                match shared {
                    Some(cache) => inner.push(Node::Group {
                        label: told(cache),
                        ink: Ink::Sky,
                        children: nodes,
                    }),
                    None => inner.extend(nodes),
                }
            }
            match level3.map(|index| &machine.caches[index]) {
                Some(cache) => children.push(Node::Group {
                    label: told(cache),
                    ink: Ink::Purple,
                    children: inner,
                }),
                None => children.extend(inner),
            }
        }
        let mut nodes: Vec<u32> = cpus.iter().map(|cpu| cpu.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let nodes: Vec<String> = nodes.iter().map(u32::to_string).collect();
        let label = format!("package {package}, memory node {}", nodes.join(", "));
        packages.push(Node::Group {
            label,
            ink: Ink::Quiet,
            children,
        });
    }
    packages
}

fn told(cache: &Cache) -> String {
    let sharers = many(cache.shared_by.len(), "CPU");
    let other = if cache.disagreement.is_some() {
        ", sources disagree"
    } else {
        ""
    };
    format!("L{} {}, {sharers}{other}", cache.level, round(cache.bytes))
}

fn core<'a>(machine: &'a Machine, cpus: Vec<&'a Cpu>, with_level2: bool) -> Node<'a> {
    let first = cpus.first().map_or(0, |cpu| cpu.id);
    let own = machine.caches.iter().filter(|cache| {
        cache.shared_by.contains(&first) && cache.level <= if with_level2 { 2 } else { 1 }
    });
    let kind = |cache: &Cache| match (cache.level, cache.kind.as_str()) {
        (1, "data") => "d",
        (1, "instruction") => "i",
        _ => "",
    };
    let mut caches: Vec<(u32, String)> = own
        .map(|cache| {
            (
                cache.level,
                format!("L{}{} {}", cache.level, kind(cache), round(cache.bytes)),
            )
        })
        .collect();
    caches.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    caches.dedup();
    Node::Core(Core {
        cpus,
        caches: caches.into_iter().map(|cache| cache.1).collect(),
    })
}

/// Lays out a box at most `room` wide.
fn lay<'a, 'n>(node: &'n Node<'a>, room: f64, detailed: bool) -> Laid<'a, 'n> {
    let (label, children) = match node {
        Node::Core(core) => {
            return Laid {
                node,
                corner: (0.0, 0.0),
                size: core_size(core, detailed),
                children: Vec::new(),
            };
        }
        Node::Group {
            label, children, ..
        } => (label, children),
    };
    let inner = room - 2.0 * GAP;
    let mut laid: Vec<Laid<'a, 'n>> = Vec::new();
    let (mut x, mut y, mut row, mut widest) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for child in children {
        let mut child = lay(child, inner, detailed);
        if x > 0.0 && x + child.size.0 > inner {
            (x, y, row) = (0.0, y + row + GAP, 0.0);
        }
        child.corner = (GAP + x, TITLE + y);
        x += child.size.0 + GAP;
        row = row.max(child.size.1);
        widest = widest.max(x - GAP);
        laid.push(child);
    }
    let title = width(label, 12.0, false) + 2.0;
    let size = (
        widest.max(title).min(inner) + 2.0 * GAP,
        TITLE + y + row + GAP,
    );
    Laid {
        node,
        corner: (0.0, 0.0),
        size,
        children: laid,
    }
}

fn core_size(core: &Core<'_>, detailed: bool) -> (f64, f64) {
    let squares = core.cpus.len() as f64 * (SQUARE + 4.0) + 8.0;
    if !detailed {
        return (squares, SQUARE + 12.0);
    }
    let lines = core
        .caches
        .iter()
        .map(|line| width(line, 11.0, false))
        .fold(width("core 000 efficiency", 11.0, false), f64::max);
    (
        squares.max(lines + 16.0),
        22.0 + core.caches.len() as f64 * 17.0 + SQUARE + 10.0,
    )
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const FOOT: f64 = 30.0;
    let machine = &view.run.machine;
    let packages = tree(machine);
    if packages.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let lay_out = |detailed: bool| -> Vec<Laid<'_, '_>> {
        let (mut x, mut y, mut row) = (0.0f64, 0.0f64, 0.0f64);
        let mut all = Vec::new();
        for package in &packages {
            let mut laid = lay(package, frame.width - 1.0, detailed);
            if x > 0.0 && x + laid.size.0 > frame.width {
                (x, y, row) = (0.0, y + row + GAP, 0.0);
            }
            laid.corner = (x + 0.5, y + 0.5);
            x += laid.size.0 + GAP;
            row = row.max(laid.size.1);
            all.push(laid);
        }
        all
    };
    let height = |laid: &[Laid<'_, '_>]| {
        laid.iter()
            .map(|laid| laid.corner.1 + laid.size.1)
            .fold(0.0, f64::max)
    };
    let mut detailed = true;
    let mut laid = lay_out(true);
    if height(&laid) > if frame.narrow { 520.0 } else { 420.0 } {
        detailed = false;
        laid = lay_out(false);
    }
    let captions = if detailed {
        Vec::new()
    } else {
        captions(&packages)
    };
    let bottom = height(&laid);
    let canvas = Canvas::new(frame.width, bottom + FOOT + captions.len() as f64 * 18.0);
    for package in &laid {
        paint(&canvas, package, (0.0, 0.0), detailed);
    }
    for (line, caption) in captions.iter().enumerate() {
        let caption = fit(caption, 12.0, false, frame.width);
        canvas.text(
            (0.0, bottom + 16.0 + line as f64 * 18.0),
            &caption,
            Type::plain(Ink::Soft),
        );
    }
    legend(&canvas, machine, canvas.height - 12.0);
    let usable = machine.cpus.iter().filter(|cpu| cpu.usable).count();
    let told = format!(
        "{}, {} of {} usable.",
        many(packages.len(), "package"),
        usable,
        many(machine.cpus.len(), "logical CPU")
    );
    Ok(canvas.finish(told))
}

/// What each kind of core has for itself, where the boxes are too small to say it.
fn captions(packages: &[Node<'_>]) -> Vec<String> {
    fn cores<'n, 'a>(node: &'n Node<'a>, into: &mut Vec<&'n Core<'a>>) {
        match node {
            Node::Core(core) => into.push(core),
            Node::Group { children, .. } => children.iter().for_each(|child| cores(child, into)),
        }
    }
    let mut all = Vec::new();
    packages.iter().for_each(|package| cores(package, &mut all));
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for core in all {
        let kind = core
            .cpus
            .first()
            .and_then(|cpu| cpu.kind.clone())
            .map(|kind| format!("{} ", clean(&kind)))
            .unwrap_or_default();
        let caches = if core.caches.is_empty() {
            "no cache known".to_owned()
        } else {
            core.caches.join(", ")
        };
        let text = format!("each {kind}core: {caches}");
        match kinds.iter_mut().find(|known| known.0 == text) {
            Some(known) => known.1 += 1,
            None => kinds.push((text, 1)),
        }
    }
    kinds
        .into_iter()
        .take(4)
        .map(|(text, count)| format!("{text} ({})", many(count, "core")))
        .collect()
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
    let number = core.cpus.first().map_or(0, |cpu| cpu.core);
    let kind = core
        .cpus
        .first()
        .and_then(|cpu| cpu.kind.as_deref())
        .map(clean)
        .unwrap_or_default();
    let title = format!("core {number} {kind}").trim_end().to_owned();
    let mut y = corner.1 + 13.0;
    if detailed {
        let text = fit(&title, 11.0, false, size.0 - 14.0);
        canvas.text(
            (corner.0 + 8.0, y),
            &text,
            Type::plain(Ink::Text).size(11.0),
        );
        for line in &core.caches {
            y += 17.0;
            canvas.text(
                (corner.0 + 8.0, y),
                &fit(line, 11.0, false, size.0 - 14.0),
                Type::plain(Ink::Soft).size(11.0),
            );
        }
    }
    let top = corner.1 + size.1 - SQUARE - 6.0;
    for (place, cpu) in core.cpus.iter().enumerate() {
        let left = corner.0 + 6.0 + place as f64 * (SQUARE + 4.0);
        let usable = if cpu.usable {
            "usable"
        } else {
            "not usable by this run"
        };
        let hint = format!(
            "CPU {}, {title}, package {}, memory node {}: {usable}",
            cpu.id, cpu.package, cpu.node
        );
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
