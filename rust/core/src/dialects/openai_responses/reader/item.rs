//! What must be remembered of the items of a stream, and the blocks that open and close within them.

use crate::dialects::raw::RawValue;

use super::super::items;
use super::told::Told;
use super::wholes::Part;
use super::{MOST_ITEMS, Reader, calls, opaque};
use crate::dialects::message::{CallKind, Event, Events, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::openai_responses::DIALECT;
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place, mint};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call(CallKind),
    /// Only its server knows it.
    Other,
}

impl Kind {
    pub(super) fn of(item: &Object<'_, '_>) -> Self {
        match item.peek("type").and_then(object::text).as_deref() {
            Some("message") => Self::Message,
            None if item.has("role") => Self::Message,
            Some("reasoning") => Self::Reasoning,
            Some("function_call") => Self::Call(CallKind::Function),
            Some("custom_tool_call") => Self::Call(CallKind::Custom),
            _ => Self::Other,
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) index: u64,
    /// Empty where the server gave none.
    pub(super) id: Box<str>,
    /// The number of a call.
    pub(super) call: u32,
    /// What was told of it, by slot: see [`PartKind::slot`]. The input of a call is in the first.
    told: [Told; 2],
    pub(super) part: Part,
    /// How many citations of it were told, and how many parts that only this dialect knows.
    pub(super) cited: usize,
    pub(super) others: usize,
    /// The input of a call that was told, without its blanks.
    pub(super) ink: Told,
    /// The input that a call began with.
    pub(super) held: Box<str>,
    /// A call said that it has no arguments, which waits to be told.
    pub(super) empty: bool,
    /// The end of a call was told.
    pub(super) ended: bool,
    pub(super) done: bool,
}

impl State {
    fn new(kind: Kind, index: u64, id: &str, call: u32) -> Self {
        Self {
            kind,
            index,
            id: id.into(),
            call,
            told: [Told::default(); 2],
            part: Part::default(),
            cited: 0,
            others: 0,
            ink: Told::default(),
            held: Box::default(),
            empty: false,
            ended: false,
            done: false,
        }
    }

    pub(super) fn told(&self, slot: usize) -> Told {
        self.told.get(slot).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, slot: usize, piece: &str) {
        if let Some(told) = self.told.get_mut(slot) {
            told.add(piece);
        }
        self.part.told.add(piece);
    }
}

/// One text or reasoning is open at a time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    #[default]
    Nothing,
    Text,
    /// The summary of a reasoning.
    Summary,
    /// The reasoning itself.
    Content,
}

