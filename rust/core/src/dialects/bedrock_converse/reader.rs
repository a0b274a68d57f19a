//! Reads the events of a stream.
//!
//! Its rule: the stream starts, finishes and ends once, whatever the server repeats. Blocks are numbered, and a text or a
//! thought begins with its first piece. The end is the event that counts, behind the one that gives the reason.

use crate::dialects::raw::RawValue;

use super::{DIALECT, blocks, citations, error, finish, opaque, usage};
use crate::dialects::message::{CallKind, Event, Events, Extra, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place};

/// More blocks beside each other than any model makes; beyond them a server would only make us remember.
const MOST_OPEN: usize = 64;
/// What hides how long an event is.
const PADDING: &str = "p";

#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    finished: bool,
    ended: bool,
    open: Vec<Open>,
    calls: u32,
}

#[derive(Debug)]
struct Open {
    index: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Reasoning,
    /// It came whole.
    Redacted,
    Call {
        call: u32,
        told: bool,
    },
    Opaque,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        let mut whole = object::document(data)?;
        let mut event = Object::open(whole, Place::Document, Mode::Lenient)?;
        let mut name: Text<'a> = Text::Owned(name.to_owned());
        if name.is_empty()
            && let Some((only, inner)) = only_member(&event)
            && let Some(opened) = Object::lenient(inner)
        {
            (name, whole, event) = (only, inner, opened);
        }
        event.forget(PADDING);
        self.event(&name, whole, event, &mut events)?;
        Ok(events)
    }

    fn event<'a>(
        &mut self,
        name: &str,
        whole: &'a RawValue,
        mut event: Object<'a, '_>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        if error::is_exception(name) || name == "error" || says_only_a_message(&event) {
            self.ended = true;
            events.push(Event::Error(error::parse_event(name, event)));
            return Ok(());
        }
        if name == "messageStart" {
            event.forget("role");
            self.start(Some(event), events);
            return Ok(());
        }
        self.start(None, events);
        let index = event.take_if("contentBlockIndex", object::whole);
        match name {
            "contentBlockStart" => {
                let start = event.take_if("start", Some);
                push_rest(event, events);
                self.block_start(index.unwrap_or(0), start, events)?;
            }
            "contentBlockDelta" => {
                let delta = event.take_if("delta", Some);
                push_rest(event, events);
                if let Some(delta) = delta {
                    self.delta(index, delta, events)?;
                }
            }
            "contentBlockStop" => {
                push_rest(event, events);
                self.block_stop(index, events);
            }
            "messageStop" => self.message_stop(event, whole, events),
            "metadata" => self.metadata(event, events),
            _ => events.push(Event::Opaque {
                dialect: DIALECT,
                name: Text::Owned(name.replace(['\n', '\r'], "") + "\n"),
                raw: Json::from(whole),
            }),
        }
        Ok(())
    }

    /// The first event starts the message, whichever it is.
    fn start<'a>(&mut self, event: Option<Object<'a, '_>>, events: &mut Events<'a>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let extras = event.map(|event| event.into_extras(DIALECT)).unwrap_or_default();
        events.push(Event::MessageStart { id: "".into(), model: "".into(), created_s: None, extras });
    }

    fn block_start<'a>(
        &mut self,
        index: u64,
        start: Option<&'a RawValue>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        self.end_pieces(events);
        self.end_index(index, events);
        let mut start_object = start.and_then(Object::lenient);
        let call = start_object.as_mut().and_then(|start| {
            let call = start.take_if(opaque::CALL, Object::lenient)?;
            (start.is_empty() && !blocks::is_server_call(&call)).then_some(call)
        });
        let what = match (call, start) {
            (Some(call), _) => self.call_start(call, events),
            (None, Some(start)) => {
                events.push(own(opaque::START, Json::from(start)));
                What::Opaque
            }
            (None, None) => return Ok(()),
        };
        self.push(index, what)
    }

    fn call_start<'a>(&mut self, mut call: Object<'a, '_>, events: &mut Events<'a>) -> What {
        let number = self.calls;
        self.calls = self.calls.saturating_add(1);
        let id = call.take_if("toolUseId", object::text).unwrap_or_default();
        let name = call.take_if("name", object::text).unwrap_or_default();
        if !call.is_empty() {
            let rest = call.into_rest(DIALECT, opaque::CALL);
            events.push(own(opaque::CALL, rest.value));
        }
        let kind = CallKind::Function;
        events.push(Event::ToolCallStart { choice: 0, call: number, kind, id, name, signature: None });
        What::Call { call: number, told: false }
    }

    fn push(&mut self, index: u64, what: What) -> Result<(), DialectError> {
        if self.open.len() >= MOST_OPEN {
            let place = Place::Document.member("contentBlockIndex");
            return Err(place.refuse("opens more blocks than a stream may hold open"));
        }
        self.open.push(Open { index, what });
        Ok(())
    }

    /// A delta says one thing; where it is not known, it goes on as it stands.
    fn delta<'a>(
        &mut self,
        index: Option<u64>,
        raw: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let choice = 0;
        let last = self.open.last().map(|open| open.index);
        let index = index.or(last).unwrap_or(0);
        let known = Object::lenient(raw).as_ref().and_then(only_member);
        let understood = match known.as_ref().map(|(kind, value)| (kind.as_ref(), *value)) {
            Some(("text", value)) => {
                self.need(index, What::Text, events)?;
                object::text(value).filter(|text| !text.is_empty()).map(|text| Event::TextDelta {
                    choice,
                    text,
                    logprobs: None,
                })
            }
            Some(("citation", value)) => {
                self.need(index, What::Text, events)?;
                citations::parse(value).map(|citation| Event::Citation { choice, citation })
            }
            Some(("reasoningContent", value)) => self.reasoning(index, value, events)?,
            Some((opaque::CALL, value)) => self.arguments(index, value),
            _ => None,
        };
        if understood.is_none() && !self.open.iter().any(|open| open.index == index) {
            self.need(index, What::Opaque, events)?;
        }
        // Calls beside each other are counted anew: only the last is known again.
        let of = self.open.iter().position(|open| open.index == index);
        let is_last = of.is_some_and(|of| of + 1 == self.open.len());
        let name = match of.and_then(|of| self.open.get(of)).map(|open| open.what) {
            Some(What::Call { .. }) if is_last => Some(opaque::DELTA_OF_CALL),
            Some(What::Call { .. }) => None,
            _ => Some(opaque::DELTA),
        };
        events.extend(understood.or_else(|| Some(own(name?, Json::from(raw)))));
        Ok(())
    }

    fn reasoning<'a>(
        &mut self,
        index: u64,
        value: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<Option<Event<'a>>, DialectError> {
        let choice = 0;
        let Some((kind, value)) = Object::lenient(value).as_ref().and_then(only_member) else {
            return Ok(None);
        };
        let text = object::text(value).filter(|text| !text.is_empty());
        Ok(match kind.as_ref() {
            "text" => {
                self.need(index, What::Reasoning, events)?;
                text.map(|text| Event::ReasoningDelta { choice, text })
            }
            "signature" => {
                self.need(index, What::Reasoning, events)?;
                text.map(|signature| Event::ReasoningSignature { choice, signature })
            }
            "redactedContent" => {
                let Some(data) = text else {
                    return Ok(None);
                };
                self.need(index, What::Redacted, events)?;
                Some(Event::ReasoningRedacted { choice, data })
            }
            _ => None,
        })
    }

    fn arguments<'a>(&mut self, index: u64, value: &'a RawValue) -> Option<Event<'a>> {
        let (kind, value) = Object::lenient(value).as_ref().and_then(only_member)?;
        let arguments = object::text(value).filter(|text| kind == "input" && !text.is_empty())?;
        let open = self.open.iter_mut().find(|open| open.index == index)?;
        let What::Call { call, told } = &mut open.what else {
            return None;
        };
        *told = true;
        Some(Event::ToolCallDelta { choice: 0, call: *call, kind: CallKind::Function, arguments })
    }

    /// Opens the block that a piece belongs to, where nothing has opened it.
    fn need(&mut self, index: u64, what: What, events: &mut Events<'_>) -> Result<(), DialectError> {
        if self.open.iter().any(|open| open.index == index && open.what == what) {
            return Ok(());
        }
        self.end_pieces(events);
        self.end_index(index, events);
        match what {
            What::Text => events.push(Event::TextStart { choice: 0 }),
            What::Reasoning => events.push(Event::ReasoningStart { choice: 0 }),
            What::Redacted | What::Call { .. } | What::Opaque => {}
        }
        self.push(index, what)
    }

    fn block_stop(&mut self, index: Option<u64>, events: &mut Events<'_>) {
        let last = self.open.last().map(|open| open.index);
        let known = index.or(last).filter(|index| self.open.iter().any(|open| open.index == *index));
        match known {
            Some(index) => self.end_index(index, events),
            // A block without a piece: nothing has opened it.
            None => events.push(own(opaque::STOP, Json::null())),
        }
    }

    fn end_index(&mut self, index: u64, events: &mut Events<'_>) {
        if let Some(position) = self.open.iter().position(|open| open.index == index) {
            end(self.open.remove(position).what, events);
        }
    }

    /// Ends what cannot go on beside another block: everything but calls.
    fn end_pieces(&mut self, events: &mut Events<'_>) {
        for open in self.open.extract_if(.., |open| !matches!(open.what, What::Call { .. })) {
            end(open.what, events);
        }
    }

    fn end_all(&mut self, events: &mut Events<'_>) {
        for open in self.open.drain(..) {
            end(open.what, events);
        }
    }

    fn message_stop<'a>(&mut self, mut event: Object<'a, '_>, whole: &'a RawValue, events: &mut Events<'a>) {
        if self.finished {
            return;
        }
        let Some(mut reason) = finish::take(&mut event, self.calls > 0) else {
            events.push(Event::Opaque { dialect: DIALECT, name: "messageStop".into(), raw: Json::from(whole) });
            return;
        };
        self.finished = true;
        self.end_all(events);
        for (name, raw) in event.into_members() {
            reason.extras.push(Extra { dialect: DIALECT, name, value: Json::from(raw) });
        }
        events.push(Event::Finish { choice: 0, finish: reason });
    }

    fn metadata<'a>(&mut self, mut event: Object<'a, '_>, events: &mut Events<'a>) {
        let usage = event.take_object("usage").ok().flatten().map(usage::parse);
        if !event.is_empty() {
            events.push(own(opaque::METADATA, event.into_rest(DIALECT, opaque::METADATA).value));
        }
        events.extend(usage.map(Event::Usage));
        if self.finished {
            self.ended = true;
            events.push(Event::Done);
        }
    }
}

