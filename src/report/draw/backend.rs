//! Plotters' drawing backend that writes our SVG: tenths of a pixel, colours as classes, text measured by a real font.
//!
//! Plotters addresses whole pixels; it is told a canvas ten times as large, and each number is divided on the way out,
//! so that a line may end at 12.3. What plotters has no word for (dashes, rounded corners, a halo behind a label, a
//! title for the pointer) is a state of the [`Sheet`] that the canvas sets around a call.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle, FontTransform,
};

use super::Ink;
use super::fonts;
use super::text;

/// Units of plotters in a pixel.
pub(super) const UNITS: f64 = 10.0;

/// The font size that a text without an own size has, in pixels.
pub(super) const TEXT: f64 = 12.0;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// What was written so far, and how the next shape looks. Clones share one sheet.
#[derive(Clone, Default)]
pub(super) struct Sheet(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    body: String,
    dashed: bool,
    halo: bool,
    radius: f64,
    turn: f64,
}

impl Sheet {
    /// Lines drawn from now on are dashed, or solid again.
    pub(super) fn dashed(&self, on: bool) {
        self.0.borrow_mut().dashed = on;
    }

    /// Texts drawn from now on push back what lies under them.
    pub(super) fn halo(&self, on: bool) {
        self.0.borrow_mut().halo = on;
    }

    /// Rectangles drawn from now on have corners of this radius, in pixels.
    pub(super) fn radius(&self, radius: f64) {
        self.0.borrow_mut().radius = radius;
    }

    /// Texts drawn from now on are turned by this many degrees, clockwise.
    pub(super) fn turn(&self, degrees: f64) {
        self.0.borrow_mut().turn = degrees;
    }

    /// Opens a group that tells `title` to the pointer and to a screen reader.
    pub(super) fn open(&self, title: &str) {
        let _ = write!(
            self.0.borrow_mut().body,
            "<g class=\"h\"><title>{}</title>",
            text::escape(title)
        );
    }

    /// Closes the group.
    pub(super) fn close(&self) {
        self.0.borrow_mut().body.push_str("</g>");
    }

    /// Takes the finished body.
    pub(super) fn take(&self) -> String {
        std::mem::take(&mut self.0.borrow_mut().body)
    }

    fn shape(&self, name: &str, geometry: &str, paint: &Paint) {
        let mut state = self.0.borrow_mut();
        let _ = write!(state.body, "<{name} {geometry} class=\"{}\"", paint.class());
        if !paint.filled {
            state.body.push_str(" fill=\"none\"");
            let width = number(f64::from(paint.stroke) / UNITS);
            if width != "1" {
                let _ = write!(state.body, " stroke-width=\"{width}\"");
            }
            if state.dashed {
                state.body.push_str(" stroke-dasharray=\"4 4\"");
            }
        }
        if paint.color.alpha < 1.0 {
            let _ = write!(state.body, " opacity=\"{}\"", number(paint.color.alpha));
        }
        state.body.push_str("/>");
    }
}

/// How one shape is painted.
struct Paint {
    color: BackendColor,
    stroke: u32,
    filled: bool,
}

impl Paint {
    fn of<S: BackendStyle>(style: &S, filled: bool) -> Self {
        Self {
            color: style.color(),
            stroke: style.stroke_width(),
            filled,
        }
    }

    fn class(&self) -> String {
        format!(
            "{}-{}",
            if self.filled { "f" } else { "s" },
            Ink::of(self.color).name()
        )
    }
}

/// A coordinate as short as it can be written.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn pixel(units: i32) -> String {
    number(f64::from(units) / UNITS)
}

fn points<I: IntoIterator<Item = BackendCoord>>(path: I) -> String {
    let points: Vec<String> = path
        .into_iter()
        .map(|(x, y)| format!("{},{}", pixel(x), pixel(y)))
        .collect();
    points.join(" ")
}

/// The backend: a size in pixels and the sheet it writes on.
pub(super) struct Backend {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) sheet: Sheet,
}

impl DrawingBackend for Backend {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        ((self.width * UNITS) as u32, (self.height * UNITS) as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 10, point.1 + 10), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            let geometry = format!(
                "x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"",
                pixel(from.0),
                pixel(from.1),
                pixel(to.0),
                pixel(to.1)
            );
            self.sheet
                .shape("line", &geometry, &Paint::of(style, false));
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            let (width, height) = (to.0 - from.0, to.1 - from.1);
            let mut geometry = format!(
                "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
                pixel(from.0),
                pixel(from.1),
                pixel(width),
                pixel(height)
            );
            let radius = self.sheet.0.borrow().radius;
            if radius > 0.0 {
                let _ = write!(geometry, " rx=\"{}\"", number(radius));
            }
            self.sheet.shape("rect", &geometry, &Paint::of(style, fill));
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            self.sheet.shape(
                "polyline",
                &format!("points=\"{}\"", points(path)),
                &Paint::of(style, false),
            );
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            let geometry = format!(
                "cx=\"{}\" cy=\"{}\" r=\"{}\"",
                pixel(center.0),
                pixel(center.1),
                number(f64::from(radius) / UNITS)
            );
            self.sheet
                .shape("circle", &geometry, &Paint::of(style, fill));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            self.sheet.shape(
                "polygon",
                &format!("points=\"{}\"", points(path)),
                &Paint::of(style, true),
            );
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        content: &str,
        style: &S,
        position: BackendCoord,
    ) -> Drawn {
        if style.color().alpha <= 0.0 || content.is_empty() {
            return Ok(());
        }
        let size = style.size() / UNITS;
        let (x, y) = (f64::from(position.0) / UNITS, f64::from(position.1) / UNITS);
        let drop = match style.anchor().v_pos {
            VPos::Top => fonts::CAP_HEIGHT * size,
            VPos::Center => fonts::CAP_HEIGHT * size / 2.0,
            VPos::Bottom => 0.0,
        };
        let mut state = self.sheet.0.borrow_mut();
        let turn = match style.transform() {
            FontTransform::None => state.turn,
            FontTransform::Rotate90 => 90.0,
            FontTransform::Rotate180 => 180.0,
            FontTransform::Rotate270 => -90.0,
        };
        let halo = if state.halo { " halo" } else { "" };
        let _ = write!(
            state.body,
            "<text class=\"f-{}{halo}\"",
            Ink::of(style.color()).name()
        );
        let _ = if turn == 0.0 {
            write!(
                state.body,
                " x=\"{}\" y=\"{}\"",
                number(x),
                number(y + drop)
            )
        } else {
            let (x, y, turn, drop) = (number(x), number(y), number(turn), number(drop));
            write!(
                state.body,
                " transform=\"translate({x} {y}) rotate({turn})\" y=\"{drop}\""
            )
        };
        state.body.push_str(match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        });
        if (size - TEXT).abs() > 0.01 {
            let _ = write!(state.body, " font-size=\"{}\"", number(size));
        }
        if matches!(style.style(), FontStyle::Bold) {
            state.body.push_str(" font-weight=\"600\"");
        }
        let _ = write!(state.body, ">{}</text>", text::escape(content));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        content: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let bold = matches!(style.style(), FontStyle::Bold);
        Ok((
            fonts::width(content, style.size(), bold).ceil() as u32,
            style.size().ceil() as u32,
        ))
    }
}