impl Reader {
    pub(super) fn item_added<'a>(
        &mut self,
        index: Option<u64>,
        event: &Object<'a, '_>,
        document: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let Some(item) = event.peek("item").and_then(Object::lenient) else {
            return Ok(());
        };
        let index = index.unwrap_or(self.items.len() as u64);
        self.begin(index, item, Some(document), events)
    }

    /// A server may leave out the event that begins a message or a reasoning: its first piece does.
    pub(super) fn assume(&mut self, event_kind: &str, index: Option<u64>, event: &Object<'_, '_>) {
        let thinks = || event.peek("part").and_then(Object::lenient)?.take_if("type", object::text);
        let kind = match event_kind {
            "response.content_part.added" if thinks().as_deref() == Some("reasoning_text") => Kind::Reasoning,
            "response.content_part.added" => Kind::Message,
            _ if event_kind.starts_with("response.output_text.") => Kind::Message,
            _ if event_kind.starts_with("response.refusal.") => Kind::Message,
            _ if event_kind.starts_with("response.reasoning_") => Kind::Reasoning,
            _ => return,
        };
        let known = match index {
            Some(index) => self.items.iter().any(|item| item.index == index),
            None => self.items.iter().any(|item| !item.done),
        };
        if known || self.items.len() == MOST_ITEMS {
            return;
        }
        self.current = self.items.len();
        let index = index.unwrap_or(self.items.len() as u64);
        let id = event.peek("item_id").and_then(object::text).unwrap_or_default();
        self.items.push(State::new(kind, index, &id, self.calls));
    }

    /// A new item: its head goes along as an opaque event, a call also starts.
    fn begin<'a>(
        &mut self,
        index: u64,
        mut item: Object<'a, '_>,
        document: Option<&'a RawValue>,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        if self.items.len() == MOST_ITEMS {
            return Err(Place::Document.member("output").refuse("holds more items than a stream may have"));
        }
        self.switch(Open::Nothing, events);
        let kind = Kind::of(&item);
        self.current = self.items.len();
        let id = item.peek("id").and_then(object::text).unwrap_or_default();
        self.items.push(State::new(kind, index, &id, self.calls));
        let empty_list = |raw: &RawValue| object::list(raw)?.is_empty().then_some(());
        match kind {
            Kind::Message => {
                item.take_if("content", empty_list);
                events.push(head("response.output_item.added", index, item));
            }
            Kind::Reasoning => {
                item.take_if("summary", empty_list);
                events.push(head("response.output_item.added", index, item));
            }
            Kind::Call(kind) => {
                let id = item.take_if("call_id", object::text).filter(|id| !id.is_empty());
                let name = item.take_if("name", object::text).unwrap_or_default();
                let arguments = calls::input(kind, &mut item);
                if document.is_some() {
                    self.hold(&arguments)?;
                }
                events.push(head("response.output_item.added", index, item));
                let call = self.calls;
                self.calls = self.calls.saturating_add(1);
                let id = id.unwrap_or_else(|| mint::call_id(&self.id, 0, call).into());
                events.push(Event::ToolCallStart { choice: 0, call, kind, id, name, signature: None });
            }
            Kind::Other => match document {
                Some(document) => events.push(opaque("response.output_item.added", document)),
                None => events.push(head("response.output_item.added", index, item)),
            },
        }
        Ok(())
    }

    pub(super) fn item_done<'a>(
        &mut self,
        index: Option<u64>,
        event: &Object<'a, '_>,
        document: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let Some(raw) = event.peek("item") else {
            return Ok(());
        };
        let known = index.and_then(|index| self.items.iter().rposition(|item| item.index == index && !item.done));
        let Some(position) = known else {
            return self.whole_item(index.unwrap_or(self.items.len() as u64), raw, events);
        };
        self.current = position;
        self.finish_item(position, raw, Some(document), events);
        Ok(())
    }

    /// An item that comes at once.
    pub(super) fn whole_item<'a>(
        &mut self,
        index: u64,
        raw: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let (Some(mut first), Some(_)) = (Object::lenient(raw), Object::lenient(raw)) else {
            return Ok(());
        };
        if matches!(Kind::of(&first), Kind::Message | Kind::Reasoning) {
            for name in ["content", "summary", "encrypted_content"] {
                first.forget(name);
            }
        }
        self.begin(index, first, None, events)?;
        self.finish_item(self.current, raw, None, events);
        Ok(())
    }

    pub(super) fn finish_item<'a>(
        &mut self,
        position: usize,
        raw: &'a RawValue,
        document: Option<&'a RawValue>,
        events: &mut Events<'a>,
    ) {
        let Some(state) = self.items.get_mut(position) else {
            return;
        };
        state.done = true;
        let (kind, index) = (state.kind, state.index);
        let Some(mut item) = Object::lenient(raw) else {
            return;
        };
        match kind {
            Kind::Message => {
                self.rest_of_item(raw, events);
                self.close(position, events);
                item.forget("content");
            }
            Kind::Reasoning => self.finish_reasoning(position, raw, &mut item, events),
            Kind::Call(kind) => {
                item.forget("call_id");
                item.forget("name");
                state.whole_arguments(&calls::input(kind, &mut item), events);
                state.end_call(events);
            }
            Kind::Other => {
                let done = match document {
                    Some(document) => opaque("response.output_item.done", document),
                    None => head("response.output_item.done", index, item),
                };
                events.push(done);
                // For others; a writer of ours has just said it.
                let blocks = items::parse(raw, Place::Document, object::Mode::Lenient).unwrap_or_default();
                let media = blocks.into_iter().map(|block| block.content).filter(|content| content.media().is_some());
                events.extend(media.map(|content| Event::Media { choice: 0, content }));
                return;
            }
        }
        events.push(head("response.output_item.done", index, item));
    }

    fn finish_reasoning<'a>(
        &mut self,
        position: usize,
        raw: &'a RawValue,
        item: &mut Object<'a, '_>,
        events: &mut Events<'a>,
    ) {
        self.rest_of_item(raw, events);
        let encrypted = item.take_if("encrypted_content", object::text);
        let is_open = self.open_in == position;
        let in_content = is_open && self.open == Open::Content;
        match encrypted {
            Some(signature) if is_open && matches!(self.open, Open::Summary | Open::Content) => {
                events.push(Event::ReasoningSignature { choice: 0, signature });
            }
            Some(data) => {
                self.switch(Open::Nothing, events);
                events.push(Event::ReasoningRedacted { choice: 0, data });
            }
            None => {}
        }
        self.close(position, events);
        item.forget("summary");
        // An empty list stays, for the writer knows of none.
        item.take_if("content", |raw| (in_content || !object::list(raw)?.is_empty()).then_some(()));
    }

    /// Ends what is still open when the response has ended.
    pub(super) fn close_all(&mut self, events: &mut Events<'_>) {
        self.switch(Open::Nothing, events);
        for item in &mut self.items {
            if !item.done && matches!(item.kind, Kind::Call(_)) {
                item.end_call(events);
            }
            item.done = true;
        }
    }
}

/// An item's event with what nobody else understands of the item.
fn head<'a>(name: &'static str, index: u64, item: Object<'a, '_>) -> Event<'a> {
    let rest = item.into_rest(DIALECT, "item").value;
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.whole("output_index", index);
        members.raw("item", rest.as_str());
    });
    Event::Opaque { dialect: DIALECT, name: name.into(), raw: Json::written(out) }
}
