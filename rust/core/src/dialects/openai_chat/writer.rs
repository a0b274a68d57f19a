//! Writes a stream as OpenAI's own SDKs expect it: one role, calls started before they are filled, one finish per choice.

use super::tools::write_signature;
use super::turn::{is_link, write_citation, write_reasoning_detail};
use super::{DIALECT, USAGE};
use crate::dialects::chatlike::chunks::Chunks;
use crate::dialects::chatlike::finish;
use crate::dialects::message::{CallKind, Envelope, Event, Extras, Finish, Json, Reasoning, Text};
use crate::dialects::output::{self, Buffer, Members};

#[derive(Debug)]
pub struct Writer {
    chunks: Chunks,
    greeted: Vec<u32>,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self { chunks: Chunks::new(DIALECT, "chat.completion.chunk", USAGE, envelope), greeted: Vec::new() }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.chunks.ended() {
            return;
        }
        match event {
            Event::MessageStart { id, model, created_s, extras } => {
                self.chunks.start(id, model, *created_s, extras);
                self.greet(0, out);
            }
            Event::TextDelta { choice, text, logprobs } => self.text(*choice, text, logprobs.as_ref(), out),
            Event::RefusalDelta { choice, text } => {
                self.delta(*choice, out, |delta| delta.text("refusal", text));
            }
            Event::ReasoningDelta { choice, text } => {
                self.delta(*choice, out, |delta| delta.text("reasoning_content", text));
            }
            Event::ReasoningSignature { choice, signature } => {
                let signature = Some(Text::Borrowed(signature.as_ref()));
                self.reasoning_detail(*choice, signature, None, out);
            }
            Event::ReasoningRedacted { choice, data } => {
                let data = Some(Text::Borrowed(data.as_ref()));
                self.reasoning_detail(*choice, None, data, out);
            }
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                self.call_start((*choice, *call, *kind), [id, name], signature.as_deref(), out);
            }
            Event::ToolCallDelta { choice, call, kind, arguments } => {
                self.call_delta(*choice, *call, *kind, arguments, out);
            }
            Event::Citation { citation, .. } if !is_link(citation) => {}
            Event::Citation { choice, citation } => self.delta(*choice, out, |delta| {
                delta.list("annotations", [citation], |out, citation| {
                    write_citation(out, 0, citation);
                });
            }),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Usage(usage) => self.chunks.usage(usage),
            Event::Error(error) => self.chunks.fail(error, out),
            Event::Done => self.chunks.done(out),
            Event::TextStart { .. }
            | Event::TextEnd { .. }
            | Event::ReasoningStart { .. }
            | Event::ReasoningEnd { .. }
            | Event::ToolCallEnd { .. }
            | Event::Opaque { .. } => {}
        }
    }

    /// The role goes out once per choice, before anything else of it: some clients append every role they see.
    fn greet(&mut self, choice: u32, out: &mut Buffer) {
        if self.greeted.contains(&choice) {
            return;
        }
        self.greeted.push(choice);
        self.chunks.choice(choice, out, |members| {
            members.object("delta", |delta| {
                delta.text("role", "assistant");
                delta.text("content", "");
                delta.null("refusal");
            });
            members.null("logprobs");
            members.null("finish_reason");
        });
    }

    fn delta(&mut self, choice: u32, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        self.greet(choice, out);
        self.chunks.choice(choice, out, |members| {
            members.object("delta", fill);
            members.null("logprobs");
            members.null("finish_reason");
        });
    }

    fn text(&mut self, choice: u32, text: &str, logprobs: Option<&Json<'_>>, out: &mut Buffer) {
        self.greet(choice, out);
        self.chunks.choice(choice, out, |members| {
            members.object("delta", |delta| delta.text("content", text));
            match logprobs {
                Some(logprobs) => members.raw("logprobs", logprobs.as_str()),
                None => members.null("logprobs"),
            }
            members.null("finish_reason");
        });
    }

    /// Signatures and hidden reasoning have no slot in this dialect; OpenRouter's `reasoning_details` is the one that
    /// clients already read and send back.
    fn reasoning_detail(
        &mut self,
        choice: u32,
        signature: Option<Text<'_>>,
        redacted: Option<Text<'_>>,
        out: &mut Buffer,
    ) {
        let reasoning = Reasoning { signature, redacted, ..Reasoning::default() };
        self.delta(choice, out, |delta| {
            delta.list("reasoning_details", [&reasoning], |out, reasoning| {
                write_reasoning_detail(out, reasoning, &Extras::default());
            });
        });
    }

    fn call_start(
        &mut self,
        (choice, call, kind): (u32, u32, CallKind),
        [id, name]: [&str; 2],
        signature: Option<&str>,
        out: &mut Buffer,
    ) {
        let (form, input) = form_of(kind);
        let function = |function: &mut Members<'_>| {
            function.text("name", name);
            function.text(input, "");
        };
        self.delta(choice, out, |delta| {
            if kind == CallKind::LegacyFunction {
                return delta.object("function_call", function);
            }
            delta.list("tool_calls", [call], |out, call| {
                output::object(out, |entry| {
                    entry.whole("index", call.into());
                    entry.text("id", id);
                    entry.text("type", form);
                    entry.object(form, function);
                    write_signature(entry, signature);
                });
            });
        });
    }

    fn call_delta(&mut self, choice: u32, call: u32, kind: CallKind, arguments: &str, out: &mut Buffer) {
        let (form, input) = form_of(kind);
        self.delta(choice, out, |delta| {
            if kind == CallKind::LegacyFunction {
                return delta.object("function_call", |function| function.text(input, arguments));
            }
            delta.list("tool_calls", [call], |out, call| {
                output::object(out, |entry| {
                    entry.whole("index", call.into());
                    entry.object(form, |function| function.text(input, arguments));
                });
            });
        });
    }

    fn finish(&mut self, choice: u32, finish: &Finish<'_>, out: &mut Buffer) {
        self.greet(choice, out);
        self.chunks.choice(choice, out, |members| {
            members.object("delta", |_| {});
            members.null("logprobs");
            finish::write(members, finish);
        });
    }
}

/// The member a call is under, and the one its arguments are under.
fn form_of(kind: CallKind) -> (&'static str, &'static str) {
    match kind {
        CallKind::Custom => ("custom", "input"),
        CallKind::Function | CallKind::LegacyFunction => ("function", "arguments"),
    }
}
