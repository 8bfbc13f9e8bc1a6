//! Block sizes from cache sizes.

use super::source::PACKERS;

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

/// What is to be cut: C has `m x n` elements, each of `k` products; none is 0 but `k`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Steps.
    pub k: usize,
    /// Whether A may be cut anywhere, or only between panels.
    pub cut: bool,
    /// Whether A is still to be packed.
    pub packs_left: bool,
    /// Whether B is.
    pub packs_right: bool,
}

/// How a product is cut: the slice of K, and the block of C that is one task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blocking {
    /// Steps of K in one slice: a panel of A of this depth stays in L1 while panels of B stream past it.
    pub depth: usize,
    /// Rows of C in a task: whole tiles where A is packed.
    pub rows: usize,
    /// Columns of C in a task, a multiple of the tile: the block of B of this width and depth stays in L2.
    pub columns: usize,
}

impl Blocking {
    /// Blocks for `product` with tiles of `tile` = (rows, columns) on `workers` threads.
    pub fn new(caches: Caches, tile: (usize, usize), product: Product, workers: usize) -> Blocking {
        let Product { m, n, k, .. } = product;
        // Three quarters of L1 for the panel of A; the rest is for the stream of B and the tile of C. Few slices: each one
        // reads and writes all of C.
        let deepest = (caches.l1 * 3 / 4 / (4 * tile.0)).clamp(64, 512);
        let slices = k.div_ceil(deepest).max(1);
        let depth = k.div_ceil(slices).max(1);
        // Three eighths of L2 for the block of B, as much for the next one, which is fetched meanwhile; the rest for the passing panels
        // of A and C. Rows cost nothing: A passes once.
        let widest = (caches.l2 * 3 / 8 / (4 * depth) / tile.1).max(1);
        let steps = (if product.cut { 1 } else { tile.0 }, tile.1);
        let least = n.div_ceil(tile.1).div_ceil(widest);
        let (rows, columns) = if workers == 1 {
            (part(m, 1, steps.0), part(n, least, steps.1))
        } else {
            shared(workers, product, steps, least, (depth, caches.l2))
        };
        Blocking {
            depth,
            rows,
            columns,
        }
    }
}

/// Lines of a part where `lines` are cut into `parts` at multiples of `step`.
fn part(lines: usize, parts: usize, step: usize) -> usize {
    let steps = lines.div_ceil(step);
    steps.div_ceil(parts.clamp(1, steps)) * step
}

/// Rows and columns of a task, multiples of `steps`, with `least` parts across: those with which the slowest of `workers` is likely to be
/// done first. All costs are in FLOPs that a core does meanwhile; only their order of magnitude matters.
fn shared(
    workers: usize,
    product: Product,
    steps: (usize, usize),
    least: usize,
    (depth, l2): (usize, usize),
) -> (usize, usize) {
    let Product {
        m,
        n,
        k,
        packs_left,
        packs_right,
        ..
    } = product;
    // To tell another worker and wait for it, some 2 us; to start a task, 1 us.
    const JOIN: usize = 500_000;
    const TASK: usize = 250_000;
    // A value of A that passes through L2; one of B, for which few rows wait; one that its task packs, twice that where the lines and the
    // panels of a block do not stay in L2 together; one that all pack together, so that it often comes from another core and goes to another;
    // one of the first block of B, which nobody has fetched.
    const PASSING: usize = 8;
    const AWAITED: usize = 32;
    const PACKED: usize = 32;
    const PACKED_TOGETHER: usize = 128;
    const COLD: usize = 32;
    // A value of A or C that another core has in its caches: rows that stay with their worker from product to product have none.
    const ABROAD: usize = 8;
    let whole = (part(m, 1, steps.0), part(n, least, steps.1));
    if least == 1 && 2 * m * n * k / workers * (workers - 1) <= JOIN {
        // Small ones are not even thought about: that would take a twentieth of their time.
        return whole;
    }
    let time = |rows: usize, columns: usize| {
        let (down, across) = (m.div_ceil(rows), n.div_ceil(columns));
        let tasks = down * across;
        let join = if tasks > 1 { JOIN } else { 0 };
        let abroad = if tasks > 1 && !down.is_multiple_of(workers) {
            ABROAD * m * (k + n) / workers
        } else {
            0
        };
        let stays = size_of::<f32>() * columns * depth <= l2 * 9 / 32;
        let (own, shared) = match packs_right {
            true if down <= PACKERS => (if stays { PACKED } else { 2 * PACKED }, 0),
            true => (0, PACKED_TOGETHER * k * n / workers),
            false => (0, 0),
        };
        let each = tasks.div_ceil(workers);
        let left = match packs_left {
            true if across <= PACKERS => PACKED * k * rows * each,
            true if down.is_multiple_of(workers) => PACKED * k * m / workers,
            true => PACKED_TOGETHER * k * m / workers,
            false => 0,
        };
        // Where each worker has rows of its own, the last task of a row may be small for all of them.
        let width = match down.is_multiple_of(workers) {
            true => down / workers * n,
            false => each * columns,
        };
        let work = k * (width * ((2 * rows).max(AWAITED) + own) + each * rows * PASSING);
        join + abroad + shared + left + COLD * columns * depth + each * TASK + work
    };
    let (down, across) = (m.div_ceil(steps.0), n.div_ceil(steps.1));
    let most = 4 * workers;
    // A task should take several times as long as its start; and to think about many ways to cut a small product takes a part of its time.
    let worth = (m * n * k / (2 * TASK)).max(workers);
    let mut best = (time(whole.0, whole.1), whole);
    for parts_down in 1..=most.min(down).min(worth) {
        let rows = part(m, parts_down, steps.0);
        let finest = (least.next_multiple_of(workers) + most).min(across);
        for parts_across in least..=finest.min(worth / parts_down) {
            let columns = part(n, parts_across, steps.1);
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

    fn product(m: usize, n: usize, k: usize) -> Product {
        Product {
            m,
            n,
            k,
            cut: true,
            packs_left: false,
            packs_right: false,
        }
    }

    #[test]
    fn a_vector_times_a_weight_is_shared_out() {
        let tasks = |n: usize, k: usize| {
            let b = Blocking::new(Caches::default(), (14, 32), product(1, n, k), 2);
            n.div_ceil(b.columns)
        };
        assert!(tasks(1152, 384) >= 4 && tasks(384, 384) >= 2 && tasks(16_000, 384) >= 8);
        assert_eq!(tasks(64, 64), 1);
    }

    #[test]
    fn rows_stay_with_their_worker_where_each_has_enough_of_them() {
        let blocks = |m: usize, workers: usize| {
            let caches = Caches {
                l1: 48 << 10,
                l2: 1 << 20,
                l3: 16 << 20,
            };
            let b = Blocking::new(caches, (14, 32), product(m, 1536, 384), workers);
            m.div_ceil(b.rows)
        };
        assert_eq!(blocks(256, 2), 2);
        assert_eq!(blocks(1024, 4), 4);
        // Each worker would read all of B for a few rows.
        assert_eq!(blocks(16, 2), 1);
        assert!(blocks(256, 16) < 16);
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
                let cut = false;
                let size = Product {
                    cut,
                    ..product(m, n, k)
                };
                let b = Blocking::new(caches, tile, size, workers);
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
