//! Why a body was refused: what, at which byte, in which value.
//!
//! Errors name members and positions and never repeat a value. Past [`super::path::LEVELS`] levels the pointer stops at
//! the enclosing container: deep paths are long, and the byte offset is exact anyway.

use std::fmt;

use super::field::Kinds;

/// A refused body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    pub kind: JsonErrorKind,
    /// Offset in the whole body, counted over all frames.
    pub offset: usize,
    /// RFC 6901 pointer to the value at fault, or to the nearest container around it; empty for the body itself.
    /// Member names in it are shortened to 64 bytes and stripped of control characters.
    pub pointer: String,
}

/// The reasons, each with one row in `docs/decisions/0002-json-verdicts.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JsonErrorKind {
    Empty,
    Truncated,
    TopLevel,
    ByteOrderMark,
    Unexpected,
    Trailing,
    NotFinite,
    Number,
    NumberRange,
    ControlCharacter,
    Escape,
    LoneSurrogate,
    Utf8,
    Depth,
    BodyTooLarge,
    TooManyMessages,
    ModelEmpty,
    ModelTooLong,
    DuplicateKey,
    EscapedKey,
    OtherCase,
    WrongType(Kinds),
    NotInteger,
}

impl JsonErrorKind {
    /// A stable name for logs, metrics and other languages.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::TopLevel => "top_level",
            Self::ByteOrderMark => "byte_order_mark",
            Self::Unexpected => "unexpected",
            Self::Trailing => "trailing",
            Self::NotFinite => "not_finite",
            Self::Number => "number",
            Self::NumberRange => "number_range",
            Self::ControlCharacter => "control_character",
            Self::Escape => "escape",
            Self::LoneSurrogate => "lone_surrogate",
            Self::Utf8 => "utf8",
            Self::Depth => "depth",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyMessages => "too_many_messages",
            Self::ModelEmpty => "model_empty",
            Self::ModelTooLong => "model_too_long",
            Self::DuplicateKey => "duplicate_key",
            Self::EscapedKey => "escaped_key",
            Self::OtherCase => "other_case",
            Self::WrongType(_) => "wrong_type",
            Self::NotInteger => "not_integer",
        }
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the body is empty; send a JSON object",
            Self::Truncated => "the body ends before the JSON does; check content-length",
            Self::TopLevel => "the body must be a JSON object",
            Self::ByteOrderMark => "the body starts with a byte order mark; send plain UTF-8",
            Self::Unexpected => "this byte cannot stand here",
            Self::Trailing => "there are bytes after the end of the JSON object; send one object",
            Self::NotFinite => "NaN and Infinity are not JSON; send null or leave the member out",
            Self::Number => "malformed number",
            Self::NumberRange => "number too large for a 64-bit float",
            Self::ControlCharacter => "raw control character in a string; escape it",
            Self::Escape => "malformed escape in a string",
            Self::LoneSurrogate => "half of a surrogate pair in a string; send the whole character",
            Self::Utf8 => "not valid UTF-8",
            Self::Depth => "nested too deeply",
            Self::BodyTooLarge => "the body is larger than allowed",
            Self::TooManyMessages => "more messages than allowed",
            Self::ModelEmpty => "the model name is empty",
            Self::ModelTooLong => "the model name is longer than allowed",
            Self::DuplicateKey => "member given twice; send it once",
            Self::EscapedKey => "member name written with escapes; spell it plainly",
            Self::OtherCase => "member name in other letters; write it in lower case",
            Self::WrongType(kinds) => return write!(f, "must be {kinds}"),
            Self::NotInteger => "must be a whole number from 0 to 2^63-1, written in digits",
        })
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        write!(f, "{} (byte {})", self.kind, self.offset)
    }
}

impl std::error::Error for JsonError {}

/// A reason and where it was met, before the pointer is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub kind: JsonErrorKind,
    pub offset: u32,
}
