//! From one dialect into another: requests, replies, and streams as they come.
//!
//! `source` is who wrote the bytes, `target` who will read them. The rule: the end of a stream is told as it was. One that
//! breaks off ends with an error event of the target's dialect, and no finish reason is made up for it.

mod errors;
mod frames;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dialects::message::{Content, Envelope, Event, Events, Reply, Request, Spelling, StreamOptions, Text};
use crate::dialects::{Dialect, DialectError, Reader, Writer};
use crate::failure::{Failure, Kind};
use crate::passes::{Names, Passed, Shape, shape_to};
use crate::sse::Limits;
pub use errors::{error, error_event, quoted_event, told};
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
        if source != target {
            // Whether text stands in a list says nothing abroad, and where it need not, clients expect it bare.
            chat.choices.iter_mut().for_each(|choice| choice.turn.spelling = Spelling::Plain);
        }
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

/// Looks at an event, and at the data it was read from, before it is said; a failure ends the stream in its place.
pub type Watch<'w> = &'w mut dyn FnMut(&Event<'_>, &[u8]) -> Result<(), Failure>;

/// One upstream stream in, one client stream out. Memory is bounded by `limits` and by what the dialects remember.
#[derive(Debug)]
pub struct StreamTranslator {
    frames: Frames,
    reader: Reader,
    writer: Writer,
    target: Dialect,
    names: Names,
    /// Source and target are one dialect.
    at_home: bool,
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
            at_home: source == target,
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
        if let Err(failure) = self.push_watched(chunk, out, &mut |_, _| Ok(())) {
            self.fail(&failure, out);
        }
    }

    /// The upstream's body has ended as HTTP means it: tells the end, or that there was none. A cut is for [`Self::fail`].
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Err(failure) = self.finish_watched(true, out, &mut |_, _| Ok(())) {
            self.fail(&failure, out);
        }
    }

    /// As [`Self::push`], for somebody who looks at each event, and at the data it was read from, before it is said. A
    /// failure, the watcher's or one of reading, is given back and not said: that is left to [`Self::fail`].
    pub fn push_watched(&mut self, chunk: &[u8], out: &mut Vec<u8>, watch: Watch<'_>) -> Result<(), Failure> {
        let (mut frames, mut failed) = (std::mem::take(&mut self.frames), Ok(()));
        let within = frames.feed(chunk, |name, data| {
            if failed.is_ok() {
                failed = self.event(name, data, out, watch);
            }
        });
        self.frames = frames;
        failed?;
        if within || self.ended {
            return Ok(());
        }
        Err(Failure::new(Kind::Malformed).saying("an event of the stream is longer than its limit"))
    }

    /// As [`Self::finish`], likewise. Not `proper` is a body that broke off: what it had said until then stands, and what
    /// only an end says is not taken as said.
    pub fn finish_watched(&mut self, proper: bool, out: &mut Vec<u8>, watch: Watch<'_>) -> Result<(), Failure> {
        let mut failed = Ok(());
        std::mem::take(&mut self.frames).end(|name, data| {
            if failed.is_ok() {
                failed = self.event(name, data, out, watch);
            }
        });
        // A torn event is no event.
        if proper || failed.as_ref().is_err_and(|failure| failure.kind != Kind::Malformed) {
            failed?;
        }
        let last = if proper { self.reader.end() } else { Events::new() };
        for event in last {
            watch(&event, b"")?;
            self.tell(&event, out);
        }
        if self.ended {
            Ok(())
        } else if self.finished && self.open.is_empty() {
            watch(&Event::Done, b"")?;
            self.tell(&Event::Done, out);
            Ok(())
        } else {
            Err(Failure::new(Kind::Truncated))
        }
    }

    /// The dialect that the client reads.
    pub fn target(&self) -> Dialect {
        self.target
    }

    /// Ends the stream with a failure of ours.
    pub fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if !self.ended {
            self.tell(&Event::Error(told(failure, self.target)), out);
        }
    }

    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<u8>, watch: Watch<'_>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        let events = self.reader.parse_event(name, data).map_err(|_| Failure::new(Kind::Malformed))?;
        for mut event in events {
            if let Event::ToolCallStart { name, .. } = &mut event {
                call_back(name, &self.names);
            }
            // Some servers say that it is over without having said how; other dialects have no end without a finish.
            if matches!(event, Event::Done) && !self.at_home && !(self.finished && self.open.is_empty()) {
                return Err(Failure::new(Kind::Truncated));
            }
            watch(&event, data)?;
            self.tell(&event, out);
        }
        Ok(())
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
