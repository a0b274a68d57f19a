//! Turns of a conversation and the blocks they are made of.

use super::{Extras, Json, Origin, Spelling, Text, Word};
use crate::dialects::Dialect;
use crate::passes::MADE_UP;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// Carries the results of tool calls, where the dialect gives them a role of their own.
    Tool,
}

/// One message: who speaks, and what in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn<'a> {
    pub role: Role,
    pub name: Option<Text<'a>>,
    pub blocks: Vec<Block<'a>>,
    /// How the content was written: a string, a list of parts, or nothing at all.
    pub spelling: Spelling,
    pub extras: Extras<'a>,
}

impl<'a> Turn<'a> {
    pub fn new(role: Role, blocks: Vec<Block<'a>>) -> Self {
        Self { role, name: None, blocks, spelling: Spelling::Plain, extras: Extras::default() }
    }

    /// Where the client wrote it, for one that stands at `index` now.
    pub(crate) fn place(&self, index: usize) -> Origin {
        self.extras.origin().unwrap_or_else(|| Origin::item(Word::Messages, index))
    }

    /// The text of all text blocks, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|block| match &block.content {
            Content::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Block<'a> {
    pub content: Content<'a>,
    /// "The prompt up to here may be cached": the provider's own object, because lifetimes differ in form.
    pub cache_mark: Option<Json<'a>>,
    pub extras: Extras<'a>,
}

impl<'a> Block<'a> {
    pub fn new(content: Content<'a>) -> Self {
        Self { content, cache_mark: None, extras: Extras::default() }
    }

    /// Where the client wrote it, for one that stands at `index` in something at `place` now.
    pub(crate) fn place(&self, place: Origin, index: usize) -> Origin {
        self.extras.origin().unwrap_or_else(|| place.part(Word::Content, Some(index)))
    }

    /// Whether it is the result of a tool that failed, as its client says it.
    pub(crate) fn says_that_it_failed(&self) -> bool {
        let made_up = self.extras.marked(Dialect::OpenAiChat, MADE_UP).is_some();
        matches!(&self.content, Content::ToolResult(result) if result.is_error == Some(true)) && !made_up
    }

    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::new(Content::Text { text: text.into(), citations: Vec::new() })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    Text {
        text: Text<'a>,
        citations: Vec<Citation<'a>>,
    },
    Image {
        source: MediaSource<'a>,
        detail: Option<Text<'a>>,
    },
    Audio {
        source: MediaSource<'a>,
    },
    File {
        source: MediaSource<'a>,
        filename: Option<Text<'a>>,
    },
    Reasoning(Reasoning<'a>),
    ToolCall(ToolCall<'a>),
    ToolResult(ToolResult<'a>),
    /// `spelling` tells a refusal beside the content (`Plain`) from one among its parts (`Structured`).
    Refusal {
        text: Text<'a>,
        spelling: Spelling,
    },
    /// Something only `dialect` understands, kept in its place.
    Opaque {
        dialect: Dialect,
        raw: Json<'a>,
    },
}

impl Content<'_> {
    /// The bytes of a picture, a sound or a file.
    pub fn media(&self) -> Option<&MediaSource<'_>> {
        match self {
            Self::Image { source, .. } | Self::Audio { source } | Self::File { source, .. } => Some(source),
            _ => None,
        }
    }

    /// A picture, a sound or a file that owns its bytes; `None` for anything else.
    pub(crate) fn owned_media(&self) -> Option<Content<'static>> {
        let own = |text: &Option<Text<'_>>| text.as_ref().map(|text| Text::Owned(text.to_string()));
        Some(match self {
            Self::Image { source, detail } => {
                Content::Image { source: source.clone().into_owned(), detail: own(detail) }
            }
            Self::Audio { source } => Content::Audio { source: source.clone().into_owned() },
            Self::File { source, filename } => {
                Content::File { source: source.clone().into_owned(), filename: own(filename) }
            }
            _ => return None,
        })
    }
}

