//! The colours by role, for both themes: readable on their background (contrast of 4.5 and more) and apart from each
//! other for colour-blind eyes (the hues of Okabe and Ito, 2008; lightness differs too, for paper).

use plotters::style::{Color, RGBColor};
use plotters_backend::BackendColor;

/// A colour by its role. Pictures name roles only; the style sheet decides what they look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ink {
    /// Text and main lines.
    Text,
    /// Secondary text.
    Soft,
    /// Grid lines and hairlines.
    Line,
    /// Quiet areas: everything that is not the subject.
    Quiet,
    /// The card that a picture lies on.
    Card,
    /// Forward, measured values, the first of several curves.
    Blue,
    /// Backward, the second curve, warnings.
    Orange,
    /// Optimizer, the third curve.
    Green,
    /// The fourth curve.
    Purple,
    /// The fifth curve, claims.
    Gold,
    /// The sixth curve.
    Sky,
    /// Limits and losses.
    Red,
}

/// Role, class suffix, light colour, dark colour.
const TABLE: [(Ink, &str, &str, &str); 12] = [
    (Ink::Text, "text", "#1b2330", "#e7ebf1"),
    (Ink::Soft, "soft", "#5a6573", "#a0abba"),
    (Ink::Line, "line", "#e2e5e9", "#303945"),
    (Ink::Quiet, "quiet", "#c3cad3", "#4b5766"),
    (Ink::Card, "card", "#ffffff", "#181d24"),
    (Ink::Blue, "blue", "#1d66b5", "#6fb1f7"),
    (Ink::Orange, "orange", "#b9500b", "#f3a063"),
    (Ink::Green, "green", "#0c7a5b", "#4ecba2"),
    (Ink::Purple, "purple", "#8a4a94", "#d79ade"),
    (Ink::Gold, "gold", "#866400", "#e2be52"),
    (Ink::Sky, "sky", "#17748f", "#63c7e3"),
    (Ink::Red, "red", "#b3314a", "#f58a9c"),
];

/// The colours of several curves in one picture, in order.
pub(crate) const CURVES: [Ink; 6] = [
    Ink::Blue,
    Ink::Orange,
    Ink::Green,
    Ink::Purple,
    Ink::Gold,
    Ink::Sky,
];

impl Ink {
    fn index(self) -> usize {
        TABLE.iter().position(|row| row.0 == self).unwrap_or(0)
    }

    /// The class suffix: `f-blue` fills, `s-blue` strokes.
    pub(crate) fn name(self) -> &'static str {
        TABLE[self.index()].1
    }

    /// The colour of the `index`-th curve of a picture.
    pub(crate) fn curve(index: usize) -> Ink {
        CURVES[index % CURVES.len()]
    }

    /// As plotters carries it: the role's number instead of a colour.
    pub(crate) fn carrier(self) -> RGBColor {
        RGBColor(self.index() as u8, 0, 0)
    }

    /// The role that plotters carried here; an unknown colour is text.
    pub(super) fn of(color: BackendColor) -> Ink {
        TABLE
            .get(usize::from(color.rgb.0))
            .map_or(Ink::Text, |row| row.0)
    }
}

impl Color for Ink {
    fn to_backend_color(&self) -> BackendColor {
        self.carrier().to_backend_color()
    }
}

/// `--blue:#..;` for each role, for one theme.
pub(crate) fn variables(dark: bool) -> String {
    TABLE
        .iter()
        .map(|(_, name, light, night)| format!("--{name}:{};", if dark { night } else { light }))
        .collect()
}

/// The classes of a page, which has variables.
pub(crate) fn classes() -> String {
    TABLE
        .iter()
        .map(|(_, name, ..)| {
            format!(".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}")
        })
        .collect()
}

/// The classes of a picture on its own, with plain colours: many viewers of SVG know no variables.
pub(super) fn plain_classes(dark: bool) -> String {
    let rows = TABLE.iter().map(|(_, name, light, night)| {
        let color = if dark { night } else { light };
        format!(".f-{name}{{fill:{color}}}.s-{name}{{stroke:{color}}}")
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: &str) -> f64 {
        let channel = |range: std::ops::Range<usize>| {
            let value = f64::from(u8::from_str_radix(&color[range], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1..3) + 0.7152 * channel(3..5) + 0.0722 * channel(5..7)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_ink_that_writes_is_readable_on_the_card_of_both_themes() {
        let card = TABLE[Ink::Card.index()];
        for (ink, name, light, dark) in TABLE {
            if matches!(ink, Ink::Line | Ink::Quiet | Ink::Card) {
                continue;
            }
            assert!(
                contrast(light, card.2) >= 4.5,
                "{name} light {}",
                contrast(light, card.2)
            );
            assert!(
                contrast(dark, card.3) >= 4.5,
                "{name} dark {}",
                contrast(dark, card.3)
            );
        }
    }

    #[test]
    fn a_role_survives_the_way_through_plotters() {
        for (ink, ..) in TABLE {
            assert_eq!(Ink::of(ink.to_backend_color()), ink);
        }
    }
}
