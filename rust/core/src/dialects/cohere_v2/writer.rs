//! Writes a stream as Cohere's SDKs expect it: contents numbered in order of appearance, one call at a time, one
//! `message-end` with reason and usage, `[DONE]` at the end of what ended well.
//!
//! The surprises: there is one choice, so others are left out; calls that come beside each other go out one behind the
//! other, so the later ones wait; and an error is a `message-end` that says so.

use std::collections::VecDeque;

use super::reader::{PLAN, REST};
use super::{DIALECT, citations, reply, usage};
use crate::dialects::message::{Envelope, ErrorReply, Event, Extra, Extras, Finish, Json, Usage};
use crate::dialects::output::{self, Buffer, Members};

/// Bytes of calls that may wait for the one before them to end.
const MOST_HELD: usize = 8 << 20;

#[derive(Debug)]
pub struct Writer {
    id: String,
    started: bool,
    ended: bool,
    open: Option<Content>,
    contents: u64,
    citations: u64,
    /// The calls that have not ended, in order. Only the first is on its way out.
    calls: VecDeque<Call>,
    /// Bytes of the others.
    held: usize,
    /// The next reasoning is a plan.
    plan: bool,
    /// Further members of the next frame, under their name.
    rest: Extras<'static>,
    finish: Option<Finish<'static>>,
    usage: Option<Usage<'static>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Text,
    Thinking,
    /// Has no start, no end and no number.
    Plan,
}

#[derive(Debug)]
struct Call {
    number: u32,
    id: String,
    name: String,
    /// What waits with it.
    arguments: String,
    /// Arguments have gone out.
    told: bool,
    ended: bool,
}

