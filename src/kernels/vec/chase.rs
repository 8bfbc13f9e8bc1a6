//! The latency ceiling: a chain of loads, each of which tells where the next one goes.

/// f32 places in a cache line.
const LINE: usize = 16;

/// Links the cache lines of `x` into one cycle that visits each once, in an order that no prefetcher guesses (Sattolo, 1986).
/// The first place of each line holds the place of the next line, as bits.
///
/// # Panics
/// When `x` holds no whole line, or more places than 32 bits can number.
pub fn chase_links(x: &mut [f32], seed: u64) {
    let lines = x.len() / LINE;
    assert!(
        lines > 0 && u32::try_from(x.len()).is_ok(),
        "{} values cannot be linked",
        x.len()
    );
    let place = |line: usize| f32::from_bits((line * LINE) as u32);
    for line in 0..lines {
        x[line * LINE] = place(line);
    }
    let mut state = seed | 1;
    for line in (1..lines).rev() {
        // xorshift64 (Marsaglia, 2003): any fixed irregular order will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = (state % line as u64) as usize;
        x.swap(line * LINE, other * LINE);
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

    #[test]
    fn the_cycle_visits_every_line_once() {
        for lines in [1, 2, 3, 100, 1000] {
            let mut x = vec![7.0; lines * LINE + 5];
            chase_links(&mut x, 9);
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
    #[should_panic(expected = "cannot be linked")]
    fn less_than_a_line_is_refused() {
        chase_links(&mut [0.0; 15], 1);
    }
}
