//! Where each box of the topology lies: children in rows of equal length, boxes as small as their content.

use super::tree::{Core, Node};
use crate::report::draw::width;

/// Space between and within boxes.
pub(super) const GAP: f64 = 8.0;
/// Height of a box's title.
pub(super) const TITLE: f64 = 24.0;
/// Side of a thread's square.
pub(super) const SQUARE: f64 = 24.0;
/// From one square to the next.
pub(super) const PITCH: f64 = SQUARE + 3.0;
/// From the edge of a core to its squares.
pub(super) const INSET: f64 = 5.0;

/// A box with its place, relative to the box around it.
pub(super) struct Laid<'a, 'n> {
    /// What it is.
    pub(super) node: &'n Node<'a>,
    /// Its upper left corner.
    pub(super) corner: (f64, f64),
    /// Its width and height.
    pub(super) size: (f64, f64),
    /// What lies in it.
    pub(super) children: Vec<Laid<'a, 'n>>,
}

/// Lays out the packages beside and below each other in `room`, and tells the height that they take.
pub(super) fn lay_out<'a, 'n>(
    packages: &'n [Node<'a>],
    room: f64,
    detailed: bool,
) -> (Vec<Laid<'a, 'n>>, f64) {
    let mut laid: Vec<_> = packages
        .iter()
        .map(|package| lay(package, room, detailed))
        .collect();
    let (_, height) = flow(&mut laid, room, (0.0, 0.0));
    (laid, height)
}

/// Lays out a box at most `room` wide.
fn lay<'a, 'n>(node: &'n Node<'a>, room: f64, detailed: bool) -> Laid<'a, 'n> {
    let (label, children) = match node {
        Node::Core(core) => {
            let size = core_size(core, detailed);
            return Laid {
                node,
                corner: (0.0, 0.0),
                size,
                children: Vec::new(),
            };
        }
        Node::Group {
            label, children, ..
        } => (label, children),
    };
    let inner = room - 2.0 * GAP;
    let mut laid: Vec<_> = children
        .iter()
        .map(|child| lay(child, inner, detailed))
        .collect();
    let (widest, height) = flow(&mut laid, inner, (GAP, TITLE));
    let wide = widest.max(width(label, 12.0, false) + 2.0).min(inner);
    let size = (wide + 2.0 * GAP, TITLE + height + GAP);
    Laid {
        node,
        corner: (0.0, 0.0),
        size,
        children: laid,
    }
}

/// Puts boxes into rows within `room`, from `origin` on; boxes of one size into rows of nearly equal length. Tells the
/// width and height that they take.
fn flow(boxes: &mut [Laid<'_, '_>], room: f64, origin: (f64, f64)) -> (f64, f64) {
    let first = boxes.first().map_or((0.0, 0.0), |first| first.size);
    let uniform = boxes.iter().all(|one| one.size == first);
    let fitting = (((room + GAP) / (first.0 + GAP)) as usize).max(1);
    let rows = boxes.len().div_ceil(fitting).max(1);
    let columns = if uniform {
        boxes.len().div_ceil(rows).max(1)
    } else {
        usize::MAX
    };
    let (mut x, mut y, mut row, mut widest, mut column) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0);
    for one in boxes {
        if x > 0.0 && (x + one.size.0 > room || column == columns) {
            (x, y, row, column) = (0.0, y + row + GAP, 0.0, 0);
        }
        one.corner = (origin.0 + x, origin.1 + y);
        x += one.size.0 + GAP;
        row = row.max(one.size.1);
        widest = widest.max(x - GAP);
        column += 1;
    }
    (widest, y + row)
}

fn core_size(core: &Core<'_>, detailed: bool) -> (f64, f64) {
    let squares = core.cpus.len() as f64 * PITCH - 3.0 + 2.0 * INSET;
    if !detailed {
        return (squares, SQUARE + 2.0 * INSET);
    }
    let lines = core.caches.iter().map(|line| width(line, 11.0, false));
    let widest = lines
        .fold(width(&core.title(), 11.0, false), f64::max)
        .min(160.0);
    let height = 22.0 + core.caches.len() as f64 * 17.0 + SQUARE + 12.0;
    (squares.max(widest + 18.0).max(112.0), height)
}
