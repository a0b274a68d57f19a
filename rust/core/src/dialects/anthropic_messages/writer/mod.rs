//! Writes a stream as Anthropic's own SDKs expect it: a start, blocks one behind the other, one delta of the message with
//! its reason and all that was used, a stop.
//!
//! Two surprises. The start carries the usage of what was read, so it waits for the event behind it. And an error ends
//! the stream without a stop, because clients take that for success.

mod blocks;
#[cfg(test)]
mod tests;

use super::{DIALECT, error, finish, opaque, usage};
use crate::dialects::chatlike::or;
use crate::dialects::message::{Envelope, ErrorReply, Event, Extra, Extras, Finish, FinishReason, Json, Text, Usage};
use crate::dialects::object::Object;
use crate::dialects::output::{self, Buffer, Members};
use blocks::Blocks;

/// The members of a `message_delta` that stand beside its `delta` and not in it.
const BESIDE_DELTA: &[&str] = &["context_management"];

#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    start: Start,
    blocks: Blocks,
    finish: Option<Finish<'static>>,
    /// The next refusal is the explanation of the finish.
    explains: bool,
    explanation: Option<String>,
    usage: Option<Usage<'static>>,
    ended: bool,
}

#[derive(Debug)]
enum Start {
    Waits(Extras<'static>),
    Written,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            model: envelope.model.to_owned(),
            start: Start::Waits(Extras::default()),
            blocks: Blocks::default(),
            finish: None,
            explains: false,
            explanation: None,
            usage: None,
            ended: false,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended {
            return;
        }
        match event {
            Event::MessageStart { id, model, extras, .. } => return self.message_start(id, model, extras),
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Error(error) => return self.fail(error, out),
            _ => {}
        }
        self.write_start(out);
        match event {
            // This dialect has one choice.
            Event::TextStart { choice: 1.. }
            | Event::TextDelta { choice: 1.., .. }
            | Event::TextEnd { choice: 1.. }
            | Event::ReasoningStart { choice: 1.. }
            | Event::ReasoningDelta { choice: 1.., .. }
            | Event::ReasoningSignature { choice: 1.., .. }
            | Event::ReasoningRedacted { choice: 1.., .. }
            | Event::ReasoningEnd { choice: 1.. }
            | Event::RefusalDelta { choice: 1.., .. }
            | Event::ToolCallStart { choice: 1.., .. }
            | Event::ToolCallDelta { choice: 1.., .. }
            | Event::ToolCallEnd { choice: 1.., .. }
            | Event::Citation { choice: 1.., .. }
            | Event::Finish { choice: 1.., .. } => {}
            Event::Opaque { dialect, name, raw } if *dialect == DIALECT => self.opaque(name, raw, out),
            Event::RefusalDelta { text, .. } if self.explains => {
                self.explanation.get_or_insert_default().push_str(text);
            }
            Event::Finish { finish, .. } => self.finish(finish, out),
            Event::Done => self.done(out),
            event => {
                if self.blocks.render(event, &self.id, out).is_err() {
                    self.fail(&too_much(), out);
                }
            }
        }
    }

    fn message_start(&mut self, id: &Text<'_>, model: &Text<'_>, extras: &Extras<'_>) {
        self.id = or(id, &self.id).to_owned();
        self.model = or(model, &self.model).to_owned();
        if let Start::Waits(waiting) = &mut self.start {
            *waiting = extras.clone().into_owned();
        }
    }

    fn write_start(&mut self, out: &mut Buffer) {
        let Start::Waits(extras) = &self.start else {
            return;
        };
        frame(out, "message_start", |event| {
            event.object("message", |message| {
                message.text("id", &self.id);
                message.text("type", "message");
                message.text("role", "assistant");
                message.text("model", &self.model);
                message.list("content", [(); 0], |_, ()| {});
                message.null("stop_reason");
                message.null("stop_sequence");
                usage::write_member(message, self.usage.as_ref());
                message.extras(DIALECT, extras);
            });
        });
        self.start = Start::Written;
    }

    fn opaque(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        match name {
            opaque::START => self.blocks.start_opaque(raw, out),
            opaque::DELTA => self.blocks.delta_opaque(raw, out),
            opaque::STOP => self.blocks.stop_opaque(out),
            opaque::REST => self.blocks.keep_rest(rest(raw)),
            opaque::EXPLANATION => self.explains = true,
            _ => {
                self.blocks.open_begun(out);
                out.extend_from_slice(b"event: ");
                out.extend(name.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
                out.extend_from_slice(b"\ndata: ");
                output::raw(out, raw.as_str());
                out.extend_from_slice(b"\n\n");
            }
        }
    }

    fn finish(&mut self, finish: &Finish<'_>, out: &mut Buffer) {
        self.blocks.end_all(out);
        if finish.reason == FinishReason::Error {
            let error =
                ErrorReply { message: "the upstream ended its answer with an error".into(), ..ErrorReply::default() };
            return self.fail(&error, out);
        }
        self.finish = Some(finish.clone().into_owned());
    }

    fn done(&mut self, out: &mut Buffer) {
        self.ended = true;
        self.blocks.end_all(out);
        let finish = self.finish.take();
        let usage = self.usage.take();
        let (mut inside, mut beside) = (Extras::default(), Extras::default());
        for extra in finish.iter().flat_map(|finish| finish.extras.of(DIALECT)) {
            let of = if BESIDE_DELTA.contains(&extra.name.as_ref()) { &mut beside } else { &mut inside };
            of.push(extra.clone());
        }
        frame(out, "message_delta", |event| {
            event.object("delta", |delta| {
                finish::write(delta, finish.as_ref(), self.explanation.as_deref());
                delta.extras(DIALECT, &inside);
            });
            usage::write_member(event, usage.as_ref());
            event.extras(DIALECT, &beside);
        });
        frame(out, "message_stop", |_| {});
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        out.extend_from_slice(b"event: error\ndata: ");
        error::write(error, out);
        out.extend_from_slice(b"\n\n");
    }
}

fn rest(raw: &Json<'_>) -> Extras<'static> {
    let mut extras = Extras::default();
    if let Some(members) = raw.as_raw().as_deref().and_then(Object::lenient) {
        for (name, raw) in members.into_members() {
            extras.push(Extra {
                dialect: DIALECT,
                name: name.into_owned().into(),
                value: Json::from(raw).into_owned(),
            });
        }
    }
    extras
}

fn too_much() -> ErrorReply<'static> {
    ErrorReply { message: "the upstream told more at once than can be held back".into(), ..ErrorReply::default() }
}

/// Writes one event: its name, and an object of that type.
fn frame(out: &mut Buffer, name: &'static str, fill: impl FnOnce(&mut Members<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    output::object(out, |event| {
        event.text("type", name);
        fill(event);
    });
    out.extend_from_slice(b"\n\n");
}
