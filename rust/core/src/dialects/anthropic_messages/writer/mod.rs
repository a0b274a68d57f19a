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

/// No explanation is longer; what is waits no more.
const MOST_REFUSAL: usize = 16 << 10;
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
    /// A refusal before which nothing was said: it waits for the finish, whose explanation it may be.
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
            Event::Error(error) => {
                if self.explanation.is_some() {
                    self.write_start(out);
                    self.tell_refusal(out);
                }
                return self.fail(error, out);
            }
            _ => {}
        }
        self.write_start(out);
        match event {
            // This dialect has one choice.
            event if event.choice().is_some_and(|choice| choice != 0) => {}
            Event::Opaque { dialect, name, raw } if *dialect == DIALECT => self.opaque(name, raw, out),
            Event::Opaque { .. } | Event::Usage(_) => {}
            Event::RefusalDelta { text, .. } if self.explains || self.blocks.are_none() => self.explain(text, out),
            Event::Finish { finish, .. } => self.finish(finish, out),
            Event::Done => self.done(out),
            event => self.content(event, out),
        }
    }

    fn content(&mut self, event: &Event<'_>, out: &mut Buffer) {
        self.tell_refusal(out);
        if self.blocks.render(event, &self.id, out).is_err() {
            self.fail(&too_much(), out);
        }
    }

    fn explain(&mut self, text: &str, out: &mut Buffer) {
        let explanation = self.explanation.get_or_insert_default();
        explanation.push_str(text);
        if explanation.len() > MOST_REFUSAL {
            self.tell_refusal(out);
        }
    }

    /// A refusal that turned out to be part of the answer is text, as this dialect has no block for it.
    fn tell_refusal(&mut self, out: &mut Buffer) {
        if let Some(text) = self.explanation.take_if(|_| !self.explains) {
            let told = self.blocks.render(&Event::RefusalDelta { choice: 0, text: text.into() }, &self.id, out);
            if told.is_err() {
                self.fail(&too_much(), out);
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
            opaque::DELTA | opaque::DELTA_OF_TEXT | opaque::DELTA_OF_THINKING | opaque::DELTA_OF_CALL => {
                self.blocks.delta_opaque(name, raw, out);
            }
            opaque::STOP => self.blocks.stop_opaque(out),
            opaque::EXPLANATION => self.explains = true,
            _ if let Some(of) = name.strip_prefix(opaque::REST) => self.blocks.keep_rest(of, rest(raw)),
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
        if !finish::explains(Some(finish)) {
            self.tell_refusal(out);
        }
        self.blocks.end_all(out);
        if finish.reason == FinishReason::Error {
            let error =
                ErrorReply { message: "the upstream ended its answer with an error".into(), ..ErrorReply::default() };
            return self.fail(&error, out);
        }
        self.finish = Some(finish.clone().into_owned());
    }

    fn done(&mut self, out: &mut Buffer) {
        if self.finish.is_none() {
            self.tell_refusal(out);
        }
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
    if let Some(members) = raw.as_raw().and_then(Object::lenient) {
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
