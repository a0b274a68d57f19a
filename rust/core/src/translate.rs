//! From one dialect into another: requests, replies, and streams as they come.
//!
//! `source` is who wrote the bytes, `target` who will read them. The rule: the end of a stream is told as it was. One that
//! breaks off ends with an error event of the target's dialect, and no finish reason is made up for it.

mod array;
mod errors;
mod frames;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dialects::message::{Content, Envelope, Event, Reply, Request, StreamOptions, Text};
use crate::dialects::{Dialect, DialectError, Reader, Writer};
use crate::failure::{Failure, Kind};
use crate::passes::{Names, Passed, Shape, shape_to};
use crate::sse::Limits;
pub use array::JsonArray;
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
    pub names: Names,
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

/// Reads a request of `source` and writes it for a target of `shape` that speaks `target`.
pub fn request(
    body: &[u8],
    source: Dialect,
    target: Dialect,
    shape: &Shape,
    address: Address<'_>,
) -> Result<Translated, DialectError> {
    let mut request = source.parse_request(body)?;
    let mut passed = Passed::default();
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
        passed = shape_to(chat, shape)?;
        if stream && target == Dialect::OpenAiChat {
            chat.stream_options.get_or_insert_with(StreamOptions::default).include_usage = Some(true);
        }
    }
    let rendered = target.render_request(&request)?;
    let Passed { names, changed } = passed;
    Ok(Translated { body: rendered.body, dropped: rendered.dropped, changed, names, stream, include_usage })
}

/// Reads a whole reply of `source` and writes it in `target`, tools under the client's own names.
pub fn reply(
    body: &[u8],
    source: Dialect,
    target: Dialect,
    names: &Names,
    envelope: &Envelope<'_>,
) -> Result<Bytes, DialectError> {
    let mut reply = source.parse_reply(body)?;
    if let Reply::Chat(chat) = &mut reply {
        for block in chat.choices.iter_mut().flat_map(|choice| &mut choice.turn.blocks) {
            if let Content::ToolCall(call) = &mut block.content {
                call_back(&mut call.name, names);
            }
        }
    }
    target.render_reply(&reply, envelope)
}

fn call_back(name: &mut Text<'_>, names: &Names) {
    if !names.is_empty() {
        *name = Text::Owned(names.back(name).to_owned());
    }
}

/// One upstream stream in, one client stream out. Memory is bounded by `limits` and by what the dialects remember.
#[derive(Debug)]
pub struct StreamTranslator {
    frames: Frames,
    reader: Reader,
    writer: Writer,
    target: Dialect,
    names: Names,
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
        names: Names,
        envelope: &Envelope<'_>,
        limits: Limits,
    ) -> Option<Self> {
        Some(Self {
            frames: Frames::of(source, limits),
            reader: source.reader()?,
            writer: target.writer(envelope)?,
            target,
            names,
            open: SmallVec::new(),
            finished: false,
            ended: false,
        })
    }

    /// For a stream that is not framed as its dialect is by itself: see [`Frames::of_reply`].
    #[must_use]
    pub fn framed(self, frames: Frames) -> Self {
        Self { frames, ..self }
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
        let read = frames.feed(chunk, |name, data| self.event(name, data, out));
        if !read {
            self.fail(&Failure::new(Kind::Malformed).saying(frames.fault()), out);
        }
        self.frames = frames;
    }

    /// The upstream's body has ended as HTTP means it: tells the end, or that there was none. A cut is for [`Self::fail`].
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        std::mem::take(&mut self.frames).end(|name, data| self.event(name, data, out));
        for event in self.reader.end() {
            self.tell(&event, out);
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
                for mut event in events {
                    if let Event::ToolCallStart { name, .. } = &mut event {
                        call_back(name, &self.names);
                    }
                    self.tell(&event, out);
                }
            }
            Err(_) => self.fail(&Failure::new(Kind::Malformed), out),
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
