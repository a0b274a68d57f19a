//! Reads the chunks of a stream: what is odd in them is straightened here, so that writers need not know of it.
//!
//! Its rule: a choice starts, runs and finishes once, whatever the server repeats. What one choice remembers is in
//! `choice.rs`, which piece belongs to which call in `calls.rs`.

mod calls;
mod choice;
mod heard;
#[cfg(test)]
mod tests;

use crate::dialects::raw::RawValue;

use super::{DIALECT, USAGE, sources};
use crate::cursor::is_something;
use crate::dialects::chatlike::finish;
use crate::dialects::chatlike::usage::{self, Counts};
use crate::dialects::message::{Citation, ErrorReply, Event, Events, FinishReason};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::openai_completions::logprobs;
use crate::dialects::{Dialect, DialectError, Place, openai_error};
use choice::Choices;
pub(crate) use choice::{EXECUTED, LOGPROBS, SOURCES};

#[derive(Debug)]
pub struct Reader {
    dialect: Dialect,
    usage: Counts,
    started: bool,
    ended: bool,
    id: String,
    choices: Choices,
    /// What the answer leans on, as the last chunk that says so says it.
    sources: Vec<Citation<'static>>,
    /// There was usage.
    counted: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::of(DIALECT, USAGE)
    }
}

impl Reader {
    /// The older completions come in the same chunks; of a choice they say the text alone, and not as a delta.
    pub(crate) fn of(dialect: Dialect, usage: Counts) -> Self {
        let choices = Choices::default();
        Self {
            dialect,
            usage,
            started: false,
            ended: false,
            id: String::new(),
            choices,
            sources: Vec::new(),
            counted: false,
        }
    }

    pub(crate) fn parse<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        if data == b"[DONE]" {
            self.choices.flush(self.counted, &self.id, &mut events);
            self.ended = true;
            events.push(Event::Done);
        } else if name == "error" {
            // Groq names the event and sends the error object alone or wrapped.
            self.fail(openai_error::parse_error(self.dialect, data), &mut events);
        } else {
            self.chunk(Object::document(data, Mode::Lenient)?, &mut events)?;
        }
        Ok(events)
    }

    pub(in crate::dialects) fn lowest_choice(&self) -> Option<u32> {
        self.choices.lowest()
    }

    fn chunk<'a>(&mut self, mut chunk: Object<'a, '_>, events: &mut Events<'a>) -> Result<(), DialectError> {
        // OpenRouter sends an error beside choices; others send one in place of a chunk, wrapped or bare.
        // FastAPI's servers say `detail`, and `MiniMax` how it went, in each chunk. Some say that there is no error.
        let says = |name| chunk.peek(name).is_some_and(|raw| is_something(raw.get().as_bytes()));
        let bare = !chunk.has("choices") && (says("message") || says("detail"));
        if bare || says("error") || openai_error::went_wrong(&chunk) {
            self.fail(openai_error::parse_document(self.dialect, chunk), events);
            return Ok(());
        }
        let choices = chunk.take_list("choices")?.unwrap_or_default();
        // They are repeated with every chunk, and the last ones are all of them.
        let sources = sources::of(&chunk);
        if !sources.is_empty() {
            self.sources = sources.into_iter().map(Citation::into_owned).collect();
            if self.choices.first_has_finished() {
                // Too late to be told, so that others can name it.
                events.push(choice::untold(SOURCES));
            }
        }
        let usage = chunk.take_object("usage")?.or_else(|| usage::elsewhere(&chunk, &choices));
        let usage = usage.map(|raw| self.usage.parse(raw));
        self.counted |= usage.is_some();
        let of_another = chunk.peek("id").and_then(object::text).is_some_and(|id| self.started && id != self.id);
        self.start(chunk, !choices.is_empty() || usage.is_some(), events)?;
        for (position, raw) in choices.into_iter().enumerate() {
            self.choice(raw, position, of_another, events)?;
        }
        if !self.ended {
            events.extend(usage.map(Event::Usage));
        }
        Ok(())
    }

    /// Azure and Copilot open with a chunk that has neither id nor choices: the first that says something is the start.
    fn start<'a>(
        &mut self,
        mut chunk: Object<'a, '_>,
        says_something: bool,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let id = chunk.take_text("id")?.unwrap_or_default();
        if self.started || (id.is_empty() && !says_something) {
            return Ok(());
        }
        self.started = true;
        id.as_ref().clone_into(&mut self.id);
        let model = chunk.take_text("model")?.unwrap_or_default();
        let created_s = chunk.take_u64("created")?;
        // Padding against the guessing of lengths belongs to the chunk it came with, and a null to its absence.
        for name in ["object", "obfuscation", "p", "usage", "choices", "error"] {
            chunk.forget(name);
        }
        events.push(Event::MessageStart { id, model, created_s, extras: chunk.into_extras(self.dialect) });
        Ok(())
    }

    fn choice<'a>(
        &mut self,
        raw: &'a RawValue,
        position: usize,
        of_another: bool,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let Some(mut choice) = Object::lenient(raw) else {
            return Ok(());
        };
        let index = choice.take_u64("index")?.unwrap_or(position as u64);
        // Some servers number their only choice as they like.
        let is_first = self.choices.lowest().is_none_or(|lowest| index <= u64::from(lowest));
        let state = self.choices.state(index)?;
        // OpenRouter repeats the finished choice beside the usage.
        if self.ended || (state.finished() && (of_another || !state.goes_on(&choice))) {
            if !self.ended && !of_another {
                state.look_behind(&choice, events);
            }
            return Ok(());
        }
        if self.dialect == Dialect::OpenAiCompletions {
            let text = choice.take_if("text", object::text).unwrap_or_default();
            state.text(text, choice.take_if("logprobs", logprobs::parse), events);
        } else if let Some(delta) = choice.take_if("delta", Object::lenient) {
            let logprobs = choice.take_json("logprobs");
            state.delta(delta, logprobs, &self.id, events)?;
        } else if let Some(message) = choice.take_if("message", Object::lenient).filter(|_| !state.has_begun()) {
            // Some servers say all of it in the last chunk, as a reply that is no stream does.
            let logprobs = choice.take_json("logprobs");
            state.delta(message, logprobs, &self.id, events)?;
        }
        if choice.peek("finish_reason").is_some_and(|raw| raw.get() == "\"\"") {
            state.note_empty_finish();
            return Ok(());
        }
        match finish::take(&mut choice, state.called()) {
            Some(finish) if finish.reason == FinishReason::Error => {
                let error = ErrorReply {
                    message: "the upstream ended its answer with an error".into(),
                    code: finish.native,
                    ..ErrorReply::default()
                };
                self.fail(error, events);
            }
            Some(finish) => {
                if is_first {
                    state.lean_on(std::mem::take(&mut self.sources), events);
                }
                state.finish(finish, &self.id, events);
            }
            None => {}
        }
        Ok(())
    }

    fn fail<'a>(&mut self, error: ErrorReply<'a>, events: &mut Events<'a>) {
        self.ended = true;
        events.push(Event::Error(error));
    }
}

fn refuse(message: &'static str) -> DialectError {
    Place::Document.member("choices").refuse(message)
}
