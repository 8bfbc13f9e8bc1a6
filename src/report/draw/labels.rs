//! Labels that do not collide: spread along a line, or placed at the first free spot around a point.

/// A rectangle: left, top, width, height, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    /// Left edge.
    pub(crate) x: f64,
    /// Upper edge.
    pub(crate) y: f64,
    /// Width.
    pub(crate) width: f64,
    /// Height.
    pub(crate) height: f64,
}

impl Area {
    fn touches(&self, other: &Area) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }

    fn inside(&self, other: &Area) -> bool {
        self.x >= other.x
            && self.y >= other.y
            && self.x + self.width <= other.x + other.width
            && self.y + self.height <= other.y + other.height
    }
}

/// Remembers what is taken on a picture.
pub(crate) struct Placer {
    bounds: Area,
    taken: Vec<Area>,
}

impl Placer {
    /// A picture with nothing on it; labels stay within `bounds`.
    pub(crate) fn new(bounds: Area) -> Self {
        Self {
            bounds,
            taken: Vec::new(),
        }
    }

    /// Takes and returns the first of `candidates` that is free and inside; `None` where all collide.
    pub(crate) fn place(&mut self, candidates: impl IntoIterator<Item = Area>) -> Option<Area> {
        let free = |area: &Area| {
            area.inside(&self.bounds) && !self.taken.iter().any(|taken| taken.touches(area))
        };
        let found = candidates.into_iter().find(free)?;
        self.taken.push(found);
        Some(found)
    }
}

/// Moves the centres of intervals of the given `sizes` so that none overlap and all lie within `low..=high`, each as
/// near to where it wants to be as its neighbours allow. The order by wanted place is kept. Where they do not all fit,
/// they overlap evenly.
pub(crate) fn spread(wanted: &[f64], sizes: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut centres = vec![0.0; wanted.len()];
    // Clusters of intervals that touch: members, extent, and the mean of where they want to start.
    let mut clusters: Vec<(Vec<usize>, f64, f64)> = Vec::new();
    for index in order {
        let mut cluster = (
            vec![index],
            sizes[index],
            wanted[index] - sizes[index] / 2.0,
        );
        loop {
            cluster.2 = cluster.2.min(high - cluster.1).max(low);
            let Some(before) = clusters.pop_if(|before| before.2 + before.1 > cluster.2) else {
                break;
            };
            let (count_before, count) = (before.0.len() as f64, cluster.0.len() as f64);
            let start =
                (before.2 * count_before + (cluster.2 - before.1) * count) / (count_before + count);
            cluster = ([before.0, cluster.0].concat(), before.1 + cluster.1, start);
        }
        clusters.push(cluster);
    }
    for (members, extent, start) in clusters {
        let squeeze = if extent > high - low && extent > 0.0 {
            (high - low).max(0.0) / extent
        } else {
            1.0
        };
        let mut edge = start.max(low);
        for member in members {
            centres[member] = edge + sizes[member] * squeeze / 2.0;
            edge += sizes[member] * squeeze;
        }
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_keeps_order_and_leaves_no_overlap() {
        let wanted = [50.0, 52.0, 51.0, 200.0, 3.0];
        let sizes = [20.0, 20.0, 20.0, 10.0, 20.0];
        let centres = spread(&wanted, &sizes, 0.0, 205.0);
        let mut order: Vec<usize> = (0..5).collect();
        order.sort_by(|a, b| centres[*a].total_cmp(&centres[*b]));
        assert_eq!(order, [4, 0, 2, 1, 3]);
        for pair in order.windows(2) {
            assert!(
                centres[pair[1]] - centres[pair[0]]
                    >= (sizes[pair[0]] + sizes[pair[1]]) / 2.0 - 1e-9,
                "{centres:?}"
            );
        }
        assert!(centres[4] >= 10.0 && centres[3] <= 200.0);
        assert!(
            (centres[2] - 51.0).abs() < 1e-9,
            "the middle one of three stays: {centres:?}"
        );
    }

    #[test]
    fn spread_squeezes_what_cannot_fit() {
        let centres = spread(&[1.0, 2.0, 3.0], &[50.0; 3], 0.0, 60.0);
        assert!(
            centres.windows(2).all(|pair| pair[0] < pair[1]) && centres[2] <= 60.0,
            "{centres:?}"
        );
        assert!(spread(&[], &[], 0.0, 1.0).is_empty());
    }

    #[test]
    fn a_place_is_given_away_once() {
        let mut placer = Placer::new(Area {
            x: 0.0,
            y: 0.0,
            width: 100.0,
            height: 100.0,
        });
        let here = Area {
            x: 10.0,
            y: 10.0,
            width: 20.0,
            height: 10.0,
        };
        assert_eq!(placer.place([here]), Some(here));
        assert_eq!(placer.place([here]), None);
        let outside = Area { x: 90.0, ..here };
        let beside = Area { x: 31.0, ..here };
        assert_eq!(placer.place([here, outside, beside]), Some(beside));
    }
}
