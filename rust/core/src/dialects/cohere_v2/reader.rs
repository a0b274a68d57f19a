//! Reads the events of a stream: starts, deltas and ends of numbered contents and calls.
//!
//! Its rule: what an event says beside its known members goes ahead of it, as an opaque event of its own, and so does
//! the mark of a plan; whoever writes Cohere puts both back. The end is `message-end`; `[DONE]` behind it is an echo.

use crate::dialects::raw::RawValue;

use super::{DIALECT, citations, logprobs, reply, usage};
use crate::dialects::message::{CallKind, ErrorReply, Event, Events, Extras, FinishReason, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place, mint, openai_error};

/// More calls than any model makes; beyond them a server would only make us remember.
const MOST_CALLS: usize = 1024;

/// The name of an opaque event that holds further members of the next frame.
pub(super) const REST: &str = "rest";
/// The name of an opaque event that says that the reasoning it goes ahead of is a plan.
pub(super) const PLAN: &str = "tool_plan";

#[derive(Debug, Default)]
pub struct Reader {
    id: String,
    started: bool,
    ended: bool,
    open: Open,
    calls: Vec<Call>,
    /// The citation last read was of something else than the answer's text and went on as it stood.
    foreign_citation: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
    Plan,
}

#[derive(Debug)]
struct Call {
    wire_index: Option<u64>,
    ended: bool,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        if data == b"[DONE]" {
            self.close(&mut events);
            self.ended = true;
            events.push(Event::Done);
            return Ok(events);
        }
        let raw = object::document(data)?;
        let mut event = Object::open(raw, Place::Document, Mode::Lenient)?;
        let kind = event.take_if("type", object::text).unwrap_or_else(|| Text::Owned(name.to_owned()));
        if !self.started && kind != "message-start" {
            let id = event.take_if("id", object::text);
            self.start(id, Extras::default(), &mut events);
        }
        self.event(raw, &kind, event, &mut events)?;
        Ok(events)
    }

    fn event<'a>(
        &mut self,
        raw: &'a RawValue,
        kind: &str,
        mut event: Object<'a, '_>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let index = event.take_if("index", object::whole);
        let opaque = |events: &mut Events<'a>| {
            // One that is called like ours goes on without a name, and says it inside.
            let name = if matches!(kind, REST | PLAN) { Text::default() } else { kind.to_owned().into() };
            events.push(Event::Opaque { dialect: DIALECT, name, raw: Json::from(raw) });
        };
        match kind {
            "message-start" => {
                event.forget("delta");
                let id = event.take_if("id", object::text);
                self.start(id, event.into_extras(DIALECT), events);
            }
            "content-start" => {
                let content = take_inner(&mut event, "content");
                self.switch(Open::Nothing, events);
                rest(event, events);
                self.content_start(content, events);
            }
            "content-delta" => {
                let content = take_inner(&mut event, "content");
                let logprobs = event.peek(logprobs::FIELD).and_then(logprobs::of_piece);
                rest(event, events);
                self.content_delta(content, logprobs, events);
            }
            "content-end" => {
                rest(event, events);
                self.switch(Open::Nothing, events);
            }
            "tool-plan-delta" => {
                let message = take_message(&mut event);
                let text = message.and_then(|mut message| message.take_if("tool_plan", object::text));
                rest(event, events);
                self.piece(Open::Plan, text, None, events);
            }
            "tool-call-start" => {
                let call = take_inner(&mut event, "tool_calls");
                self.switch(Open::Nothing, events);
                rest(event, events);
                self.call_start(call, index, events)?;
            }
            "tool-call-delta" => {
                let call = take_inner(&mut event, "tool_calls");
                rest(event, events);
                self.call_delta(call, index, events);
            }
            "tool-call-end" => {
                rest(event, events);
                let position = self.find(index);
                self.call_end(position, events);
            }
            "citation-start" => {
                let raw = take_message(&mut event).and_then(|message| message.peek("citations"));
                let citation = raw.and_then(citations::parse);
                self.foreign_citation = citation.is_none();
                match citation {
                    Some(citation) => {
                        rest(event, events);
                        events.push(Event::Citation { choice: 0, citation });
                    }
                    None => opaque(events),
                }
            }
            "citation-end" if !self.foreign_citation => {}
            "message-end" => self.message_end(event, events),
            _ if kind == "error" || is_error(&event) => {
                self.ended = true;
                events.push(Event::Error(openai_error::parse_document(DIALECT, event)));
            }
            _ => opaque(events),
        }
        Ok(())
    }

    /// The first event starts the message, whichever it is.
    fn start<'a>(&mut self, id: Option<Text<'a>>, extras: Extras<'a>, events: &mut Events<'a>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let id = id.unwrap_or_default();
        id.as_ref().clone_into(&mut self.id);
        events.push(Event::MessageStart { id, model: "".into(), created_s: None, extras });
    }

    fn content_start<'a>(&mut self, content: Option<Object<'a, '_>>, events: &mut Events<'a>) {
        let Some(mut content) = content else {
            return;
        };
        let thinks = content.peek("type").is_some_and(|kind| kind.get() == "\"thinking\"") || content.has("thinking");
        let (open, name) = if thinks { (Open::Thinking, "thinking") } else { (Open::Text, "text") };
        self.switch(open, events);
        self.piece(open, content.take_if(name, object::text), None, events);
    }

    fn content_delta<'a>(
        &mut self,
        content: Option<Object<'a, '_>>,
        logprobs: Option<Json<'a>>,
        events: &mut Events<'a>,
    ) {
        if let Some(mut content) = content {
            self.piece(Open::Thinking, content.take_if("thinking", object::text), None, events);
            self.piece(Open::Text, content.take_if("text", object::text), logprobs, events);
        }
    }

    fn piece<'a>(&mut self, open: Open, text: Option<Text<'a>>, logprobs: Option<Json<'a>>, events: &mut Events<'a>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.switch(open, events);
        events.push(match open {
            Open::Text => Event::TextDelta { choice: 0, text, logprobs },
            _ => Event::ReasoningDelta { choice: 0, text },
        });
    }

    fn switch(&mut self, open: Open, events: &mut Events<'_>) {
        if self.open == open {
            return;
        }
        match self.open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextEnd { choice: 0 }),
            Open::Thinking | Open::Plan => events.push(Event::ReasoningEnd { choice: 0 }),
        }
        match open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextStart { choice: 0 }),
            Open::Thinking => events.push(Event::ReasoningStart { choice: 0 }),
            Open::Plan => {
                let raw = Json::written(b"true".to_vec());
                events.push(Event::Opaque { dialect: DIALECT, name: PLAN.into(), raw });
                events.push(Event::ReasoningStart { choice: 0 });
            }
        }
        self.open = open;
    }

    fn call_start<'a>(
        &mut self,
        call: Option<Object<'a, '_>>,
        wire_index: Option<u64>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let Some(mut call) = call else {
            return Ok(());
        };
        if self.calls.len() == MOST_CALLS {
            let place = Place::Document.member("delta");
            return Err(place.refuse("holds more tool calls than a stream may have"));
        }
        let position = self.calls.len();
        let number = u32::try_from(position).unwrap_or(u32::MAX);
        self.calls.push(Call { wire_index, ended: false });
        let id = call.take_if("id", object::text).filter(|id| !id.is_empty());
        let mut function = call.take_if("function", Object::lenient);
        let mut take = |name: &str| function.as_mut()?.take_if(name, object::text);
        events.push(Event::ToolCallStart {
            choice: 0,
            call: number,
            kind: CallKind::Function,
            id: id.unwrap_or_else(|| mint::call_id(&self.id, 0, number).into()),
            name: take("name").unwrap_or_default(),
            signature: None,
        });
        self.arguments(position, take("arguments"), events);
        Ok(())
    }

    fn call_delta<'a>(&mut self, call: Option<Object<'a, '_>>, index: Option<u64>, events: &mut Events<'a>) {
        let arguments = call.and_then(|mut call| {
            let mut function = call.take_if("function", Object::lenient)?;
            function.take_if("arguments", object::text)
        });
        if let Some(position) = self.find(index) {
            self.arguments(position, arguments, events);
        }
    }

    fn arguments<'a>(&mut self, position: usize, arguments: Option<Text<'a>>, events: &mut Events<'a>) {
        let open = self.calls.get(position).is_some_and(|call| !call.ended);
        if let Some(arguments) = arguments.filter(|text| open && !text.is_empty()) {
            let call = u32::try_from(position).unwrap_or(u32::MAX);
            events.push(Event::ToolCallDelta { choice: 0, call, kind: CallKind::Function, arguments });
        }
    }

    fn call_end(&mut self, position: Option<usize>, events: &mut Events<'_>) {
        let Some(position) = position else {
            return;
        };
        if let Some(call) = self.calls.get_mut(position).filter(|call| !call.ended) {
            call.ended = true;
            events.push(Event::ToolCallEnd { choice: 0, call: u32::try_from(position).unwrap_or(u32::MAX) });
        }
    }

    /// The call of an index; the last one where there is none.
    fn find(&self, index: Option<u64>) -> Option<usize> {
        let same = self.calls.iter().rposition(|call| index.is_some() && call.wire_index == index);
        same.or_else(|| self.calls.len().checked_sub(1))
    }

    fn close(&mut self, events: &mut Events<'_>) {
        self.switch(Open::Nothing, events);
        for position in 0..self.calls.len() {
            self.call_end(Some(position), events);
        }
    }

    fn message_end<'a>(&mut self, mut event: Object<'a, '_>, events: &mut Events<'a>) {
        self.ended = true;
        let mut delta = event.take_if("delta", Object::lenient);
        let mut take = |name: &str| delta.as_mut()?.take_if(name, Some);
        let finish = take("finish_reason").and_then(|raw| reply::finish(raw, !self.calls.is_empty()));
        let usage = take("usage").map(usage::parse);
        let error = take("error").and_then(object::text);
        let failed = error.is_some() || finish.as_ref().is_some_and(|finish| finish.reason == FinishReason::Error);
        rest(event, events);
        if !failed {
            self.close(events);
        }
        events.extend(usage.map(Event::Usage));
        if failed {
            events.push(Event::Error(ErrorReply {
                message: error.unwrap_or("the upstream ended its answer with an error".into()),
                code: finish.and_then(|finish| finish.native),
                ..ErrorReply::default()
            }));
            return;
        }
        events.extend(finish.map(|finish| Event::Finish { choice: 0, finish }));
        events.push(Event::Done);
    }
}

/// An error sent in place of an event: a message, and none of what events are made of.
fn is_error(event: &Object<'_, '_>) -> bool {
    !event.has("delta") && ["message", "error", "detail"].iter().any(|name| event.peek(name).is_some())
}

fn take_message<'a>(event: &mut Object<'a, '_>) -> Option<Object<'a, 'static>> {
    event.take_if("delta", |raw| Object::lenient(raw)?.take_if("message", Object::lenient))
}

/// What a delta says of its content or call: an object, though the word for calls is a plural.
fn take_inner<'a>(event: &mut Object<'a, '_>, name: &str) -> Option<Object<'a, 'static>> {
    take_message(event)?.take_if(name, Object::lenient)
}

/// Sends ahead what an event says beside its known members.
fn rest<'a>(mut event: Object<'a, '_>, events: &mut Events<'a>) {
    event.forget("delta");
    if !event.is_empty() {
        let raw = event.into_rest(DIALECT, REST).value;
        events.push(Event::Opaque { dialect: DIALECT, name: REST.into(), raw });
    }
}
