//! Which piece of a stream belongs to which tool call.
//!
//! Servers number calls from 0, from 1, all with 0 or not at all, and repeat or leave out ids and names. Here calls are
//! numbered by their first appearance, and one without an id gets one that depends only on the stream. No server says
//! where a call ends: one does when its arguments are a whole object and the next begins, or with the answer. Some say
//! the whole call once more at its end, or with each piece all that came before it: only what is new is told.

use crate::dialects::raw::RawValue;

use super::super::tools::signature_of;
use super::heard::Heard;
use super::refuse;
use crate::dialects::anthropic_messages::input::Progress;
use crate::dialects::chatlike::tools;
use crate::dialects::message::{CallKind, Event, Events, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::{DialectError, mint};

/// More calls than any model makes; beyond them a server would only make us remember.
const MOST_CALLS: usize = 1024;
/// Bytes of a name that comes in pieces.
const MOST_NAME: usize = 1024;
/// Arguments that say nothing.
const NOTHING: &str = "{}";

/// The calls of one choice, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that has happened or not")]
struct Call {
    kind: CallKind,
    wire_index: Option<u64>,
    wire_id: String,
    name: String,
    signature: Option<String>,
    progress: Progress,
    started: bool,
    /// Its arguments began with an object that holds nothing, which some servers say before the real one.
    empty: bool,
    /// Arguments were told, and these.
    told: bool,
    heard: Heard,
    ended: bool,
}

/// One entry of `tool_calls` in one chunk. Null, empty and left out are the same: nothing said.
pub(super) struct Piece<'a> {
    kind: CallKind,
    index: Option<u64>,
    id: Text<'a>,
    name: Text<'a>,
    arguments: Text<'a>,
    signature: Option<Text<'a>>,
}

impl<'a> Piece<'a> {
    pub(super) fn from_entry(raw: &'a RawValue) -> Option<Self> {
        let mut entry = Object::lenient(raw)?;
        let (kind, name, input) = if entry.peek("custom").is_some() {
            (CallKind::Custom, "custom", "input")
        } else {
            (CallKind::Function, "function", "arguments")
        };
        let mut piece = Self::from_function(kind, entry.peek(name), input);
        piece.index = entry.take_if("index", object::whole);
        let id = entry.take_if("id", object::text);
        // Mistral's own SDK says the word null where there is no id.
        piece.id = id.filter(|id| id != "null").unwrap_or_default();
        piece.signature = entry.take_if("extra_content", signature_of);
        Some(piece)
    }

    /// The legacy form: a function and nothing around it.
    pub(super) fn from_function_call(raw: &'a RawValue) -> Self {
        Self::from_function(CallKind::LegacyFunction, Some(raw), "arguments")
    }

    fn from_function(kind: CallKind, raw: Option<&'a RawValue>, input: &str) -> Self {
        let mut function = raw.and_then(Object::lenient);
        let mut take = |name: &str| {
            let read = if name == "arguments" { tools::arguments } else { object::text };
            function.as_mut()?.take_if(name, read)
        };
        Self {
            kind,
            index: None,
            id: Text::default(),
            name: take("name").unwrap_or_default(),
            arguments: take(input).unwrap_or_default(),
            signature: None,
        }
    }
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a chunk makes a call, by its id or else its number, that none before it has made.
    pub(super) fn is_new(&self, delta: &Object<'_, '_>) -> bool {
        let entries = delta.peek("tool_calls").and_then(object::list).unwrap_or_default();
        entries.into_iter().filter_map(Piece::from_entry).any(|piece| {
            if piece.id.is_empty() {
                let known = |call: &Call| piece.index.is_none() || call.wire_index == piece.index;
                !piece.name.is_empty() && !self.0.iter().any(known)
            } else {
                !self.0.iter().any(|call| call.wire_id == piece.id)
            }
        })
    }

