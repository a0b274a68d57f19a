//! Writes a stream as Google's SDKs read it: every chunk a whole response, calls whole, and usage beside the finish.
//!
//! There is no event for the end and none for an error: a stream ends with its body, and breaks off with a bare JSON
//! object, as Google's own does; its SDKs raise on that and on nothing else. The surprise: what a reader of this dialect
//! tells comes in chunks of its own, and these are written as they were.

mod own;

use super::reply::{write_index, write_names};
use super::{DIALECT, citations, error, finish, logprobs, parts, usage};
use crate::dialects::chatlike::or;
use crate::dialects::message::{
    Block, CallKind, Citation, Content, Envelope, ErrorReply, Event, Extras, Finish, FinishReason, Json, Reasoning,
    Text, ToolCall, Usage,
};
use crate::dialects::output::{self, Buffer, Members};
use own::Chunk;

/// Bytes of arguments and of what waits for the end: as much as a reply may be, and no more.
const MOST_HELD: usize = 32 << 20;
/// What a citation or a call costs beside its text.
const BLOCK: usize = size_of::<Block<'_>>();

#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    /// A chunk of our own dialect of which the pieces are still coming.
    chunk: Option<Chunk>,
    /// There have been such chunks: what they say of finish and usage is said in them.
    own: bool,
    calls: Vec<(u32, u32, ToolCall<'static>)>,
    citations: Vec<(u32, Citation<'static>)>,
    finishes: Vec<(u32, Finish<'static>)>,
    usage: Option<Usage<'static>>,
    held: usize,
    ended: bool,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            model: envelope.model.to_owned(),
            chunk: None,
            own: false,
            calls: Vec::new(),
            citations: Vec::new(),
            finishes: Vec::new(),
            usage: None,
            held: 0,
            ended: false,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended {
            return;
        }
        match event {
            Event::MessageStart { id, model, .. } => {
                self.id = or(id, &self.id).to_owned();
                self.model = or(model, &self.model).to_owned();
            }
            Event::Opaque { dialect: DIALECT, name, raw } => self.opaque(name, raw, out),
            Event::Error(error) => self.fail(error, out),
            Event::Done => self.done(out),
            event => {
                self.held += weight(event);
                if self.held > MOST_HELD {
                    let message = Text::Borrowed("the answer holds more than can be kept until its parts are complete");
                    return self.fail(&ErrorReply { message, status: Some(502), ..ErrorReply::default() }, out);
                }
                match &mut self.chunk {
                    Some(chunk) => chunk.add(event),
                    // Chunks of our own have said it, as often as the upstream did.
                    None if self.own => {}
                    None => self.piece(event, out),
                }
            }
        }
    }

    fn opaque(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        match name {
            super::reader::CHUNK => {
                self.own = true;
                self.chunk = Some(Chunk::new(raw.clone().into_owned()));
            }
            super::reader::CHUNK_END => {
                if let Some(chunk) = self.chunk.take() {
                    frame(out, |out| chunk.write(&self.id, &self.model, out));
                }
                self.held = 0;
            }
            _ => {}
        }
    }

    fn piece(&mut self, event: &Event<'_>, out: &mut Buffer) {
        match event {
            Event::TextDelta { choice, text, logprobs } => {
                self.part(*choice, &Block::text(text.as_ref()), logprobs.as_ref(), out);
            }
            Event::RefusalDelta { choice, text } => self.part(*choice, &Block::text(text.as_ref()), None, out),
            Event::Media { choice, content } => {
                if let Some(content) = content.owned_media() {
                    self.part(*choice, &Block::new(content), None, out);
                }
            }
            Event::ReasoningDelta { choice, text } => self.thought(*choice, text, None, out),
            Event::ReasoningSignature { choice, signature } => self.thought(*choice, "", Some(signature), out),
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                let own = |text: &Text<'_>| Text::Owned(text.as_ref().to_owned());
                let arguments = Text::default();
                let signature = signature.as_ref().map(own);
                let tool = ToolCall { kind: *kind, id: own(id), name: own(name), arguments, signature };
                self.calls.push((*choice, *call, tool));
            }
            Event::ToolCallDelta { choice, call, arguments, .. } => {
                if let Some((_, _, tool)) = self.calls.iter_mut().find(|(at, of, _)| (at, of) == (choice, call)) {
                    tool.arguments.to_mut().push_str(arguments);
                }
            }
            Event::ToolCallEnd { choice, call } => self.call(*choice, *call, out),
            Event::Citation { choice, citation } if citation.is_shown() => {
                self.citations.push((*choice, citation.clone().into_owned()));
            }
            Event::Finish { choice, finish } => {
                // The last counts, of a server that goes on behind one.
                self.finishes.retain(|(finished, _)| finished != choice);
                self.finishes.push((*choice, finish.clone().into_owned()));
            }
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            _ => {}
        }
    }

    fn thought(&mut self, choice: u32, text: &str, signature: Option<&str>, out: &mut Buffer) {
        let signature = signature.map(Text::Borrowed);
        let reasoning = Reasoning { text: text.into(), signature, ..Reasoning::default() };
        self.part(choice, &Block::new(Content::Reasoning(reasoning)), None, out);
    }

    /// Writes a call that is complete: Gemini knows no others.
    fn call(&mut self, choice: u32, call: u32, out: &mut Buffer) {
        let Some(at) = self.calls.iter().position(|(of, number, _)| (*of, *number) == (choice, call)) else {
            return;
        };
        let (_, _, mut tool) = self.calls.remove(at);
        self.held = self.held.saturating_sub(BLOCK + tool.arguments.len());
        if tool.kind == CallKind::LegacyFunction {
            tool.id = Text::default();
        }
        self.part(choice, &Block::new(Content::ToolCall(tool)), None, out);
    }

    fn part(&self, choice: u32, block: &Block<'_>, logprobs: Option<&Json<'_>>, out: &mut Buffer) {
        self.write(out, |chunk| {
            chunk.list("candidates", [block], |out, block| {
                output::object(out, |candidate| {
                    write_content(candidate, block);
                    write_index(candidate, choice);
                    logprobs::write(candidate, logprobs, &Extras::default());
                });
            });
        });
    }

    fn write(&self, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        frame(out, |out| {
            output::object(out, |chunk| {
                fill(chunk);
                write_names(chunk, &self.model, &self.id);
            });
        });
    }

    /// The last chunk: how each choice finished, what it leaned on, and what it cost.
    fn done(&mut self, out: &mut Buffer) {
        self.ended = true;
        // In order, so that an index of zero that is left out is that of the first.
        self.finishes.sort_by_key(|(choice, _)| *choice);
        let (finishes, usage) = (&self.finishes, self.usage.as_ref());
        if finishes.is_empty() && usage.is_none() {
            return;
        }
        self.write(out, |chunk| {
            if !finishes.is_empty() {
                chunk.list("candidates", finishes, |out, (choice, finish)| {
                    let of_choice = self.citations.iter().filter(|(at, _)| at == choice);
                    let cited: Vec<_> = of_choice.map(|(_, citation)| (citation, None)).collect();
                    output::object(out, |candidate| {
                        write_content(candidate, &Block::text(""));
                        if finish.reason != FinishReason::Error {
                            finish::write(candidate, finish);
                        }
                        write_index(candidate, *choice);
                        citations::write(candidate, &cited);
                    });
                });
            }
            if let Some(usage) = usage {
                chunk.object("usageMetadata", |members| usage::write(usage, members));
            }
        });
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        error::write_document(error, out);
        out.extend_from_slice(b"\n\n");
    }
}

