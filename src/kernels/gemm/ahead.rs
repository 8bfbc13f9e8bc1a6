//! What tiles fetch for the tiles after them.
//!
//! Hardware prefetchers follow the operands of a tile, but do not know which come next: with operands beyond L2 the first tile of each
//! panel of A and the first tiles of each block of B took twice their time. On a Zen 5, products beyond L2 take 0.87 to 0.97 of the time
//! since; fetching the same lines all at once, before a tile, was worth a third of that.

/// What a tile fetches to L2 while it computes: at every four steps four more values of each of [`Ahead::ROWS`] rows of A, and a cache
/// line of B. Any addresses will do.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// The first row of A.
    pub left: *const f32,
    /// Distance of the rows of A; a tile that reads rows of A where they lie takes theirs.
    pub line: usize,
    /// The first line of B.
    pub right: *const f32,
    /// Distance of the lines of B.
    pub right_step: usize,
}

impl Ahead {
    /// Rows of A, or parts of a panel, that a tile fetches.
    pub(crate) const ROWS: usize = 3;
    /// Steps of a tile for each cache line of B that it fetches.
    pub(crate) const STEPS_OF_LINE: usize = 4;
}

/// Addresses for [`Ahead::right`], tile by tile: runs of cache lines at one distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming {
    at: *const f32,
    /// Distance of the lines of a run, how many it has, and how many of them were given out.
    step: usize,
    run: usize,
    done: usize,
    /// Distance of runs, and how many are left.
    next: usize,
    runs: usize,
}

impl Coming {
    /// Nothing.
    pub(crate) fn nothing() -> Coming {
        Coming::runs(std::ptr::null(), (0, 0), (0, 0))
    }

    /// `runs` runs of `run` lines from `at`, each with its distance.
    pub(crate) fn runs(
        at: *const f32,
        (run, step): (usize, usize),
        (runs, next): (usize, usize),
    ) -> Coming {
        Coming {
            at,
            step,
            run,
            done: 0,
            next,
            runs: if run == 0 { 0 } else { runs },
        }
    }

    /// The part for a tile of `depth` steps, if any is left: its first line, and the distance of its lines.
    #[inline(always)]
    pub(crate) fn next(&mut self, depth: usize) -> Option<(*const f32, usize)> {
        if self.runs == 0 {
            return None;
        }
        let part = (self.at.wrapping_add(self.done * self.step), self.step);
        self.done += (depth / Ahead::STEPS_OF_LINE).max(1);
        if self.done >= self.run {
            (self.at, self.done) = (self.at.wrapping_add(self.next), 0);
            self.runs -= 1;
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::{Matrix, operand::Operand, tile::LINE};

    /// The lines, by their first value's place in `data`, that tiles of `depth` steps fetch.
    fn fetched(mut coming: Coming, depth: usize, data: &[f32]) -> Vec<usize> {
        let mut lines = Vec::new();
        while let Some((at, step)) = coming.next(depth) {
            let first = (at as usize - data.as_ptr() as usize) / size_of::<f32>();
            lines.extend((0..depth / Ahead::STEPS_OF_LINE).map(|line| first + line * step));
        }
        lines
    }

    #[test]
    fn every_line_of_the_coming_panels_is_fetched_once() {
        let (width, k) = (32, 100);
        let data = vec![0.0; 4 * width * k];
        let coming = Operand::panels(&data, width, k).coming(32..90, 20..68);
        let expected: Vec<usize> = (1..3)
            .flat_map(|panel| {
                let start = (panel * k + 20) * width;
                (start..start + 48 * width).step_by(LINE)
            })
            .collect();
        assert_eq!(fetched(coming, 48, &data), expected);
    }

    #[test]
    fn every_line_of_a_matrix_to_be_packed_is_fetched_once() {
        // Columns 16 to 79 of a B of 100 columns, steps 8 to 55.
        let data = vec![0.0; 100 * 100];
        let b = Matrix::new(&data, 100, 100);
        let expected: Vec<usize> = (0..4)
            .flat_map(|line| (8..56).map(move |step| step * 100 + 16 + line * LINE))
            .collect();
        let coming = Operand::plain(b.transposed()).coming(16..80, 8..56);
        assert_eq!(fetched(coming, 48, &data), expected);
        // The same of its transpose: the steps lie side by side.
        let expected: Vec<usize> = (0..3)
            .flat_map(|line| (16..80).map(move |column| column * 100 + 8 + line * LINE))
            .collect();
        let coming = Operand::plain(b).coming(16..80, 8..56);
        assert_eq!(fetched(coming, 64, &data), expected);
    }
}
