//! The event that differs from the one before only in its text, which most events of a stream do.
//!
//! When a parsed event was nothing but text, its bytes around that text are remembered. Where the next event has the
//! same bytes around a string, it has the same structure, hence says the same but for the text: no finish, no usage,
//! no error. So it need not be walked again. It is a shortcut only; [`Chunk::parse`] says what is true.

use std::ops::Range;

use crate::{cursor::string_end, relay::chunk::Chunk};

/// Longer events are rare and differ; remembering them would cost memory in every stream.
const PATTERN_BYTES: usize = 2 * 1024;

/// A server that writes something new into every event (a time, an id) is not tried for ever.
const MISSES: u8 = 8;

#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// The remembered event; empty when there is none.
    event: Vec<u8>,
    /// Where its strings stand that may differ, in order: its text, and padding if it has any.
    holes: [Range<usize>; 2],
    /// Which of them is the text.
    text_hole: usize,
    misses: u8,
}

impl Pattern {
    /// How long the text of this event is, if it is like the remembered one.
    pub(super) fn text_bytes(&mut self, event: &[u8]) -> Option<usize> {
        if self.event.is_empty() || self.misses >= MISSES {
            return None;
        }
        let lengths = self.fill(event);
        if lengths.is_none() {
            self.misses += 1;
        } else {
            self.misses = 0;
        }
        let length = *lengths?.get(self.text_hole)?;
        // Without text it is no content, and whatever it is else is not known here.
        (length > 0).then_some(length)
    }

    /// Lengths of the strings in the holes. An absent hole is an empty one at the end.
    fn fill(&self, event: &[u8]) -> Option<[usize; 2]> {
        let [first, second] = &self.holes;
        let rest = event.strip_prefix(self.event.get(..first.start)?)?;
        let (first_length, _) = string_end(rest)?;
        let rest = rest.get(first_length..)?.strip_prefix(self.event.get(first.end..second.start)?)?;
        if second.start == self.event.len() {
            return rest.is_empty().then_some([first_length, 0]);
        }
        let (second_length, _) = string_end(rest)?;
        let after = self.event.get(second.end..)?;
        (rest.get(second_length..)? == after).then_some([first_length, second_length])
    }

    /// Remembers an event that is one text and nothing else that matters.
    pub(super) fn learn(&mut self, event: &[u8], chunk: &Chunk<'_>) {
        let only_text = chunk.content_parts == 1 && !chunk.text.is_empty() && chunk.content_bytes == chunk.text.len();
        let says_more = chunk.error.is_some() || chunk.usage.is_some() || chunk.finished != 0;
        if !only_text || says_more || event.len() > PATTERN_BYTES || self.misses >= MISSES {
            return;
        }
        self.event.clear();
        self.event.extend_from_slice(event);
        let text = chunk.text.clone();
        let end = event.len()..event.len();
        (self.holes, self.text_hole) = match chunk.padding.clone() {
            None => ([text, end], 0),
            Some(padding) if padding.start > text.start => ([text, padding], 0),
            Some(padding) => ([padding, text], 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::chunk::Shape;

    fn learned(event: &str) -> Pattern {
        let mut pattern = Pattern::default();
        pattern.learn(event.as_bytes(), &Chunk::parse(event.as_bytes(), Shape::Stream).unwrap());
        pattern
    }

    const PLAIN: &str =
        r#"{"id":"1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#;
    const PADDED: &str = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"obfuscation":"xy"}"#;

    #[test]
    fn an_event_that_differs_in_its_text_only_is_known() {
        let mut pattern = learned(PLAIN);
        for (text, length) in [("b", 1), (r#"say \"no\""#, 10), (r"\\", 2), ("grün", 5)] {
            let event = PLAIN.replace("\"a\"", &format!("\"{text}\""));
            assert_eq!(pattern.text_bytes(event.as_bytes()), Some(length), "{event}");
        }
    }

    #[test]
    fn padding_may_differ_too_before_or_after_the_text() {
        let mut after = learned(PADDED);
        let mut before = learned(r#"{"p":"ab","choices":[{"delta":{"content":"a"}}]}"#);
        assert_eq!(after.text_bytes(PADDED.replace("\"a\"", "\"bcd\"").replace("xy", "").as_bytes()), Some(3));
        assert_eq!(before.text_bytes(br#"{"p":"","choices":[{"delta":{"content":"bcd"}}]}"#), Some(3));
    }

    #[test]
    fn whatever_else_differs_is_not_known() {
        for event in [
            PLAIN.replace("\"a\"", "\"\""),
            PLAIN.replace("\"a\"", "null"),
            PLAIN.replace("null}]", "\"stop\"}]"),
            PLAIN.replace("\"usage\":null", "\"usage\":{\"prompt_tokens\":1}"),
            PLAIN.replace("\"a\"", "\"a\",\"error\":\"b\""),
            PLAIN.replace("\"usage\"", "\"error\":{\"code\":500},\"usage\""),
            PLAIN.replace("\"a\"", r#""a\""#),
            PLAIN.replace("}]", ""),
            format!("{PLAIN} "),
            PLAIN[..PLAIN.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(learned(PLAIN).text_bytes(event.as_bytes()), None, "{event}");
        }
    }

    #[test]
    fn only_an_event_that_is_one_text_is_remembered() {
        for event in [
            PLAIN.replace("\"a\"", "\"\""),
            PLAIN.replace("null}]", "\"stop\"}]"),
            PLAIN.replace("\"usage\":null", "\"usage\":{}"),
            PLAIN.replace("\"a\"", "\"a\",\"reasoning\":\"b\""),
            PLAIN.replace("\"a\"", "\"a\",\"audio\":{\"id\":1}"),
            PLAIN.replace("\"a\"", &format!("\"{}\"", "a".repeat(PATTERN_BYTES))),
        ] {
            let mut pattern = learned(&event);
            assert_eq!(pattern.text_bytes(event.as_bytes()), None, "{event}");
        }
    }

    #[test]
    fn a_stream_whose_events_all_differ_is_given_up_on() {
        let mut pattern = learned(PLAIN);
        for _ in 0..MISSES {
            assert_eq!(pattern.text_bytes(b"{}"), None);
        }
        assert_eq!(pattern.text_bytes(PLAIN.as_bytes()), None);
    }
}
