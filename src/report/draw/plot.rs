//! A plot: two axes with their ticks, drawn by plotters, and curves in the units of the data.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::{LineSeries, ShapeStyle};
use plotters::style::Color;

use super::backend::{Backend, UNITS};
use super::canvas::{Stroke, drawn, units};
use super::{Align, Area, Axis, Canvas, Ink, Type};

/// A point of a curve; `None` is a gap.
pub(crate) type Point = (f64, Option<f64>);

/// A frame with axes on a canvas.
pub(crate) struct Plot<'a> {
    canvas: &'a Canvas,
    context: Option<ChartContext<'a, Backend, Cartesian2d<Axis, Axis>>>,
    /// The plotting area, without the ticks.
    pub(crate) area: Area,
    ends: ((f64, f64), (f64, f64)),
}

/// Height that the tick labels and the title of the x axis take under a plot.
const FOOT: f64 = 40.0;
/// Height that the title of the y axis takes over a plot.
const HEAD: f64 = 24.0;

impl Canvas {
    /// Draws axes within `area` (ticks and titles included). `gap` pixels stay free at the right for labels of curves.
    pub(crate) fn plot(&self, area: Area, gap: f64, x: (Axis, &str), y: (Axis, &str)) -> Plot<'_> {
        let ((x, x_title), (y, y_title)) = (x, y);
        let left = y.label_width().max(16.0) + 10.0;
        let x = x.thinned((area.width - left - gap).max(40.0));
        let ends = (x.ends(), y.ends());
        let last_label = x.label_width() / 2.0;
        let right = gap.max(last_label.min(40.0));
        let part = self.area.clone().shrink(
            (units(area.x), units(area.y + HEAD)),
            (
                units(area.width - right),
                units((area.height - HEAD - (FOOT - 22.0)).max(40.0)),
            ),
        );
        let inner = Area {
            x: area.x + left,
            y: area.y + HEAD,
            width: area.width - left - right,
            height: (area.height - HEAD - FOOT).max(10.0),
        };
        let mut context = drawn(
            ChartBuilder::on(&part)
                .y_label_area_size(units(left))
                .x_label_area_size(units(22.0))
                .build_cartesian_2d(x, y),
        );
        if let Some(context) = &mut context {
            let invisible = ShapeStyle {
                color: Ink::Line.carrier().mix(0.0),
                filled: false,
                stroke_width: 0,
            };
            drawn(
                context
                    .configure_mesh()
                    .bold_line_style(Stroke::solid(Ink::Line, 1.0).style())
                    .light_line_style(invisible)
                    .axis_style(invisible)
                    .disable_x_mesh()
                    .set_all_tick_mark_size((4.0 * UNITS) as u32)
                    .label_style(Type::plain(Ink::Soft).style())
                    .draw(),
            );
        }
        let bottom = inner.y + inner.height;
        self.line(
            &[(inner.x, bottom), (inner.x + inner.width, bottom)],
            Stroke::solid(Ink::Soft, 1.0),
        );
        self.text((area.x, area.y + 6.0), y_title, Type::plain(Ink::Soft));
        let end = (inner.x + inner.width, area.y + area.height - 8.0);
        self.text(end, x_title, Type::plain(Ink::Soft).align(Align::End));
        Plot {
            canvas: self,
            context,
            area: inner,
            ends,
        }
    }
}

