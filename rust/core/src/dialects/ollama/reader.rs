//! Reads the lines of a stream: each holds a piece of the message, and the last one its end and its counts.
//!
//! Its rule: what a line says beside its known members goes ahead of its pieces, as an opaque event for each; the time
//! of the line is one of them.

use crate::dialects::raw::RawValue;

use super::reply::{CREATED, take_finish, take_logprobs, take_usage};
use super::{DIALECT, error, time, tools};
use crate::dialects::message::{CallKind, Content, Event, Events, Extras, Json, MediaSource};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place};

/// More calls than any model makes; beyond them a server would only make us remember.
pub(super) const MOST_CALLS: u32 = 1024;

/// The name of an opaque event that holds further members of the next line's message.
pub(super) const MESSAGE: &str = "message";

#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    open: Open,
    calls: u32,
    /// The time of the first line, which tells this stream from others where calls have no ids.
    seed: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        let mut line = Object::document(data, Mode::Lenient)?;
        if line.peek("error").is_some() {
            self.ended = true;
            events.push(Event::Error(error::parse(data)));
            return Ok(events);
        }
        self.start(&mut line, &mut events);
        let message = line.take_if("message", Object::lenient);
        let finish = take_finish(&mut line, self.calls > 0 || calls_of(message.as_ref()));
        let usage = take_usage(&mut line);
        let logprobs = take_logprobs(&mut line);
        line.forget("done");
        for (name, raw) in line.into_members() {
            events.push(Event::Opaque { dialect: DIALECT, name, raw: Json::from(raw) });
        }
        if let Some(message) = message {
            self.message(message, logprobs, &mut events)?;
        }
        if let Some(finish) = finish {
            self.switch(Open::Nothing, &mut events);
            self.ended = true;
            events.push(Event::Finish { choice: 0, finish });
            events.extend(usage.map(Event::Usage));
            events.push(Event::Done);
        }
        Ok(events)
    }

    fn start<'a>(&mut self, line: &mut Object<'a, '_>, events: &mut Events<'a>) {
        let model = line.take_if("model", object::text);
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let created = line.peek(CREATED).and_then(object::text).unwrap_or_default();
        created.as_ref().clone_into(&mut self.seed);
        events.push(Event::MessageStart {
            id: "".into(),
            model: model.unwrap_or_default(),
            created_s: time::parse(&created),
            extras: Extras::default(),
        });
    }

    fn message<'a>(
        &mut self,
        mut message: Object<'a, '_>,
        logprobs: Option<Json<'a>>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let thoughts = message.take_if("thinking", object::text).unwrap_or_default();
        let text = message.take_if("content", object::text).unwrap_or_default();
        let calls = message.take_if("tool_calls", object::list).unwrap_or_default();
        let images = message.take_if("images", object::list).unwrap_or_default();
        message.forget("role");
        if !message.is_empty() {
            let raw = message.into_rest(DIALECT, MESSAGE).value;
            events.push(Event::Opaque { dialect: DIALECT, name: MESSAGE.into(), raw });
        }
        if !thoughts.is_empty() {
            self.switch(Open::Thinking, events);
            events.push(Event::ReasoningDelta { choice: 0, text: thoughts });
        }
        if !text.is_empty() || logprobs.is_some() {
            self.switch(Open::Text, events);
            events.push(Event::TextDelta { choice: 0, text, logprobs });
        }
        for data in images.into_iter().filter_map(object::text) {
            self.switch(Open::Nothing, events);
            let content = Content::Image { source: MediaSource::picture(data), detail: None };
            events.push(Event::Media { choice: 0, content });
        }
        for raw in calls {
            self.call(raw, events)?;
        }
        Ok(())
    }

    /// A call comes whole.
    fn call<'a>(&mut self, raw: &'a RawValue, events: &mut Events<'a>) -> Result<(), DialectError> {
        let place = Place::Document.member("message");
        if self.calls == MOST_CALLS {
            return Err(place.refuse("holds more tool calls than a stream may have"));
        }
        let Ok(block) = tools::parse_call(raw, place.member("tool_calls"), Mode::Lenient, &self.seed, self.calls)
        else {
            return Ok(());
        };
        let Content::ToolCall(call) = block.content else {
            return Ok(());
        };
        self.switch(Open::Nothing, events);
        let (number, kind) = (self.calls, CallKind::Function);
        self.calls += 1;
        events.push(Event::ToolCallStart {
            choice: 0,
            call: number,
            kind,
            id: call.id,
            name: call.name,
            signature: None,
        });
        events.push(Event::ToolCallDelta { choice: 0, call: number, kind, arguments: call.arguments });
        events.push(Event::ToolCallEnd { choice: 0, call: number });
        Ok(())
    }

    fn switch(&mut self, open: Open, events: &mut Events<'_>) {
        if self.open == open {
            return;
        }
        match self.open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextEnd { choice: 0 }),
            Open::Thinking => events.push(Event::ReasoningEnd { choice: 0 }),
        }
        match open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextStart { choice: 0 }),
            Open::Thinking => events.push(Event::ReasoningStart { choice: 0 }),
        }
        self.open = open;
    }
}

fn calls_of(message: Option<&Object<'_, '_>>) -> bool {
    let calls = message.and_then(|message| message.peek("tool_calls")).and_then(object::list);
    calls.is_some_and(|calls| !calls.is_empty())
}
