//! From one dialect into another: requests, replies, and streams as they come.
//!
//! `source` is who wrote the bytes, `target` who will read them. The rule: the end of a stream is told as it was. One that
//! breaks off ends with an error event of the target's dialect, and no finish reason is made up for it.

mod array;
mod errors;
mod frames;
mod halves;
mod ids;
mod places;
mod request;
mod settled;
mod shown;
mod unsaid;
mod whole;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dialects::message::{CallKind, Envelope, Event, Events, Reply, Spelling, Text, Wanted};
use crate::dialects::{Dialect, DialectError, Reader, Writer, reply_id};
use crate::failure::{Failure, Kind};
use crate::passes::{NOT_HELD, Returning, WayBack};
use crate::sse::Limits;
pub use array::JsonArray;
pub use errors::{error, error_event, quoted_event, told};
pub use frames::Frames;
pub use ids::{name_event, name_reply};
pub use request::{Address, Translated, request};
pub use settled::{Settling, settle_reply};
pub(crate) use unsaid::Unsaid;
use whole::NO_ARGUMENTS;

/// Reads a whole reply of `source` and writes it in `target`, in the client's own words.
pub fn reply(
    body: &[u8],
    source: Dialect,
    target: Dialect,
    way_back: &WayBack,
    envelope: &Envelope<'_>,
) -> Result<Bytes, DialectError> {
    reply_as(body, source, target, way_back, envelope, None)
}

/// As [`reply`], with vectors in the form that their client asked for: [`Translated::wanted`].
pub fn reply_as(
    body: &[u8],
    source: Dialect,
    target: Dialect,
    way_back: &WayBack,
    envelope: &Envelope<'_>,
    wanted: Option<Wanted>,
) -> Result<Bytes, DialectError> {
    say_reply(source.parse_reply(body)?, [source, target], way_back, envelope, wanted).map(|(said, _)| said)
}

/// The same of a reply that was read already, with the names of what it held and the target has no words for.
pub(crate) fn say_reply(
    mut reply: Reply<'_>,
    [source, target]: [Dialect; 2],
    way_back: &WayBack,
    envelope: &Envelope<'_>,
    wanted: Option<Wanted>,
) -> Result<(Bytes, Vec<String>), DialectError> {
    if let (Reply::Embeddings(embeddings), Some(wanted)) = (&mut reply, wanted) {
        embeddings.suit(wanted)?;
    }
    let mut id = Text::Borrowed(envelope.id);
    reply_id::spell(&mut id, target);
    let mut unsaid = Vec::new();
    if let Reply::Chat(chat) = &mut reply {
        if chat.id.is_empty() && !id.is_empty() {
            ids::name_reply(chat, &id);
            chat.id = Text::Owned(id.to_string());
        }
        if source != target {
            // Whether text stands in a list says nothing abroad, and where it need not, clients expect it bare.
            chat.choices.iter_mut().for_each(|choice| choice.turn.spelling = Spelling::Plain);
            reply_id::spell(&mut chat.id, target);
            shown::show(chat, target);
            chat.choices.iter_mut().for_each(|choice| whole::settle(choice, target));
            settle_reply(chat, source, way_back.usage_rule());
        }
        way_back.reply(chat)?;
        if source != target {
            unsaid = Unsaid::of_reply(chat, target);
        }
    }
    Ok((target.render_reply(&reply, &Envelope { id: &id, ..*envelope })?, unsaid))
}

