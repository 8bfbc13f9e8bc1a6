//! The roofs: what the machine can give at most, flat for arithmetic and slanted for memory.

use crate::report::charts::ceilings::{self, Ceiling};
use crate::report::draw::{Align, Canvas, Ink, Plot, Stroke, Type, spread, width};
use crate::report::view::{Operator, View};
use crate::units::digits;

/// The roofs of a run, the highest first: name, GFLOP/s or GB/s.
pub(crate) struct Roofs {
    /// FMA peak of each instruction set.
    pub(super) flat: Vec<(String, f64)>,
    /// Bandwidth of each level.
    pub(super) slanted: Vec<(String, f64)>,
}

/// A disc that a label keeps away from: its centre and its radius.
pub(super) type Obstacle = ((f64, f64), f64);

impl Roofs {
    /// The ceilings at the thread count nearest to that of the case.
    pub(crate) fn of(view: &View<'_>) -> Self {
        let sorted = |ceilings: Vec<Ceiling<'_>>| {
            let near = ceilings::nearest(ceilings, view.threads);
            let value = |roof: Ceiling<'_>| roof.value().map(|value| (roof.label, value));
            let mut roofs: Vec<_> = near.into_iter().filter_map(value).collect();
            roofs.sort_by(|a, b| b.1.total_cmp(&a.1));
            roofs
        };
        Self {
            flat: sorted(ceilings::arithmetic(view)),
            slanted: sorted(ceilings::bandwidth(view)),
        }
    }

    /// The highest flat roof.
    pub(super) fn peak(&self) -> Option<f64> {
        self.flat.first().map(|roof| roof.1)
    }

    /// The lowest roof that is not below the dot, and the share of it that the dot reaches.
    pub(super) fn above(&self, operator: &Operator) -> Option<(String, f64)> {
        self.over(operator.gflops?, operator.intensity)
    }

    /// The same of so many GFLOP/s at an intensity, where one is known.
    pub(crate) fn over(&self, gflops: f64, intensity: Option<f64>) -> Option<(String, f64)> {
        let flat = self.peak().map(|peak| ("FMA".to_owned(), peak));
        let height =
            |(name, bandwidth): &(String, f64)| Some((name.clone(), bandwidth * intensity?));
        let over = self
            .slanted
            .iter()
            .filter_map(height)
            .chain(flat)
            .filter(|roof| roof.1 >= gflops * 0.98);
        let lowest = over.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((lowest.0, gflops / lowest.1))
    }

    /// Room that the names of the flat roofs take at the right of the plot.
    pub(super) fn gap(&self) -> f64 {
        let names = self
            .flat
            .iter()
            .map(|roof| width(&flat_name(roof), 11.0, false));
        names.fold(0.0, f64::max) + 9.0
    }

    /// Draws the flat roofs, from the fastest memory's ridge to the right edge, their names beside it.
    pub(super) fn draw_flat(&self, canvas: &Canvas, plot: &Plot<'_>) {
        let area = plot.area;
        let edge = area.x + area.width;
        let wanted: Vec<f64> = self
            .flat
            .iter()
            .map(|roof| plot.at(1.0, roof.1).1)
            .collect();
        let places = spread(
            &wanted,
            &vec![14.0; wanted.len()],
            area.y - 10.0,
            area.y + area.height,
        );
        for (index, (roof, place)) in self.flat.iter().zip(places).enumerate() {
            let fastest = self
                .slanted
                .first()
                .map_or(f64::MIN_POSITIVE, |slanted| roof.1 / slanted.1);
            let (x, y) = plot.at(fastest, roof.1);
            let (ink, thick) = if index == 0 {
                (Ink::Text, 1.8)
            } else {
                (Ink::Soft, 1.0)
            };
            canvas.hover(
                &format!("{}, FMA peak {} GFLOP/s", roof.0, digits(roof.1)),
                |canvas| {
                    canvas.line(&[(x.max(area.x), y), (edge, y)], Stroke::solid(ink, thick));
                },
            );
            canvas.text(
                (edge + 7.0, place),
                &flat_name(roof),
                Type::plain(ink).size(11.0),
            );
        }
    }

    /// Draws the slanted roofs, each with its name along it where no obstacle lies.
    pub(super) fn draw_slanted(&self, canvas: &Canvas, plot: &Plot<'_>, obstacles: &[Obstacle]) {
        let ((left, _), (bottom, top)) = plot.ends();
        let peak = self.peak().unwrap_or(top).min(top);
        let colours = [Ink::Gold, Ink::Purple, Ink::Sky, Ink::Red];
        let mut obstacles = obstacles.to_vec();
        for (index, (name, bandwidth)) in self.slanted.iter().enumerate() {
            let start = left.max(bottom / bandwidth);
            if start * bandwidth >= peak {
                continue;
            }
            let ink = colours[index % colours.len()];
            let text = format!("{name} {} GB/s", digits(*bandwidth));
            let ends = [
                plot.at(start, start * bandwidth),
                plot.at(peak / bandwidth, peak),
            ];
            canvas.hover(&text, |canvas| canvas.line(&ends, Stroke::solid(ink, 1.5)));
            if let Some(label) = Along::place(&text, ends, plot, &obstacles) {
                let look = Type::plain(ink).size(11.0).align(Align::Middle).halo();
                canvas.turned(label.centre, label.degrees(), &text, look);
                obstacles.extend(label.discs());
            }
        }
    }
}

