//! What comes back when it comes back whole: a reply or an error.

use super::{EmbeddingsReply, Extras, Json, RerankReply, Text, Turn};

/// A reply of any dialect.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<'a> {
    Chat(ChatReply<'a>),
    Embeddings(EmbeddingsReply<'a>),
    Rerank(RerankReply<'a>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatReply<'a> {
    /// Empty when the upstream gave none.
    pub id: Text<'a>,
    /// The model that answered, as the upstream names it.
    pub model: Text<'a>,
    pub created_s: Option<u64>,
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage<'a>>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    pub index: u32,
    pub turn: Turn<'a>,
    /// `None` when the upstream did not say; a reason is never made up.
    pub finish: Option<Finish<'a>>,
    /// In OpenAI's form: `{"content":[…],"refusal":[…]}`.
    pub logprobs: Option<Json<'a>>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish<'a> {
    pub reason: FinishReason,
    /// The upstream's own word, where it is not the neutral one.
    pub native: Option<Text<'a>>,
    /// The stop sequence that was met, where the upstream says which.
    pub stop_sequence: Option<Text<'a>>,
    pub extras: Extras<'a>,
}

impl<'a> Finish<'a> {
    pub fn new(reason: FinishReason, native: Option<Text<'a>>) -> Self {
        Self { reason, native, stop_sequence: None, extras: Extras::default() }
    }

    pub fn into_owned(self) -> Finish<'static> {
        let own = |text: Option<Text<'_>>| text.map(|text| Text::Owned(text.into_owned()));
        Finish {
            reason: self.reason,
            native: own(self.native),
            stop_sequence: own(self.stop_sequence),
            extras: self.extras.into_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    /// The legacy form of `ToolCalls`.
    FunctionCall,
    /// The upstream gave up and said so in the place of a reason.
    Error,
}

impl FinishReason {
    /// As OpenAI writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::FunctionCall => "function_call",
            Self::Error => "error",
        }
    }
}

/// Token counts under one invariant: `prompt_tokens` is everything read, cached or not; `completion_tokens` everything
/// generated, reasoning included; the details are parts of these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub cached_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
}

impl TokenUsage {
    /// Lets no part exceed its whole.
    pub(crate) fn contain(&mut self) {
        self.total_tokens = self.prompt_tokens.saturating_add(self.completion_tokens);
        let mut room = self.prompt_tokens;
        for part in [&mut self.cached_tokens, &mut self.cache_write_tokens].into_iter().flatten() {
            *part = room.min(*part);
            room -= *part;
        }
        if let Some(reasoning) = &mut self.reasoning_tokens {
            *reasoning = self.completion_tokens.min(*reasoning);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage<'a> {
    pub tokens: TokenUsage,
    pub extras: Extras<'a>,
}

impl Usage<'_> {
    pub fn into_owned(self) -> Usage<'static> {
        Usage { tokens: self.tokens, extras: self.extras.into_owned() }
    }
}

/// What to say in a reply where the upstream said nothing, and what the client asked to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    pub id: &'a str,
    pub model: &'a str,
    pub created_s: u64,
    /// The client asked for usage at the end of a stream.
    pub include_usage: bool,
}

/// An error as its sender worded it. `message` and `detail` may quote keys or prompts: they are for the log of an
/// operator who asked for content, and for the client only when the fault is the client's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorReply<'a> {
    pub message: Text<'a>,
    /// The kind of error by name: `type` in most dialects, `status` at Google.
    pub kind: Option<Text<'a>>,
    pub code: Option<Text<'a>>,
    pub param: Option<Text<'a>>,
    /// An HTTP status named in the body, which counts where the body came with a 200.
    pub status: Option<u16>,
    /// What a provider behind the provider said.
    pub detail: Option<Text<'a>>,
    pub extras: Extras<'a>,
}

impl ErrorReply<'_> {
    pub fn into_owned(self) -> ErrorReply<'static> {
        let own = |text: Option<Text<'_>>| text.map(|text| Text::Owned(text.into_owned()));
        ErrorReply {
            message: Text::Owned(self.message.into_owned()),
            kind: own(self.kind),
            code: own(self.code),
            param: own(self.param),
            status: self.status,
            detail: own(self.detail),
            extras: self.extras.into_owned(),
        }
    }
}
