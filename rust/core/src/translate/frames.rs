//! How a stream is cut into events: as server-sent events, one JSON document a line, the items of one JSON list, or AWS's
//! binary messages.
//!
//! Mostly the dialect says which. The surprise is Gemini: without `alt=sse` its stream is one list, known by its first byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::array::{Items, TOO_LONG};
use super::halves::Halves;
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{Dialect, DialectError};
use crate::eventstream::{self, Kind, Message};
use crate::sse::{self, Limits};

const NO_CHUNK: &str = "a chunk of the stream holds no bytes";

/// Cuts the bytes of one stream into events, whatever the pieces they come in.
#[derive(Debug)]
pub struct Frames {
    cut: Cut,
    limits: Limits,
    fault: &'static str,
    halves: Halves,
}

#[derive(Debug)]
enum Cut {
    Sse(Box<sse::Parser>),
    /// NDJSON. What is kept is the beginning of a line.
    Lines(Vec<u8>),
    /// Nothing but blanks has come: a list begins with a bracket, and server-sent events do not.
    ListOrSse,
    List(Items),
    Messages(eventstream::Parser),
    /// Messages that each hold an event of another dialect as bytes: Bedrock's `invoke-with-response-stream`.
    Chunks(eventstream::Parser),
}

impl Default for Frames {
    /// Of a stream that is over.
    fn default() -> Self {
        Self::new(Cut::Lines(Vec::new()), Limits::default())
    }
}

impl Frames {
    pub fn of(dialect: Dialect, limits: Limits) -> Self {
        let cut = match dialect {
            Dialect::Ollama => Cut::Lines(Vec::new()),
            Dialect::Gemini => Cut::ListOrSse,
            Dialect::BedrockConverse => Cut::Messages(eventstream::Parser::new(limits)),
            // A bare JSON error between events is an event, too.
            _ => Cut::Sse(Box::new(sse::Parser::with_bare_json(limits))),
        };
        Self::new(cut, limits)
    }

    fn new(cut: Cut, limits: Limits) -> Self {
        Self { cut, limits, fault: TOO_LONG, halves: Halves::default() }
    }

    /// Of a reply with this `content-type`. A dialect that comes in AWS's messages and is not Bedrock's own comes in
    /// chunks: so Bedrock passes on the events of the model it invokes.
    pub fn of_reply(dialect: Dialect, content_type: &[u8], limits: Limits) -> Self {
        if dialect != Dialect::BedrockConverse && eventstream::is_event_stream(content_type) {
            return Self::new(Cut::Chunks(eventstream::Parser::new(limits)), limits);
        }
        Self::of(dialect, limits)
    }

    /// Calls `on` with the name and the data of each event that `chunk` completes; false once the stream cannot be read
    /// on, as [`Self::fault`] says.
    pub fn feed(&mut self, chunk: &[u8], mut on: impl FnMut(&str, &[u8])) -> bool {
        let mut chunk = chunk;
        let halves = &mut self.halves;
        let mut on = |name: &str, data: &[u8]| on(name, &halves.mend(data));
        if matches!(self.cut, Cut::ListOrSse) {
            chunk = chunk.trim_ascii_start();
            match chunk.first() {
                None => return true,
                Some(b'[') => self.cut = Cut::List(Items::default()),
                Some(_) => self.cut = Cut::Sse(Box::new(sse::Parser::with_bare_json(self.limits))),
            }
        }
        let read = match &mut self.cut {
            Cut::Sse(parser) => {
                parser.feed(chunk, |event| tell(event.name, event.data, &mut on)).map(drop).map_err(|_| TOO_LONG)
            }
            Cut::Lines(kept) => lines(kept, chunk, self.limits, &mut on),
            Cut::ListOrSse => Ok(()),
            Cut::List(items) => items.feed(chunk, self.limits.event_bytes, |item| tell(b"", item, &mut on)),
            Cut::Messages(parser) => {
                parser.feed(chunk, |message| told(message, &mut on)).map_err(eventstream::EventStreamError::as_str)
            }
            Cut::Chunks(parser) => {
                let mut whole = true;
                let read = parser.feed(chunk, |message| whole = whole && unwrapped(message, &mut on));
                read.map_err(eventstream::EventStreamError::as_str).and(if whole { Ok(()) } else { Err(NO_CHUNK) })
            }
        };
        self.fault = read.err().unwrap_or(self.fault);
        read.is_ok()
    }

