//! Writes a stream as AWS's SDKs read it: binary messages, each an event by its name, numbered blocks, a stop with the
//! reason, and the counts behind it.
//!
//! The surprise: blocks carry their number, so calls may go on beside each other and nothing is held back. An error ends
//! the stream as an exception, without a stop.

use super::{DIALECT, citations, error, finish, opaque, usage};
use crate::dialects::anthropic_messages::input::{free_text, says_nothing};
use crate::dialects::message::{CallKind, Envelope, ErrorReply, Event, Extra, Extras, Finish, Json, Text, Usage};
use crate::dialects::mint;
use crate::dialects::output::{self, Buffer, Members};
use crate::eventstream;

#[derive(Debug)]
pub struct Writer {
    id: String,
    started: bool,
    ended: bool,
    next_index: u64,
    /// The block that is open beside calls.
    piece: Option<Piece>,
    calls: Vec<Call>,
    /// What the next message says besides, and what the next call does.
    rest: Extras<'static>,
    call_rest: Extras<'static>,
    /// The next arguments were made up by the reader of this dialect.
    no_input: bool,
    usage: Option<Usage<'static>>,
    metadata: Extras<'static>,
}

/// A block has its number once there is something to say of it.
#[derive(Debug, Clone, Copy)]
struct Piece {
    what: What,
    index: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Reasoning,
    Opaque,
}

