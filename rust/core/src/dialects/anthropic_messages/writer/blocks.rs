//! The blocks of a stream, one behind the other, whatever order their pieces come in.
//!
//! Its rule: a block has its number from its start, and goes out as it comes when all before it have ended; until then
//! its frames are held. The surprise: dialects that end calls only with the message would make every call but the first
//! wait for that, so a call ends here as soon as its arguments are a whole object and something else begins.

use std::collections::VecDeque;

use super::frame;
use crate::dialects::anthropic_messages::blocks::SIGNATURE;
use crate::dialects::anthropic_messages::input::{Progress, free_text, says_nothing};
use crate::dialects::anthropic_messages::{DIALECT, citations, opaque};
use crate::dialects::message::{CallKind, Event, Extras, Json, Text};
use crate::dialects::mint;
use crate::dialects::output::{Buffer, Members};

/// Bytes that may wait for a block before them to end.
const MOST_HELD: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Not yet wholly written, in order. Only the first is on its way out.
    waiting: VecDeque<Block>,
    next_index: u64,
    held: usize,
    /// What the neutral form left of the block that starts next, and the type of that block.
    rest: (String, Extras<'static>),
    /// A text that has no words yet: an empty block is never opened.
    text_begun: bool,
}

#[derive(Debug)]
struct Block {
    index: u64,
    what: What,
    /// Frames that wait, while the block is not the first.
    frames: Buffer,
    ended: bool,
}

#[derive(Debug)]
enum What {
    Text,
    Reasoning,
    Call { call: u32, kind: CallKind, progress: Progress, told: bool, empty: bool },
    Opaque,
}