    pub(super) fn add<'a>(
        &mut self,
        piece: Piece<'a>,
        choice: u32,
        stream_id: &str,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let position = match self.find(&piece) {
            Some(position) => position,
            None if self.0.len() == MOST_CALLS => {
                return Err(refuse("holds more tool calls than a stream may have"));
            }
            None => {
                events.extend(self.start_named(choice, stream_id));
                self.end_whole(choice, events);
                self.0.push(Call {
                    kind: piece.kind,
                    wire_index: piece.index,
                    wire_id: String::new(),
                    name: String::new(),
                    signature: None,
                    progress: Progress::default(),
                    started: false,
                    empty: false,
                    told: false,
                    heard: Heard::default(),
                    ended: false,
                });
                self.0.len() - 1
            }
        };
        let number = u32::try_from(position).unwrap_or(u32::MAX);
        let Some(call) = self.0.get_mut(position) else {
            return Ok(());
        };
        if !call.started {
            if call.wire_id.is_empty() {
                call.wire_id = piece.id.into_owned();
            }
            let name_is_over = piece.name.is_empty() && !call.name.is_empty();
            call.add_name(&piece.name);
            call.signature = call.signature.take().or(piece.signature.map(Text::into_owned));
            // A name may come late and in pieces, but never after the first piece of the arguments.
            if name_is_over || !piece.arguments.is_empty() {
                events.push(call.start(choice, number, stream_id));
            }
        }
        // Behind a whole object there is nothing that could belong to it.
        if !piece.arguments.is_empty() && !call.ended {
            call.arguments(choice, number, piece.arguments, events);
        }
        Ok(())
    }

    /// The starts of calls that have a name and wait for the rest of it: something else comes first.
    pub(super) fn start_named<'a>(&mut self, choice: u32, stream_id: &str) -> Vec<Event<'a>> {
        let waits = |(_, call): &(u32, &mut Call)| !call.started && !call.name.is_empty();
        let waiting = (0..).zip(&mut self.0).filter(waits);
        waiting.map(|(number, call)| call.start(choice, number, stream_id)).collect()
    }

    /// Which call a piece belongs to; `None` for a new one.
    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let opens = !piece.name.is_empty();
        if piece.kind == CallKind::LegacyFunction {
            return self.0.iter().position(|call| call.kind == piece.kind);
        }
        // Some servers number every whole call 0, and some repeat id and name in every piece: the same id is the same
        // call, another id together with a name is another call. Only a name under a new number is another call all the
        // same: some servers make the id of the name.
        if !piece.id.is_empty() {
            let same = |call: &Call| call.wire_id == piece.id;
            let exact = self.0.iter().rposition(|call| same(call) && call.wire_index == piece.index);
            if let Some(known) = exact.or_else(|| self.0.iter().rposition(same)) {
                let numbered = self.0.get(known).and_then(|call| call.wire_index).zip(piece.index);
                let renumbered = exact.is_none() && numbered.is_some();
                let another = opens && (renumbered || self.0.get(known).is_some_and(|call| call.is_another(piece)));
                return (!another).then_some(known);
            }
        }
        let candidate = match piece.index {
            Some(_) => self.0.iter().rposition(|call| call.wire_index == piece.index)?,
            None if opens => return None,
            None => self.0.len().checked_sub(1)?,
        };
        let known = self.0.get(candidate)?;
        // Behind a whole object a name with arguments is another call, though both have one number and neither an id.
        let fills = known.waits_empty() && known.name == piece.name && piece.arguments.trim() != NOTHING;
        let says = !piece.arguments.trim().is_empty();
        let behind = known.progress.is_whole() && known.kind == CallKind::Function && says && !fills;
        let another = if piece.id.is_empty() { behind } else { !known.wire_id.is_empty() };
        (!(opens && another)).then_some(candidate)
    }

    /// Ends the calls that nothing more can belong to.
    fn end_whole(&mut self, choice: u32, events: &mut Events<'_>) {
        let is_whole = |call: &Call| call.kind == CallKind::Function && !call.ended && call.progress.is_whole();
        for (number, call) in (0..).zip(&mut self.0).filter(|(_, call)| is_whole(call)) {
            call.end(choice, number, events);
        }
    }

    /// Ends every call; one that never got a name or an argument starts here, so that it is not lost.
    pub(super) fn finish(&mut self, choice: u32, stream_id: &str, events: &mut Events<'_>) {
        for (number, call) in (0..).zip(&mut self.0).filter(|(_, call)| !call.ended) {
            if !call.started {
                events.push(call.start(choice, number, stream_id));
            }
            call.end(choice, number, events);
        }
    }
}

