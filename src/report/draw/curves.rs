//! Several curves in one plot, each named at its right end instead of in a legend.

use super::{Align, Area, Axis, Canvas, Ink, Plot, Point, Stroke, Type, fit, spread, width};

/// Dots that a curve gets at most.
const MOST_DOTS: usize = 400;

/// One curve with its name.
pub(crate) struct Curve {
    /// Its name, written at its end.
    pub(crate) label: String,
    /// Its points.
    pub(crate) points: Vec<Point>,
    /// Its look.
    pub(crate) stroke: Stroke,
    /// Radius of a dot at each point; 0 for none.
    pub(crate) dots: f64,
    /// What the pointer learns; empty for nothing.
    pub(crate) hover: String,
}

impl Curve {
    /// A solid curve.
    pub(crate) fn new(label: impl Into<String>, points: Vec<Point>, ink: Ink) -> Self {
        Self {
            label: label.into(),
            points,
            stroke: Stroke::solid(ink, 1.8),
            dots: 0.0,
            hover: String::new(),
        }
    }

    /// A horizontal dashed line from `from` to `to`: a limit or a reference.
    pub(crate) fn level(
        label: impl Into<String>,
        y: f64,
        (from, to): (f64, f64),
        ink: Ink,
    ) -> Self {
        let points = vec![(from, Some(y)), (to, Some(y))];
        Self {
            stroke: Stroke::dashed(ink, 1.2),
            ..Self::new(label, points, ink)
        }
    }

    /// With a dot at each point.
    pub(crate) fn dotted(self) -> Self {
        Self { dots: 3.2, ..self }
    }

    /// Dots without a line: samples that do not follow from each other.
    pub(crate) fn scattered(self) -> Self {
        Self {
            dots: 1.7,
            stroke: self.stroke.faint(0.0),
            ..self
        }
    }

    fn last(&self) -> Option<(f64, f64)> {
        self.points
            .iter()
            .rev()
            .find_map(|point| Some((point.0, point.1?)))
    }
}

/// Least and greatest of the finite values; `None` where there are none.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// Extents of all points of `curves`: of x, of y.
pub(crate) fn extents(curves: &[Curve]) -> Option<((f64, f64), (f64, f64))> {
    let known = || {
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .filter(|point| point.1.is_some())
    };
    Some((
        extent(known().map(|point| point.0))?,
        extent(known().filter_map(|point| point.1))?,
    ))
}

/// Draws `curves` with axes in `area`, and their names at the right.
pub(crate) fn draw<'a>(
    canvas: &'a Canvas,
    area: Area,
    curves: &[Curve],
    x: (Axis, &str),
    y: (Axis, &str),
) -> Plot<'a> {
    let widest = curves
        .iter()
        .map(|curve| width(&curve.label, 12.0, false))
        .fold(0.0, f64::max);
    let room = (widest + 12.0).min(area.width * 0.34);
    let gap = if widest > 0.0 { room } else { 0.0 };
    let mut plot = canvas.plot(area, gap, x, y);
    for curve in curves {
        let content = |plot: &mut Plot<'_>| {
            plot.curve(&curve.points, curve.stroke);
            let step = curve.points.len().div_ceil(MOST_DOTS).max(1);
            let known = curve
                .points
                .iter()
                .step_by(step)
                .filter_map(|point| Some((point.0, point.1?)));
            for (x, y) in known.filter(|_| curve.dots > 0.0) {
                canvas.dot(plot.at(x, y), curve.dots, curve.stroke.ink, 1.0);
            }
        };
        if curve.hover.is_empty() {
            content(&mut plot);
        } else {
            canvas.hover(&curve.hover, |_| content(&mut plot));
        }
    }
    let named: Vec<(&Curve, f64)> = curves
        .iter()
        .filter(|curve| !curve.label.is_empty())
        .filter_map(|curve| curve.last().map(|(x, y)| (curve, plot.at(x, y).1)))
        .collect();
    let wanted: Vec<f64> = named.iter().map(|(_, y)| *y).collect();
    let (top, bottom) = (plot.area.y - 8.0, plot.area.y + plot.area.height + 8.0);
    let places = spread(&wanted, &vec![16.0; named.len()], top, bottom);
    for ((curve, _), y) in named.iter().zip(places) {
        let text = fit(&curve.label, 12.0, false, room - 10.0);
        let x = plot.area.x + plot.area.width + 8.0;
        canvas.text(
            (x, y),
            &text,
            Type::plain(curve.stroke.ink).align(Align::Start).halo(),
        );
    }
    plot
}
