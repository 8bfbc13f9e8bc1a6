//! What a model writes, as text that may be shown: whole characters, and nothing of a string that ends it.

/// A text that comes piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    characters: Utf8Stream,
    /// The strings that end it.
    stops: Vec<String>,
    /// What may be the beginning of one of them.
    held: String,
    stopped: bool,
}

impl Answer {
    /// An answer that ends before the first of `stops` in it.
    pub(crate) fn new(stops: &[String]) -> Answer {
        Answer {
            stops: stops.to_vec(),
            ..Answer::default()
        }
    }

    /// Adds the bytes of a token, and returns what may be shown from here on.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let text = self.characters.push(bytes);
        self.scan(&text)
    }

    /// Whether one of the strings that end it has come.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// What is left when no more comes.
    pub(crate) fn finish(mut self) -> String {
        let rest = std::mem::take(&mut self.characters).finish();
        let mut text = self.scan(&rest);
        text.push_str(&self.held);
        text
    }

    fn scan(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        let stops = self.stops.iter().map(String::as_str);
        if let Some(end) = stops.clone().filter_map(|stop| self.held.find(stop)).min() {
            self.stopped = true;
            let mut shown = std::mem::take(&mut self.held);
            shown.truncate(end);
            return shown;
        }
        let is_beginning = |at: &usize| {
            stops
                .clone()
                .any(|stop| stop.starts_with(&self.held[*at..]))
        };
        let starts = self.held.char_indices().map(|(at, _)| at);
        let safe = starts
            .into_iter()
            .find(is_beginning)
            .unwrap_or(self.held.len());
        let held = self.held.split_off(safe);
        std::mem::replace(&mut self.held, held)
    }
}

/// Bytes of tokens to text: a character may be spread over several tokens.
#[derive(Debug, Default)]
struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes and returns the characters that are complete; what can never become one is shown as `U+FFFD`.
    fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let is_last = used + chunk.invalid().len() == self.pending.len();
            if is_last && may_become_a_character(chunk.invalid()) {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            used += chunk.invalid().len();
        }
        self.pending.drain(..used);
        text
    }

    /// What is left when no more bytes come.
    fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether these bytes are the beginning of a character, by the error that more bytes would mend.
fn may_become_a_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_appear_when_they_are_complete() {
        let mut stream = Utf8Stream::default();
        let pieces: [&[u8]; 6] = [b"a\xe2", b"\x82", b"\xac!", b"\xff", b"\xc3(", b"\xf0\x9f"];
        let shown: Vec<_> = pieces.iter().map(|piece| stream.push(piece)).collect();
        assert_eq!(shown, ["a", "", "\u{20ac}!", "\u{fffd}", "\u{fffd}(", ""]);
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    #[test]
    fn nothing_of_a_stop_is_shown() {
        let stops = ["STOP".to_owned(), "ÖH\n".to_owned()];
        let written = |pieces: &[&str]| {
            let mut answer = Answer::new(&stops);
            let shown: Vec<String> = pieces
                .iter()
                .map(|piece| answer.push(piece.as_bytes()))
                .collect();
            let stopped = answer.is_stopped();
            (shown, stopped, answer.finish())
        };
        let expect = |shown: &[&str], stopped, rest: &str| {
            (
                shown.iter().map(ToString::to_string).collect(),
                stopped,
                rest.to_owned(),
            )
        };
        assert_eq!(
            written(&["a S", "TO", "P b"]),
            expect(&["a ", "", ""], true, "")
        );
        assert_eq!(written(&["a SSTOP"]), expect(&["a S"], true, ""));
        assert_eq!(
            written(&["STOR", "E ST"]),
            expect(&["STOR", "E "], false, "ST")
        );
        assert_eq!(
            written(&["ÖÖ", "H", "\n"]),
            expect(&["Ö", "", ""], true, "")
        );
        assert_eq!(
            written(&["ÖH\n and STOP", "x"]),
            expect(&["", ""], true, "")
        );
    }
}
