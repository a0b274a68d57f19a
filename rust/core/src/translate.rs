//! From one dialect into another: requests, replies, and streams as they come.
//!
//! `source` is who wrote the bytes, `target` who will read them. The rule: the end of a stream is told as it was. One that
//! breaks off ends with an error event of the target's dialect, and no finish reason is made up for it.

mod errors;
mod frames;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dialects::message::{Envelope, Event, Reply, Request, StreamOptions, Text};
use crate::dialects::{Dialect, DialectError, Place, Reader, Writer};
use crate::failure::{Failure, Kind};
use crate::json::{self, splice};
use crate::passes::{Demands, NOT_HELD, OnLoss, Prepared, Returning, WayBack, prepare, refusal};
use crate::quirks;
use crate::sse::Limits;
pub use errors::{error, error_event, told};
pub use frames::Frames;

/// A request in the target's dialect, and what its reply must be read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub body: Bytes,
    /// What the target's dialect cannot say, as names and places.
    pub dropped: Vec<String>,
    /// What was said otherwise than the client said it, as names and places.
    pub changed: Vec<String>,
    /// What the reply must be read with.
    pub way_back: WayBack,
    /// The client wants a stream. Some dialects say so in the address and not in the body.
    pub stream: bool,
    /// The client wants to hear the usage at the end of its stream; an upstream is always asked for it.
    pub include_usage: bool,
}

/// What a request's address says in the place of its body, as Gemini's do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Address<'a> {
    pub model: Option<&'a str>,
    pub stream: Option<bool>,
}

/// Reads a request of `source` and writes it as a target demands it.
pub fn request(
    body: &[u8],
    source: Dialect,
    demands: &Demands,
    address: Address<'_>,
) -> Result<Translated, DialectError> {
    let target = demands.dialect;
    let mut request = source.parse_request(body)?;
    let mut prepared = Prepared::default();
    match &mut request {
        Request::Chat(chat) => {
            chat.model = address.model.map_or_else(|| std::mem::take(&mut chat.model), Text::Borrowed);
            chat.stream = address.stream.or(chat.stream);
        }
        Request::Embeddings(embeddings) => {
            embeddings.model = address.model.map_or_else(|| std::mem::take(&mut embeddings.model), Text::Borrowed);
        }
    }
    let (mut stream, mut include_usage) = (false, false);
    if let Request::Chat(chat) = &mut request {
        (stream, include_usage) = (chat.streams(), chat.include_usage() || source != Dialect::OpenAiChat);
        prepared = prepare(chat, source, demands)?;
        if stream && target == Dialect::OpenAiChat {
            if demands.quirks.asks_for_usage() {
                chat.stream_options.get_or_insert_with(StreamOptions::default).include_usage = Some(true);
            } else {
                // What it is asked for comes without being asked for.
                chat.stream_options = None;
            }
        }
    }
    let rendered = target.render_request(&request)?;
    let Prepared { way_back, changed } = prepared;
    let mut told =
        Translated { body: rendered.body, dropped: rendered.dropped, changed, way_back, stream, include_usage };
    if demands.edits() && matches!(request, Request::Chat(_)) {
        edit(&mut told, demands)?;
    }
    match told.dropped.first() {
        Some(first) if demands.on_loss == OnLoss::Reject => Err(refusal(first, "cannot be said to this model")),
        _ => Ok(told),
    }
}

/// Changes members of the top level of what was written, as the provider's quirks want it.
fn edit(told: &mut Translated, demands: &Demands) -> Result<(), DialectError> {
    let of_ours = || Place::Document.refuse("cannot be written for this provider");
    let limits = json::Limits { body_bytes: u32::MAX as usize, messages: u32::MAX, ..json::Limits::default() };
    let scan = json::scan(&told.body, json::Shape::Chat, &limits).map_err(|_| of_ours())?;
    let frames = [told.body.clone()];
    let edited = quirks::edits(&frames, &scan, &demands.quirks, demands.limit(), demands.on_loss)?;
    if !edited.edits.is_empty() {
        let pieces = splice(&frames, &edited.edits).map_err(|_| of_ours())?;
        told.body = pieces.concat().into();
    }
    told.dropped.extend(edited.dropped);
    told.changed.extend(edited.changed);
    Ok(())
}

