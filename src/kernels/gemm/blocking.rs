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
        // Three eighths of L2 for the block of B, as much for the next one, which is fetched meanwhile; the rest for the passing panels
        // of A and C. Rows cost nothing: A passes once.
        let widest = (caches.l2 * 3 / 8 / (4 * depth) / tile.1).max(1);
        let (down, across) = (m.div_ceil(tile.0).max(1), n.div_ceil(tile.1).max(1));
        let (rows, columns) = if workers == 1 {
            (down, part(across, across.div_ceil(widest)))
        } else {
            shared(workers, (down, across), widest, (tile, depth, k))
        };
        let (rows, columns) = (rows * tile.0, columns * tile.1);
        Blocking {
            depth,
            rows,
            columns,
        }
    }
}

/// Tiles of a part where `tiles` are cut into `parts`.
fn part(tiles: usize, parts: usize) -> usize {
    tiles.div_ceil(parts.clamp(1, tiles))
}

/// Rows and columns of tiles in a task of a product of `down` x `across` tiles, at most `widest` across: those with which the slowest of
/// `workers` is likely to be done first. All costs are in FLOPs that a core does meanwhile; only their order of magnitude matters.
fn shared(
    workers: usize,
    (down, across): (usize, usize),
    widest: usize,
    (tile, depth, k): ((usize, usize), usize, usize),
) -> (usize, usize) {
    // To tell another worker and wait for it, some 2 us; to start a task, 1 us.
    const JOIN: usize = 500_000;
    const TASK: usize = 250_000;
    // A value of A that passes through L2; a value of the first block of B, which nobody has fetched.
    const PASSING: usize = 8;
    const COLD: usize = 32;
    let time = |rows: usize, columns: usize| {
        let tasks = down.div_ceil(rows) * across.div_ceil(columns);
        let join = if tasks > 1 { JOIN } else { 0 };
        let tile_of_task = tile.0 * k * (2 * columns * tile.1 + PASSING);
        let cold = COLD * columns * tile.1 * depth;
        join + cold + tasks.div_ceil(workers) * (TASK + rows * tile_of_task)
    };
    let least = across.div_ceil(widest);
    let most = 4 * workers;
    let mut best = (usize::MAX, (down, part(across, least)));
    for parts_down in 1..=most.min(down) {
        let rows = part(down, parts_down);
        for parts_across in least..=(least.next_multiple_of(workers) + most).min(across) {
            let columns = part(across, parts_across);
            let time = time(rows, columns);
            if time < best.0 {
                best = (time, (rows, columns));
            }
        }
    }
    best.1
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
                assert!(b.columns * b.depth * 4 <= caches.l2 * 3 / 8, "{b:?}");
                if workers > 1 && 2 * m * n * k > 100_000_000 {
                    let tasks = m.div_ceil(b.rows) * n.div_ceil(b.columns);
                    let most = tasks.div_ceil(workers) * b.rows * b.columns;
                    assert!(
                        most * workers * 4 <= m * n * 5,
                        "{m} {n} {k} {workers} {b:?}: the slowest has a quarter more to do"
                    );
                }
            }
        }
    }
}