fn flat_name(roof: &(String, f64)) -> String {
    format!("{} {}", roof.0, digits(roof.1))
}

/// A label that lies along a line.
struct Along {
    centre: (f64, f64),
    direction: (f64, f64),
    half: f64,
}

impl Along {
    /// The place nearest to the lower end of the line where the label is over the line, in the plot and free.
    fn place(
        text: &str,
        ends: [(f64, f64); 2],
        plot: &Plot<'_>,
        obstacles: &[Obstacle],
    ) -> Option<Self> {
        const OVER: f64 = 9.0;
        let [from, to] = ends;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let long = dx.hypot(dy);
        let direction = (dx / long, dy / long);
        let half = width(text, 11.0, false) / 2.0 + 3.0;
        let at = |distance: f64| Self {
            centre: (
                from.0 + direction.0 * distance + direction.1 * OVER,
                from.1 + direction.1 * distance - direction.0 * OVER,
            ),
            direction,
            half,
        };
        let inside = |label: &Self| label.centre.0 - direction.0 * half - 7.0 >= plot.area.x;
        let distances = (0..60)
            .map(|step| half + f64::from(step) * 6.0)
            .take_while(|far| far + half < long);
        distances
            .map(at)
            .find(|label| inside(label) && obstacles.iter().all(|obstacle| label.clear(obstacle)))
    }

    fn clear(&self, ((x, y), radius): &Obstacle) -> bool {
        let (x, y) = (x - self.centre.0, y - self.centre.1);
        let beside = (x * self.direction.0 + y * self.direction.1).abs();
        let across = (x * self.direction.1 - y * self.direction.0).abs();
        beside > self.half + radius || across > 8.0 + radius
    }

    fn degrees(&self) -> f64 {
        self.direction.1.atan2(self.direction.0).to_degrees()
    }

    /// The label as discs along its line, for the labels that come after it.
    fn discs(&self) -> impl Iterator<Item = Obstacle> {
        let (centre, direction, half) = (self.centre, self.direction, self.half);
        (-2..=2).map(move |step| {
            let far = half * f64::from(step) / 2.0;
            (
                (centre.0 + direction.0 * far, centre.1 + direction.1 * far),
                8.0,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_above_a_dot_is_the_lowest_that_it_has_not_passed() {
        let roofs = Roofs {
            flat: vec![("AVX2".to_owned(), 200.0)],
            slanted: vec![("L2".to_owned(), 100.0), ("DRAM".to_owned(), 10.0)],
        };
        let operator = |intensity: f64, gflops: f64| Operator {
            label: String::new(),
            pass: String::new(),
            seconds: 1.0,
            gflops: Some(gflops),
            intensity: Some(intensity),
        };
        assert_eq!(
            roofs.above(&operator(1.0, 5.0)),
            Some(("DRAM".to_owned(), 0.5))
        );
        assert_eq!(
            roofs.above(&operator(1.0, 50.0)),
            Some(("L2".to_owned(), 0.5))
        );
        assert_eq!(
            roofs.above(&operator(100.0, 150.0)),
            Some(("FMA".to_owned(), 0.75))
        );
        assert_eq!(roofs.above(&operator(10.0, 5000.0)), None);
    }
}
