//! Writes a stream as OpenAI's own SDKs expect it: one role, calls started before they are filled, one finish per choice.
//!
//! The surprise: their accumulators take the entries of a list for pieces of one, unless each has a number.

mod told;

use super::pictures;
use super::reader::LOGPROBS;
use super::thoughts::write_detail;
use super::tools::write_signature;
use super::turn::{is_link, write_citation};
use super::{DIALECT, USAGE};
use crate::dialects::chatlike::chunks::Chunks;
use crate::dialects::chatlike::finish;
use crate::dialects::message::{CallKind, Citation, Content, Envelope, Event, Extras, Finish, Json, Reasoning, Text};
use crate::dialects::output::{self, Buffer, Members};
use told::Told;

#[derive(Debug)]
pub struct Writer {
    chunks: Chunks,
    told: Told,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self { chunks: Chunks::new(DIALECT, "chat.completion.chunk", USAGE, envelope), told: Told::default() }
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
            Event::TextStart { choice } => self.told.of(*choice).begin_text(),
            Event::TextDelta { choice, text, logprobs } => self.text(*choice, text, logprobs.as_ref(), out),
            Event::RefusalDelta { choice, text } => {
                self.delta(*choice, out, |delta| delta.text("refusal", text));
            }
            Event::ReasoningStart { choice } => self.told.begin_thought(*choice),
            Event::ReasoningDelta { choice, text } => {
                self.told.think(*choice, text);
                self.delta(*choice, out, |delta| delta.text("reasoning_content", text));
            }
            Event::ReasoningSignature { choice, signature } => {
                let signature = Some(Text::Borrowed(signature.as_ref()));
                // The proof of a text is worth nothing without it, and clients keep the details as they come.
                let text = self.told.take_thought(*choice).into();
                self.detail(*choice, &Reasoning { text, signature, ..Reasoning::default() }, out);
            }
            Event::ReasoningRedacted { choice, data } => {
                let redacted = Some(Text::Borrowed(data.as_ref()));
                self.detail(*choice, &Reasoning { redacted, ..Reasoning::default() }, out);
            }
            Event::Media { choice, content } => self.picture(*choice, content, out),
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                self.call_start((*choice, *call, *kind), [id, name], signature.as_deref(), out);
            }
            Event::ToolCallDelta { choice, call, kind, arguments } => {
                self.call_delta(*choice, *call, *kind, arguments, out);
            }
            Event::Citation { citation, .. } if !is_link(citation) => {}
            Event::Citation { choice, citation } => {
                if let Some(citation) = self.told.hold(*choice, citation) {
                    self.citation(*choice, &citation, out);
                }
            }
            Event::TextEnd { choice } => self.text_end(*choice, out),
            Event::Finish { choice, finish } => {
                self.text_end(*choice, out);
                self.finish(*choice, finish, out);
            }
            Event::Opaque { dialect: DIALECT, name, raw } if name == LOGPROBS => self.text(0, "", Some(raw), out),
            Event::Usage(usage) => self.chunks.usage(usage),
            Event::Error(error) => self.chunks.fail(error, out),
            Event::Done => self.chunks.done(out),
            Event::ReasoningEnd { .. } | Event::ToolCallEnd { .. } | Event::Opaque { .. } => {}
        }
    }

    /// The role goes out once per choice, before anything else of it: some clients append every role they see.
    fn greet(&mut self, choice: u32, out: &mut Buffer) {
        if std::mem::replace(&mut self.told.of(choice).greeted, true) {
            return;
        }
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
        self.told.of(choice).text += text.chars().count() as u64;
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
    fn detail(&mut self, choice: u32, reasoning: &Reasoning<'_>, out: &mut Buffer) {
        let number = next(&mut self.told.of(choice).details);
        self.delta(choice, out, |delta| {
            delta.list("reasoning_details", [reasoning], |out, reasoning| {
                write_detail(out, reasoning, Some(number), &Extras::default());
            });
        });
    }

    fn picture(&mut self, choice: u32, content: &Content<'_>, out: &mut Buffer) {
        if !matches!(content, Content::Image { .. }) {
            return;
        }
        let number = next(&mut self.told.of(choice).pictures);
        self.delta(choice, out, |delta| {
            delta.list(pictures::FIELD, [content], |out, content| {
                pictures::write_one(out, content, Some(number), &Extras::default());
            });
        });
    }

    /// Only now it is known where the text is that the citations are of.
    fn text_end(&mut self, choice: u32, out: &mut Buffer) {
        for citation in self.told.release(choice) {
            self.citation(choice, &citation, out);
        }
    }

    fn citation(&mut self, choice: u32, citation: &Citation<'_>, out: &mut Buffer) {
        let told = self.told.of(choice);
        let (span, number) = (told.span(), next(&mut told.citations));
        self.delta(choice, out, |delta| {
            delta.list("annotations", [citation], |out, citation| {
                write_citation(out, span, Some(number), citation);
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

fn next(number: &mut u64) -> u64 {
    let this = *number;
    *number = this.saturating_add(1);
    this
}

/// The member a call is under, and the one its arguments are under.
fn form_of(kind: CallKind) -> (&'static str, &'static str) {
    match kind {
        CallKind::Custom => ("custom", "input"),
        CallKind::Function | CallKind::LegacyFunction => ("function", "arguments"),
    }
}
