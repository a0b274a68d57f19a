//! What must be remembered of the blocks of a stream: which are open, and what they are.
//!
//! The server numbers its blocks, the neutral form numbers only calls. Blocks come one behind the other; should a server
//! not hold to that, a text or a thought ends when the next block begins, and calls go on beside each other.

use crate::dialects::anthropic_messages::blocks::SIGNATURE;
use crate::dialects::anthropic_messages::{DIALECT, citations, input, opaque};
use crate::dialects::message::{CallKind, Event, Events, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::{DialectError, Place, mint};

/// More calls beside each other than any model makes; beyond them a server would only make us remember.
const MOST_OPEN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct OpenBlocks {
    open: Vec<OpenBlock>,
    calls: u32,
    any: bool,
    /// Names the calls that come without an id.
    pub(super) reply_id: Box<str>,
}

#[derive(Debug)]
struct OpenBlock {
    index: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Text,
    Reasoning,
    /// It came whole.
    Redacted,
    Call {
        call: u32,
        told: bool,
        /// The input that stood in the start; it counts when no piece follows.
        input: String,
    },
    Opaque,
}

impl OpenBlocks {
    pub(super) fn called(&self) -> bool {
        self.calls > 0
    }

    /// Whether there ever was a block.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn start<'a>(&mut self, mut event: Object<'a, '_>, events: &mut Events<'a>) -> Result<(), DialectError> {
        let index = event.take_if("index", object::whole).unwrap_or(0);
        let Some(raw) = event.peek("content_block") else {
            return Ok(());
        };
        let Some(mut block) = Object::lenient(raw) else {
            return Ok(());
        };
        self.end_pieces(events);
        self.stop_index(index, events);
        if self.open.len() >= MOST_OPEN {
            return Err(Place::Document.member("index").refuse("opens more blocks than a stream may hold open"));
        }
        self.any = true;
        let kind = block.take_if("type", object::text).unwrap_or_default();
        let what = match kind.as_ref() {
            "text" => start_text(block, events),
            "thinking" => start_thinking(block, events),
            "redacted_thinking" => match block.take_if("data", object::text) {
                Some(data) => {
                    push_rest(block, opaque::REST_OF_REDACTED, events);
                    events.push(Event::ReasoningRedacted { choice: 0, data });
                    What::Redacted
                }
                None => start_opaque(Json::from(raw), events),
            },
            "tool_use" => self.start_call(block, events),
            _ => start_opaque(Json::from(raw), events),
        };
        self.open.push(OpenBlock { index, what });
        Ok(())
    }

    /// A server may leave out the event that begins a text or a thought.
    fn start_unsaid(&mut self, index: Option<u64>, delta: &str, events: &mut Events<'_>) {
        let what = match delta {
            "text_delta" => What::Text,
            "thinking_delta" => What::Reasoning,
            _ => return,
        };
        if self.open.iter().any(|block| index.is_none_or(|index| block.index == index)) {
            return;
        }
        self.end_pieces(events);
        if self.open.len() >= MOST_OPEN {
            return;
        }
        self.any = true;
        events.push(match what {
            What::Text => Event::TextStart { choice: 0 },
            _ => Event::ReasoningStart { choice: 0 },
        });
        self.open.push(OpenBlock { index: index.unwrap_or(0), what });
    }

    fn start_call<'a>(&mut self, mut block: Object<'a, '_>, events: &mut Events<'a>) -> What {
        let call = self.calls;
        self.calls = self.calls.saturating_add(1);
        let name = block.take_if("name", object::text).unwrap_or_default();
        let id = block.take_if("id", object::text).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| mint::call_id(&self.reply_id, 0, call).into());
        // Some servers say the input as text, as chat does.
        let as_text = |raw| object::text(raw).filter(|text| input::is_object(text));
        let input = block.take_if("input", |raw| match raw.get().as_bytes() {
            [b'{', ..] => Some(input::arguments(raw)),
            _ => as_text(raw),
        });
        let signature = block.take_if(SIGNATURE, object::text);
        push_rest(block, opaque::REST_OF_CALL, events);
        events.push(Event::ToolCallStart { choice: 0, call, kind: CallKind::Function, id, name, signature });
        let input = input.filter(|input| input != "{}").unwrap_or_default().into_owned();
        What::Call { call, told: false, input }
    }

    pub(super) fn delta<'a>(&mut self, mut event: Object<'a, '_>, events: &mut Events<'a>) {
        let index = event.take_if("index", object::whole);
        let Some(raw) = event.peek("delta") else {
            return;
        };
        let Some(mut delta) = Object::lenient(raw) else {
            return;
        };
        let kind = delta.take_if("type", object::text).unwrap_or_default();
        self.start_unsaid(index, &kind, events);
        let known = self.open.iter().rposition(|block| index.is_none_or(|index| block.index == index));
        // What belongs to no block has no place in any stream.
        let Some(known) = known else { return };
        let is_last = known + 1 == self.open.len();
        let Some(block) = self.open.get_mut(known) else { return };
        let name = match &block.what {
            What::Text => opaque::DELTA_OF_TEXT,
            What::Reasoning => opaque::DELTA_OF_THINKING,
            What::Call { .. } => opaque::DELTA_OF_CALL,
            What::Redacted | What::Opaque => opaque::DELTA,
        };
        // Some servers say an object that holds nothing before the real one; it counts when nothing follows.
        if matches!(block.what, What::Call { told: false, .. })
            && delta.peek("partial_json").and_then(object::text).is_some_and(|piece| piece.trim() == "{}")
        {
            return;
        }
        // An empty piece says nothing to others.
        let piece = |delta: &mut Object<'a, '_>, name: &str| {
            delta.take_if(name, object::text).filter(|text: &Text<'a>| !text.is_empty())
        };
        let choice = 0;
        let understood = match (&mut block.what, kind.as_ref()) {
            (What::Text, "text_delta") => {
                piece(&mut delta, "text").map(|text| Event::TextDelta { choice, text, logprobs: None })
            }
            (What::Text, "citations_delta") => {
                delta.take_if("citation", citations::parse).map(|citation| Event::Citation { choice, citation })
            }
            (What::Reasoning, "thinking_delta") => {
                piece(&mut delta, "thinking").map(|text| Event::ReasoningDelta { choice, text })
            }
            (What::Reasoning, "signature_delta") => {
                piece(&mut delta, "signature").map(|signature| Event::ReasoningSignature { choice, signature })
            }
            (What::Call { call, told, .. }, "input_json_delta") => piece(&mut delta, "partial_json").map(|arguments| {
                *told = true;
                Event::ToolCallDelta { choice, call: *call, kind: CallKind::Function, arguments }
            }),
            _ => None,
        };
        // Only the last block is known again by whoever counts them anew; calls beside each other are of others' making.
        let only_ours = || is_last.then(|| Event::Opaque { dialect: DIALECT, name: name.into(), raw: Json::from(raw) });
        events.extend(understood.or_else(only_ours));
    }

    pub(super) fn stop(&mut self, mut event: Object<'_, '_>, events: &mut Events<'_>) {
        match event.take_if("index", object::whole) {
            Some(index) => self.stop_index(index, events),
            None => self.end_pieces(events),
        }
    }

    fn stop_index(&mut self, index: u64, events: &mut Events<'_>) {
        if let Some(position) = self.open.iter().position(|block| block.index == index) {
            end(self.open.remove(position).what, events);
        }
    }

    /// Ends what cannot go on beside another block: everything but calls.
    fn end_pieces(&mut self, events: &mut Events<'_>) {
        let is_call = |block: &mut OpenBlock| matches!(block.what, What::Call { .. });
        for block in self.open.extract_if(.., |block| !is_call(block)) {
            end(block.what, events);
        }
    }

    pub(super) fn end_all(&mut self, events: &mut Events<'_>) {
        for block in self.open.drain(..) {
            end(block.what, events);
        }
    }
}

