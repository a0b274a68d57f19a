//! Brings a request of one dialect into the form that one target takes, and remembers what its reply is read with.
//!
//! The rule: a pass changes what the target would refuse and nothing else, and what it changes in meaning it names. Run
//! between `parse_request` and `render_request`, when the two dialects differ or the target's provider has quirks that
//! reach into messages; any other request is never touched. The surprise: ids and names are rewritten by hash, without
//! memory, so that the next turn of the same conversation, perhaps on another machine, says the same ones.

mod builtins;
mod calls;
mod capabilities;
mod check;
mod custom;
mod demands;
mod elsewhere;
mod emptied;
mod forced;
mod format;
mod habits;
mod held;
mod instructions;
mod late;
mod media;
mod names;
mod prepare;
mod reasoning;
mod repeated;
mod sampling;
pub mod schema;
mod signatures;
mod turns;
mod way_back;

pub(crate) use calls::MADE_UP;
pub use capabilities::{
    Capabilities, ForcedToolChoice, JsonSchema, MaxTokensField, Medium, ReasoningStyle, SamplingRule, SystemRole,
};
pub(crate) use demands::refusal;
pub use demands::{Demands, OnLoss};
pub use names::Names;
pub use prepare::{Prepared, prepare};
pub use signatures::holds_marks;
pub(crate) use way_back::NOT_HELD;
pub use way_back::{Returning, WayBack};

use crate::dialects::message::ChatRequest;
use crate::dialects::{Dialect, DialectError, Place};

/// Where a target takes instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// In any turn, in the role that the client chose.
    Anywhere,
    /// In any turn, as `system` alone.
    SystemOnly,
    /// In any turn, as `developer` alone.
    DeveloperOnly,
    /// In front only; later ones become text of the user, in their place, so that what a cache holds stays as it is.
    InFront,
    /// Not at all: they are text of the user.
    Nowhere,
}

/// Which ids a target takes for tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallIds {
    Any,
    /// Letters, digits, `_` and `-`, at most this many.
    Word(usize),
    /// Exactly nine letters or digits (Mistral).
    Nine,
}

/// Which names a target takes for tools: letters, digits, `_` and `-`, and perhaps `.` and `:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolNames {
    pub longest: usize,
    /// The first character is a letter or `_`.
    pub starts_with_a_letter: bool,
    pub dots_and_colons: bool,
}

/// What a target demands of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a demand of its own, and every mix of them is somebody's")]
pub struct Shape {
    pub instructions: Instructions,
    /// Tool results are content of the user's turn, in front of all else in it, and not turns of their own.
    pub results_in_user_turns: bool,
    /// Turns of one role in a row are one turn.
    pub alternates: bool,
    /// The first turn behind the instructions is the user's.
    pub user_first: bool,
    /// Text without a visible character is refused.
    pub no_blank_text: bool,
    /// Tools that the history calls must be declared.
    pub declares_called_tools: bool,
    /// Every call is answered in the turn behind it, before anything else is said.
    pub pairs_results: bool,
    /// `functions` and `function_call`, OpenAI's first form of tools.
    pub legacy_functions: bool,
    pub call_ids: CallIds,
    pub tool_names: ToolNames,
}

const OPENAI_NAMES: ToolNames = ToolNames { longest: 64, starts_with_a_letter: false, dots_and_colons: false };

impl Shape {
    pub const OPENAI_CHAT: Self = Self {
        instructions: Instructions::Anywhere,
        results_in_user_turns: false,
        alternates: false,
        user_first: false,
        no_blank_text: false,
        declares_called_tools: false,
        pairs_results: true,
        legacy_functions: true,
        call_ids: CallIds::Any,
        tool_names: OPENAI_NAMES,
    };
    pub const OPENAI_RESPONSES: Self =
        Self { legacy_functions: false, call_ids: CallIds::Word(64), ..Self::OPENAI_CHAT };
    pub const ANTHROPIC_MESSAGES: Self = Self {
        instructions: Instructions::InFront,
        results_in_user_turns: true,
        alternates: true,
        user_first: true,
        no_blank_text: true,
        declares_called_tools: true,
        pairs_results: true,
        legacy_functions: false,
        call_ids: CallIds::Word(64),
        tool_names: ToolNames { longest: 128, starts_with_a_letter: false, dots_and_colons: false },
    };
    pub const GEMINI: Self = Self {
        tool_names: ToolNames { longest: 128, starts_with_a_letter: true, dots_and_colons: true },
        declares_called_tools: false,
        call_ids: CallIds::Any,
        ..Self::ANTHROPIC_MESSAGES
    };
    pub const BEDROCK_CONVERSE: Self = Self { tool_names: OPENAI_NAMES, ..Self::ANTHROPIC_MESSAGES };
    pub const COHERE_V2: Self =
        Self { instructions: Instructions::SystemOnly, legacy_functions: false, ..Self::OPENAI_CHAT };

    /// What every target of a dialect takes; a quirk of a provider may ask for more.
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            // What is no conversation has no shape, and chat demands least.
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::GeminiEmbeddings
            | Dialect::CohereEmbeddings
            | Dialect::TitanEmbeddings
            | Dialect::Rerank
            | Dialect::JinaRerank
            | Dialect::VoyageRerank => Self::OPENAI_CHAT,
            Dialect::OpenAiResponses => Self::OPENAI_RESPONSES,
            Dialect::AnthropicMessages => Self::ANTHROPIC_MESSAGES,
            Dialect::Gemini => Self::GEMINI,
            Dialect::BedrockConverse => Self::BEDROCK_CONVERSE,
            Dialect::CohereV2 | Dialect::Ollama => Self::COHERE_V2,
        }
    }
}

/// What the passes did that the client may want to know, and what a reply must be read with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed {
    /// Tool names that the target knows by another one.
    pub names: Names,
    /// What was changed in meaning, as places and words of ours, never values.
    pub changed: Vec<String>,
}

/// Brings `request` into `shape`. Refuses a conversation without turns.
pub fn shape_to(request: &mut ChatRequest<'_>, shape: &Shape) -> Result<Passed, DialectError> {
    if request.turns.is_empty() {
        return Err(Place::Document.member("messages").refuse("must hold at least one message"));
    }
    let mut passed = Passed::default();
    if !shape.legacy_functions {
        calls::fold_legacy(request);
    }
    repeated::part(&mut request.turns);
    turns::place_instructions(&mut request.turns, shape.instructions, &mut passed.changed);
    if shape.no_blank_text
        && let Some(place) = turns::drop_blank_text(&mut request.turns)
    {
        return Err(refusal(&place.to_string(), "must say something: this model is sent no empty message"));
    }
    if shape.pairs_results {
        late::bring_forward(&mut request.turns);
        calls::pair(&mut request.turns, &mut passed.changed);
    }
    turns::spell_bare_calls(&mut request.turns);
    turns::place_results(&mut request.turns, shape.results_in_user_turns, &mut passed.changed);
    if shape.alternates {
        turns::merge(&mut request.turns, &mut passed.changed);
    }
    if shape.user_first {
        turns::begin_with_user(&mut request.turns, &mut passed.changed);
    }
    if shape.declares_called_tools {
        calls::declare_called(request);
    }
    calls::rewrite_ids(&mut request.turns, shape.call_ids);
    passed.names = names::rewrite(request, shape.tool_names);
    Ok(passed)
}

#[cfg(test)]
mod tests;