/// More waits than may be held.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Blocks {
    pub(super) fn render(&mut self, event: &Event<'_>, reply_id: &str, out: &mut Buffer) -> Result<(), TooMuch> {
        match event {
            Event::TextStart { .. } => {
                self.end(is_text, out);
                self.text_begun = true;
            }
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } => self.text(text, out),
            // Without a text there is nothing that could lean on it.
            Event::Citation { citation, .. } if citations::has_words(citation) => {
                self.open_begun(out);
                self.delta(is_text, "citations_delta", out, |delta| {
                    citations::write(delta.key("citation"), citation);
                });
            }
            Event::TextEnd { .. } => {
                if std::mem::take(&mut self.text_begun) {
                    self.rest = (String::new(), Extras::default());
                }
                self.end(is_text, out);
            }
            Event::ReasoningStart { .. } => self.start_reasoning(out),
            Event::ReasoningDelta { text, .. } => {
                self.need_reasoning(out);
                self.delta(is_reasoning, "thinking_delta", out, |delta| delta.text("thinking", text));
            }
            Event::ReasoningSignature { signature, .. } => {
                self.need_reasoning(out);
                self.delta(is_reasoning, "signature_delta", out, |delta| delta.text("signature", signature));
            }
            Event::ReasoningEnd { .. } => self.end(is_reasoning, out),
            // It is whole, and ends where the next block begins: others tell no end of it.
            Event::ReasoningRedacted { data, .. } => {
                self.start(What::Opaque, "redacted_thinking", out, |block| block.text("data", data));
            }
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                let minted = id.is_empty().then(|| mint::call_id(reply_id, *choice, *call));
                let what =
                    What::Call { call: *call, kind: *kind, progress: Progress::default(), told: false, empty: false };
                self.start(what, "tool_use", out, |block| {
                    block.text("id", minted.as_deref().unwrap_or(id));
                    block.text("name", name);
                    block.object("input", |_| {});
                    block.text_if(SIGNATURE, signature.as_deref());
                });
            }
            Event::ToolCallDelta { call, arguments, .. } => self.arguments(*call, arguments, out),
            Event::ToolCallEnd { call, .. } => {
                let call = *call;
                self.end(move |what| is_call(what, call), out);
            }
            _ => {}
        }
        if self.held > MOST_HELD { Err(TooMuch) } else { Ok(()) }
    }

    /// Nothing has been said yet.
    pub(super) fn are_none(&self) -> bool {
        self.next_index == 0
    }

    fn text(&mut self, text: &str, out: &mut Buffer) {
        if text.is_empty() {
            return;
        }
        self.need_text(out);
        self.delta(is_text, "text_delta", out, |delta| delta.text("text", text));
    }

    fn need_text(&mut self, out: &mut Buffer) {
        self.text_begun = false;
        if !self.is_open(is_text) {
            self.start(What::Text, "text", out, |block| block.text("text", ""));
        }
    }

    pub(super) fn open_begun(&mut self, out: &mut Buffer) {
        if self.text_begun {
            self.need_text(out);
        }
    }

    fn need_reasoning(&mut self, out: &mut Buffer) {
        if !self.is_open(is_reasoning) {
            self.start_reasoning(out);
        }
    }

    fn start_reasoning(&mut self, out: &mut Buffer) {
        self.start(What::Reasoning, "thinking", out, |block| {
            block.text("thinking", "");
            block.text("signature", "");
        });
    }

    pub(super) fn keep_rest(&mut self, of: &str, rest: Extras<'static>) {
        self.rest = (of.to_owned(), rest);
    }

    pub(super) fn start_opaque(&mut self, raw: &Json<'_>, out: &mut Buffer) {
        let index = self.begin(What::Opaque, out);
        self.write(index, out, |out| {
            frame(out, "content_block_start", |event| {
                event.whole("index", index);
                event.raw("content_block", raw.as_str());
            });
        });
    }

    /// A piece of the block that began last, if that is what the piece is of.
    pub(super) fn delta_opaque(&mut self, of: &str, raw: &Json<'_>, out: &mut Buffer) {
        if of == opaque::DELTA_OF_TEXT {
            self.open_begun(out);
        }
        let fits = |what: &What| match what {
            What::Text => of == opaque::DELTA_OF_TEXT,
            What::Reasoning => of == opaque::DELTA_OF_THINKING,
            What::Call { .. } => of == opaque::DELTA_OF_CALL,
            What::Opaque => of == opaque::DELTA,
        };
        let Some(block) = self.waiting.back_mut().filter(|block| !block.ended && fits(&block.what)) else {
            return;
        };
        let index = block.index;
        if let What::Call { empty, .. } = &mut block.what {
            *empty = true;
        }
        self.write(index, out, |out| {
            frame(out, "content_block_delta", |event| {
                event.whole("index", index);
                event.raw("delta", raw.as_str());
            });
        });
    }

    pub(super) fn stop_opaque(&mut self, out: &mut Buffer) {
        self.end(is_opaque, out);
    }

    fn arguments(&mut self, call: u32, arguments: &str, out: &mut Buffer) {
        let found = self.waiting.iter_mut().rev().find(|block| !block.ended && is_call(&block.what, call));
        let Some(Block { index, what: What::Call { kind, progress, told, .. }, .. }) = found else {
            return;
        };
        let (index, kind, first) = (*index, *kind, !*told);
        progress.add(arguments);
        // An object without members is what the start says already.
        if kind != CallKind::Custom && first && says_nothing(arguments) {
            return;
        }
        *told = true;
        let piece: Text<'_> = match kind {
            CallKind::Custom => free_text(arguments, first).into(),
            _ => arguments.into(),
        };
        self.write(index, out, |out| write_delta(out, index, "input_json_delta", |d| d.text("partial_json", &piece)));
    }

    fn is_open(&self, is: impl Fn(&What) -> bool) -> bool {
        self.waiting.iter().any(|block| !block.ended && is(&block.what))
    }

    fn start(&mut self, what: What, kind: &'static str, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        let (of, rest) = std::mem::take(&mut self.rest);
        let index = self.begin(what, out);
        self.write(index, out, |out| {
            frame(out, "content_block_start", |event| {
                event.whole("index", index);
                event.object("content_block", |block| {
                    block.text("type", kind);
                    fill(block);
                    if of == kind {
                        block.extras(DIALECT, &rest);
                    }
                });
            });
        });
    }

    /// Ends what cannot go on beside the new block, and gives it its number.
    fn begin(&mut self, what: What, out: &mut Buffer) -> u64 {
        self.end(is_over, out);
        let index = self.next_index;
        self.next_index += 1;
        self.waiting.push_back(Block { index, what, frames: Buffer::new(), ended: false });
        index
    }

    fn delta(
        &mut self,
        is: impl Fn(&What) -> bool,
        kind: &'static str,
        out: &mut Buffer,
        fill: impl FnOnce(&mut Members<'_>),
    ) {
        let open = self.waiting.iter().rev().find(|block| !block.ended && is(&block.what));
        if let Some(index) = open.map(|block| block.index) {
            self.write(index, out, |out| write_delta(out, index, kind, fill));
        }
    }

    /// Writes to the client when the block is the first, and aside otherwise.
    fn write(&mut self, index: u64, out: &mut Buffer, write: impl FnOnce(&mut Buffer)) {
        let position = self.waiting.iter().position(|block| block.index == index);
        match position.and_then(|position| self.waiting.get_mut(position).map(|block| (position, block))) {
            Some((0, _)) => write(out),
            Some((_, block)) => {
                let before = block.frames.len();
                write(&mut block.frames);
                self.held += block.frames.len() - before;
            }
            None => {}
        }
    }

    /// Ends the blocks of a kind, and lets out what waited for them.
    fn end(&mut self, is: impl Fn(&What) -> bool, out: &mut Buffer) {
        let ending: Vec<u64> =
            self.waiting.iter().filter(|block| !block.ended && is(&block.what)).map(|block| block.index).collect();
        for index in ending {
            self.close(index, out);
        }
        while self.waiting.front().is_some_and(|block| block.ended) {
            self.waiting.pop_front();
            if let Some(block) = self.waiting.front_mut() {
                let frames = std::mem::take(&mut block.frames);
                self.held -= frames.len();
                out.extend_from_slice(&frames);
            }
        }
    }

    fn close(&mut self, index: u64, out: &mut Buffer) {
        let Some(block) = self.waiting.iter_mut().find(|block| block.index == index) else {
            return;
        };
        block.ended = true;
        let last_piece = match &block.what {
            What::Call { kind: CallKind::Custom, told: true, .. } => Some("\"}"),
            What::Call { kind: CallKind::Custom, told: false, .. } => Some(r#"{"input":""}"#),
            // As the API tells a call without arguments.
            What::Call { told: false, empty: false, .. } => Some(""),
            _ => None,
        };
        self.write(index, out, |out| {
            if let Some(piece) = last_piece {
                write_delta(out, index, "input_json_delta", |delta| delta.text("partial_json", piece));
            }
            frame(out, "content_block_stop", |event| event.whole("index", index));
        });
    }

    pub(super) fn end_all(&mut self, out: &mut Buffer) {
        self.text_begun = false;
        self.end(|_| true, out);
    }
}

fn write_delta(out: &mut Buffer, index: u64, kind: &'static str, fill: impl FnOnce(&mut Members<'_>)) {
    frame(out, "content_block_delta", |event| {
        event.whole("index", index);
        event.object("delta", |delta| {
            delta.text("type", kind);
            fill(delta);
        });
    });
}

fn is_text(what: &What) -> bool {
    matches!(what, What::Text)
}

fn is_reasoning(what: &What) -> bool {
    matches!(what, What::Reasoning)
}

fn is_opaque(what: &What) -> bool {
    matches!(what, What::Opaque)
}

fn is_call(what: &What, number: u32) -> bool {
    matches!(what, What::Call { call, .. } if *call == number)
}

/// Whether a block is over when another one begins. Only a call that has not been told to its end goes on.
fn is_over(what: &What) -> bool {
    match what {
        What::Call { kind, progress, .. } => *kind != CallKind::Custom && progress.is_whole(),
        _ => true,
    }
}