impl Call {
    /// Some servers repeat the name, some say it piece by piece, and some say it as far as it has come.
    fn add_name(&mut self, piece: &str) {
        if piece.starts_with(&self.name) {
            piece.clone_into(&mut self.name);
        } else if self.name.len() + piece.len() <= MOST_NAME {
            self.name.push_str(piece);
        }
    }

    fn waits_empty(&self) -> bool {
        self.empty && !self.told
    }

    /// Whether a piece that has the id and the name of this call is another call: a whole object stands behind a whole one.
    fn is_another(&self, piece: &Piece<'_>) -> bool {
        let arguments = piece.arguments.trim();
        let is_whole = self.told && self.kind == CallKind::Function && self.progress.is_whole();
        is_whole && arguments.starts_with('{') && !self.repeats(arguments)
    }

    /// Whether all arguments stand once more behind themselves, as they are or as a string within the string.
    fn repeats(&self, arguments: &str) -> bool {
        let inner = || Json::parse(arguments)?.as_raw().and_then(|raw| object::text(raw).map(Text::into_owned));
        self.heard.is(arguments) || (arguments.starts_with('"') && inner().is_some_and(|inner| self.heard.is(&inner)))
    }

    /// What a piece says that was not told before.
    fn new_in<'a>(&self, arguments: Text<'a>) -> Text<'a> {
        if !self.told || self.kind == CallKind::Custom {
            return arguments;
        }
        if self.progress.is_whole() {
            let said = arguments.trim();
            return if said.is_empty() || self.repeats(said) { Text::default() } else { arguments };
        }
        // Where a value may follow, an object that begins as the outer one does may be that value.
        if !arguments.starts_with('{') || self.progress.awaits_value() {
            return arguments;
        }
        match (self.heard.end_in(&arguments), arguments) {
            (Some(end), Text::Borrowed(all)) => Text::Borrowed(all.get(end..).unwrap_or_default()),
            (Some(end), Text::Owned(all)) => Text::Owned(all.get(end..).unwrap_or_default().to_owned()),
            (None, arguments) => arguments,
        }
    }

    /// Says arguments; an object that holds nothing waits, for it may be no more than what stands in front of the real one.
    fn arguments<'a>(&mut self, choice: u32, number: u32, arguments: Text<'a>, events: &mut Events<'a>) {
        let kind = self.kind;
        if !self.told && kind != CallKind::Custom {
            let piece = arguments.trim();
            if piece == NOTHING && !self.empty {
                self.progress.add(piece);
                self.empty = true;
            }
            if piece == NOTHING || (self.empty && piece.is_empty()) {
                return;
            }
            if self.empty && piece.starts_with('{') {
                self.progress = Progress::default();
            } else if self.empty {
                self.heard.add(NOTHING);
                events.push(Event::ToolCallDelta { choice, call: number, kind, arguments: NOTHING.into() });
            }
        }
        let arguments = self.new_in(arguments);
        if arguments.is_empty() {
            return;
        }
        self.told = true;
        self.progress.add(&arguments);
        self.heard.add(&arguments);
        events.push(Event::ToolCallDelta { choice, call: number, kind, arguments });
    }

    fn end(&mut self, choice: u32, number: u32, events: &mut Events<'_>) {
        self.ended = true;
        if self.waits_empty() {
            let arguments = NOTHING.into();
            events.push(Event::ToolCallDelta { choice, call: number, kind: self.kind, arguments });
        }
        events.push(Event::ToolCallEnd { choice, call: number });
    }

    fn start<'a>(&mut self, choice: u32, number: u32, stream_id: &str) -> Event<'a> {
        self.started = true;
        let id = if self.wire_id.is_empty() && self.kind != CallKind::LegacyFunction {
            mint::call_id(stream_id, choice, number)
        } else {
            self.wire_id.clone()
        };
        Event::ToolCallStart {
            choice,
            call: number,
            kind: self.kind,
            id: id.into(),
            name: self.name.clone().into(),
            signature: self.signature.take().map(Text::Owned),
        }
    }
}
