//! Reads the events of a stream. Texts and calls become neutral events; what frames them (items, with their ids and
//! states) and what only this dialect knows go along as opaque events, so that the same stream can be written again.
//!
//! Its rule: everything is said once. Servers repeat a text in up to four events; of the repetition, what is missing is taken.

mod blocks;
mod calls;
mod item;
#[cfg(test)]
mod tests;
mod told;
mod wholes;

use crate::dialects::raw::RawValue;

use super::reply::take_finish;
use super::{DIALECT, USAGE, parts};
use crate::dialects::message::{ErrorReply, Event, Events, Extras, Finish, FinishReason, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place, openai_error};
use item::{Kind, Open, State};
use wholes::{PartKind, Whole};

/// More items than any response has; beyond them a server would only make us remember.
const MOST_ITEMS: usize = 4096;

/// What messages and reasonings are told in.
const PIECES: [&str; 6] = [
    "response.content_part",
    "response.output_text",
    "response.refusal",
    "response.reasoning_summary_part",
    "response.reasoning_summary_text",
    "response.reasoning_text",
];

/// The names of events that hold a part of a message which only this dialect knows, as it began and as it ended.
pub(crate) const PART_ADDED: &str = "\npart added";
pub(super) const PART_DONE: &str = "\npart done";
/// The name of an event that holds what was not told, by its type: something else was told in its place.
pub(crate) const UNTOLD: &str = "\nuntold";

/// Marks on the start and the finish: the number of the first event, and an `output` that was left empty at the end.
pub(super) const FIRST: &str = "sequence_number";
pub(super) const OUTPUT: &str = "output";

#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    id: String,
    calls: u32,
    /// Bytes of arguments that were held back.
    held: usize,
    items: Vec<State>,
    /// Which block is open, and the position in `items` of the item it is in.
    open: Open,
    open_in: usize,
    /// The position of the item that the event is about.
    current: usize,
}

