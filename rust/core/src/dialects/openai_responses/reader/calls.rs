//! The inputs of the calls of a stream.

use super::item::{Kind, State};
use super::{Reader, untold};
use crate::dialects::message::{CallKind, Event, Events, Text};
use crate::dialects::object::Object;
use crate::dialects::openai_responses::items;
use crate::dialects::{DialectError, Place};

/// Arguments that say nothing.
const NOTHING: &str = "{}";
/// Bytes of arguments that are held back in one stream: far beyond what any server says before it says it again.
const MOST_HELD: usize = 16 << 20;

impl Reader {
    fn call_at(&mut self, index: Option<u64>) -> Option<&mut State> {
        let is_call = |item: &State| matches!(item.kind, Kind::Call(_)) && !item.done;
        self.items.iter_mut().rfind(|item| is_call(item) && index.is_none_or(|index| item.index == index))
    }

    pub(super) fn arguments<'a>(&mut self, index: Option<u64>, piece: Text<'a>, events: &mut Events<'a>) {
        if let Some(item) = self.call_at(index) {
            item.arguments(piece, events);
        }
    }

    pub(super) fn whole_arguments<'a>(&mut self, index: Option<u64>, whole: &Text<'a>, events: &mut Events<'a>) {
        if let Some(item) = self.call_at(index) {
            item.whole_arguments(whole, events);
        }
    }

    /// Keeps the arguments that a call began with: most servers that say any there say them again, in pieces or whole.
    pub(super) fn hold(&mut self, arguments: &Text<'_>) -> Result<(), DialectError> {
        self.held = self.held.saturating_add(arguments.len());
        if self.held > MOST_HELD {
            return Err(Place::Document.member("output").refuse("holds more arguments than a stream may have"));
        }
        if let Some(item) = self.items.get_mut(self.current) {
            item.held = arguments.as_ref().into();
        }
        Ok(())
    }
}

impl State {
    /// A piece of an input. An object that holds nothing waits, for some servers say one before the real arguments.
    fn arguments<'a>(&mut self, piece: Text<'a>, events: &mut Events<'a>) {
        if self.told(0).is_empty() && self.kind != Kind::Call(CallKind::Custom) {
            let said = piece.trim();
            if said == NOTHING || (self.empty && said.is_empty()) {
                self.empty = true;
                return;
            }
            if self.empty && !said.is_empty() && !said.starts_with('{') {
                self.tell_arguments(NOTHING.into(), events);
            }
        }
        self.tell_arguments(piece, events);
    }

    fn tell_arguments<'a>(&mut self, arguments: Text<'a>, events: &mut Events<'a>) {
        let Kind::Call(kind) = self.kind else {
            return;
        };
        if !arguments.is_empty() {
            self.add(0, &arguments);
            self.ink.add_ink(&arguments);
            events.push(Event::ToolCallDelta { choice: 0, call: self.call, kind, arguments });
        }
    }

    /// The input as a server says it at the end, which is all of it.
    pub(super) fn whole_arguments<'a>(&mut self, whole: &Text<'a>, events: &mut Events<'a>) {
        let Kind::Call(kind) = self.kind else {
            return;
        };
        let is_custom = kind == CallKind::Custom;
        let says_nothing = whole.is_empty() || (!is_custom && matches!(whole.trim(), "" | "null" | NOTHING));
        if self.told(0).is_empty() && !is_custom && whole.trim() == NOTHING {
            self.empty = true;
        }
        if says_nothing {
            return;
        }
        match self.told(0).rest_of(whole) {
            Some(rest) if rest.is_empty() || !self.ended => self.tell_arguments(rest, events),
            None if self.ink.is_ink_of(whole) => {}
            // Said already is something else, or an end.
            _ => events.push(untold(if is_custom { "custom_tool_call_input" } else { "function_call_arguments" })),
        }
    }

    /// Ends a call, with what was held back where nothing else was said.
    pub(super) fn end_call(&mut self, events: &mut Events<'_>) {
        let held = std::mem::take(&mut self.held);
        if self.told(0).is_empty() {
            let held = Text::Owned(held.into_string());
            self.tell_arguments(if held.is_empty() && self.empty { NOTHING.into() } else { held }, events);
        }
        self.ended = true;
        events.push(Event::ToolCallEnd { choice: 0, call: self.call });
    }
}

/// The input of a call's item.
pub(super) fn input<'a>(kind: CallKind, item: &mut Object<'a, '_>) -> Text<'a> {
    item.take_if(items::input_of(kind), crate::dialects::object::text).unwrap_or_default()
}