impl Plot<'_> {
    /// The ends of both axes.
    pub(crate) fn ends(&self) -> ((f64, f64), (f64, f64)) {
        self.ends
    }

    /// Where a point of the data lies, in pixels of the canvas.
    pub(crate) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let Some(context) = &self.context else {
            return (self.area.x, self.area.y);
        };
        let (x, y) = context.plotting_area().map_coordinate(&(x, y));
        (f64::from(x) / UNITS, f64::from(y) / UNITS)
    }

    /// A curve; a gap interrupts it, a point between two gaps becomes a dot.
    pub(crate) fn curve(&mut self, points: &[Point], stroke: Stroke) {
        let points = decimated(points, self.area.width as usize);
        for run in
            points.split(|point| point.1.is_none_or(|y| !y.is_finite()) || !point.0.is_finite())
        {
            let run: Vec<(f64, f64)> = run
                .iter()
                .filter_map(|point| Some((point.0, point.1?)))
                .collect();
            if let [only] = run[..] {
                self.canvas.dot(
                    self.at(only.0, only.1),
                    stroke.width.max(2.0),
                    stroke.ink,
                    1.0,
                );
                continue;
            }
            self.canvas.sheet.dashed(stroke.dashed);
            if let Some(context) = &mut self.context {
                drawn(context.draw_series(LineSeries::new(run, stroke.style())));
            }
            self.canvas.sheet.dashed(false);
        }
    }

    /// A vertical line across the plot.
    pub(crate) fn mark(&self, x: f64, stroke: Stroke) {
        let (at, _) = self.at(x, 0.0);
        self.canvas.line(
            &[(at, self.area.y), (at, self.area.y + self.area.height)],
            stroke,
        );
    }
}

/// At most about two points a pixel: the least and the greatest of each column, in their order. Gaps stay.
fn decimated(points: &[Point], columns: usize) -> Vec<Point> {
    let columns = columns.max(1);
    if points.len() <= columns * 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(columns * 2);
    for chunk in points.chunks(points.len().div_ceil(columns)) {
        let value = |index: usize| chunk[index].1.filter(|y| y.is_finite());
        let known: Vec<usize> = (0..chunk.len())
            .filter(|index| value(*index).is_some())
            .collect();
        let least = known.iter().min_by(|a, b| {
            value(**a)
                .unwrap_or(0.0)
                .total_cmp(&value(**b).unwrap_or(0.0))
        });
        let greatest = known.iter().max_by(|a, b| {
            value(**a)
                .unwrap_or(0.0)
                .total_cmp(&value(**b).unwrap_or(0.0))
        });
        match (least, greatest) {
            (Some(&least), Some(&greatest)) => {
                kept.push(chunk[least.min(greatest)]);
                if least != greatest {
                    kept.push(chunk[least.max(greatest)]);
                }
            }
            _ => kept.push((chunk[0].0, None)),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimation_keeps_the_extremes_and_the_gaps() {
        let mut points: Vec<Point> = (0..100_000)
            .map(|x| (f64::from(x), Some(f64::from(x % 7))))
            .collect();
        points[77_777].1 = Some(1e6);
        points[33_333].1 = Some(-1e6);
        for point in &mut points[50_000..51_000] {
            point.1 = None;
        }
        let kept = decimated(&points, 300);
        assert!(kept.len() <= 600);
        assert!(kept.contains(&(77_777.0, Some(1e6))) && kept.contains(&(33_333.0, Some(-1e6))));
        assert!(kept.iter().any(|point| point.1.is_none()));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_value_lies_where_its_tick_is() {
        let canvas = Canvas::new(400.0, 200.0);
        let area = Area {
            x: 0.0,
            y: 0.0,
            width: 400.0,
            height: 200.0,
        };
        let plot = canvas.plot(
            area,
            30.0,
            (Axis::linear(0.0, 10.0, 5), "step"),
            (Axis::linear(0.0, 100.0, 4), "loss"),
        );
        let (left, bottom) = plot.at(0.0, 0.0);
        let (right, top) = plot.at(10.0, 100.0);
        assert!(
            (left - plot.area.x).abs() < 0.5
                && (bottom - plot.area.y - plot.area.height).abs() < 0.5
        );
        assert!(
            (right - plot.area.x - plot.area.width).abs() < 0.5 && (top - plot.area.y).abs() < 0.5
        );
        let svg = canvas.finish(String::new()).standalone("t");
        assert!(
            svg.contains(">100</text>") && svg.contains(">loss</text>"),
            "{svg}"
        );
    }
}
