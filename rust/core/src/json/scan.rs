//! What one pass over a body found: the values a decision needs, and where every top-level member stands.
//!
//! Offsets count bytes of the whole body over all frames, as if they were one.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::field::Field;

/// The result of a scan. A body gives the same one however it was cut into frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Length of the body, whitespace around it included.
    pub bytes: usize,
    /// Offset just after the opening brace, where a member can be inserted.
    pub inside: usize,
    /// Whether the object has no members.
    pub empty: bool,
    /// Unescaped.
    pub model: Option<String>,
    pub stream: Option<bool>,
    /// `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// `max_completion_tokens` when it is given, `max_tokens` otherwise.
    pub max_tokens: Option<u64>,
    pub n: Option<u64>,
    pub messages: u32,
    pub roles: Roles,
    pub media: Media,
    pub tools: u32,
    /// Entries of `input` or `prompt`: texts, or lists of tokens.
    pub inputs: u32,
    /// Tokens given as numbers in `input` or `prompt`.
    pub input_tokens: u32,
    /// Bytes, as spelled, of the strings in `messages`, `input` and `prompt`; roles, part types and media are left out.
    pub text_bytes: u64,
    /// In the order of the body. Listed fields are always among them; of other members the first [`Scan::MEMBERS`].
    pub members: SmallVec<[Member; 8]>,
    pub(super) include_usage_at: Option<(u32, u32)>,
    /// Whether `stream_options` is an object without members; none when it is not an object.
    pub(super) options_empty: Option<bool>,
    /// Offset of the closing brace.
    pub(super) close: u32,
}

/// Messages by role. `other` counts those with an unknown role or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub system: u32,
    pub developer: u32,
    pub user: u32,
    pub assistant: u32,
    pub tool: u32,
    pub function: u32,
    pub other: u32,
}

/// Content parts of messages that are not text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    pub image: u32,
    pub audio: u32,
    pub file: u32,
}

/// Where one top-level member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub(super) field: Option<Field>,
    /// Just after the brace or comma before it.
    pub(super) before: u32,
    /// The name, quotes included.
    pub(super) name: (u32, u32),
    pub(super) value: (u32, u32),
    /// The comma or brace after it.
    pub(super) after: u32,
}

pub(super) fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

impl Member {
    /// Which listed field this is, if any.
    pub fn field(&self) -> Option<Field> {
        self.field
    }

    /// The name as spelled, quotes included.
    pub fn name(&self) -> Range<usize> {
        range(self.name)
    }

    pub fn value(&self) -> Range<usize> {
        range(self.value)
    }
}

impl Scan {
    /// Members remembered that are no listed field. Real requests have under forty.
    pub const MEMBERS: usize = 256;

    /// Where the value of a field stands in the body.
    pub fn span(&self, field: Field) -> Option<Range<usize>> {
        if field == Field::IncludeUsage {
            return self.include_usage_at.map(range);
        }
        self.field(field).map(Member::value)
    }

    /// The member that holds a top-level field.
    pub fn field(&self, field: Field) -> Option<&Member> {
        self.members.iter().find(|member| member.field == Some(field))
    }

    /// The member of this name, listed or not, compared as spelled in the frames that were scanned. Of several the last.
    pub fn member(&self, frames: &[Bytes], name: &str) -> Option<&Member> {
        let is_named = |member: &&Member| {
            let (start, end) = (member.name.0 as usize + 1, (member.name.1 as usize).saturating_sub(1));
            end.checked_sub(start) == Some(name.len()) && stands_at(frames, start, name.as_bytes())
        };
        self.members.iter().rev().find(is_named)
    }

    /// A request in the Responses style that came to the chat address, as some clients send.
    pub fn has_input_without_messages(&self) -> bool {
        self.field(Field::Input).is_some() && self.field(Field::Messages).is_none()
    }
}

fn stands_at(frames: &[Bytes], mut at: usize, mut text: &[u8]) -> bool {
    for frame in frames {
        let piece = frame.get(at..).unwrap_or_default();
        let shared = piece.len().min(text.len());
        let (expected, rest) = text.split_at(shared);
        if piece.get(..shared) != Some(expected) {
            return false;
        }
        if rest.is_empty() {
            return true;
        }
        text = rest;
        at = at.saturating_sub(frame.len());
    }
    text.is_empty()
}
