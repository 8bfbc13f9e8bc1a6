//! What tiles fetch for the tiles after them.
//!
//! Hardware prefetchers follow the operands of a tile, but do not know which come next: with operands beyond L2 the first tile of each
//! panel of A and the first tiles of each block of B took twice their time. On a Zen 5, products beyond L2 take 0.87 to 0.97 of the time
//! since; fetching the same lines all at once, before a tile, was worth a third of that.

use super::{operand::Operand, tile::LINE};
use std::ops::Range;

/// What a tile fetches to L2 while it computes: at every four steps four more values of each of [`Ahead::ROWS`] rows of A, and a cache
/// line of B. Any addresses will do.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// The first row of A.
    pub left: *const f32,
    /// Distance of the rows of A.
    pub line: usize,
    /// Part of a panel of B.
    pub right: *const f32,
}

impl Ahead {
    /// Rows of A, or parts of a panel, that a tile fetches.
    pub(crate) const ROWS: usize = 3;
    /// Values of B that a tile fetches for each of its steps.
    pub(crate) const RIGHT: usize = LINE / 4;
}

/// Addresses for [`Ahead::right`], tile by tile.
pub(crate) struct Coming<'a> {
    panels: Option<Operand<'a>>,
    width: usize,
    lines: Range<usize>,
    /// The first step.
    from: usize,
    /// Values of the first panel that were fetched, of how many, and how many a tile fetches.
    done: usize,
    len: usize,
    each: usize,
}

impl<'a> Coming<'a> {
    /// The steps `steps` of the panels of `width` lines that hold the lines `lines`, in parts for tiles of `depth` steps.
    pub(crate) fn new(
        panels: Option<Operand<'a>>,
        width: usize,
        lines: Range<usize>,
        steps: Range<usize>,
        depth: usize,
    ) -> Coming<'a> {
        Coming {
            panels: panels.filter(Operand::is_packed),
            width,
            lines,
            from: steps.start,
            done: 0,
            len: width * steps.len(),
            each: Ahead::RIGHT * depth,
        }
    }

    /// The part for the next tile, if any is left.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<*const f32> {
        let panels = self.panels.filter(|_| !self.lines.is_empty())?;
        let (start, _) = panels.ahead(self.lines.start, self.from, 0);
        let at = start.wrapping_add(self.done);
        self.done += self.each;
        if self.done >= self.len {
            self.done = 0;
            self.lines.start += self.width;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_coming_panels_is_fetched_once() {
        let (width, depth, k) = (32, 48, 100);
        let data = vec![0.0; 4 * width * k];
        let panels = Operand::panels(&data, width, k);
        let mut coming = Coming::new(Some(panels), width, 32..90, 20..68, depth);
        let mut fetched = Vec::new();
        while let Some(at) = coming.next() {
            // A tile of `depth` steps fetches a line every four.
            let first = (at as usize - data.as_ptr() as usize) / size_of::<f32>();
            fetched.extend((0..depth / 4).map(|line| first + line * LINE));
        }
        let expected: Vec<usize> = (1..3)
            .flat_map(|panel| {
                let start = (panel * k + 20) * width;
                (start..start + 48 * width).step_by(LINE)
            })
            .collect();
        assert_eq!(fetched, expected);
    }
}
