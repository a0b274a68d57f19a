//! Where in a request a value stands, as far as it means anything to the scan.
//!
//! A container's place decides what its members or entries are, their slot; a slot decides what place opens there. All
//! that means nothing has the slot `Skip` and costs nothing.

use super::field::{Field, Kind, in_other_case, lower};

/// What the container around is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body,
    StreamOptions,
    Messages,
    Message,
    Content,
    Part,
    Tools,
    /// `input` or `prompt` as an array.
    Inputs,
    /// An array inside [`Place::Inputs`].
    Tokens,
    /// Anything whose strings are text that a model reads.
    Text,
    Other,
}

/// What the value about to begin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Skip,
    Text,
    Field(Field),
    Message,
    Role,
    Content,
    /// As `content`, in Gemini's word.
    Parts,
    Part,
    PartType,
    /// Data of Gemini's parts, or its address.
    Media,
    Tool,
    Input,
    Token,
}

impl Place {
    /// The place of a container that opens in this slot, below the body itself.
    #[inline]
    pub(super) fn opened(slot: Slot, kind: Kind) -> Self {
        match (slot, kind) {
            (Slot::Field(Field::StreamOptions), _) => Self::StreamOptions,
            (Slot::Field(Field::Messages), _) => Self::Messages,
            (Slot::Field(Field::Tools), _) => Self::Tools,
            (Slot::Field(Field::Input | Field::Prompt), _) => Self::Inputs,
            (Slot::Message, Kind::Object) => Self::Message,
            (Slot::Content | Slot::Parts, Kind::Array) => Self::Content,
            (Slot::Part, Kind::Object) => Self::Part,
            (Slot::Input, Kind::Array) => Self::Tokens,
            (Slot::Text | Slot::Content | Slot::Parts | Slot::Message | Slot::Part | Slot::Input | Slot::Token, _) => {
                Self::Text
            }
            _ => Self::Other,
        }
    }

    /// What the member of this name is, below the body itself.
    #[inline]
    pub(super) fn member(self, name: &[u8]) -> Slot {
        match (self, name) {
            (Self::StreamOptions, b"include_usage") => Slot::Field(Field::IncludeUsage),
            (Self::Message, b"role") => Slot::Role,
            (Self::Message, b"content") => Slot::Content,
            (Self::Message, b"parts") => Slot::Parts,
            (Self::Part, b"type") => Slot::PartType,
            (Self::Part, b"inlineData" | b"inline_data" | b"fileData") => Slot::Media,
            // Where parts of chat completions, Responses and Anthropic messages carry data or its address.
            (
                Self::Part,
                b"image_url" | b"input_audio" | b"file" | b"image" | b"audio" | b"video_url" | b"file_data" | b"source",
            ) => Slot::Skip,
            (Self::Message | Self::Part | Self::Text, _) => Slot::Text,
            _ => Slot::Skip,
        }
    }

    /// Whether the member is one the scan acts on to readers that ignore case, and to it is not.
    #[inline]
    pub(super) fn member_in_other_case(self, name: &[u8]) -> bool {
        let acts =
            |name: &[u8]| matches!(self.member(name), Slot::Field(_) | Slot::Role | Slot::Content | Slot::PartType);
        in_other_case(name) && lower(name, acts)
    }

    /// What an entry of this array is; for an object, what a member is before its name is known.
    #[inline]
    pub(super) fn item(self) -> Slot {
        match self {
            Self::Messages => Slot::Message,
            Self::Content => Slot::Part,
            Self::Tools => Slot::Tool,
            Self::Inputs => Slot::Input,
            Self::Tokens => Slot::Token,
            Self::Text => Slot::Text,
            Self::Body | Self::StreamOptions | Self::Message | Self::Part | Self::Other => Slot::Skip,
        }
    }
}
