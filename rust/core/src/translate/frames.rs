//! How a dialect cuts a stream into events: as server-sent events, or one JSON document a line.

use crate::dialects::Dialect;
use crate::sse::{self, Limits};

/// Cuts the bytes of one stream into events, whatever the pieces they come in.
#[derive(Debug)]
pub struct Frames {
    cut: Cut,
    limits: Limits,
}

#[derive(Debug)]
enum Cut {
    Sse(Box<sse::Parser>),
    /// NDJSON. What is kept is the beginning of a line.
    Lines(Vec<u8>),
}

impl Default for Frames {
    /// Of a stream that is over.
    fn default() -> Self {
        Self { cut: Cut::Lines(Vec::new()), limits: Limits::default() }
    }
}

impl Frames {
    pub fn of(dialect: Dialect, limits: Limits) -> Self {
        let cut = match dialect {
            Dialect::Ollama => Cut::Lines(Vec::new()),
            // A bare JSON error between events is an event, too.
            _ => Cut::Sse(Box::new(sse::Parser::with_bare_json(limits))),
        };
        Self { cut, limits }
    }

    /// Calls `on` with the name and the data of each event that `chunk` completes; false once one is over the limit.
    pub fn feed(&mut self, chunk: &[u8], mut on: impl FnMut(&str, &[u8])) -> bool {
        match &mut self.cut {
            Cut::Sse(parser) => parser.feed(chunk, |event| tell(event.name, event.data, &mut on)).is_ok(),
            Cut::Lines(kept) => {
                let mut rest = chunk;
                while let Some(end) = memchr::memchr(b'\n', rest) {
                    let (line, behind) = rest.split_at(end);
                    rest = behind.get(1..).unwrap_or_default();
                    if kept.is_empty() {
                        tell(b"", line, &mut on);
                    } else {
                        kept.extend_from_slice(line);
                        tell(b"", &std::mem::take(kept), &mut on);
                    }
                }
                kept.extend_from_slice(rest);
                kept.len() <= self.limits.line_bytes
            }
        }
    }

    /// The stream is over: a last event whose blank line is missing still counts, as it does for every client.
    pub fn end(self, mut on: impl FnMut(&str, &[u8])) {
        match self.cut {
            // Beyond a limit the stream has failed before.
            Cut::Sse(mut parser) => drop(parser.end(|event| tell(event.name, event.data, &mut on))),
            Cut::Lines(kept) => tell(b"", &kept, &mut on),
        }
    }
}

fn tell(name: &[u8], data: &[u8], on: &mut impl FnMut(&str, &[u8])) {
    if !data.iter().all(u8::is_ascii_whitespace) {
        on(std::str::from_utf8(name).unwrap_or_default(), data);
    }
}