impl Reader {
    pub(super) fn parse<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
        let mut events = Events::new();
        let data = data.trim_ascii();
        if data.is_empty() || self.ended {
            return Ok(events);
        }
        if data == b"[DONE]" {
            // Some routers end every stream so. Without a last state it is no end of ours, and none is made up.
            self.ended = true;
            events.push(Event::Done);
            return Ok(events);
        }
        let document = object::document(data)?;
        let event = Object::open(document, Place::Document, Mode::Lenient)?;
        let kind = event.peek("type").and_then(object::text).unwrap_or(Text::Borrowed(""));
        let kind = if kind.is_empty() { Text::Owned(name.to_owned()) } else { kind };
        if !self.started && kind == "keepalive" {
            return Ok(events);
        }
        if kind.is_empty() && ["error", "message", "detail"].iter().any(|name| event.has(name)) {
            // In the words of another server, in place of an event.
            self.fail(openai_error::parse_document(DIALECT, event), &mut events);
            return Ok(events);
        }
        if !self.started && kind != "error" {
            self.start(&event, &mut events);
            if matches!(kind.as_ref(), "response.created" | "response.in_progress" | "response.queued") {
                return Ok(events);
            }
        }
        self.event(&kind, event, document, &mut events)?;
        Ok(events)
    }

    fn start<'a>(&mut self, event: &Object<'a, '_>, events: &mut Events<'a>) {
        self.started = true;
        let mut response = event.peek("response").and_then(Object::lenient);
        let mut take = |name: &str| response.as_mut()?.take_if(name, object::text);
        let (id, model) = (take("id").unwrap_or_default(), take("model").unwrap_or_default());
        id.as_ref().clone_into(&mut self.id);
        let mut extras = Extras::default();
        let mut created_s = None;
        if let Some(mut response) = response {
            created_s = response.take_if("created_at", object::whole);
            response.take_if("status", |raw| (raw.get() == "\"in_progress\"").then_some(()));
            response.take_if("output", |raw| object::list(raw)?.is_empty().then_some(()));
            response.forget("object");
            extras = response.into_extras(DIALECT);
        }
        let first = event.peek("sequence_number").and_then(object::whole).unwrap_or(0);
        extras.mark(DIALECT, FIRST, Json::written(first.to_string().into_bytes()));
        events.push(Event::MessageStart { id, model, created_s, extras });
    }

    fn event<'a>(
        &mut self,
        kind: &str,
        mut event: Object<'a, '_>,
        document: &'a RawValue,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let index = event.take_if("output_index", object::whole);
        let index = index.or_else(|| if kind == "response.output_item.added" { None } else { self.unnumbered(&event) });
        self.look_at(index);
        self.assume(kind, index, &event);
        // A part that ends behind its item says nothing new.
        let behind = |index| self.items.iter().rfind(|item| item.index == index).is_some_and(|item| item.done);
        if kind.strip_suffix(".done").is_some_and(|of| PIECES.contains(&of)) && index.is_some_and(behind) {
            return Ok(());
        }
        let number = blocks::number_of(&event);
        let mut text = |name: &str| event.take_if(name, object::text).unwrap_or_default();
        match kind {
            "response.output_item.added" => self.item_added(index, &event, document, events)?,
            "response.output_item.done" => self.item_done(index, &event, document, events)?,
            "response.content_part.added" => self.part_added(&event, document, events),
            "response.content_part.done" => self.part_done(&event, document, events),
            "response.output_text.delta" => {
                let text = text("delta");
                let logprobs = event.take_if("logprobs", object::list).filter(|list| !list.is_empty());
                self.piece(PartKind::Text, number, text, logprobs.map(as_choice), events);
            }
            "response.output_text.done" => {
                let text = text("text");
                let logprobs = event.take_if("logprobs", object::list).filter(|list| !list.is_empty());
                let whole = Whole { logprobs: logprobs.map(as_choice), ..Whole::new(PartKind::Text, text) };
                self.whole_part(whole, number, events);
            }
            "response.output_text.annotation.added" => {
                if let Some(citation) = event.peek("annotation").and_then(parts::citation) {
                    self.citation(citation, events);
                }
            }
            "response.reasoning_summary_part.added" => self.begin_part(PartKind::Summary, number, events),
            "response.reasoning_summary_part.done" => {
                if let Some(whole) = event.peek("part").and_then(Whole::of) {
                    self.whole_part(whole, number, events);
                }
            }
            "response.refusal.delta" => self.piece(PartKind::Refusal, number, text("delta"), None, events),
            "response.reasoning_summary_text.delta" => {
                self.piece(PartKind::Summary, number, text("delta"), None, events);
            }
            "response.reasoning_text.delta" => self.piece(PartKind::Content, number, text("delta"), None, events),
            "response.refusal.done" => self.whole_part(Whole::new(PartKind::Refusal, text("refusal")), number, events),
            "response.reasoning_summary_text.done" => {
                self.whole_part(Whole::new(PartKind::Summary, text("text")), number, events);
            }
            "response.reasoning_text.done" => {
                self.whole_part(Whole::new(PartKind::Content, text("text")), number, events);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(index, text("delta"), events);
            }
            "response.function_call_arguments.done" => self.whole_arguments(index, &text("arguments"), events),
            "response.custom_tool_call_input.done" => self.whole_arguments(index, &text("input"), events),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.end(kind, event, events)?;
            }
            "error" => {
                // Flat in the published schema, wrapped as outside of streams in what servers send.
                let flat = event.peek("error").is_none();
                for name in ["type", "sequence_number"] {
                    event.forget(name);
                }
                let mut error = openai_error::parse_document(DIALECT, event);
                error.extras.mark(DIALECT, "error", Json::quoted(if flat { "flat" } else { "wrapped" }));
                self.fail(error, events);
            }
            _ => events.push(unknown(kind, document)),
        }
        Ok(())
    }

    fn end<'a>(&mut self, kind: &str, mut event: Object<'a, '_>, events: &mut Events<'a>) -> Result<(), DialectError> {
        let response = event.take_object("response")?;
        let Some(mut response) = response.and_then(Object::lenient) else {
            return Err(Place::Document.member("response").refuse("is required"));
        };
        for name in ["type", "sequence_number", "obfuscation"] {
            event.forget(name);
        }
        let output = response.take_if("output", object::list);
        let left_empty = output.as_ref().is_some_and(Vec::is_empty) && !self.items.is_empty();
        self.rest_of_response(output.unwrap_or_default(), events)?;
        if kind == "response.failed" {
            self.fail(failure(response), events);
            return Ok(());
        }
        self.close_all(events);
        // Beside the response some servers tell what it cost.
        if !event.is_empty() {
            let rest = event.into_rest(DIALECT, "response.completed").value;
            events.push(Event::Opaque { dialect: DIALECT, name: "response.completed".into(), raw: rest });
        }
        let usage = response.take_if("usage", |raw| raw.get().starts_with('{').then(|| USAGE.parse(raw)));
        let finish = take_finish(&mut response, self.calls > 0).or_else(|| {
            // The event says by its name how it ended, if the response in it does not.
            let reason = if self.calls > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
            (kind == "response.completed" && !response.has("status")).then(|| Finish::new(reason, None))
        });
        for name in ["id", "model", "created_at", "object"] {
            response.forget(name);
        }
        if let Some(mut finish) = finish {
            response.spill(DIALECT, &mut finish.extras);
            if left_empty {
                finish.extras.mark(DIALECT, OUTPUT, Json::null());
            }
            events.push(Event::Finish { choice: 0, finish });
        }
        events.extend(usage.map(Event::Usage));
        events.push(Event::Done);
        self.ended = true;
        Ok(())
    }

    fn fail<'a>(&mut self, error: ErrorReply<'a>, events: &mut Events<'a>) {
        self.ended = true;
        events.push(Event::Error(error));
    }

    fn say_kind(&mut self, kind: Kind) -> Option<&mut State> {
        self.items.get_mut(self.current).filter(|item| item.kind == kind)
    }
}

