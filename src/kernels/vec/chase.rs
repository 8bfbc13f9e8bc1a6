//! The latency ceiling: a chain of loads, each of which tells where the next one goes.
//!
//! A place holds the distance of the next one in bytes: an index into a slice would be scaled in the address, which costs a cycle of
//! the chain on AMD cores.
#![allow(
    unsafe_code,
    reason = "only a pointer moves by bytes; the check of the bounds stays"
)]

/// Links one place in every `stride` of `x` into one cycle that visits each once, in an order that no prefetcher guesses. Each place
/// holds where the next one lies, as bits; what lies in between is not touched. A stride of 16 meets every cache line; a page and
/// a line together meet every page and spread over the sets of a cache.
///
/// # Panics
/// When `x` holds no whole stride, or more bytes than 32 bits can number.
pub fn chase_links(x: &mut [f32], stride: usize, seed: u64) {
    let stops = x.len() / stride;
    chase_links_through(x, stops, |stop| stop * stride, stops, seed);
}

/// Links the places `place(0)`, .. `place(stops - 1)` of `x`, all different, into one cycle. It visits them group by group, each of
/// `group` stops that follow each other, and those of a group in random order (Sattolo, 1986): a group that spans few pages asks for
/// their translations once, and still no prefetcher guesses the next place.
///
/// # Panics
/// Without stops, when a place lies outside of `x`, or when `x` holds more bytes than 32 bits can number.
pub fn chase_links_through(
    x: &mut [f32],
    stops: usize,
    place: impl Fn(usize) -> usize,
    group: usize,
    seed: u64,
) {
    assert!(
        stops > 0 && group > 0 && u32::try_from(size_of_val(x)).is_ok(),
        "{} values cannot be linked",
        x.len()
    );
    let mut state = seed | 1;
    for first in (0..stops).step_by(group) {
        let last = (first + group).min(stops);
        for stop in first..last {
            x[place(stop)] = f32::from_bits((place(stop) * size_of::<f32>()) as u32);
        }
        for stop in (first + 1..last).rev() {
            // xorshift64 (Marsaglia, 2003): any fixed irregular order will do.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let other = first + (state % (stop - first) as u64) as usize;
            x.swap(place(stop), place(other));
        }
        // Two cycles that exchange one successor are one.
        if first > 0 {
            x.swap(place(0), place(first));
        }
    }
}

/// Follows `steps` links from place `start` and gives the place reached. Each step is one load that waits for the one before.
///
/// # Panics
/// When `links` was not made by [`chase_links`] or [`chase_links_through`].
pub fn chase(links: &[f32], start: usize, steps: usize) -> usize {
    let first = links.as_ptr().cast::<u8>();
    let room = size_of_val(links);
    let mut at = start * size_of::<f32>();
    for _ in 0..steps {
        assert!(
            at + size_of::<u32>() <= room,
            "a link leads out of the slice"
        );
        // SAFETY: four bytes from `at` on lie in the slice, by the line above, and any bits are a number.
        at = unsafe { first.add(at).cast::<u32>().read_unaligned() } as usize;
    }
    at / size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f32 places in a cache line.
    const LINE: usize = 16;

    #[test]
    fn the_cycle_visits_every_line_once() {
        for lines in [1, 2, 3, 100, 1000] {
            let mut x = vec![7.0; lines * LINE + 5];
            chase_links(&mut x, LINE, 9);
            let mut seen = vec![false; lines];
            let mut place = 0;
            for _ in 0..lines {
                assert!(
                    !std::mem::replace(&mut seen[place / LINE], true),
                    "{lines}: line {place} twice"
                );
                place = chase(&x, place, 1);
            }
            assert_eq!((place, chase(&x, 0, lines)), (0, 0));
        }
    }

    #[test]
    fn stops_lie_a_stride_apart_and_nothing_else_is_touched() {
        let stride = 1024 + LINE;
        let mut x = vec![7.0; 50 * stride];
        chase_links(&mut x, stride, 3);
        let mut place = 0;
        for stop in 1..=50 {
            place = chase(&x, place, 1);
            assert_eq!((place % stride, place == 0), (0, stop == 50));
        }
        assert_eq!(
            x.iter().filter(|value| **value == 7.0).count(),
            50 * (stride - 1)
        );
    }

    #[test]
    fn groups_are_visited_one_after_the_other() {
        // Every third line, last ones first, in groups of ten.
        let (stops, group) = (47, 10);
        let at = |stop: usize| (stops - 1 - stop) * 3 * LINE;
        let mut x = vec![7.0; stops * 3 * LINE];
        chase_links_through(&mut x, stops, at, group, 5);
        let mut place = chase(&x, at(0), 1);
        let mut order = Vec::new();
        for _ in 0..stops {
            order.push(stops - 1 - place / (3 * LINE));
            place = chase(&x, place, 1);
        }
        let mut groups: Vec<usize> = order.iter().map(|stop| stop / group).collect();
        groups.dedup();
        let mut all = order.clone();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..stops), "{order:?}");
        groups.sort_unstable();
        assert!(groups.iter().copied().eq(0..5), "{order:?}");
        assert!(!order.is_sorted() && !order.iter().rev().is_sorted());
    }

    #[test]
    #[should_panic(expected = "out of the slice")]
    fn what_is_no_link_is_not_followed() {
        chase(&[f32::from_bits(16), 0.0, 0.0, 0.0], 0, 2);
    }

    #[test]
    #[should_panic(expected = "cannot be linked")]
    fn less_than_a_line_is_refused() {
        chase_links(&mut [0.0; 15], LINE, 1);
    }
}