/// Reads a whole reply of `source` and writes it in `target`, in the client's own words.
pub fn reply(
    body: &[u8],
    source: Dialect,
    target: Dialect,
    way_back: &WayBack,
    envelope: &Envelope<'_>,
) -> Result<Bytes, DialectError> {
    let mut reply = source.parse_reply(body)?;
    if let Reply::Chat(chat) = &mut reply {
        way_back.reply(chat)?;
    }
    target.render_reply(&reply, envelope)
}

/// One upstream stream in, one client stream out. Memory is bounded by `limits` and by what the dialects remember.
#[derive(Debug)]
pub struct StreamTranslator {
    frames: Frames,
    reader: Reader,
    writer: Writer,
    target: Dialect,
    returning: Returning,
    /// Choices that have begun and have not finished.
    open: SmallVec<[u32; 4]>,
    finished: bool,
    ended: bool,
}

impl StreamTranslator {
    /// `None` when one of the two dialects has no streams.
    pub fn new(
        source: Dialect,
        target: Dialect,
        way_back: WayBack,
        envelope: &Envelope<'_>,
        limits: Limits,
    ) -> Option<Self> {
        Some(Self {
            frames: Frames::of(source, limits),
            reader: source.reader()?,
            writer: target.writer(envelope)?,
            target,
            returning: way_back.returning(),
            open: SmallVec::new(),
            finished: false,
            ended: false,
        })
    }

    /// The stream has had its end, or an error in its place; nothing more comes.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes the next bytes of the upstream and appends what they mean to the client's stream.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let mut frames = std::mem::take(&mut self.frames);
        let within = frames.feed(chunk, |name, data| self.event(name, data, out));
        self.frames = frames;
        if !within {
            self.fail(&Failure::new(Kind::Malformed).saying("an event of the stream is longer than its limit"), out);
        }
    }

    /// The upstream's body has ended as HTTP means it: tells the end, or that there was none. A cut is for [`Self::fail`].
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        std::mem::take(&mut self.frames).end(|name, data| self.event(name, data, out));
        for event in self.reader.end() {
            self.turn_back(event, out);
        }
        if self.ended {
            return;
        }
        if self.finished && self.open.is_empty() {
            self.tell(&Event::Done, out);
        } else {
            self.fail(&Failure::new(Kind::Truncated), out);
        }
    }

    /// Ends the stream with a failure of ours.
    pub fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if !self.ended {
            self.tell(&Event::Error(told(failure, self.target)), out);
        }
    }

    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match self.reader.parse_event(name, data) {
            Ok(events) => {
                for event in events {
                    self.turn_back(event, out);
                }
            }
            Err(_) => self.fail(&Failure::new(Kind::Malformed), out),
        }
    }

    fn turn_back(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match self.returning.events(event) {
            Some(events) => events.iter().for_each(|event| self.tell(event, out)),
            None => self.fail(&Failure::new(Kind::Malformed).saying(NOT_HELD), out),
        }
    }

    fn tell(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Finish { choice, .. } => {
                self.finished = true;
                self.open.retain(|open| open != choice);
            }
            Event::Done | Event::Error(_) => self.ended = true,
            Event::TextStart { choice }
            | Event::ReasoningStart { choice }
            | Event::ReasoningRedacted { choice, .. }
            | Event::RefusalDelta { choice, .. }
            | Event::ToolCallStart { choice, .. }
                if !self.open.contains(choice) =>
            {
                self.open.push(*choice);
            }
            _ => {}
        }
        self.writer.render_event(event, out);
    }
}

#[cfg(test)]
mod tests;