/// The error of a response that failed, with the rest of the response as its extras.
fn failure<'a>(mut response: Object<'a, '_>) -> ErrorReply<'a> {
    let mut extras = Extras::default();
    let mut reply = ErrorReply { message: "the upstream said that its answer failed".into(), ..ErrorReply::default() };
    if let Some(mut error) = response.take_if("error", Object::lenient) {
        reply.message = error.take_if("message", object::text).unwrap_or(reply.message);
        reply.code = error.take_if("code", object::text);
        if !error.is_empty() {
            extras.push(error.into_rest(DIALECT, "error"));
        }
    }
    for name in ["id", "model", "created_at", "object", "status"] {
        response.forget(name);
    }
    response.spill(DIALECT, &mut extras);
    reply.extras = extras;
    reply
}

/// Log probabilities in the form of a choice.
fn as_choice(list: Vec<&RawValue>) -> Json<'static> {
    let mut out = Buffer::new();
    output::object(&mut out, |logprobs| logprobs.list("content", list, |out, item| output::raw(out, item.get())));
    Json::written(out)
}

fn opaque<'a>(kind: &str, raw: &'a RawValue) -> Event<'a> {
    Event::Opaque { dialect: DIALECT, name: kind.to_owned().into(), raw: Json::from(raw) }
}

/// Something of this type was not told.
fn untold<'a>(kind: &str) -> Event<'a> {
    let mut out = Buffer::new();
    output::object(&mut out, |part| part.text("type", kind));
    Event::Opaque { dialect: DIALECT, name: UNTOLD.into(), raw: Json::written(out) }
}

fn untold_part(raw: &RawValue) -> Event<'_> {
    Event::Opaque { dialect: DIALECT, name: UNTOLD.into(), raw: Json::from(raw) }
}

/// An event that nobody knows. A line break, which goes no further, keeps its name from being one that our writer knows.
fn unknown<'a>(kind: &str, raw: &'a RawValue) -> Event<'a> {
    let name = kind.replace(['\n', '\r'], "") + "\n";
    Event::Opaque { dialect: DIALECT, name: name.into(), raw: Json::from(raw) }
}
