//! What comes back when it comes back in pieces.
//!
//! Pieces of one choice come in order and one text or reasoning block is open at a time; calls may interleave. A reader
//! sends a start before the first delta and an end before anything else begins, so a writer needs no look-ahead.

use smallvec::SmallVec;

use super::{CallKind, Citation, Content, ErrorReply, Extras, Finish, Json, Text, Usage};
use crate::dialects::Dialect;

/// The events of one frame, in order; most frames carry one or two.
pub type Events<'a> = SmallVec<[Event<'a>; 2]>;

#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Comes once and first. `id` and `model` are empty when the upstream gave none.
    MessageStart {
        id: Text<'a>,
        model: Text<'a>,
        created_s: Option<u64>,
        extras: Extras<'a>,
    },
    TextStart {
        choice: u32,
    },
    TextDelta {
        choice: u32,
        text: Text<'a>,
        logprobs: Option<Json<'a>>,
    },
    TextEnd {
        choice: u32,
    },
    ReasoningStart {
        choice: u32,
    },
    ReasoningDelta {
        choice: u32,
        text: Text<'a>,
    },
    ReasoningSignature {
        choice: u32,
        signature: Text<'a>,
    },
    /// Hidden reasoning, whole: no start, no end.
    ReasoningRedacted {
        choice: u32,
        data: Text<'a>,
    },
    ReasoningEnd {
        choice: u32,
    },
    /// A picture, a sound or a file, whole: no start, no end.
    Media {
        choice: u32,
        content: Content<'a>,
    },
    RefusalDelta {
        choice: u32,
        text: Text<'a>,
    },
    /// `call` numbers the calls of a choice from 0 in order of appearance.
    ToolCallStart {
        choice: u32,
        call: u32,
        kind: CallKind,
        id: Text<'a>,
        name: Text<'a>,
        /// As [`super::ToolCall::signature`].
        signature: Option<Text<'a>>,
    },
    ToolCallDelta {
        choice: u32,
        call: u32,
        kind: CallKind,
        arguments: Text<'a>,
    },
    ToolCallEnd {
        choice: u32,
        call: u32,
    },
    Citation {
        choice: u32,
        citation: Citation<'a>,
    },
    /// Once per choice, after its last piece.
    Finish {
        choice: u32,
        finish: Finish<'a>,
    },
    /// May come more than once; the last is the truth.
    Usage(Usage<'a>),
    /// The stream has failed; nothing follows.
    Error(ErrorReply<'a>),
    /// Something only `dialect` understands.
    Opaque {
        dialect: Dialect,
        name: Text<'a>,
        raw: Json<'a>,
    },
    /// The end, as the sender of the stream meant it.
    Done,
}

/// The choice of an event, borrowed as the event is.
macro_rules! choice_of {
    ($event:expr) => {
        match $event {
            Event::TextStart { choice }
            | Event::TextDelta { choice, .. }
            | Event::TextEnd { choice }
            | Event::ReasoningStart { choice }
            | Event::ReasoningDelta { choice, .. }
            | Event::ReasoningSignature { choice, .. }
            | Event::ReasoningRedacted { choice, .. }
            | Event::ReasoningEnd { choice }
            | Event::Media { choice, .. }
            | Event::RefusalDelta { choice, .. }
            | Event::ToolCallStart { choice, .. }
            | Event::ToolCallDelta { choice, .. }
            | Event::ToolCallEnd { choice, .. }
            | Event::Citation { choice, .. }
            | Event::Finish { choice, .. } => Some(choice),
            Event::MessageStart { .. } | Event::Usage(_) | Event::Error(_) | Event::Opaque { .. } | Event::Done => None,
        }
    };
}

impl Event<'_> {
    /// The choice that it is of; `None` for what is of the stream.
    pub fn choice(&self) -> Option<u32> {
        choice_of!(self).copied()
    }

    pub(crate) fn choice_mut(&mut self) -> Option<&mut u32> {
        choice_of!(self)
    }
}

/// The reader and writer of a dialect that has no streams: a type without values, so there is nothing to call with.
#[derive(Debug)]
pub enum NoStream {}
