//! Text from outside made fit for a page: no markup, no control characters, no direction tricks, no novels.

/// Longest text that a page shows in one place, in characters; `run.json` has the rest.
const LONGEST: usize = 400;

/// A character that XML forbids, or that turns the direction of what follows, as the sign for something unreadable.
fn shown(character: char) -> char {
    match character {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

/// One line of text that can be shown, at most [`LONGEST`] long.
pub(crate) fn clean(text: &str) -> String {
    let one_line = |character: char| {
        if "\t\n\r".contains(character) {
            ' '
        } else {
            shown(character)
        }
    };
    let mut cleaned: String = text.chars().take(LONGEST).map(one_line).collect();
    if text.chars().nth(LONGEST).is_some() {
        cleaned.push('\u{2026}');
    }
    cleaned
}

/// Several lines, each as [`clean`] makes it, indented as they were; at most `lines`.
pub(crate) fn clean_lines(text: &str, lines: usize) -> String {
    let mut cleaned: Vec<String> = text.lines().take(lines).map(clean).collect();
    if text.lines().nth(lines).is_some() {
        cleaned.push("\u{2026}".to_owned());
    }
    cleaned.join("\n")
}

/// [`clean`], with the characters that mean something in XML written as entities.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in clean(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_controls_and_direction_marks_are_disarmed() {
        assert_eq!(escape("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(clean("a\u{0}b\u{202e}c\nd"), "a\u{fffd}b\u{fffd}c d");
        assert_eq!(clean(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
        assert_eq!(
            clean("\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"
        );
    }
}
