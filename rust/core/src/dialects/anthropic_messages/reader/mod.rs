//! Reads the events of a stream.
//!
//! Its rule: the stream starts, finishes and ends once, whatever the server repeats. What has no neutral form goes on as
//! an opaque event, in its place. What a block remembers is in `open.rs`.

mod open;
#[cfg(test)]
mod tests;

use super::usage::Counts;
use super::{DIALECT, error, finish, opaque, usage};
use crate::dialects::DialectError;
use crate::dialects::message::{Event, Events, Extra, Extras, Json, Usage};
use crate::dialects::object::{self, Mode, Object};
use open::OpenBlocks;

#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    finished: bool,
    ended: bool,
    /// What the stream has said of its usage so far.
    counts: Counts,
    blocks: OpenBlocks,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        if data == b"[DONE]" {
            // Some servers that imitate this dialect end their streams as another one does.
            self.end(&mut events);
            return Ok(events);
        }
        let whole = object::document(data)?;
        let mut event = Object::open(whole, crate::dialects::Place::Document, Mode::Lenient)?;
        let kind = event.take_text("type")?;
        let kind = kind.as_deref().unwrap_or(name);
        if matches!(kind, "content_block_start" | "content_block_delta" | "message_delta") {
            self.start(None, &mut events);
        }
        match kind {
            "message_start" => self.start(Some(event), &mut events),
            "content_block_start" => self.blocks.start(event, &mut events)?,
            "content_block_delta" => self.blocks.delta(event, &mut events),
            "content_block_stop" => self.blocks.stop(event, &mut events),
            "message_delta" => self.message_delta(event, Json::from(whole), &mut events),
            "message_stop" => self.end(&mut events),
            "error" => {
                self.ended = true;
                events.push(Event::Error(error::parse(data)));
            }
            // An error in the words of another server, in place of an event.
            "" if ["error", "message", "detail"].iter().any(|name| event.has(name)) => {
                self.ended = true;
                events.push(Event::Error(error::parse(data)));
            }
            // It is what it says it is, whatever its frame is called.
            other => {
                let name = other.replace(['\n', '\r'], "").into();
                events.push(Event::Opaque { dialect: DIALECT, name, raw: Json::from(whole) });
            }
        }
        Ok(events)
    }

    /// A stream may lack the event that begins it, or what should be in it; it begins all the same.
    fn start<'a>(&mut self, event: Option<Object<'a, '_>>, events: &mut Events<'a>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = event.and_then(|mut event| event.take_if("message", Object::lenient));
        let Some(mut message) = message else {
            let extras = Extras::default();
            events.push(Event::MessageStart { id: "".into(), model: "".into(), created_s: None, extras });
            return;
        };
        let usage = message.take_if("usage", |raw| raw.get().starts_with('{').then_some(raw));
        for name in ["type", "role", "content", "stop_reason", "stop_sequence", "usage"] {
            message.forget(name);
        }
        let id = message.take_if("id", object::text).unwrap_or_default();
        self.blocks.reply_id = id.as_ref().into();
        events.push(Event::MessageStart {
            id,
            model: message.take_if("model", object::text).unwrap_or_default(),
            created_s: None,
            extras: message.into_extras(DIALECT),
        });
        events.extend(usage.map(|raw| self.usage(raw)));
    }

    fn usage<'a>(&mut self, raw: &'a crate::dialects::raw::RawValue) -> Event<'a> {
        let (counts, extras) = usage::read(raw);
        self.counts = counts.or(self.counts);
        Event::Usage(Usage { tokens: self.counts.tokens(), extras })
    }

    /// Comes once, in all that is recorded. Should it come again, its usage still counts.
    fn message_delta<'a>(&mut self, mut event: Object<'a, '_>, whole: Json<'a>, events: &mut Events<'a>) {
        let usage = event.take_if("usage", |raw| raw.get().starts_with('{').then_some(raw));
        let mut delta = event.take_if("delta", Object::lenient);
        let called = self.blocks.called();
        let reason = delta.as_mut().and_then(|delta| finish::take(delta, called)).filter(|_| !self.finished);
        match (reason, delta) {
            (Some(mut reason), Some(mut delta)) => {
                self.finished = true;
                self.blocks.end_all(events);
                if !self.blocks.any()
                    && let Some(text) = finish::take_explanation(&mut delta, &mut reason.extras)
                {
                    events.push(Event::Opaque {
                        dialect: DIALECT,
                        name: opaque::EXPLANATION.into(),
                        raw: Json::written(b"null".to_vec()),
                    });
                    events.push(Event::RefusalDelta { choice: 0, text });
                }
                if delta.peek("stop_sequence").is_none() {
                    delta.forget("stop_sequence");
                }
                event.forget("usage");
                for (name, raw) in delta.into_members().chain(event.into_members()) {
                    reason.extras.push(Extra { dialect: DIALECT, name, value: Json::from(raw) });
                }
                events.push(Event::Finish { choice: 0, finish: reason });
            }
            // A delta without a reason; one that repeats it says nothing new.
            _ if !self.finished => {
                events.push(Event::Opaque { dialect: DIALECT, name: "message_delta".into(), raw: whole });
            }
            _ => {}
        }
        events.extend(usage.map(|raw| self.usage(raw)));
    }

    fn end(&mut self, events: &mut Events<'_>) {
        self.blocks.end_all(events);
        self.ended = true;
        events.push(Event::Done);
    }
}