#[derive(Debug)]
struct Call {
    number: u32,
    index: u64,
    kind: CallKind,
    told: bool,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            started: false,
            ended: false,
            next_index: 0,
            piece: None,
            calls: Vec::new(),
            rest: Extras::default(),
            call_rest: Extras::default(),
            no_input: false,
            usage: None,
            metadata: Extras::default(),
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        if self.ended {
            return;
        }
        match event {
            Event::Error(error) => return self.fail(error, out),
            Event::MessageStart { id, extras, .. } => {
                if !id.is_empty() {
                    id.as_ref().clone_into(&mut self.id);
                }
                return self.start(extras, out);
            }
            _ => self.start(&Extras::default(), out),
        }
        match event {
            // This dialect has one choice.
            event if event.choice().is_some_and(|choice| choice != 0) => {}
            Event::TextStart { .. } => self.begin(What::Text, out),
            Event::ReasoningStart { .. } => self.begin(What::Reasoning, out),
            Event::TextEnd { .. } | Event::ReasoningEnd { .. } => self.end_piece(out),
            Event::ToolCallStart { choice, call, kind, id, name, .. } => {
                self.call_start((*choice, *call), *kind, id, name, out);
            }
            Event::ToolCallDelta { call, arguments, .. } => self.arguments(*call, arguments, out),
            Event::ToolCallEnd { call, .. } => self.call_end(*call, out),
            Event::Finish { finish, .. } => self.finish(finish, out),
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Opaque { dialect: DIALECT, name, raw } => self.opaque(name, raw, out),
            Event::Media { .. } | Event::MessageStart { .. } | Event::Error(_) | Event::Opaque { .. } => {}
            Event::Done => self.done(out),
            event => self.piece_event(event, out),
        }
    }

    fn piece_event(&mut self, event: &Event<'_>, out: &mut Buffer) {
        match event {
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } if !text.is_empty() => {
                self.delta(What::Text, out, |delta| delta.text("text", text));
            }
            Event::ReasoningDelta { text, .. } if !text.is_empty() => {
                self.delta(What::Reasoning, out, |delta| {
                    delta.object("reasoningContent", |said| said.text("text", text));
                });
            }
            Event::ReasoningSignature { signature, .. } => self.delta(What::Reasoning, out, |delta| {
                delta.object("reasoningContent", |said| said.text("signature", signature));
            }),
            // It is whole; a reader of another dialect tells no end of it.
            Event::ReasoningRedacted { data, .. } => {
                self.begin(What::Opaque, out);
                self.delta(What::Opaque, out, |delta| {
                    delta.object("reasoningContent", |said| said.text("redactedContent", data));
                });
            }
            Event::Citation { citation, .. } if citations::has_words(citation) => {
                self.delta(What::Text, out, |delta| citations::write(delta.key("citation"), citation));
            }
            _ => {}
        }
    }

    fn start(&mut self, extras: &Extras<'_>, out: &mut Buffer) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        message(out, "messageStart", |event| {
            event.text("role", "assistant");
            event.extras(DIALECT, extras);
        });
    }

    fn begin(&mut self, what: What, out: &mut Buffer) {
        self.end_piece(out);
        self.piece = Some(Piece { what, index: None });
    }

    fn take_index(&mut self) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    /// The number of the open piece, which is given one now if it has none.
    fn index_of_piece(&mut self, what: What) -> u64 {
        let index = match self.piece {
            Some(Piece { index: Some(index), .. }) => index,
            _ => self.take_index(),
        };
        self.piece = Some(Piece { what, index: Some(index) });
        index
    }

    fn delta(&mut self, what: What, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        if self.piece.is_none_or(|piece| piece.what != what) {
            self.begin(what, out);
        }
        let index = self.index_of_piece(what);
        self.block_message("contentBlockDelta", index, out, |event| event.object("delta", fill));
    }

    fn end_piece(&mut self, out: &mut Buffer) {
        if let Some(Piece { index: Some(index), .. }) = self.piece.take() {
            self.block_message("contentBlockStop", index, out, |_| {});
        }
    }

    fn call_start(&mut self, call: (u32, u32), kind: CallKind, id: &str, name: &str, out: &mut Buffer) {
        self.end_piece(out);
        let index = self.take_index();
        let (choice, number) = call;
        self.calls.push(Call { number, index, kind, told: false });
        let minted = id.is_empty().then(|| mint::call_id(&self.id, choice, number));
        let rest = std::mem::take(&mut self.call_rest);
        self.block_message("contentBlockStart", index, out, |event| {
            event.object("start", |start| {
                start.object(opaque::CALL, |call| {
                    call.text("toolUseId", minted.as_deref().unwrap_or(id));
                    call.text("name", name);
                    call.extras(DIALECT, &rest);
                });
            });
        });
    }

    fn arguments(&mut self, number: u32, arguments: &str, out: &mut Buffer) {
        let made_up = std::mem::take(&mut self.no_input);
        let Some(call) = self.calls.iter_mut().find(|call| call.number == number) else {
            return;
        };
        let (index, kind, first) = (call.index, call.kind, !call.told);
        if arguments.is_empty() && kind != CallKind::Custom {
            return;
        }
        call.told = true;
        if made_up {
            return;
        }
        let piece: Text<'_> = match kind {
            CallKind::Custom => free_text(arguments, first).into(),
            // Some servers write null for no arguments; readers of this dialect expect an object.
            _ if first && says_nothing(arguments) => "{}".into(),
            _ => arguments.into(),
        };
        self.input(index, &piece, out);
    }

    fn input(&mut self, index: u64, piece: &str, out: &mut Buffer) {
        self.block_message("contentBlockDelta", index, out, |event| {
            event.object("delta", |delta| delta.object(opaque::CALL, |call| call.text("input", piece)));
        });
    }

    fn call_end(&mut self, number: u32, out: &mut Buffer) {
        let Some(position) = self.calls.iter().position(|call| call.number == number) else {
            return;
        };
        let call = self.calls.remove(position);
        match (call.kind, call.told) {
            (CallKind::Custom, true) => self.input(call.index, "\"}", out),
            (CallKind::Custom, false) => self.input(call.index, &(free_text("", true) + "\"}"), out),
            (_, false) => self.input(call.index, "{}", out),
            (_, true) => {}
        }
        self.block_message("contentBlockStop", call.index, out, |_| {});
    }

    fn end_all(&mut self, out: &mut Buffer) {
        self.end_piece(out);
        while let Some(number) = self.calls.first().map(|call| call.number) {
            self.call_end(number, out);
        }
    }

    fn opaque(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        match name {
            opaque::REST => self.rest = members_of(raw),
            opaque::CALL => self.call_rest = members_of(raw),
            opaque::METADATA => self.metadata = members_of(raw),
            opaque::NO_INPUT => self.no_input = true,
            opaque::START => {
                self.begin(What::Opaque, out);
                let index = self.index_of_piece(What::Opaque);
                self.block_message("contentBlockStart", index, out, |event| event.raw("start", raw.as_str()));
            }
            opaque::DELTA => {
                let index = self.index_of_piece(self.piece.map_or(What::Opaque, |piece| piece.what));
                self.block_message("contentBlockDelta", index, out, |event| event.raw("delta", raw.as_str()));
            }
            opaque::DELTA_OF_CALL => {
                if let Some(index) = self.calls.last().map(|call| call.index) {
                    self.block_message("contentBlockDelta", index, out, |event| event.raw("delta", raw.as_str()));
                }
            }
            opaque::STOP => {
                // Of a block without a piece, too.
                self.index_of_piece(What::Opaque);
                self.end_piece(out);
            }
            _ => {
                let headers = headers(name.trim_end_matches('\n'));
                eventstream::write(out, &headers, |out| output::raw(out, raw.as_str()));
            }
        }
    }

    fn finish(&mut self, finish: &Finish<'_>, out: &mut Buffer) {
        self.end_all(out);
        if finish::is_foreign_error(finish) {
            let message = Text::Borrowed("the upstream ended its answer with an error");
            return self.fail(&ErrorReply { message, ..ErrorReply::default() }, out);
        }
        message(out, "messageStop", |event| {
            finish::write(event, finish);
            event.extras(DIALECT, &finish.extras);
        });
    }

    fn done(&mut self, out: &mut Buffer) {
        self.ended = true;
        self.end_all(out);
        let (usage, metadata) = (self.usage.take(), std::mem::take(&mut self.metadata));
        if usage.is_none() && metadata.is_empty() {
            return;
        }
        message(out, "metadata", |event| {
            if let Some(usage) = &usage {
                event.object("usage", |members| usage::write(usage, members));
            }
            event.extras(DIALECT, &metadata);
        });
    }

    fn fail(&mut self, error: &ErrorReply<'_>, out: &mut Buffer) {
        self.ended = true;
        let name = error::exception(error);
        let headers =
            [(":exception-type", name.as_str()), (":content-type", "application/json"), (":message-type", "exception")];
        eventstream::write(out, &headers, |out| output::object(out, |document| error::write(document, error)));
    }

    /// Writes an event of a block.
    fn block_message(&mut self, name: &'static str, index: u64, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        let rest = std::mem::take(&mut self.rest);
        message(out, name, |event| {
            event.whole("contentBlockIndex", index);
            fill(event);
            event.extras(DIALECT, &rest);
        });
    }
}

fn headers(name: &str) -> [(&'static str, &str); 3] {
    [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")]
}

fn message(out: &mut Buffer, name: &'static str, fill: impl FnOnce(&mut Members<'_>)) {
    eventstream::write(out, &headers(name), |out| output::object(out, fill));
}

fn members_of(raw: &Json<'_>) -> Extras<'static> {
    let mut extras = Extras::default();
    let raw = raw.as_raw();
    let members = raw.and_then(crate::dialects::object::Object::lenient);
    for (name, raw) in members.into_iter().flat_map(crate::dialects::object::Object::into_members) {
        extras.push(Extra { dialect: DIALECT, name: name.into_owned().into(), value: Json::from(raw).into_owned() });
    }
    extras
}