fn own<'a>(name: &'static str, raw: Json<'a>) -> Event<'a> {
    Event::Opaque { dialect: DIALECT, name: name.into(), raw }
}

/// What the neutral form leaves of an event goes before it.
fn push_rest<'a>(event: Object<'a, '_>, events: &mut Events<'a>) {
    if !event.is_empty() {
        events.push(own(opaque::REST, event.into_rest(DIALECT, opaque::REST).value));
    }
}

fn only_member<'a>(object: &Object<'a, '_>) -> Option<(Text<'a>, &'a RawValue)> {
    let mut members = object.members();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Some((Text::Owned(name.to_owned()), value)),
        _ => None,
    }
}

/// An error in the place of an event, under a name that is not known for one.
fn says_only_a_message(event: &Object<'_, '_>) -> bool {
    event.peek("message").and_then(object::text).is_some()
        && !event.has("contentBlockIndex")
        && !event.has("stopReason")
        && !event.has("role")
}

fn end(what: What, events: &mut Events<'_>) {
    let choice = 0;
    match what {
        What::Text => events.push(Event::TextEnd { choice }),
        What::Reasoning => events.push(Event::ReasoningEnd { choice }),
        What::Call { call, told } => {
            if !told {
                // A call without arguments has an empty object for them.
                events.push(own(opaque::NO_INPUT, Json::null()));
                let arguments = "{}".into();
                events.push(Event::ToolCallDelta { choice, call, kind: CallKind::Function, arguments });
            }
            events.push(Event::ToolCallEnd { choice, call });
        }
        What::Redacted | What::Opaque => events.push(own(opaque::STOP, Json::null())),
    }
}
