//! What a client asks for.

use bytes::Bytes;

use super::lost::names_of_tool;
use super::{CallKind, EmbeddingsRequest, Extras, Json, Origin, RerankRequest, Spelling, Text, Turn, Word};
use crate::dialects::Dialect;

/// A request of any dialect. Which variant a dialect reads and writes is fixed; the others are refused.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per exchange, moved once; a box would only add a pointer to every read"
)]
pub enum Request<'a> {
    Chat(ChatRequest<'a>),
    Embeddings(EmbeddingsRequest<'a>),
    Rerank(RerankRequest<'a>),
}

impl Request<'_> {
    pub fn model(&self) -> &str {
        match self {
            Self::Chat(chat) => &chat.model,
            Self::Embeddings(embeddings) => &embeddings.model,
            Self::Rerank(rerank) => &rerank.model,
        }
    }
}

/// A request body in the target's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub body: Bytes,
    /// What the target's dialect cannot say, as names and places (`messages[2].content[0]`), never values.
    pub dropped: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatRequest<'a> {
    pub model: Text<'a>,
    /// System turns stand where the client put them.
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub response_format: Option<ResponseFormat<'a>>,
    pub sampling: Sampling<'a>,
    /// The limit that counts reasoning too.
    pub max_completion_tokens: Option<u64>,
    /// Its deprecated predecessor; [`Self::max_output_tokens`] chooses.
    pub max_tokens: Option<u64>,
    pub reasoning: Option<ReasoningWish<'a>>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions<'a>>,
    pub user: Option<Text<'a>>,
    pub safety_identifier: Option<Text<'a>>,
    pub prompt_cache_key: Option<Text<'a>>,
    pub service_tier: Option<Text<'a>>,
    pub verbosity: Option<Text<'a>>,
    pub store: Option<bool>,
    pub metadata: Option<Json<'a>>,
    pub extras: Extras<'a>,
}

impl ChatRequest<'_> {
    /// The output limit in force: OpenAI prefers the current field where both are given.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// The stable name of the user, as long as `OpenAI` takes one (64 characters); the rest of it would name nobody.
    pub(crate) fn identifier(&self) -> Option<&str> {
        self.safety_identifier.as_deref().filter(|name| name.chars().count() <= 64)
    }

    /// Whether it asks to be kept. Not to be is what becomes of it where nothing is.
    pub(crate) fn is_to_be_stored(&self) -> bool {
        self.store == Some(true)
    }

    /// Whether it asks for another length of answers than everybody gives.
    pub(crate) fn wants_verbosity(&self) -> bool {
        self.verbosity.as_deref().is_some_and(|verbosity| verbosity != "medium")
    }

    /// Whether it asks for another tier than the one that there always is.
    pub(crate) fn wants_tier(&self) -> bool {
        self.service_tier.as_deref().is_some_and(|tier| !matches!(tier, "auto" | "default"))
    }

    pub(crate) fn has_metadata(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| !metadata.as_str().trim_matches(['{', '}', ' ']).is_empty())
    }

    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    pub fn include_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Tool<'a> {
    Callable(Callable<'a>),
    /// A tool the provider runs itself, or a kind only `dialect` knows.
    Opaque {
        dialect: Dialect,
        raw: Json<'a>,
    },
}

impl Tool<'_> {
    /// The names of what is lost where it cannot be told at all.
    pub(crate) fn lost_names(&self, place: Origin) -> Vec<String> {
        match self {
            Self::Callable(_) => vec![place.to_string()],
            Self::Opaque { dialect, raw } => names_of_tool(place, *dialect, raw),
        }
    }
}

/// Tools with where the client wrote them. One that only its dialect knows stands behind the one before it.
pub(crate) fn placed<'t, 'a>(tools: &'t [Tool<'a>]) -> impl Iterator<Item = (Origin, &'t Tool<'a>)> {
    let mut next = 0;
    tools.iter().map(move |tool| {
        let known = match tool {
            Tool::Callable(callable) => callable.extras.origin(),
            Tool::Opaque { .. } => None,
        };
        let origin = known.unwrap_or_else(|| Origin::item(Word::Tools, next));
        next = origin.number().map_or(next, |number| number as usize) + 1;
        (origin, tool)
    })
}

#[derive(Debug, Clone, PartialEq)]
pub struct Callable<'a> {
    pub kind: CallKind,
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// JSON Schema of the arguments; for the custom kind, its grammar.
    pub parameters: Option<Json<'a>>,
    pub strict: Option<bool>,
    pub cache_mark: Option<Json<'a>>,
    pub extras: Extras<'a>,
}

impl Callable<'_> {
    /// Where the client wrote it, for one that stands at `index` now.
    pub(crate) fn place(&self, index: usize) -> String {
        self.extras.origin().unwrap_or_else(|| Origin::item(Word::Tools, index)).to_string()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolChoice<'a> {
    /// `LegacyFunction` when it was said as `function_call`.
    pub kind: CallKind,
    pub mode: ToolChoiceMode<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoiceMode<'a> {
    None,
    Auto,
    Required,
    Named(Text<'a>),
    /// One of these, by name; `required` says that one must be called.
    Allowed {
        tools: Vec<(CallKind, Text<'a>)>,
        required: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFormat<'a> {
    Text,
    JsonObject,
    JsonSchema { name: Option<Text<'a>>, description: Option<Text<'a>>, schema: Option<Json<'a>>, strict: Option<bool> },
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling<'a> {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub seed: Option<i64>,
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    pub stop: Option<Stop<'a>>,
}

impl Sampling<'_> {
    pub(crate) fn wants_frequency_penalty(&self) -> bool {
        self.frequency_penalty.is_some_and(|penalty| penalty != 0.0)
    }

    pub(crate) fn wants_presence_penalty(&self) -> bool {
        self.presence_penalty.is_some_and(|penalty| penalty != 0.0)
    }

    pub(crate) fn wants_top_logprobs(&self) -> bool {
        self.top_logprobs.is_some_and(|count| count > 0)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stop<'a> {
    pub sequences: Vec<Text<'a>>,
    pub spelling: Spelling,
}

/// How much the model should think: an effort by name or a budget, as the client said it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReasoningWish<'a> {
    pub effort: Option<Text<'a>>,
    pub summary: Option<Text<'a>>,
    pub mode: Option<ReasoningMode>,
    /// At most this many tokens of reasoning.
    pub budget_tokens: Option<u64>,
    /// Whether the reasoning is to be told (Gemini `includeThoughts`; Anthropic `display`).
    pub include: Option<bool>,
    /// `Structured` for the object form that clients of the Responses API carry over.
    pub spelling: Spelling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningMode {
    Enabled,
    /// The model chooses how much.
    Adaptive,
    Disabled,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamOptions<'a> {
    pub include_usage: Option<bool>,
    pub extras: Extras<'a>,
}
