//! The blocks that open and close within the items of a stream: texts, refusals, reasoning.

use crate::dialects::raw::RawValue;

use super::super::items::BETWEEN;
use super::item::{Kind, Open};
use super::wholes::{Part, PartKind, Whole};
use super::{PART_ADDED, PART_DONE, Reader, opaque};
use crate::dialects::message::{Event, Events, Json, Text};
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

    pub(super) fn part_added<'a>(&mut self, event: &Object<'a, '_>, document: &'a RawValue, events: &mut Events<'a>) {
        let part = event.peek("part").and_then(Object::lenient);
        let kind = part.and_then(|mut part| part.take_if("type", object::text));
        match kind.as_deref().and_then(PartKind::of) {
            Some(kind @ PartKind::Text) => {
                self.begin_part(kind, number_of(event), events);
                self.switch(Open::Text, events);
            }
            Some(kind @ (PartKind::Refusal | PartKind::Content)) => self.begin_part(kind, number_of(event), events),
            _ => self.unknown_part([PART_ADDED, "response.content_part.added"], event, document, events),
        }
    }

    pub(super) fn part_done<'a>(&mut self, event: &Object<'a, '_>, document: &'a RawValue, events: &mut Events<'a>) {
        let whole = event.peek("part").and_then(Whole::of);
        let is_known = whole.is_some();
        if let Some(whole) = whole {
            self.whole_part(whole, number_of(event), events);
        }
        if self.open == Open::Text {
            self.close(self.current, events);
        }
        let part = event.peek("part").and_then(Object::lenient);
        let kind = part.and_then(|mut part| part.take_if("type", object::text));
        if !is_known && kind.is_some_and(|kind| PartKind::of(&kind).is_none()) {
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
                if ours == PART_ADDED {
                    self.other(opaque(ours, part), events);
                } else {
                    self.switch(Open::Nothing, events);
                    events.push(opaque(ours, part));
                }
            }
            (Some(Kind::Other), _) => events.push(opaque(theirs, document)),
            _ => {}
        }
    }

    /// A piece of a text. It says of which part it is; where its server did not say that one begins, it does.
    pub(super) fn piece<'a>(
        &mut self,
        kind: PartKind,
        number: Option<u64>,
        text: Text<'a>,
        logprobs: Option<Json<'a>>,
        events: &mut Events<'a>,
    ) {
        if text.is_empty() && logprobs.is_none() {
            return;
        }
        if let Some(item) = self.say_kind(kind.kind()) {
            let part = &mut item.part;
            let other = part.number.zip(number).is_some_and(|(last, this)| last != this);
            if part.kind.is_none() {
                *part = Part::new(kind, number);
            } else if part.kind != Some(kind) || part.over || (other && !part.told.is_empty()) {
                self.begin_part(kind, number, events);
            } else {
                part.number = number.or(part.number);
            }
        }
        self.say(kind, text, logprobs, events);
    }

    pub(super) fn say<'a>(
        &mut self,
        kind: PartKind,
        text: Text<'a>,
        logprobs: Option<Json<'a>>,
        events: &mut Events<'a>,
    ) {
        if text.is_empty() && logprobs.is_none() {
            return;
        }
        self.switch(kind.open(), events);
        if let Some(item) = self.say_kind(kind.kind()) {
            item.add(kind.slot(), &text);
        }
        events.push(match kind {
            PartKind::Text => Event::TextDelta { choice: 0, text, logprobs },
            PartKind::Refusal => Event::RefusalDelta { choice: 0, text },
            PartKind::Summary | PartKind::Content => Event::ReasoningDelta { choice: 0, text },
        });
    }

    /// A part begins. To others the parts of one reasoning are one text, with an empty line between them.
    pub(super) fn begin_part(&mut self, kind: PartKind, number: Option<u64>, events: &mut Events<'_>) {
        let open = kind.open();
        let again = self.open == open && self.open_in == self.current;
        if kind.kind() == Kind::Message {
            self.switch(Open::Nothing, events);
        } else {
            self.switch(open, events);
        }
        let Some(item) = self.say_kind(kind.kind()) else {
            return;
        };
        item.part = Part::new(kind, number);
        if again && kind.kind() == Kind::Reasoning {
            events.push(Event::Opaque {
                dialect: DIALECT,
                name: "response.reasoning_part.added".into(),
                raw: Json::null(),
            });
            events.push(Event::ReasoningDelta { choice: 0, text: BETWEEN.into() });
        }
    }
}

/// The number of a part among the others of its item.
pub(super) fn number_of(event: &Object<'_, '_>) -> Option<u64> {
    ["content_index", "summary_index"].iter().find_map(|name| event.peek(name).and_then(object::whole))
}
