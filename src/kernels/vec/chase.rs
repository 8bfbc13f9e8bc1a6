//! The latency ceiling: a chain of loads, each of which tells where the next one goes.

/// Links one place in every `stride` of `x` into one cycle that visits each once, in an order that no prefetcher guesses (Sattolo,
/// 1986). Each place holds the place of the next one, as bits; what lies in between is not touched. A stride of 16 meets every
/// cache line; a page and a line together meet every page and spread over the sets of a cache.
///
/// # Panics
/// When `x` holds no whole stride, or more places than 32 bits can number.
pub fn chase_links(x: &mut [f32], stride: usize, seed: u64) {
    let stops = x.len() / stride;
    assert!(
        stops > 0 && u32::try_from(x.len()).is_ok(),
        "{} values cannot be linked",
        x.len()
    );
    let place = |stop: usize| f32::from_bits((stop * stride) as u32);
    for stop in 0..stops {
        x[stop * stride] = place(stop);
    }
    let mut state = seed | 1;
    for stop in (1..stops).rev() {
        // xorshift64 (Marsaglia, 2003): any fixed irregular order will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = (state % stop as u64) as usize;
        x.swap(stop * stride, other * stride);
    }
}

/// Follows `steps` links from place `start` and gives the place reached. Each step is one load that waits for the one before.
///
/// # Panics
/// When `links` was not made by [`chase_links`].
pub fn chase(links: &[f32], start: usize, steps: usize) -> usize {
    let mut place = start;
    for _ in 0..steps {
        place = links[place].to_bits() as usize;
    }
    place
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
    #[should_panic(expected = "cannot be linked")]
    fn less_than_a_line_is_refused() {
        chase_links(&mut [0.0; 15], LINE, 1);
    }
}
