//! A chunk of our own dialect, put together again: the reader's frame with the pieces in its holes.

use std::collections::VecDeque;

use crate::dialects::raw::RawValue;

use super::super::{DIALECT, parts, usage};
use crate::dialects::message::{Block, Content, Event, Json, Reasoning, Text, ToolCall, Usage};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

#[derive(Debug)]
pub(super) struct Chunk {
    frame: Json<'static>,
    /// In the order in which they were told, which is that of the frame.
    pieces: VecDeque<Block<'static>>,
    usage: Option<Usage<'static>>,
}

impl Chunk {
    pub(super) fn new(frame: Json<'static>) -> Self {
        Self { frame, pieces: VecDeque::new(), usage: None }
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        let own = |text: &Text<'_>| Text::Owned(text.as_ref().to_owned());
        let content = match event {
            Event::TextDelta { text, .. } => Content::Text { text: own(text), citations: Vec::new() },
            Event::ReasoningDelta { text, .. } => {
                Content::Reasoning(Reasoning { text: own(text), ..Reasoning::default() })
            }
            Event::ToolCallStart { kind, id, name, signature, .. } => Content::ToolCall(ToolCall {
                kind: *kind,
                id: own(id),
                name: own(name),
                arguments: Text::default(),
                signature: signature.as_ref().map(own),
            }),
            Event::ReasoningSignature { signature, .. } => {
                if let Some(Content::Reasoning(reasoning)) = self.last() {
                    reasoning.signature = Some(own(signature));
                }
                return;
            }
            Event::ToolCallDelta { arguments, .. } => {
                if let Some(Content::ToolCall(call)) = self.last() {
                    call.arguments.to_mut().push_str(arguments);
                }
                return;
            }
            Event::Usage(usage) => {
                self.usage = Some(usage.clone().into_owned());
                return;
            }
            _ => return,
        };
        self.pieces.push_back(Block::new(content));
    }

    fn last(&mut self) -> Option<&mut Content<'static>> {
        self.pieces.back_mut().map(|block| &mut block.content)
    }

    pub(super) fn write(mut self, id: &str, model: &str, out: &mut Buffer) {
        let frame = self.frame.clone();
        let raw = frame.as_raw();
        members(raw, out, |name, raw, out| match name {
            "candidates" => list(raw, out, |raw, out| self.candidate(raw, out)),
            _ if raw.get() != "[]" => output::raw(out, raw.get()),
            "responseId" => output::text(out, id),
            "modelVersion" => output::text(out, model),
            "usageMetadata" => output::object(out, |members| {
                if let Some(usage) = &self.usage {
                    usage::write(usage, members);
                }
            }),
            _ => output::raw(out, raw.get()),
        });
    }

    fn candidate(&mut self, raw: &RawValue, out: &mut Buffer) {
        members(Some(raw), out, |name, raw, out| match name {
            "content" => members(Some(raw), out, |name, raw, out| match name {
                "parts" => self.parts(raw, out),
                _ => output::raw(out, raw.get()),
            }),
            _ => output::raw(out, raw.get()),
        });
    }

    fn parts(&mut self, raw: &RawValue, out: &mut Buffer) {
        let items = object::list(raw).unwrap_or_default();
        let mut written = Vec::new();
        for item in items {
            let mut part = Buffer::new();
            match object::list(item).as_deref() {
                None => output::raw(&mut part, item.get()),
                Some([]) => {
                    self.pieces.pop_front();
                    continue;
                }
                Some([rest, ..]) => {
                    let Some(mut block) = self.pieces.pop_front() else { continue };
                    if let Some(rest) = Object::lenient(rest) {
                        block.extras = rest.into_extras(DIALECT);
                    }
                    parts::write(&mut part, &block, None);
                }
            }
            written.push(part);
        }
        output::list(out, written, |out, part| out.extend_from_slice(&part));
    }
}

/// Writes an object anew, member by member; what is no object as it is.
fn members(raw: Option<&RawValue>, out: &mut Buffer, mut write: impl FnMut(&str, &RawValue, &mut Buffer)) {
    let Some(object) = raw.and_then(Object::lenient) else {
        return output::raw(out, raw.map_or("null", RawValue::get));
    };
    out.push(b'{');
    for (at, (name, raw)) in object.into_members().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        output::text(out, &name);
        out.push(b':');
        write(&name, raw, out);
    }
    out.push(b'}');
}

fn list(raw: &RawValue, out: &mut Buffer, write: impl FnMut(&RawValue, &mut Buffer)) {
    let mut write = write;
    match object::list(raw) {
        Some(items) => output::list(out, items, |out, item| write(item, out)),
        None => output::raw(out, raw.get()),
    }
}
