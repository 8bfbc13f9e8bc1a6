//! How the rows of a matrix are divided among tiles of one or two heights, so that the smallest edge is left.

use std::ops::Range;

/// The rows of each tile of a matrix of `rows` rows: tiles of the last of `heights`, as many as make all tiles together quickest, then of the
/// first, then an edge.
pub(crate) fn tile_rows(
    heights: &[usize],
    rows: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let (tall, low) = (heights[0], heights[heights.len() - 1]);
    let mut lows = lows(tall, low, rows);
    let mut start = 0;
    std::iter::from_fn(move || {
        let height = if lows > 0 { low } else { tall };
        lows = lows.saturating_sub(1);
        let tile = start..(start + height).min(rows);
        start = tile.end;
        (!tile.is_empty()).then_some(tile)
    })
}

/// How many of the tiles should be `low`: at most as many as `tall` has rows, since so many are as many rows as `low` tall ones.
#[inline(always)]
fn lows(tall: usize, low: usize, rows: usize) -> usize {
    if low == tall {
        return 0;
    }
    let (mut talls, mut edge) = (rows / tall, rows % tall);
    let (mut best, mut least) = (0, usize::MAX);
    for lows in 0..=(rows / low).min(tall) {
        let cost = lows + talls + rows - edge + EDGE_COST[edge];
        if cost < least {
            (best, least) = (lows, cost);
        }
        if edge == 0 {
            break;
        }
        // One tall tile less is one low tile more and a longer edge.
        edge += tall - low;
        if edge < tall {
            talls = talls.saturating_sub(1);
        } else {
            edge -= tall;
        }
    }
    best
}

/// Time that edges of 0 to 15 rows take, in rows, where a tile takes one more than it has: their pieces, 8, 4, 2 and 1 high, take two more, and
/// as long as 4 at least, for they wait for B.
const EDGE_COST: [usize; 16] = {
    let mut costs = [0; 16];
    let mut edge = 0;
    while edge < costs.len() {
        let mut piece = 8;
        while piece > 0 {
            if edge & piece != 0 {
                costs[edge] += 2 + if piece < 4 { 4 } else { piece };
            }
            piece /= 2;
        }
        edge += 1;
    }
    costs
};

#[cfg(test)]
mod tests {
    use super::*;

    fn heights(rows: usize) -> Vec<usize> {
        tile_rows(&[14, 12], rows).map(|tile| tile.len()).collect()
    }

    #[test]
    fn tiles_leave_the_cheapest_edge() {
        assert!(heights(0).is_empty());
        assert_eq!(heights(5), [5]);
        assert_eq!(heights(16), [12, 4]);
        assert_eq!(heights(28), [14, 14]);
        assert_eq!(heights(30), [12, 14, 4]);
        assert_eq!(heights(48), [12; 4]);
        assert_eq!(heights(64), [12, 12, 12, 14, 14]);
        // Two even heights, so that any even number of rows from some on has no edge.
        for rows in (72..400).step_by(2) {
            assert!(heights(rows).iter().all(|height| [12, 14].contains(height)));
        }
        let one: Vec<usize> = tile_rows(&[6], 20).map(|tile| tile.len()).collect();
        assert_eq!(one, [6, 6, 6, 2]);
    }

    #[test]
    fn every_row_is_in_one_tile() {
        for rows in 0..300 {
            let tiles: Vec<_> = tile_rows(&[14, 12], rows).collect();
            assert!(tiles.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(tiles.last().map_or(0, |tile| tile.end), rows);
        }
    }
}