/// Looks at an event, and at the data it was read from, before it is said; a failure ends the stream in its place.
pub type Watch<'w> = &'w mut dyn FnMut(&Event<'_>, &[u8]) -> Result<(), Failure>;

/// One upstream stream in, one client stream out. Memory is bounded by `limits` and by what the dialects remember.
#[derive(Debug)]
pub struct StreamTranslator {
    frames: Frames,
    reader: Reader,
    writer: Writer,
    source: Dialect,
    target: Dialect,
    settling: Settling,
    returning: Returning,
    /// Choices that have begun and have not finished.
    open: SmallVec<[u32; 4]>,
    /// Calls that have begun and have no arguments yet.
    bare: SmallVec<[(u32, u32); 4]>,
    /// The choice that is told where the target has one.
    told: Option<u32>,
    /// The upstream's reply has no id: this one names its calls.
    seed: Option<Box<str>>,
    id: Box<str>,
    unsaid: Unsaid,
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
        let mut id = Text::Borrowed(envelope.id);
        reply_id::spell(&mut id, target);
        Some(Self {
            frames: Frames::of(source, limits),
            reader: source.reader()?,
            writer: target.writer(&Envelope { id: &id, ..*envelope })?,
            source,
            target,
            settling: Settling::new(source, way_back.usage_rule()),
            returning: way_back.returning(),
            open: SmallVec::new(),
            bare: SmallVec::new(),
            told: None,
            seed: None,
            id: id.as_ref().into(),
            unsaid: Unsaid::default(),
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
        let read = frames.feed(chunk, |name, data| {
            if failed.is_ok() {
                failed = self.event(name, data, out, watch);
            }
        });
        let (fault, too_long) = (frames.fault(), frames.too_long());
        self.frames = frames;
        failed?;
        match (read || self.ended, too_long) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::new(Kind::ResponseTooLarge)),
            (false, false) => Err(Failure::new(Kind::Malformed).saying(fault)),
        }
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
        for mut event in last {
            self.name(&mut event);
            if self.source != self.target {
                self.settling.event(&mut event);
            }
            self.turn_back(event, b"", out, watch)?;
        }
        if self.ended {
            Ok(())
        } else if self.finished && self.open.is_empty() {
            watch(&Event::Done, b"")?;
            self.tell(&mut Event::Done, out);
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
            self.tell(&mut Event::Error(told(failure, self.target)), out);
        }
    }

    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<u8>, watch: Watch<'_>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        let events = self.reader.parse_event(name, data).map_err(|_| Failure::new(Kind::Malformed))?;
        for mut event in events {
            self.name(&mut event);
            if self.source != self.target {
                self.settling.event(&mut event);
                match &mut event {
                    Event::MessageStart { id, .. } => reply_id::spell(id, self.target),
                    Event::ToolCallStart { choice, call, kind: CallKind::Function, .. } => {
                        self.bare.push((*choice, *call));
                    }
                    // Some servers write the word for nothing.
                    Event::ToolCallDelta { choice, call, arguments, .. }
                        if self.is_bare(*choice, *call) && arguments.trim() == "null" =>
                    {
                        *arguments = Text::Borrowed(NO_ARGUMENTS);
                    }
                    Event::ToolCallEnd { choice, call } if self.is_bare(*choice, *call) => {
                        let (choice, call, kind) = (*choice, *call, CallKind::Function);
                        let none = Event::ToolCallDelta { choice, call, kind, arguments: NO_ARGUMENTS.into() };
                        self.turn_back(none, data, out, watch)?;
                    }
                    Event::Media { .. } => {
                        for event in shown::shown(event, self.target) {
                            self.turn_back(event, data, out, watch)?;
                        }
                        continue;
                    }
                    _ => {}
                }
            }
            self.turn_back(event, data, out, watch)?;
        }
        Ok(())
    }

    /// Whether a call has no arguments yet; it has from now on.
    fn is_bare(&mut self, choice: u32, call: u32) -> bool {
        let known = self.bare.iter().position(|bare| *bare == (choice, call));
        known.map(|at| self.bare.swap_remove(at)).is_some()
    }

    /// A reply without an id has ours, and so do its calls that had none.
    fn name(&mut self, event: &mut Event<'_>) {
        match event {
            Event::MessageStart { id, .. } if id.is_empty() && !self.id.is_empty() => {
                self.seed = Some(self.id.clone());
                *id = Text::Owned(self.id.to_string());
            }
            _ => {
                if let Some(seed) = &self.seed {
                    ids::name_event(event, seed);
                }
            }
        }
    }

    fn turn_back(&mut self, event: Event<'_>, data: &[u8], out: &mut Vec<u8>, watch: Watch<'_>) -> Result<(), Failure> {
        let events = self.returning.events(event).ok_or_else(|| Failure::new(Kind::Malformed).saying(NOT_HELD))?;
        for mut event in events {
            // Some servers say that it is over without having said how; other dialects have no end without a finish.
            let unfinished = !(self.finished && self.open.is_empty());
            if matches!(&event, Event::Done) && self.source != self.target && unfinished {
                return Err(Failure::new(Kind::Truncated));
            }
            watch(&event, data)?;
            self.tell(&mut event, out);
        }
        Ok(())
    }

    fn tell(&mut self, event: &mut Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if self.target.has_one_choice() {
            let speaks = speaks(event);
            if let Some(choice) = event.choice_mut() {
                // Servers may number their only choice as they like; of several the first is told, whichever speaks first.
                if self.told.is_none() && speaks {
                    self.told = Some(self.reader.lowest_choice().unwrap_or(*choice));
                }
                if self.told != Some(*choice) {
                    return self.unsaid.skip(*choice);
                }
                *choice = 0;
            }
        }
        match &*event {
            Event::Finish { choice, .. } => {
                self.finished = true;
                self.open.retain(|open| open != choice);
            }
            Event::Done | Event::Error(_) => self.ended = true,
            Event::TextStart { choice }
            | Event::ReasoningStart { choice }
            | Event::ReasoningRedacted { choice, .. }
            | Event::Media { choice, .. }
            | Event::RefusalDelta { choice, .. }
            | Event::ToolCallStart { choice, .. }
                if !self.open.contains(choice) =>
            {
                self.open.push(*choice);
            }
            _ => {}
        }
        if self.source != self.target {
            self.unsaid.look(event, self.target);
            if matches!(event, Event::Done) {
                self.unsaid.write(self.target, &mut self.writer, out);
            }
        }
        self.writer.render_event(event, out);
    }
}

/// Whether it says something, or that there is nothing to say; what only stands beside a text does not.
fn speaks(event: &Event<'_>) -> bool {
    !matches!(event, Event::Citation { .. } | Event::ReasoningSignature { .. })
}

#[cfg(test)]
mod tests;