fn write_content(candidate: &mut Members<'_>, block: &Block<'_>) {
    candidate.object("content", |content| {
        content.list("parts", [block].into_iter().filter(|block| parts::is_part(block)), |out, block| {
            parts::write(out, block, None);
        });
        content.text("role", "model");
    });
}

/// What an event adds to the memory held until a chunk, a call or the stream is complete.
fn weight(event: &Event<'_>) -> usize {
    match event {
        Event::ToolCallStart { .. } | Event::Citation { .. } | Event::Finish { .. } => BLOCK,
        Event::ToolCallDelta { arguments, .. } => arguments.len(),
        _ => 0,
    }
}

fn frame(out: &mut Buffer, write: impl FnOnce(&mut Buffer)) {
    out.extend_from_slice(b"data: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_grows_without_end_ends_the_stream_with_an_error() {
        let mut writer = Writer::new(&Envelope::default());
        let mut out = Vec::new();
        let (choice, call, kind) = (0, 0, CallKind::Function);
        let (id, name) = ("c".into(), "f".into());
        writer.render(&Event::ToolCallStart { choice, call, kind, id, name, signature: None }, &mut out);
        let arguments = "x".repeat(1 << 20);
        for _ in 0..64 {
            let arguments = arguments.as_str().into();
            writer.render(&Event::ToolCallDelta { choice, call, kind, arguments }, &mut out);
        }
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("{\"error\":{\"code\":502,") && out.len() < 1000, "{out}");
    }
}