/// Where the bytes of an image, a sound or a document are.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource<'a> {
    Url(Text<'a>),
    /// `data` is base64 text and stays so: it is never decoded on the way through.
    Base64 {
        media_type: Text<'a>,
        data: Text<'a>,
    },
    /// An id in the provider's own file store.
    FileId(Text<'a>),
}

impl<'a> MediaSource<'a> {
    /// Reads `data:TYPE;base64,DATA`; every other address stays one.
    pub fn from_url(url: Text<'a>) -> Self {
        let split = url
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(";base64,"))
            .map(|(media_type, data)| (media_type.len(), data.len()));
        let Some((media_type, data)) = split else {
            return Self::Url(url);
        };
        let (from, to) = (url.len() - data, "data:".len() + media_type);
        match url {
            Text::Borrowed(url) => Self::Base64 {
                media_type: url.get("data:".len()..to).unwrap_or_default().into(),
                data: url.get(from..).unwrap_or_default().into(),
            },
            Text::Owned(url) => Self::Base64 {
                media_type: url.get("data:".len()..to).unwrap_or_default().to_owned().into(),
                data: url.get(from..).unwrap_or_default().to_owned().into(),
            },
        }
    }

    /// A picture that came without its type: the first bytes, in base64, tell it.
    pub(crate) fn picture(data: Text<'a>) -> Self {
        const BEGINNINGS: [(&str, &str); 4] =
            [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
        let known = BEGINNINGS.iter().find(|(beginning, _)| data.starts_with(beginning));
        let media_type = known.map_or("application/octet-stream", |(_, media_type)| media_type);
        Self::Base64 { media_type: media_type.into(), data }
    }

    /// How many bytes of text it is.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Url(text) | Self::FileId(text) => text.len(),
            Self::Base64 { media_type, data } => media_type.len() + data.len(),
        }
    }

    pub fn into_owned(self) -> MediaSource<'static> {
        let own = |text: Text<'_>| Text::Owned(text.into_owned());
        match self {
            Self::Url(url) => MediaSource::Url(own(url)),
            Self::Base64 { media_type, data } => MediaSource::Base64 { media_type: own(media_type), data: own(data) },
            Self::FileId(id) => MediaSource::FileId(own(id)),
        }
    }

    /// It names a file that only one provider has.
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::FileId(_))
    }

    /// The address, or the bytes as a `data:` address; `None` for a file id.
    pub fn to_url(&self) -> Option<Text<'_>> {
        match self {
            Self::Url(url) => Some(Text::Borrowed(url)),
            Self::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}").into()),
            Self::FileId(_) => None,
        }
    }
}

/// A source that a piece of text leans on. Positions count characters of the block's own text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Citation<'a> {
    pub url: Option<Text<'a>>,
    pub title: Option<Text<'a>>,
    pub cited_text: Option<Text<'a>>,
    pub start_index: Option<u64>,
    pub end_index: Option<u64>,
    pub extras: Extras<'a>,
}

impl Citation<'_> {
    /// Whether there is anything by which a reader would find the source, or know it again.
    pub fn is_shown(&self) -> bool {
        self.url.is_some() || self.title.is_some() || self.cited_text.is_some()
    }

    pub fn into_owned(self) -> Citation<'static> {
        let own = |text: Option<Text<'_>>| text.map(|text| Text::Owned(text.into_owned()));
        Citation {
            url: own(self.url),
            title: own(self.title),
            cited_text: own(self.cited_text),
            start_index: self.start_index,
            end_index: self.end_index,
            extras: self.extras.into_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reasoning<'a> {
    pub text: Text<'a>,
    /// Proves to the provider that it wrote this block; it must come back unchanged and in its place.
    pub signature: Option<Text<'a>>,
    /// Reasoning the provider hides: an encrypted blob to send back.
    pub redacted: Option<Text<'a>>,
    /// A summary written for readers, not the reasoning itself.
    pub summary: bool,
    pub field: ReasoningField,
}

/// Where OpenAI-shaped servers put reasoning; they disagree. New text goes out as `ReasoningContent`, the most widely read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningField {
    /// `reasoning_content`: DeepSeek, Qwen, xAI, Z.ai.
    #[default]
    ReasoningContent,
    /// `reasoning`: Groq, Ollama, vLLM.
    Reasoning,
    /// An item of `reasoning_details`: OpenRouter.
    ReasoningDetails,
    /// An item of `thinking_blocks`, as Anthropic has its blocks: `LiteLLM`.
    ThinkingBlocks,
    /// A `thinking` part among the content: Mistral.
    ThinkingPart,
}

/// Which generation of tool calling a tool, call or result belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallKind {
    #[default]
    Function,
    /// OpenAI's first form, `functions` and `function_call`: no ids, one call per turn.
    LegacyFunction,
    /// Free text in, held to a grammar instead of a schema.
    Custom,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    pub kind: CallKind,
    /// Empty for the legacy kind.
    pub id: Text<'a>,
    pub name: Text<'a>,
    /// JSON text exactly as the model wrote it, valid or not; for the custom kind, its input.
    pub arguments: Text<'a>,
    /// Proves to the provider (Gemini) that it made this call; it must come back with it.
    pub signature: Option<Text<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult<'a> {
    pub kind: CallKind,
    /// The id of the call; empty for the legacy kind.
    pub call_id: Text<'a>,
    pub name: Option<Text<'a>>,
    pub blocks: Vec<Block<'a>>,
    pub spelling: Spelling,
    pub is_error: Option<bool>,
}