    /// Why the stream could not be read on: words of ours, never content.
    pub fn fault(&self) -> &'static str {
        self.fault
    }

    /// Whether that was because an event is longer than its limit, which no other target would cure.
    pub fn too_long(&self) -> bool {
        self.fault == TOO_LONG
    }

    /// The stream is over: a last event whose blank line is missing still counts, as it does for every client. What is
    /// left of a list or a message that broke off is none.
    pub fn end(self, mut on: impl FnMut(&str, &[u8])) {
        let mut halves = self.halves;
        let mut on = |name: &str, data: &[u8]| on(name, &halves.mend(data));
        match self.cut {
            // Beyond a limit the stream has failed before.
            Cut::Sse(mut parser) => drop(parser.end(|event| tell(event.name, event.data, &mut on))),
            Cut::Lines(kept) => tell(b"", &kept, &mut on),
            Cut::ListOrSse | Cut::List(_) | Cut::Messages(_) | Cut::Chunks(_) => {}
        }
    }
}

fn lines(
    kept: &mut Vec<u8>,
    chunk: &[u8],
    limits: Limits,
    on: &mut impl FnMut(&str, &[u8]),
) -> Result<(), &'static str> {
    let mut rest = chunk;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        // A line is as long in one piece as in many.
        if kept.len() + line.len() > limits.line_bytes {
            return Err(TOO_LONG);
        }
        if kept.is_empty() {
            tell(b"", line, on);
        } else {
            kept.extend_from_slice(line);
            tell(b"", &std::mem::take(kept), on);
        }
    }
    kept.extend_from_slice(rest);
    if kept.len() <= limits.line_bytes { Ok(()) } else { Err(TOO_LONG) }
}

fn tell(name: &[u8], data: &[u8], on: &mut impl FnMut(&str, &[u8])) {
    if !data.iter().all(u8::is_ascii_whitespace) {
        on(std::str::from_utf8(name).unwrap_or_default(), data);
    }
}

/// One of Bedrock's own messages. An error has no payload, so its headers become one, under a name that no event has.
fn told(message: Message<'_>, on: &mut impl FnMut(&str, &[u8])) {
    match message.kind {
        Kind::Error => {
            let mut data = Buffer::new();
            output::object(&mut data, |members| {
                members.text("message", message.error_message);
                members.text("code", message.name);
            });
            on("error", &data);
        }
        // Even one that says nothing is told.
        Kind::Exception if message.payload.trim_ascii().is_empty() => on(message.name, b"{}"),
        Kind::Exception | Kind::Event => tell(message.name.as_bytes(), message.payload, on),
    }
}

/// The event inside a chunk, `{"bytes":…}`; false when there is none. An error is told as an object that the dialects
/// inside know for one.
fn unwrapped(message: Message<'_>, on: &mut impl FnMut(&str, &[u8])) -> bool {
    if message.kind == Kind::Event {
        let inside = object::document(message.payload).and_then(bytes_of);
        return inside.is_ok_and(|data| {
            tell(b"", &data, on);
            true
        });
    }
    let said = object::document(message.payload).ok().and_then(Object::lenient);
    let said = said.and_then(|mut said| said.take_if("message", object::text));
    let kind = match message.name {
        "throttlingException" => "rate_limit_error",
        "validationException" => "invalid_request_error",
        "modelTimeoutException" => "timeout_error",
        "serviceUnavailableException" => "overloaded_error",
        _ => "api_error",
    };
    let mut data = Buffer::new();
    output::object(&mut data, |members| {
        members.text("type", "error");
        members.object("error", |error| {
            error.text("type", kind);
            error.text("message", said.as_deref().unwrap_or(message.error_message));
        });
    });
    on("error", &data);
    true
}

fn bytes_of(raw: &crate::dialects::raw::RawValue) -> Result<Vec<u8>, DialectError> {
    let place = crate::dialects::Place::Document;
    let refused = || place.member("bytes").refuse("must be base64");
    let mut chunk = Object::open(raw, place, object::Mode::Strict)?;
    let text = chunk.require_text("bytes")?;
    STANDARD.decode(text.as_bytes()).map_err(|_| refused())
}
