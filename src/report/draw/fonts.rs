//! How wide a text is, without a font: the advance widths of DejaVu Sans, in thousandths of the font size.
//!
//! Plotters without a font library guesses 0.7 em for each byte, so that ticks and labels sit wrong. The widths below are
//! the `hmtx` entries of DejaVu Sans 2.37 for U+0020..U+007E, scaled from 2048 units per em to 1000. Of the faces that a
//! page's `system-ui` resolves to (Segoe UI, Roboto, SF, Inter, Noto, DejaVu) it is the widest, so what fits in it fits
//! in all of them.

/// DejaVu Sans.
const REGULAR: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

/// DejaVu Sans Bold.
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683,
    683, 821, 837, 372, 372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771,
    724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665,
    343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
];

/// Height of a capital over the baseline, in font sizes.
pub(crate) const CAP_HEIGHT: f64 = 0.73;

/// Everything outside ASCII: the wide signs that pages use, full-width scripts, and a cautious mean for the rest.
fn advance_beyond_ascii(character: char) -> u16 {
    match character {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{a0}' | '\u{b7}' => 380,
        '\u{2013}' => 500,
        '\u{2014}' | '\u{2026}' => 1000,
        '\u{d7}' | '\u{b1}' | '\u{2190}'..='\u{22ff}' => 838,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ffef}' => 1000,
        '\u{10000}'.. => 1300,
        _ => 760,
    }
}

/// The width of `text` at a font size of `size` pixels, in pixels.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let table = if bold { &BOLD } else { &REGULAR };
    let advance = |character: char| match character {
        ' '..='~' => table[character as usize - ' ' as usize],
        _ => advance_beyond_ascii(character),
    };
    text.chars()
        .map(|character| f64::from(advance(character)))
        .sum::<f64>()
        / 1000.0
        * size
}

/// `text`, cut with an ellipsis so that it is at most `room` pixels wide; empty where not even that fits.
pub(crate) fn fit(text: &str, size: f64, bold: bool, room: f64) -> String {
    if width(text, size, bold) <= room {
        return text.to_owned();
    }
    let mut used = width("\u{2026}", size, bold);
    let mut kept = String::new();
    for character in text.chars() {
        used += width(character.encode_utf8(&mut [0; 4]), size, bold);
        if used > room {
            break;
        }
        kept.push(character);
    }
    if kept.trim().is_empty() {
        String::new()
    } else {
        format!("{}\u{2026}", kept.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font_file() {
        let thousandths = |text: &str, bold: bool| (width(text, 1000.0, bold)).round();
        assert_eq!(
            [thousandths("i", false), thousandths("W", true)],
            [278.0, 1103.0]
        );
        assert_eq!(
            thousandths("GFLOP/s", false),
            f64::from(775 + 575 + 557 + 787 + 603 + 337 + 521)
        );
        assert_eq!(width("e\u{301}", 10.0, false), width("e", 10.0, false));
    }

    #[test]
    fn a_cut_text_fits_and_says_that_it_was_cut() {
        let long = "a".repeat(10_000);
        let cut = fit(&long, 12.0, false, 100.0);
        assert!(cut.ends_with('\u{2026}') && width(&cut, 12.0, false) <= 100.0 && cut.len() > 8);
        assert_eq!(fit("short", 12.0, false, 100.0), "short");
        assert_eq!(fit("word", 12.0, false, 3.0), "");
    }
}
