//! The chunks in which OpenAI streams a chat or a completion: one head for all of them, usage for those who asked, `[DONE]`
//! at the end of what ended well.
//!
//! The surprise: an error ends the stream without `[DONE]`, because clients take that for success.

use super::or;
use super::usage::Counts;
use crate::dialects::message::{Envelope, ErrorReply, Extras, Text, Usage};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{Dialect, openai_error};

#[derive(Debug)]
pub(crate) struct Chunks {
    dialect: Dialect,
    /// What a chunk says that it is.
    object: &'static str,
    counts: Counts,
    id: String,
    model: String,
    created_s: u64,
    include_usage: bool,
    /// What every chunk begins with: written once, copied afterwards.
    head: Buffer,
    usage: Option<Usage<'static>>,
    ended: bool,
}

impl Chunks {
    pub(crate) fn new(dialect: Dialect, object: &'static str, counts: Counts, envelope: &Envelope<'_>) -> Self {
        Self {
            dialect,
            object,
            counts,
            id: envelope.id.to_owned(),
            model: envelope.model.to_owned(),
            created_s: envelope.created_s,
            include_usage: envelope.include_usage,
            head: Buffer::new(),
            usage: None,
            ended: false,
        }
    }

    /// Nothing follows an error or the end.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn start(&mut self, id: &Text<'_>, model: &Text<'_>, created_s: Option<u64>, extras: &Extras<'_>) {
        self.id = or(id, &self.id).to_owned();
        self.model = or(model, &self.model).to_owned();
        self.created_s = created_s.unwrap_or(self.created_s);
        self.write_head(extras);
    }

    fn write_head(&mut self, extras: &Extras<'_>) {
        let mut head = Buffer::with_capacity(192);
        output::object(&mut head, |chunk| {
            chunk.text("id", &self.id);
            chunk.text("object", self.object);
            chunk.whole("created", self.created_s);
            chunk.text("model", &self.model);
            chunk.extras(self.dialect, extras);
        });
        // Left open, for the members that differ from chunk to chunk.
        head.pop();
        self.head = head;
    }

    /// Kept for the end; the last count is the truth.
    pub(crate) fn usage(&mut self, usage: &Usage<'_>) {
        self.usage = Some(usage.clone().into_owned());
    }

    /// A chunk of one choice.
    pub(crate) fn choice(&mut self, index: u32, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        let include_usage = self.include_usage;
        self.chunk(out, |chunk| {
            let choices = chunk.key("choices");
            choices.push(b'[');
            output::object(choices, |members| {
                members.whole("index", index.into());
                fill(members);
            });
            choices.push(b']');
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

    pub(crate) fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        frame(out, |out| openai_error::write_document(self.dialect, error, out));
    }

    pub(crate) fn done(&mut self, out: &mut Buffer) {
        if let Some(usage) = self.usage.take().filter(|_| self.include_usage) {
            let counts = self.counts;
            self.chunk(out, |chunk| {
                chunk.list("choices", [(); 0], |_, ()| {});
                chunk.object("usage", |members| counts.write(&usage, members));
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
