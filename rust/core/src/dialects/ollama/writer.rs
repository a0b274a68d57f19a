//! Writes a stream as Ollama does: a line for each piece, a line for each call once it is whole, and a last one with the
//! reason and the counts.
//!
//! Nobody is answered in this dialect yet; the writer is what the reader is held to.

use std::collections::BTreeMap;

use super::reader::{MESSAGE, MOST_CALLS};
use super::reply::{CREATED, write_finish, write_logprobs, write_usage};
use super::{DIALECT, error, time, tools};
use crate::dialects::message::{
    Content, Envelope, ErrorReply, Event, Extra, Extras, Finish, Json, MediaSource, Text, Usage,
};
use crate::dialects::object;
use crate::dialects::output::{self, Buffer, Members};

/// Longer arguments than any model writes; calls are held until they are whole.
const MOST_ARGUMENT_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub struct Writer {
    model: String,
    created_s: u64,
    seed: Option<String>,
    calls: BTreeMap<u32, Call>,
    argument_bytes: usize,
    /// Further members of the next line and of its message.
    rest: Extras<'static>,
    finish: Option<Finish<'static>>,
    usage: Option<Usage<'static>>,
    ended: bool,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            model: envelope.model.to_owned(),
            created_s: envelope.created_s,
            seed: None,
            calls: BTreeMap::new(),
            argument_bytes: 0,
            rest: Extras::default(),
            finish: None,
            usage: None,
            ended: false,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended {
            return;
        }
        match event {
            Event::MessageStart { model, created_s, .. } => {
                if !model.is_empty() {
                    model.as_ref().clone_into(&mut self.model);
                }
                self.created_s = created_s.unwrap_or(self.created_s);
            }
            Event::TextDelta { choice: 0, text, logprobs } => self.line(out, logprobs.as_ref(), |message| {
                message.text("content", text);
            }),
            Event::RefusalDelta { choice: 0, text } => {
                self.line(out, None, |message| message.text("content", text));
            }
            Event::ReasoningDelta { choice: 0, text } => self.line(out, None, |message| {
                message.text("content", "");
                message.text("thinking", text);
            }),
            Event::ToolCallStart { choice: 0, call, id, name, .. } => {
                self.held(id.len() + name.len(), out);
                let call_of = Call { id: id.to_string(), name: name.to_string(), arguments: String::new() };
                self.calls.insert(*call, call_of);
            }
            Event::Media { choice: 0, content: Content::Image { source: MediaSource::Base64 { data, .. }, .. } } => {
                self.line(out, None, |message| {
                    message.text("content", "");
                    message.list("images", [data], |out, data| output::text(out, data));
                });
            }
            Event::ToolCallDelta { choice: 0, call, arguments, .. } => {
                self.held(arguments.len(), out);
                if let Some(call) = self.calls.get_mut(call) {
                    call.arguments.push_str(arguments);
                }
            }
            Event::ToolCallEnd { choice: 0, call } => self.call(*call, out),
            Event::Finish { choice: 0, finish } => {
                while let Some(call) = self.calls.keys().next().copied() {
                    self.call(call, out);
                }
                self.finish = Some(finish.clone().into_owned());
            }
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Error(error) => self.fail(error, out),
            Event::Opaque { dialect: DIALECT, name, raw } => self.opaque(name, raw),
            Event::Done => self.done(out),
            // Other choices have no room; starts, ends, signatures and citations no words.
            _ => {}
        }
    }

    fn opaque(&mut self, name: &str, raw: &Json<'_>) {
        if name == CREATED {
            // A new line begins: what was left of the one before it is void.
            self.rest = Extras::default();
            if self.seed.is_none() {
                self.seed = raw.as_raw().and_then(object::text).map(Text::into_owned);
            }
        }
        self.rest.push(Extra { dialect: DIALECT, name: name.to_owned().into(), value: raw.clone().into_owned() });
    }

    fn call(&mut self, number: u32, out: &mut Buffer) {
        let Some(call) = self.calls.remove(&number) else {
            return;
        };
        let seed = self.seed.clone().unwrap_or_default();
        self.line(out, None, |message| {
            message.text("content", "");
            message.list("tool_calls", [call], |out, call| {
                output::object(out, |entry| {
                    tools::write_id(entry, &call.id, &seed, number);
                    entry.object("function", |function| {
                        function.whole("index", number.into());
                        function.text("name", &call.name);
                        tools::write_arguments(function, &call.arguments);
                    });
                });
            });
        });
    }

    /// Counts what calls make us hold, and ends the stream where that is too much.
    fn held(&mut self, bytes: usize, out: &mut Buffer) {
        self.argument_bytes = self.argument_bytes.saturating_add(bytes);
        if self.argument_bytes > MOST_ARGUMENT_BYTES || self.calls.len() > MOST_CALLS as usize {
            let message = "the answer holds more tool calls than a stream may have";
            self.fail(&ErrorReply { message: message.into(), ..ErrorReply::default() }, out);
        }
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        error::write(error, out);
        out.push(b'\n');
    }

    fn done(&mut self, out: &mut Buffer) {
        self.ended = true;
        let Some(finish) = self.finish.take() else {
            return;
        };
        let usage = self.usage.take();
        let rest = self.rest.clone();
        self.write(out, |line| {
            line.object(MESSAGE, |message| {
                message.text("role", "assistant");
                message.text("content", "");
                message.rest_of(MESSAGE, DIALECT, &rest);
            });
            write_finish(line, &finish);
            if let Some(usage) = &usage {
                write_usage(usage, line);
            }
        });
    }

    fn line(&mut self, out: &mut Buffer, logprobs: Option<&Json<'_>>, fill: impl FnOnce(&mut Members<'_>)) {
        let rest = self.rest.clone();
        self.write(out, |line| {
            line.object(MESSAGE, |message| {
                message.text("role", "assistant");
                fill(message);
                message.rest_of(MESSAGE, DIALECT, &rest);
            });
            line.flag("done", false);
            write_logprobs(line, logprobs);
        });
    }

    fn write(&mut self, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        let rest = std::mem::take(&mut self.rest);
        output::object(out, |line| {
            line.text("model", &self.model);
            match rest.get(DIALECT, CREATED) {
                Some(created) => line.raw(CREATED, created.as_str()),
                None => line.text(CREATED, &time::format(self.created_s)),
            }
            fill(line);
            line.extras(DIALECT, &rest);
        });
        out.push(b'\n');
    }
}