fn start_text<'a>(mut block: Object<'a, '_>, events: &mut Events<'a>) -> What {
    let text = block.take_if("text", object::text).unwrap_or_default();
    push_rest(block, opaque::REST_OF_TEXT, events);
    events.push(Event::TextStart { choice: 0 });
    if !text.is_empty() {
        events.push(Event::TextDelta { choice: 0, text, logprobs: None });
    }
    What::Text
}

fn start_thinking<'a>(mut block: Object<'a, '_>, events: &mut Events<'a>) -> What {
    let text = block.take_if("thinking", object::text).unwrap_or_default();
    let signature = block.take_if("signature", object::text).unwrap_or_default();
    push_rest(block, opaque::REST_OF_THINKING, events);
    events.push(Event::ReasoningStart { choice: 0 });
    if !text.is_empty() {
        events.push(Event::ReasoningDelta { choice: 0, text });
    }
    if !signature.is_empty() {
        events.push(Event::ReasoningSignature { choice: 0, signature });
    }
    What::Reasoning
}

fn start_opaque<'a>(raw: Json<'a>, events: &mut Events<'a>) -> What {
    events.push(Event::Opaque { dialect: DIALECT, name: opaque::START.into(), raw });
    What::Opaque
}

/// What the neutral form leaves of a block goes before its start.
fn push_rest<'a>(block: Object<'a, '_>, of: &'static str, events: &mut Events<'a>) {
    if !block.is_empty() {
        let rest = block.into_rest(DIALECT, of);
        events.push(Event::Opaque { dialect: DIALECT, name: rest.name, raw: rest.value });
    }
}

fn end(what: What, events: &mut Events<'_>) {
    let choice = 0;
    match what {
        What::Text => events.push(Event::TextEnd { choice }),
        What::Reasoning => events.push(Event::ReasoningEnd { choice }),
        What::Call { call, told, input } => {
            if !told {
                // A call without arguments has an empty object for them.
                let arguments = if input.is_empty() { "{}".into() } else { input.into() };
                events.push(Event::ToolCallDelta { choice, call, kind: CallKind::Function, arguments });
            }
            events.push(Event::ToolCallEnd { choice, call });
        }
        What::Redacted | What::Opaque => events.push(Event::Opaque {
            dialect: DIALECT,
            name: opaque::STOP.into(),
            raw: Json::written(b"null".to_vec()),
        }),
    }
}
