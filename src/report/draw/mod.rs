//! Drawing: a canvas in pixels over plotters, with axes, labels that do not collide, and a finished picture at the end.

mod axis;
mod backend;
mod canvas;
mod curves;
mod fonts;
mod ink;
mod labels;
mod plot;
mod text;

pub(crate) use axis::Axis;
pub(crate) use canvas::{Align, Canvas, Stroke, Type};
pub(crate) use curves::{Curve, draw as draw_curves, extent, extents};
pub(crate) use fonts::{fit, width};
pub(crate) use ink::{CURVES, Ink, classes, variables};
pub(crate) use labels::{Area, Placer, spread};
pub(crate) use plot::{Plot, Point};
pub(crate) use text::{clean, clean_lines, escape};

/// The faces that a page asks for, in this order.
pub(crate) const FACES: &str =
    "system-ui,-apple-system,\"Segoe UI\",Roboto,Inter,\"DejaVu Sans\",sans-serif";

/// A finished picture.
#[derive(Clone, Debug)]
pub(crate) struct Svg {
    /// Width and height in pixels.
    size: (f64, f64),
    /// What it shows, in words.
    description: String,
    /// Its elements.
    body: String,
}

impl Svg {
    /// As part of a page, which brings the colours. `id` is unique on the page.
    pub(crate) fn inline(&self, id: &str, title: &str) -> String {
        let (width, height) = self.size;
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{}</svg>",
            escape(title),
            escape(&self.description),
            self.body
        )
    }

    /// As a file of its own, with its colours for light and dark and a margin around it.
    pub(crate) fn standalone(&self, title: &str) -> String {
        const MARGIN: f64 = 16.0;
        let (width, height) = (self.size.0 + 2.0 * MARGIN, self.size.1 + 2.0 * MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-{MARGIN} -{MARGIN} {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\"><title>{}</title><desc>{}</desc><style>\
             svg{{font-family:{FACES};font-size:12px}}.halo{{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}\
             {}.halo{{stroke:#ffffff}}@media(prefers-color-scheme:dark){{{}.halo{{stroke:#181d24}}}}</style>\
             <rect x=\"-{MARGIN}\" y=\"-{MARGIN}\" width=\"{width:.0}\" height=\"{height:.0}\" class=\"f-card\"/>{}</svg>\n",
            escape(title),
            escape(&self.description),
            ink::plain_classes(false),
            ink::plain_classes(true),
            self.body
        )
    }
}