impl Call {
    fn held(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.name.len() + self.arguments.len()
    }
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            started: false,
            ended: false,
            open: None,
            contents: 0,
            citations: 0,
            calls: VecDeque::new(),
            held: 0,
            plan: false,
            rest: Extras::default(),
            finish: None,
            usage: None,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended || event.choice().is_some_and(|choice| choice != 0) {
            return;
        }
        match event {
            Event::MessageStart { id, extras, .. } => {
                if !id.is_empty() {
                    id.as_ref().clone_into(&mut self.id);
                }
                self.start(extras, out);
            }
            Event::TextStart { .. } => self.open(Content::Text, out),
            Event::ReasoningStart { .. } => {
                let content = if std::mem::take(&mut self.plan) { Content::Plan } else { Content::Thinking };
                self.open(content, out);
            }
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } => self.delta(Content::Text, text, out),
            Event::ReasoningDelta { text, .. } => {
                let content = self.open.filter(|open| *open == Content::Plan).unwrap_or(Content::Thinking);
                self.delta(content, text, out);
            }
            Event::TextEnd { .. } | Event::ReasoningEnd { .. } => self.close(out),
            Event::ToolCallStart { call, id, name, .. } => self.call_start(*call, id, name, out),
            Event::ToolCallDelta { call, arguments, .. } => self.call_delta(*call, arguments, out),
            Event::ToolCallEnd { call, .. } => self.call_end(Some(*call), out),
            Event::Citation { citation, .. } if !citations::is_said(citation) => {}
            Event::Citation { citation, .. } => {
                let index = self.citations;
                self.citations += 1;
                self.message_frame("citation-start", Some(index), out, |message| {
                    citations::write(message.key("citations"), citation, None, None);
                });
                self.frame("citation-end", Some(index), out, |_| {});
            }
            Event::Finish { finish, .. } => {
                self.close(out);
                self.call_end(None, out);
                self.finish = Some(finish.clone().into_owned());
            }
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Error(error) => self.fail(error, out),
            Event::Opaque { dialect: DIALECT, name, raw } => self.opaque(name, raw, out),
            Event::Done => self.done(out),
            Event::Media { .. }
            | Event::ReasoningSignature { .. }
            | Event::ReasoningRedacted { .. }
            | Event::Opaque { .. } => {}
        }
    }

    fn start(&mut self, extras: &Extras<'_>, out: &mut Buffer) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        sse(out, "message-start", |out| {
            output::object(out, |event| {
                event.text("id", &self.id);
                event.text("type", "message-start");
                event.object("delta", |delta| {
                    delta.object("message", |message| {
                        message.text("role", "assistant");
                        message.raw("content", "[]");
                        message.text("tool_plan", "");
                        message.raw("tool_calls", "[]");
                        message.raw("citations", "[]");
                    });
                });
                event.extras(DIALECT, extras);
            });
        });
    }

    fn open(&mut self, content: Content, out: &mut Buffer) {
        self.close(out);
        self.open = Some(content);
        let name = match content {
            Content::Text => "text",
            Content::Thinking => "thinking",
            Content::Plan => return,
        };
        self.message_frame("content-start", Some(self.contents), out, |message| {
            message.object("content", |content| {
                content.text("type", name);
                content.text(name, "");
            });
        });
    }

    fn delta(&mut self, content: Content, text: &str, out: &mut Buffer) {
        if self.open != Some(content) {
            self.open(content, out);
        }
        let name = match content {
            Content::Text => "text",
            Content::Thinking => "thinking",
            Content::Plan => {
                return self.message_frame("tool-plan-delta", None, out, |message| message.text("tool_plan", text));
            }
        };
        self.message_frame("content-delta", Some(self.contents), out, |message| {
            message.object("content", |content| content.text(name, text));
        });
    }

    fn close(&mut self, out: &mut Buffer) {
        if let Some(Content::Text | Content::Thinking) = self.open.take() {
            self.frame("content-end", Some(self.contents), out, |_| {});
            self.contents += 1;
        }
    }

    fn call_start(&mut self, number: u32, id: &str, name: &str, out: &mut Buffer) {
        self.close(out);
        let (id, name) = (id.to_owned(), name.to_owned());
        let call = Call { number, id, name, arguments: String::new(), told: false, ended: false };
        if self.calls.is_empty() {
            self.write_call(&call, out);
        } else {
            self.held += call.held();
        }
        self.calls.push_back(call);
    }

    fn call_delta(&mut self, number: u32, arguments: &str, out: &mut Buffer) {
        if let Some(call) = self.calls.front_mut().filter(|call| call.number == number) {
            let begins = !std::mem::replace(&mut call.told, true);
            return self.write_arguments(number, begins, arguments, out);
        }
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number) else {
            return;
        };
        call.arguments.push_str(arguments);
        self.held += arguments.len();
        if self.held > MOST_HELD {
            let message = "the upstream told more calls at once than can be held back".into();
            self.fail(&ErrorReply { message, ..ErrorReply::default() }, out);
        }
    }

    /// Ends one call, or all of them, and lets out what waited for it.
    fn call_end(&mut self, number: Option<u32>, out: &mut Buffer) {
        for call in self.calls.iter_mut().filter(|call| number.is_none_or(|number| call.number == number)) {
            call.ended = true;
        }
        while let Some(ended) = self.calls.front().filter(|call| call.ended).map(|call| call.number) {
            self.calls.pop_front();
            self.frame("tool-call-end", Some(ended.into()), out, |_| {});
            let Some(mut next) = self.calls.pop_front() else {
                break;
            };
            self.held = self.held.saturating_sub(next.held());
            self.write_call(&next, out);
            let arguments = std::mem::take(&mut next.arguments);
            if !arguments.is_empty() {
                next.told = true;
                self.write_arguments(next.number, true, &arguments, out);
            }
            self.calls.push_front(next);
        }
    }

    fn write_call(&mut self, call: &Call, out: &mut Buffer) {
        self.message_frame("tool-call-start", Some(call.number.into()), out, |message| {
            message.object("tool_calls", |entry| {
                entry.text("id", &call.id);
                entry.text("type", "function");
                entry.object("function", |function| {
                    function.text("name", &call.name);
                    function.text("arguments", "");
                });
            });
        });
    }

    fn write_arguments(&mut self, number: u32, begins: bool, arguments: &str, out: &mut Buffer) {
        // Some servers write null for no arguments; here they are an object.
        let arguments = if begins && arguments.trim() == "null" { "{}" } else { arguments };
        self.message_frame("tool-call-delta", Some(number.into()), out, |message| {
            message.object("tool_calls", |entry| {
                entry.object("function", |function| function.text("arguments", arguments));
            });
        });
    }

    fn opaque(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        match name {
            PLAN => self.plan = true,
            REST => {
                self.rest = Extras::default();
                self.rest.push(Extra { dialect: DIALECT, name: REST.into(), value: raw.clone().into_owned() });
            }
            _ => sse(out, name, |out| output::raw(out, raw.as_str())),
        }
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        let usage = self.usage.take();
        let reason = error.code.as_deref().filter(|code| *code == "TIMEOUT").unwrap_or("ERROR");
        self.frame("message-end", None, out, |event| {
            event.object("delta", |delta| {
                delta.text("error", &error.message);
                delta.text("finish_reason", reason);
                if let Some(usage) = &usage {
                    delta.object("usage", |members| usage::write(usage, members));
                }
            });
        });
        self.ended = true;
    }

    fn done(&mut self, out: &mut Buffer) {
        // Without a reason there is no end to tell: clients would take it for a whole answer.
        if let Some(finish) = self.finish.take() {
            let usage = self.usage.take();
            self.frame("message-end", None, out, |event| {
                event.object("delta", |delta| {
                    reply::write_finish(delta, &finish);
                    if let Some(usage) = &usage {
                        delta.object("usage", |members| usage::write(usage, members));
                    }
                });
            });
        }
        self.ended = true;
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn message_frame(
        &mut self,
        kind: &'static str,
        index: Option<u64>,
        out: &mut Buffer,
        fill: impl FnOnce(&mut Members<'_>),
    ) {
        self.frame(kind, index, out, |event| event.object("delta", |delta| delta.object("message", fill)));
    }

    fn frame(&mut self, kind: &'static str, index: Option<u64>, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        self.start(&Extras::default(), out);
        let rest = std::mem::take(&mut self.rest);
        sse(out, kind, |out| {
            output::object(out, |event| {
                event.text("type", kind);
                event.whole_if("index", index);
                fill(event);
                event.rest_of(REST, DIALECT, &rest);
            });
        });
    }
}

/// An event's name is a line of its own; a name that is none would break the frame.
fn sse(out: &mut Buffer, name: &str, write: impl FnOnce(&mut Buffer)) {
    if !name.is_empty() && !name.contains(['\n', '\r']) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}
