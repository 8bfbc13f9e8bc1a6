//! Block sizes from cache sizes.

/// Cache capacities that one thread can count on, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caches {
    /// L1 data cache of a core.
    pub l1: usize,
    /// L2 cache of a core.
    pub l2: usize,
    /// This thread's share of L3.
    pub l3: usize,
}

impl Default for Caches {
    /// What any x86-64 core of the last ten years has at least.
    fn default() -> Caches {
        Caches {
            l1: 32 << 10,
            l2: 256 << 10,
            l3: 1 << 20,
        }
    }
}

/// How a product is cut: the slice of K, and the block of C that is one task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blocking {
    /// Steps of K in one slice: a panel of A of this depth stays in L1 while panels of B stream past it.
    pub depth: usize,
    /// Rows of C in a task, a multiple of the tile.
    pub rows: usize,
    /// Columns of C in a task, a multiple of the tile: the block of B of this width and depth stays in L2.
    pub columns: usize,
}

impl Blocking {
    /// Blocks for an `m x n x k` product with tiles of `tile` = (rows, columns) on `workers` threads.
    pub fn new(
        caches: Caches,
        tile: (usize, usize),
        m: usize,
        n: usize,
        k: usize,
        workers: usize,
    ) -> Blocking {
        // Three quarters of L1 for the panel of A; the rest is for the stream of B and the tile of C. Few slices: each one
        // reads and writes all of C.
        let deepest = (caches.l1 * 3 / 4 / (4 * tile.0)).clamp(64, 512);
        let slices = k.div_ceil(deepest).max(1);
        let depth = k.div_ceil(slices).max(1);
        // Half of L2 for the block of B; the passing panels of A and C need the rest. Rows cost nothing: A passes once.
        let widest = (caches.l2 / 2 / (4 * depth) / tile.1).max(1) * tile.1;
        let (mut rows, mut columns) = (
            m.next_multiple_of(tile.0).max(tile.0),
            split(n, widest, tile.1),
        );
        // Enough tasks that the slowest thread ends soon after the others, as long as tasks stay worth their start.
        let tasks = |rows: usize, columns: usize| m.div_ceil(rows) * n.div_ceil(columns);
        // A block of few rows waits for its columns of B, not for the multiply-adds: it takes as long as one of this many rows.
        const ROWS_OF_A_READ: usize = 16;
        // Some 20 us for the first task of a thread, twice that where it has one already.
        let worth = |tasks: usize| {
            if tasks < workers {
                2_000_000
            } else {
                4_000_000
            }
        };
        while workers > 1
            && tasks(rows, columns) < 4 * workers
            && 2 * m.min(rows).max(ROWS_OF_A_READ) * n.min(columns) * k
                > worth(tasks(rows, columns))
        {
            if columns > rows && columns >= 2 * tile.1 {
                columns = split(n, columns / 2, tile.1);
            } else if rows >= 2 * tile.0 {
                rows = split(m, rows / 2, tile.0);
            } else if columns >= 2 * tile.1 {
                columns = split(n, columns / 2, tile.1);
            } else {
                break;
            }
        }
        Blocking {
            depth,
            rows,
            columns,
        }
    }
}

/// Cuts `size` into equal parts of at most `most`, rounded up to whole tiles.
fn split(size: usize, most: usize, tile: usize) -> usize {
    let parts = size.div_ceil(most.max(tile)).max(1);
    size.div_ceil(parts).next_multiple_of(tile).max(tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_times_a_weight_is_shared_out() {
        let tasks = |n: usize, k: usize| {
            let b = Blocking::new(Caches::default(), (14, 32), 1, n, k, 2);
            n.div_ceil(b.columns)
        };
        assert!(tasks(1152, 384) >= 4 && tasks(384, 384) >= 2 && tasks(16_000, 384) >= 8);
        assert_eq!(tasks(64, 64), 1);
    }

    #[test]
    fn blocks_fit_their_caches_and_feed_every_thread() {
        let caches = Caches {
            l1: 48 << 10,
            l2: 1280 << 10,
            l3: 2 << 20,
        };
        let tile = (14, 32);
        for (m, n, k) in [
            (1024, 1536, 384),
            (384, 1536, 1024),
            (64, 64, 64),
            (1, 16000, 384),
            (5, 7, 3),
            (256, 384, 16000),
        ] {
            for workers in [1, 2, 4, 8] {
                let b = Blocking::new(caches, tile, m, n, k, workers);
                assert!(b.depth * tile.0 * 4 <= caches.l1 * 3 / 4, "{b:?}");
                assert!(
                    b.depth >= 1
                        && b.rows.is_multiple_of(tile.0)
                        && b.columns.is_multiple_of(tile.1),
                    "{b:?}"
                );
                assert!(b.columns * b.depth * 4 <= caches.l2 / 2, "{b:?}");
                if workers > 1 && 2 * m * n * k > 100_000_000 {
                    assert!(
                        m.div_ceil(b.rows) * n.div_ceil(b.columns) >= 2 * workers,
                        "{m} {n} {k} {workers} {b:?}"
                    );
                }
            }
        }
    }
}
