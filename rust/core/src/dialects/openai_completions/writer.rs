//! Writes a stream: the pieces of each text, an end for each choice, usage for those who asked, `[DONE]`.
//!
//! The surprise: a call of a tool ends the stream with an error, because a text without it would pass for the answer.

use super::reply::{or, write_finish, write_logprobs};
use super::{DIALECT, USAGE, logprobs};
use crate::dialects::message::{Envelope, ErrorReply, Event, Extras, Finish, Json, Usage};
use crate::dialects::openai_error;
use crate::dialects::output::{self, Buffer, Members};

#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    created_s: u64,
    include_usage: bool,
    /// What every chunk begins with: written once, copied afterwards.
    head: Buffer,
    /// The characters of each choice whose log probabilities were told.
    seen: Vec<(u32, u64)>,
    usage: Option<Usage<'static>>,
    ended: bool,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            model: envelope.model.to_owned(),
            created_s: envelope.created_s,
            include_usage: envelope.include_usage,
            head: Buffer::new(),
            seen: Vec::new(),
            usage: None,
            ended: false,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended {
            return;
        }
        match event {
            Event::MessageStart { id, model, created_s, extras } => {
                self.id = or(id, &self.id).to_owned();
                self.model = or(model, &self.model).to_owned();
                self.created_s = created_s.unwrap_or(self.created_s);
                self.write_head(extras);
            }
            Event::TextDelta { choice, text, logprobs } => {
                let logprobs = logprobs.as_ref().and_then(|told| self.logprobs(*choice, told));
                self.choice(*choice, text, logprobs.as_ref(), None, out);
            }
            Event::RefusalDelta { choice, text } => self.choice(*choice, text, None, None, out),
            Event::ToolCallStart { .. } => self.fail(
                &ErrorReply {
                    message: "the answer calls a tool, which a completion cannot".into(),
                    ..ErrorReply::default()
                },
                out,
            ),
            Event::Finish { choice, finish } => self.choice(*choice, "", None, Some(finish), out),
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Error(error) => self.fail(error, out),
            Event::Done => self.done(out),
            _ => {}
        }
    }

    fn write_head(&mut self, extras: &Extras<'_>) {
        let mut head = Buffer::with_capacity(192);
        output::object(&mut head, |chunk| {
            chunk.text("id", &self.id);
            chunk.text("object", "text_completion");
            chunk.whole("created", self.created_s);
            chunk.text("model", &self.model);
            chunk.extras(DIALECT, extras);
        });
        // Left open, for the members that differ from chunk to chunk.
        head.pop();
        self.head = head;
    }

    fn logprobs(&mut self, choice: u32, told: &Json<'_>) -> Option<Json<'static>> {
        let known = self.seen.iter().position(|(index, _)| *index == choice);
        let at = known.unwrap_or(self.seen.len());
        if known.is_none() {
            self.seen.push((choice, 0));
        }
        let (_, seen) = self.seen.get_mut(at)?;
        logprobs::render(told, seen)
    }

    fn choice(
        &mut self,
        index: u32,
        text: &str,
        logprobs: Option<&Json<'_>>,
        finish: Option<&Finish<'_>>,
        out: &mut Buffer,
    ) {
        let include_usage = self.include_usage;
        self.chunk(out, |chunk| {
            chunk.list("choices", [()], |out, ()| {
                output::object(out, |members| {
                    members.whole("index", index.into());
                    members.text("text", text);
                    write_logprobs(members, logprobs);
                    match finish {
                        Some(finish) => write_finish(members, finish),
                        None => members.null("finish_reason"),
                    }
                });
            });
            if include_usage {
                chunk.null("usage");
            }
        });
    }

    fn chunk(&mut self, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        if self.head.is_empty() {
            self.write_head(&Extras::default());
        }
        frame(out, |out| output::continue_object(out, &self.head, fill));
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        frame(out, |out| openai_error::write_document(DIALECT, error, out));
    }

    fn done(&mut self, out: &mut Buffer) {
        if let Some(usage) = self.usage.take().filter(|_| self.include_usage) {
            self.chunk(out, |chunk| {
                chunk.list("choices", [(); 0], |_, ()| {});
                chunk.object("usage", |members| USAGE.write(&usage, members));
            });
        }
        self.ended = true;
        frame(out, |out| out.extend_from_slice(b"[DONE]"));
    }
}

fn frame(out: &mut Buffer, write: impl FnOnce(&mut Buffer)) {
    out.extend_from_slice(b"data: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}
