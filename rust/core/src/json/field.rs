//! Which members a scan acts on, for which shape of request, and what each may hold.
//!
//! One rule for all of them: a member the scan acts on may stand once and must be spelled plainly. The type is checked
//! only of what the scan reads; the rest is located, and its meaning is left to whoever edits or forwards it.

use std::fmt;

use super::path::NAME_BYTES;

/// Which top-level members the scan acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Chat completions, and their older form with `prompt`.
    Chat,
    /// Embeddings: `input` is a string, strings, tokens, or lists of tokens.
    Embeddings,
    /// A conversation in the words of Anthropic, of OpenAI's Responses or of Gemini.
    Dialogue,
    /// Any other object: only `model` and `stream` are read.
    Any,
}

/// A member the scan acts on. All stand at the top level but [`Field::IncludeUsage`], which is in `stream_options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Messages,
    Input,
    Prompt,
    Tools,
    ToolChoice,
    ResponseFormat,
    User,
    Metadata,
    EncodingFormat,
    Dimensions,
}

impl Shape {
    /// The field that a top-level member name stands for in this shape.
    pub(super) fn field(self, name: &[u8]) -> Option<Field> {
        let field = match name {
            b"model" => Field::Model,
            b"stream" => Field::Stream,
            b"stream_options" => Field::StreamOptions,
            b"max_tokens" => Field::MaxTokens,
            b"max_output_tokens" if self == Self::Dialogue => Field::MaxTokens,
            b"contents" if self == Self::Dialogue => Field::Messages,
            b"max_completion_tokens" => Field::MaxCompletionTokens,
            b"n" => Field::N,
            b"messages" => Field::Messages,
            b"input" => Field::Input,
            b"prompt" => Field::Prompt,
            b"tools" => Field::Tools,
            b"tool_choice" => Field::ToolChoice,
            b"response_format" => Field::ResponseFormat,
            b"user" => Field::User,
            b"metadata" => Field::Metadata,
            b"encoding_format" => Field::EncodingFormat,
            b"dimensions" => Field::Dimensions,
            _ => return None,
        };
        self.acts_on(field).then_some(field)
    }

    /// The same as readers see it that ignore case, for names that stand for no field themselves.
    #[inline]
    pub(super) fn field_in_other_case(self, name: &[u8]) -> bool {
        in_other_case(name) && lower(name, |name| self.field(name).is_some())
    }

    fn acts_on(self, field: Field) -> bool {
        match self {
            Self::Chat => !matches!(field, Field::EncodingFormat | Field::Dimensions),
            Self::Embeddings => {
                matches!(field, Field::Model | Field::Input | Field::User | Field::EncodingFormat | Field::Dimensions)
            }
            Self::Dialogue => matches!(
                field,
                Field::Model | Field::Stream | Field::MaxTokens | Field::Messages | Field::Input | Field::Tools
            ),
            Self::Any => matches!(field, Field::Model | Field::Stream),
        }
    }
}

/// Whether a name could be one of the scan's in other letters; nearly none is.
#[inline]
pub(super) fn in_other_case(name: &[u8]) -> bool {
    // Asked of every name that means nothing, most of which have eight to sixteen bytes: eight at a time.
    match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) if name.len() <= 16 => odd_letters(*first) | odd_letters(*last) != 0,
        _ => name.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()),
    }
}

/// Not 0 where one of the bytes is a capital, or beyond ASCII.
#[inline]
fn odd_letters(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    let low = word & (EACH * 0x7f);
    // The high bit of each byte: set from A on, and set beyond Z.
    let (from_a, beyond_z) = (low + EACH * (0x80 - 0x41), low + EACH * (0x80 - 0x5b));
    (word | (from_a & !beyond_z)) & (EACH * 0x80)
}

/// Whether a name is known once it is in lower case. Two letters beyond ASCII fold to one within: U+017F to s, and U+212A
/// to k.
#[cold]
#[inline(never)]
pub(super) fn lower(name: &[u8], known: impl Fn(&[u8]) -> bool) -> bool {
    // Three times as long as the longest that the scan knows, in whatever letters.
    let Some(name) = (name.len() <= NAME_BYTES).then(|| std::str::from_utf8(name).ok()).flatten() else { return false };
    let name = name.replace('\u{17f}', "s").replace('\u{212a}', "k").to_ascii_lowercase();
    known(name.as_bytes())
}

impl Field {
    /// What the member may hold. `null` stands for absent wherever absence is allowed.
    pub(super) fn accepts(self) -> Kinds {
        use Kind::{Array, Bool, Null, Number, Object, String};
        match self {
            Self::Model => Kinds::of(&[String]),
            Self::Stream | Self::IncludeUsage => Kinds::of(&[Bool, Null]),
            Self::StreamOptions => Kinds::of(&[Object, Null]),
            Self::MaxTokens | Self::MaxCompletionTokens | Self::N => Kinds::of(&[Number, Null]),
            Self::Messages => Kinds::of(&[Array]),
            Self::Input => Kinds::of(&[String, Array]),
            Self::Prompt => Kinds::of(&[String, Array, Null]),
            Self::Tools => Kinds::of(&[Array, Null]),
            Self::ToolChoice
            | Self::ResponseFormat
            | Self::User
            | Self::Metadata
            | Self::EncodingFormat
            | Self::Dimensions => Kinds::ANY,
        }
    }
}

/// The six kinds of JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Object = 1,
    Array = 2,
    String = 4,
    Number = 8,
    Bool = 16,
    Null = 32,
}

/// A set of kinds; displayed as what a member must be, e.g. `a string or an array`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    const ANY: Self = Self(63);

    const fn of(kinds: &[Kind]) -> Self {
        let (mut set, mut rest) = (0, kinds);
        while let [kind, tail @ ..] = rest {
            set |= *kind as u8;
            rest = tail;
        }
        Self(set)
    }

    pub(super) fn holds(self, kind: Kind) -> bool {
        self.0 & kind as u8 != 0
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORDS: [(Kind, &str); 6] = [
            (Kind::Object, "an object"),
            (Kind::String, "a string"),
            (Kind::Array, "an array"),
            (Kind::Number, "a number"),
            (Kind::Bool, "true or false"),
            (Kind::Null, "null"),
        ];
        let mut separator = "";
        for (_, words) in WORDS.iter().filter(|(kind, _)| self.holds(*kind)) {
            write!(f, "{separator}{words}")?;
            separator = " or ";
        }
        Ok(())
    }
}
