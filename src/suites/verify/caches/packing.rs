//! Pages that lie in a cache together.
//!
//! A physically indexed cache has room for a few pages of each colour only (Taylor et al., 1990). Where the system, or the host
//! below it, backs memory with small pages from anywhere, some colours get too many of them: the working set no longer fits long
//! before the cache is full, and its knee comes early. So pages are taken one by one, and one that displaces others is passed over,
//! as eviction sets are found (Vila et al., 2019), the other way round. It needs neither addresses nor the geometry of the cache, and
//! changes nothing where memory is contiguous.

use crate::parallel::Pool;
use crate::suites::Context;
use crate::suites::ceilings::latency::{Chain, LINE_BYTES, PAGE_BYTES};

/// Pages that any L2 holds and no L1: taken unseen.
const SEED: usize = 32;

/// Pages that are looked at, at most: 16 MiB.
const MOST: usize = 4096;

/// Pages in a row that do not fit, after which the cache is taken to be full: an L2 has 8 to 64 colours.
const PATIENCE: usize = 96;

/// A page displaces others when its lines cost so many times what lines cost that are there: those that miss go to the next
/// cache, which takes three times as long or more, and make others miss.
const DEAR: f64 = 2.5;

/// Times that a working set is walked through.
const LAPS: usize = 5;

/// All pages of a memory, in an order in which working sets are taken from them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packing {
    /// Numbers of the pages: first those that lie in the cache together, then the others in the order of their addresses.
    pub(super) pages: Vec<usize>,
    /// Pages that had been passed over when the last one that fits was found.
    pub(super) passed_over: usize,
    /// Pages that fit.
    pub(super) fit: usize,
}

impl Packing {
    /// So many pages as they lie.
    pub(super) fn none(count: usize) -> Self {
        Self {
            pages: (0..count).collect(),
            passed_over: 0,
            fit: 0,
        }
    }

    /// Whether neighbouring addresses lie in memory that is scattered.
    pub(super) fn is_scattered(&self) -> bool {
        self.passed_over * 10 > self.fit
    }
}

/// Packs the pages of a chain's memory into the first cache behind L1, some tenths of a second.
pub(super) fn pack(context: &Context, pool: &Pool, chain: &mut Chain) -> Packing {
    let clock = context.clock;
    choose(chain.pages(), &|| context.stopped(), |pages| {
        pool.install(|| {
            let lines = pages.len() as u64 * PAGE_BYTES / LINE_BYTES;
            chain.lay_pages(pages, lines * LINE_BYTES);
            let laps = (0..LAPS).map(|_| chain.window(clock, lines as usize));
            laps.fold(f64::INFINITY, f64::min) * lines as f64
        })
    })
}

/// Chooses among `count` pages by what a lap through a set of them costs.
fn choose(
    count: usize,
    stopped: &dyn Fn() -> bool,
    mut lap: impl FnMut(&[usize]) -> f64,
) -> Packing {
    if count <= SEED {
        return Packing::none(count);
    }
    let mut fit: Vec<usize> = (0..SEED).collect();
    let hit = lap(&fit) / SEED as f64;
    let mut others = Vec::new();
    let (mut passed_over, mut in_a_row) = (0, 0);
    let mut next = SEED;
    while next < count.min(MOST) && in_a_row < PATIENCE && !stopped() {
        let before = lap(&fit);
        fit.push(next);
        if lap(&fit) - before > DEAR * hit {
            others.extend(fit.pop());
            in_a_row += 1;
        } else {
            in_a_row = 0;
            passed_over = others.len();
        }
        next += 1;
    }
    let fits = fit.len();
    fit.append(&mut others);
    fit.extend(next..count);
    Packing {
        pages: fit,
        passed_over,
        fit: fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::testing::Noise;

    /// Cycles of a lap through pages of these colours: of a colour with more pages than `ways`, a share of the lines misses.
    fn lap(colours: &[usize], ways: usize, pages: &[usize]) -> f64 {
        let mut of_colour = vec![0usize; 64];
        for page in pages {
            of_colour[colours[*page]] += 1;
        }
        let cost = |pages: &usize| {
            let missing = (*pages as f64 / ways as f64 - 1.0).clamp(0.0, 0.25) * 4.0;
            *pages as f64 * (15.0 + missing * 36.0)
        };
        of_colour.iter().map(cost).sum()
    }

    #[test]
    fn scattered_pages_fill_the_cache_to_the_last() {
        // 1 MiB of 16 ways, 512 KiB of 8, 2 MiB of 16: 16, 16 and 32 colours.
        for (colours, ways, seed) in [(16, 16, 1), (16, 8, 2), (32, 16, 3)] {
            let mut random = Noise::new(seed);
            let lie: Vec<usize> = (0..4096).map(|_| random.below(colours)).collect();
            let packing = choose(lie.len(), &|| false, |pages| {
                lap(&lie, ways, pages) * (1.0 + 0.0002 * random.normal().abs())
            });
            let room = colours * ways;
            assert!(
                packing.fit <= room && packing.fit * 100 >= room * 98,
                "{} of {room}",
                packing.fit
            );
            assert!(packing.is_scattered());
            let mut all = packing.pages.clone();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..lie.len()), "each page once");
        }
    }

    #[test]
    fn contiguous_pages_stay_in_their_order() {
        let lie: Vec<usize> = (0..4096).map(|page| page % 16).collect();
        let packing = choose(lie.len(), &|| false, |pages| lap(&lie, 16, pages));
        assert_eq!((packing.fit, packing.passed_over), (256, 0));
        assert!(!packing.is_scattered());
        assert!(packing.pages.iter().copied().eq(0..4096));
    }

    #[test]
    fn a_stop_leaves_every_page_where_it_lies() {
        let packing = choose(100, &|| true, |pages| pages.len() as f64);
        assert!(packing.pages.iter().copied().eq(0..100));
        assert_eq!(choose(3, &|| false, |_| 1.0), Packing::none(3));
    }
}
