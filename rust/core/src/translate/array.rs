//! One JSON list as a stream: its items as they come, and such a list out of server-sent events.
//!
//! So Gemini streams to clients that do not ask for `alt=sse`. Its rule: an item is told when its last brace is closed,
//! and what an item is worth is for its reader to say.

use crate::sse::{Limits, Parser};

const NO_LIST: &str = "the stream is not a list of JSON objects";
/// Why an event is not read on, where a framing has no words of its own for it.
pub(super) const TOO_LONG: &str = "an event of the stream is longer than its limit";

/// Cuts a list into its items. What is kept is the beginning of one item.
#[derive(Debug, Default)]
pub(super) struct Items {
    place: Place,
    depth: usize,
    in_text: bool,
    escaped: bool,
    kept: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Between,
    Inside,
    Behind,
}

impl Items {
    pub(super) fn feed(&mut self, chunk: &[u8], most: usize, mut on: impl FnMut(&[u8])) -> Result<(), &'static str> {
        // Where the item that is being read begins in this chunk.
        let mut start = 0;
        for (at, byte) in chunk.iter().enumerate() {
            match self.place {
                Place::Inside => {
                    if !self.closes(*byte) {
                        continue;
                    }
                    self.place = Place::Between;
                    let item = chunk.get(start..=at).unwrap_or_default();
                    if self.kept.is_empty() && item.len() <= most {
                        on(item);
                    } else {
                        self.keep(item, most)?;
                        on(&std::mem::take(&mut self.kept));
                    }
                }
                Place::Before if *byte == b'[' => self.place = Place::Between,
                Place::Between if *byte == b'{' => {
                    (self.place, self.depth, start) = (Place::Inside, 1, at);
                }
                Place::Between if *byte == b']' => self.place = Place::Behind,
                Place::Between if *byte == b',' => {}
                _ if byte.is_ascii_whitespace() => {}
                _ => return Err(NO_LIST),
            }
        }
        if self.place == Place::Inside {
            self.keep(chunk.get(start..).unwrap_or_default(), most)?;
        }
        Ok(())
    }

    /// Whether this byte of an item is its last.
    fn closes(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    fn keep(&mut self, piece: &[u8], most: usize) -> Result<(), &'static str> {
        if self.kept.len() + piece.len() > most {
            return Err(TOO_LONG);
        }
        self.kept.extend_from_slice(piece);
        Ok(())
    }
}

/// Writes the server-sent events of a stream as one JSON list. An error that stands bare in the stream is an item, too.
#[derive(Debug)]
pub struct JsonArray {
    events: Parser,
    begun: bool,
    ended: bool,
}

impl Default for JsonArray {
    fn default() -> Self {
        // What it reads, a writer of ours has just written: whole events, of which nothing is kept.
        let limits = Limits { line_bytes: usize::MAX, event_bytes: usize::MAX };
        Self { events: Parser::with_bare_json(limits), begun: false, ended: false }
    }
}

impl JsonArray {
    /// Appends the items that these events are.
    pub fn push(&mut self, events: &[u8], out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let begun = &mut self.begun;
        // Without a limit nothing is refused.
        let _ = self.events.feed(events, |event| item(begun, event.data, out));
    }

    /// Closes the list, also of a stream without events. Only once: what comes behind is not written.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let begun = &mut self.begun;
        let _ = self.events.end(|event| item(begun, event.data, out));
        out.extend_from_slice(if self.begun { b"\n]" } else { b"[]" });
    }
}

fn item(begun: &mut bool, data: &[u8], out: &mut Vec<u8>) {
    let before: &[u8] = if std::mem::replace(begun, true) { b"\n,\r\n" } else { b"[" };
    out.extend_from_slice(before);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = " [{\"a\":\"]}\\\"{\"}\n,\r\n{\"b\":[{},[1]]},\n{\"error\":{\"code\":503}}\n]\n";
    const ITEMS: [&str; 3] = [r#"{"a":"]}\"{"}"#, r#"{"b":[{},[1]]}"#, r#"{"error":{"code":503}}"#];

    fn items(pieces: &[&[u8]], most: usize) -> Result<Vec<String>, &'static str> {
        let mut items = Items::default();
        let mut found = Vec::new();
        for piece in pieces {
            items.feed(piece, most, |item| found.push(String::from_utf8(item.to_vec()).unwrap()))?;
        }
        Ok(found)
    }

    #[test]
    fn any_cut_gives_the_same_items() {
        for at in 0..=LIST.len() {
            let (head, tail) = LIST.as_bytes().split_at(at);
            assert_eq!(items(&[head, tail], 64).unwrap(), ITEMS, "cut at {at}");
        }
        let bytes: Vec<_> = LIST.as_bytes().chunks(1).collect();
        assert_eq!(items(&bytes, 64).unwrap(), ITEMS);
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused_and_what_is_open_is_not_told() {
        for bad in ["{}", "[1]", "[null,", "[{}] x", "[{}]{"] {
            assert_eq!(items(&[bad.as_bytes()], 64), Err(NO_LIST), "{bad}");
        }
        assert_eq!(items(&[b"[{\"a\":1},{\"b\":"], 64).unwrap(), [r#"{"a":1}"#]);
    }

    #[test]
    fn an_item_without_end_is_refused() {
        let piece = [b'x'; 16];
        let mut items = Items::default();
        items.feed(b"[{\"a\":\"", 64, |_| {}).unwrap();
        let refused = (0..100).find_map(|_| items.feed(&piece, 64, |_| {}).err());
        assert_eq!(refused, Some(TOO_LONG));
        assert!(items.kept.len() <= 64);
    }

    fn list(events: &[&str]) -> String {
        let mut array = JsonArray::default();
        let mut out = Vec::new();
        for event in events {
            array.push(event.as_bytes(), &mut out);
        }
        array.end(&mut out);
        array.push(b"data: {}\n\n", &mut out);
        array.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_become_the_items_of_a_list_that_is_always_closed() {
        let said = list(&["data: {\"a\":1}\n\n", "", "data: {\"b\":2}\n\ndata: {\"c\":3}\n\n", "{\"error\":{}}\n\n"]);
        assert_eq!(said, "[{\"a\":1}\n,\r\n{\"b\":2}\n,\r\n{\"c\":3}\n,\r\n{\"error\":{}}\n]");
        let values: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(values.as_array().unwrap().len(), 4);
        assert_eq!(list(&[]), "[]");
    }
}
