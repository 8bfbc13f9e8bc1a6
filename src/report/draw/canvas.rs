//! The canvas: shapes and texts in pixels, drawn through plotters.

use std::fmt::Debug;

use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{DrawingBackend, FontFamily, FontStyle, ShapeStyle, TextStyle};
use plotters::style::{Color, FontDesc};
use plotters_backend::text_anchor::{HPos, Pos, VPos};

use super::backend::{Backend, Sheet, TEXT, UNITS};
use super::{Area, Ink, Svg};

/// How a line looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stroke {
    /// Its colour.
    pub(crate) ink: Ink,
    /// Its width in pixels.
    pub(crate) width: f64,
    /// Drawn as dashes.
    pub(crate) dashed: bool,
    /// 0 is invisible, 1 covers.
    pub(crate) opacity: f64,
}

impl Stroke {
    /// A solid line.
    pub(crate) fn solid(ink: Ink, width: f64) -> Self {
        Self {
            ink,
            width,
            dashed: false,
            opacity: 1.0,
        }
    }

    /// A dashed line.
    pub(crate) fn dashed(ink: Ink, width: f64) -> Self {
        Self {
            dashed: true,
            ..Self::solid(ink, width)
        }
    }

    /// The same line, fainter.
    pub(crate) fn faint(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    pub(super) fn style(self) -> ShapeStyle {
        ShapeStyle {
            color: self.ink.carrier().mix(self.opacity),
            filled: false,
            stroke_width: (self.width * UNITS) as u32,
        }
    }
}

/// Where a text lies relative to its point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Align {
    /// It starts at the point.
    Start,
    /// Its middle is the point.
    Middle,
    /// It ends at the point.
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type {
    /// Its colour.
    pub(crate) ink: Ink,
    /// Font size in pixels.
    pub(crate) size: f64,
    /// Heavier.
    pub(crate) bold: bool,
    /// Horizontal position relative to its point.
    pub(crate) align: Align,
    /// Pushes back what lies under it.
    pub(crate) halo: bool,
}

impl Type {
    /// The usual size, starting at the point.
    pub(crate) fn plain(ink: Ink) -> Self {
        Self {
            ink,
            size: TEXT,
            bold: false,
            align: Align::Start,
            halo: false,
        }
    }

    /// At another size.
    pub(crate) fn size(self, size: f64) -> Self {
        Self { size, ..self }
    }

    /// Heavier.
    pub(crate) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// At another alignment.
    pub(crate) fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    /// Readable over lines.
    pub(crate) fn halo(self) -> Self {
        Self { halo: true, ..self }
    }

    pub(super) fn style(self) -> TextStyle<'static> {
        let weight = if self.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let h_pos = match self.align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        TextStyle {
            font: FontDesc::new(FontFamily::SansSerif, self.size * UNITS, weight),
            color: self.ink.to_backend_color(),
            pos: Pos::new(h_pos, VPos::Center),
        }
    }
}

/// A drawing surface of a fixed size. Its points are pixels from the upper left corner.
pub(crate) struct Canvas {
    /// Width in pixels.
    pub(crate) width: f64,
    /// Height in pixels.
    pub(crate) height: f64,
    pub(super) area: DrawingArea<Backend, plotters::coord::Shift>,
    pub(super) sheet: Sheet,
}

/// Pixels as plotters' units; what is no number or far outside lies at the border.
pub(super) fn units(pixels: f64) -> i32 {
    if pixels.is_nan() {
        0
    } else {
        (pixels * UNITS).round().clamp(-1e6, 1e6) as i32
    }
}

pub(super) fn at(point: (f64, f64)) -> (i32, i32) {
    (units(point.0), units(point.1))
}

/// Our backend cannot fail, so an error would be a mistake in this room: tests stop at it, a page goes without the shape.
pub(super) fn drawn<T, E: Debug>(result: Result<T, E>) -> Option<T> {
    debug_assert!(result.is_ok(), "{:?}", result.as_ref().err());
    result.ok()
}

impl Canvas {
    /// An empty canvas.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let sheet = Sheet::default();
        let backend = Backend {
            width,
            height,
            sheet: sheet.clone(),
        };
        debug_assert!(backend.get_size().0 > 0 && backend.get_size().1 > 0);
        Self {
            width,
            height,
            area: backend.into_drawing_area(),
            sheet,
        }
    }

    /// The whole canvas.
    pub(crate) fn bounds(&self) -> Area {
        Area {
            x: 0.0,
            y: 0.0,
            width: self.width,
            height: self.height,
        }
    }

    /// The picture, with its content in words for those who cannot see it.
    pub(crate) fn finish(&self, description: String) -> Svg {
        Svg {
            size: (self.width, self.height),
            description,
            body: self.sheet.take(),
        }
    }

    /// Draws `content` as a group that tells `title` to the pointer.
    pub(crate) fn hover(&self, title: &str, content: impl FnOnce(&Canvas)) {
        self.sheet.open(title);
        content(self);
        self.sheet.close();
    }

    /// A filled rectangle with its upper left corner at `corner`.
    pub(crate) fn fill(&self, corner: (f64, f64), size: (f64, f64), ink: Ink, opacity: f64) {
        self.rounded(corner, size, 2.0, ink.carrier().mix(opacity).filled());
    }

    /// The outline of a rectangle.
    pub(crate) fn frame(&self, corner: (f64, f64), size: (f64, f64), radius: f64, stroke: Stroke) {
        self.sheet.dashed(stroke.dashed);
        self.rounded(corner, size, radius, stroke.style());
        self.sheet.dashed(false);
    }

    fn rounded(&self, corner: (f64, f64), size: (f64, f64), radius: f64, style: ShapeStyle) {
        let end = (corner.0 + size.0.max(0.0), corner.1 + size.1.max(0.0));
        self.sheet
            .radius(radius.min(size.0 / 2.0).min(size.1 / 2.0).max(0.0));
        drawn(
            self.area
                .draw(&Rectangle::new([at(corner), at(end)], style)),
        );
        self.sheet.radius(0.0);
    }

    /// A line through `points`.
    pub(crate) fn line(&self, points: &[(f64, f64)], stroke: Stroke) {
        self.sheet.dashed(stroke.dashed);
        let points: Vec<_> = points.iter().map(|point| at(*point)).collect();
        drawn(self.area.draw(&PathElement::new(points, stroke.style())));
        self.sheet.dashed(false);
    }

    /// A disc with a thin rim.
    pub(crate) fn dot(&self, center: (f64, f64), radius: f64, ink: Ink, opacity: f64) {
        let size = units(radius).max(0);
        drawn(self.area.draw(&Circle::new(
            at(center),
            size,
            ink.carrier().mix(opacity).filled(),
        )));
        if opacity < 1.0 {
            drawn(self.area.draw(&Circle::new(
                at(center),
                size,
                Stroke::solid(ink, 1.2).style(),
            )));
        }
    }

    /// One line of text, vertically centred on `point`.
    pub(crate) fn text(&self, point: (f64, f64), content: &str, look: Type) {
        self.sheet.halo(look.halo);
        drawn(self.area.draw(&Text::new(content, at(point), look.style())));
        self.sheet.halo(false);
    }

    /// One line of text turned by `degrees` clockwise around `point`.
    pub(crate) fn turned(&self, point: (f64, f64), degrees: f64, content: &str, look: Type) {
        self.sheet.turn(degrees);
        self.text(point, content, look);
        self.sheet.turn(0.0);
    }
}
