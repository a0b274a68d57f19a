//! Reads the chunks of a stream: each a whole response that holds only what is new.
//!
//! Between the pieces of a chunk stand two events of this dialect's own, `chunk` and `chunk_end`: the first holds what the
//! other events do not tell, so that a writer of Gemini says the same chunk again. The surprise: models that run code
//! give a finish reason and go on, so a finish is told at the end of the body, with the last word that was given.

mod choice;
mod frame;
mod streamed;

use crate::dialects::raw::RawValue;

use super::{DIALECT, error, reply, usage};
use crate::dialects::message::{ErrorReply, Event, Events, Extras, FinishReason, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place};
use choice::Choices;
use frame::Frame;

pub(super) const CHUNK: &str = "chunk";
pub(super) const CHUNK_END: &str = "chunk_end";

#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    id: String,
    model: String,
    choices: Choices,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let data = data.trim_ascii();
        let mut events = Events::new();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        if data == b"[DONE]" {
            // Never Google's own; some that speak its dialect send it.
            return Ok(self.end());
        }
        let document = object::document(data)?;
        match object::list(document) {
            Some(chunks) => {
                for chunk in chunks {
                    self.chunk(chunk, &mut events)?;
                }
            }
            None => self.chunk(document, &mut events)?,
        }
        Ok(events)
    }

    /// What only the end of the body says: the finish of each choice, and that this was all.
    pub(super) fn end<'a>(&mut self) -> Events<'a> {
        let mut events = Events::new();
        if self.ended {
            return events;
        }
        self.ended = true;
        let finishes = self.choices.finish(&self.id, &mut events);
        for (choice, finish) in finishes {
            if finish.reason == FinishReason::Error {
                let message = Text::Borrowed("the upstream ended its answer with an error");
                let error = ErrorReply { message, code: finish.native, ..ErrorReply::default() };
                events.push(Event::Error(error));
                return events;
            }
            events.push(Event::Finish { choice, finish });
        }
        if self.choices.all_finished() {
            events.push(Event::Done);
        }
        events
    }

    fn chunk<'a>(&mut self, raw: &'a RawValue, events: &mut Events<'a>) -> Result<(), DialectError> {
        if self.ended {
            return Ok(());
        }
        let chunk = Object::open(raw, Place::Document, Mode::Lenient)?;
        if chunk.peek("error").is_some() {
            self.ended = true;
            events.push(Event::Error(error::parse_chunk(chunk)));
            return Ok(());
        }
        self.start(&chunk, events);
        let mut pieces = Events::new();
        let mut counted = None;
        let mut frame = Frame::new();
        let candidates = chunk.peek("candidates").and_then(object::list).unwrap_or_default();
        if let Some(feedback) = chunk.peek("promptFeedback").filter(|_| candidates.is_empty()) {
            self.blocked(feedback, &mut pieces)?;
        }
        for (name, raw) in chunk.into_members() {
            match name.as_ref() {
                "candidates" if !candidates.is_empty() => {
                    frame.open_list(&name);
                    for (position, raw) in candidates.iter().enumerate() {
                        self.choices.candidate(raw, position, &self.id, &mut frame, &mut pieces)?;
                    }
                    frame.close_list();
                }
                "usageMetadata" => match usage::parse(raw) {
                    Some(usage) => {
                        counted = Some(Event::Usage(usage));
                        frame.told(&name);
                    }
                    None => frame.literal(&name, raw),
                },
                "responseId" if object::text(raw).is_some_and(|id| id == self.id) => frame.told(&name),
                "modelVersion" if object::text(raw).is_some_and(|model| model == self.model) => frame.told(&name),
                _ => frame.literal(&name, raw),
            }
        }
        events.push(opaque(CHUNK, frame.finish()));
        events.extend(pieces);
        events.extend(counted);
        events.push(opaque(CHUNK_END, Json::written(b"null".to_vec())));
        Ok(())
    }

    fn start<'a>(&mut self, chunk: &Object<'a, '_>, events: &mut Events<'a>) {
        if self.started {
            return;
        }
        self.started = true;
        let id = chunk.peek("responseId").and_then(reply::filled).unwrap_or_default();
        let model = chunk.peek("modelVersion").and_then(reply::filled).unwrap_or_default();
        id.as_ref().clone_into(&mut self.id);
        model.as_ref().clone_into(&mut self.model);
        let created_s = chunk.peek("createTime").and_then(object::text).and_then(|time| reply::seconds(&time));
        events.push(Event::MessageStart { id, model, created_s, extras: Extras::default() });
    }

    /// The prompt was blocked: the one choice is its refusal.
    fn blocked<'a>(&mut self, feedback: &'a RawValue, pieces: &mut Events<'a>) -> Result<(), DialectError> {
        let Some((reason, text)) = reply::blocked(feedback) else {
            return Ok(());
        };
        if self.choices.block(reason.into_owned(), Json::from(feedback).into_owned())? {
            pieces.extend(text.map(|text| Event::RefusalDelta { choice: 0, text }));
        }
        Ok(())
    }
}

fn opaque<'a>(name: &'static str, raw: Json<'a>) -> Event<'a> {
    Event::Opaque { dialect: DIALECT, name: name.into(), raw }
}

fn refuse(message: &'static str) -> DialectError {
    Place::Document.member("candidates").refuse(message)
}
