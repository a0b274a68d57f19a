//! The blocks that open and close within the items of a stream: texts, refusals, reasoning, the inputs of calls.

use crate::dialects::raw::RawValue;

use super::super::items::BETWEEN;
use super::item::{Kind, Open, State};
use super::{PART_ADDED, PART_DONE, Reader, opaque};
use crate::dialects::message::{CallKind, Event, Events, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::openai_responses::DIALECT;

impl Reader {
    /// Events name the item they are about: servers begin one before the last is done.
    pub(super) fn look_at(&mut self, index: Option<u64>) {
        let named = index.and_then(|index| self.items.iter().rposition(|item| item.index == index && !item.done));
        self.current = named.unwrap_or(self.current);
    }

    /// The number of the item that an event is about, which some servers leave out: its id tells, else it is the last
    /// one that began.
    pub(super) fn unnumbered(&self, event: &Object<'_, '_>) -> Option<u64> {
        let inside = || event.peek("item").and_then(Object::lenient)?.take_if("id", object::text);
        let id = event.peek("item_id").and_then(object::text).or_else(inside).unwrap_or_default();
        let mut going = self.items.iter().enumerate().rev().filter(|(_, item)| !item.done);
        let found =
            going.find(|(position, item)| if id.is_empty() { *position == self.current } else { *item.id == *id });
        found.map(|(_, item)| item.index)
    }

    /// Closes what is open in one item.
    pub(super) fn close(&mut self, position: usize, events: &mut Events<'_>) {
        if self.open_in == position {
            self.switch(Open::Nothing, events);
        }
    }

    pub(super) fn switch(&mut self, open: Open, events: &mut Events<'_>) {
        if self.open == open && (self.open_in == self.current || open == Open::Nothing) {
            return;
        }
        self.open_in = self.current;
        match self.open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextEnd { choice: 0 }),
            Open::Summary | Open::Content => events.push(Event::ReasoningEnd { choice: 0 }),
        }
        match open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextStart { choice: 0 }),
            Open::Summary => events.push(Event::ReasoningStart { choice: 0 }),
            Open::Content => {
                events.push(Event::Opaque {
                    dialect: DIALECT,
                    name: "response.content_part.added".into(),
                    raw: Json::quoted("reasoning_text"),
                });
                events.push(Event::ReasoningStart { choice: 0 });
            }
        }
        self.open = open;
    }

    /// Whether the current part said something already.
    pub(super) fn said(&self) -> bool {
        self.items.get(self.current).is_some_and(|item| item.part_said)
    }

    fn say(&mut self) {
        if let Some(item) = self.items.get_mut(self.current) {
            item.said = true;
            item.part_said = true;
        }
    }

    pub(super) fn part_added<'a>(&mut self, event: &Object<'a, '_>, document: &'a RawValue, events: &mut Events<'a>) {
        let part = event.peek("part").and_then(Object::lenient);
        let kind = part.and_then(|mut part| part.take_if("type", object::text));
        let known = matches!(kind.as_deref(), Some("output_text" | "refusal" | "reasoning_text"));
        if let Some(item) = self.items.get_mut(self.current).filter(|_| known) {
            item.part_said = false;
        }
        match kind.as_deref() {
            Some("output_text") => {
                self.switch(Open::Nothing, events);
                self.switch(Open::Text, events);
            }
            Some("refusal") => self.switch(Open::Nothing, events),
            Some("reasoning_text") => self.thought_begins(Open::Content, events),
            _ => self.unknown_part([PART_ADDED, "response.content_part.added"], event, document, events),
        }
    }

    pub(super) fn part_done<'a>(&mut self, event: &Object<'a, '_>, document: &'a RawValue, events: &mut Events<'a>) {
        if self.open == Open::Text {
            self.close(self.current, events);
        }
        let part = event.peek("part").and_then(Object::lenient);
        let kind = part.and_then(|mut part| part.take_if("type", object::text));
        if kind.is_some_and(|kind| !matches!(kind.as_ref(), "output_text" | "refusal" | "reasoning_text")) {
            self.unknown_part([PART_DONE, "response.content_part.done"], event, document, events);
        }
    }

    /// In a message it has a number among the others, which are counted anew. In what only this dialect knows, events go on
    /// as they are.
    fn unknown_part<'a>(
        &mut self,
        [ours, theirs]: [&'static str; 2],
        event: &Object<'a, '_>,
        document: &'a RawValue,
        events: &mut Events<'a>,
    ) {
        let of = self.items.get(self.current).filter(|item| !item.done).map(|item| item.kind);
        match (of, event.peek("part")) {
            (Some(Kind::Message), Some(part)) => {
                self.switch(Open::Nothing, events);
                events.push(opaque(ours, part));
            }
            (Some(Kind::Other), _) => events.push(opaque(theirs, document)),
            _ => {}
        }
    }

    pub(super) fn text<'a>(&mut self, text: Text<'a>, logprobs: Option<Json<'a>>, events: &mut Events<'a>) {
        if text.is_empty() && logprobs.is_none() {
            return;
        }
        self.switch(Open::Text, events);
        self.say();
        events.push(Event::TextDelta { choice: 0, text, logprobs });
    }

    pub(super) fn rest_of_text<'a>(&mut self, text: Text<'a>, events: &mut Events<'a>) {
        if !self.said() {
            self.text(text, None, events);
        }
    }

    pub(super) fn refusal<'a>(&mut self, text: Text<'a>, events: &mut Events<'a>) {
        if text.is_empty() {
            return;
        }
        self.switch(Open::Nothing, events);
        self.say();
        events.push(Event::RefusalDelta { choice: 0, text });
    }

    /// A part of a reasoning begins. To others the parts of one item are one text, with an empty line between them.
    pub(super) fn thought_begins(&mut self, open: Open, events: &mut Events<'_>) {
        let again = self.open == open && self.open_in == self.current;
        self.switch(open, events);
        let Some(item) = self.say_kind(Kind::Reasoning) else {
            return;
        };
        item.part_said = false;
        if again {
            events.push(Event::Opaque {
                dialect: DIALECT,
                name: "response.reasoning_part.added".into(),
                raw: Json::null(),
            });
            events.push(Event::ReasoningDelta { choice: 0, text: BETWEEN.into() });
        }
    }

    pub(super) fn thought<'a>(&mut self, open: Open, text: Text<'a>, events: &mut Events<'a>) {
        if text.is_empty() {
            return;
        }
        self.switch(open, events);
        self.say();
        events.push(Event::ReasoningDelta { choice: 0, text });
    }

    fn call_at(&mut self, index: Option<u64>) -> Option<(u32, CallKind, &mut State)> {
        let is_call = |item: &State| matches!(item.kind, Kind::Call(_)) && !item.done;
        let item =
            self.items.iter_mut().rfind(|item| is_call(item) && index.is_none_or(|index| item.index == index))?;
        let Kind::Call(kind) = item.kind else {
            return None;
        };
        Some((item.call, kind, item))
    }

    pub(super) fn arguments<'a>(&mut self, index: Option<u64>, arguments: Text<'a>, events: &mut Events<'a>) {
        if arguments.is_empty() {
            return;
        }
        if let Some((call, kind, item)) = self.call_at(index) {
            item.said = true;
            events.push(Event::ToolCallDelta { choice: 0, call, kind, arguments });
        }
    }

    pub(super) fn rest_of_arguments<'a>(&mut self, index: Option<u64>, whole: Text<'a>, events: &mut Events<'a>) {
        let said = self.call_at(index).is_none_or(|(_, _, item)| item.said);
        if !said {
            self.arguments(index, whole, events);
        }
    }
}
