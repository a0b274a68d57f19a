//! What one model of one provider can do, as data: every field may be missing, and what is missing is not known.
//!
//! The rule: what is not known is not acted on, so that a model without a row is spoken to as its dialect is documented.

use serde::Deserialize;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// What becomes of `temperature`, `top_p`, `top_k` and their like.
    pub sampling: Option<SamplingRule>,
    /// Which of chat's two limits the model reads.
    pub max_tokens_field: Option<MaxTokensField>,
    /// The most tokens of output that it may be asked for.
    pub max_output: Option<u64>,
    /// Said where the client says no limit and the dialect requires one.
    pub default_max_output: Option<u64>,
    pub reasoning_style: Option<ReasoningStyle>,
    /// The efforts or levels that it takes, by name.
    pub reasoning_efforts: Option<Vec<String>>,
    /// It thinks when nothing is said of it.
    pub reasoning_default_on: Option<bool>,
    pub reasoning_can_disable: Option<bool>,
    /// False where function tools are refused on chat while it thinks.
    pub chat_tools_with_reasoning: Option<bool>,
    pub forced_tool_choice: Option<ForcedToolChoice>,
    pub system_role: Option<SystemRole>,
    /// Instructions may stand behind the first turn of the conversation.
    pub mid_system: Option<bool>,
    pub json_schema: Option<JsonSchema>,
    pub strict_tools: Option<bool>,
    pub media_in: Option<Vec<Medium>>,
    /// False where media must come as bytes.
    pub media_by_url: Option<bool>,
    pub parallel_tools_flag: Option<bool>,
    /// It goes on with a turn of its own at the end of the conversation.
    pub prefill: Option<bool>,
    /// It answers in streams alone.
    pub stream_only: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingRule {
    Accept,
    Ignore,
    /// Refused, by some models only while they think.
    Reject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

/// How a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningStyle {
    /// It does not think.
    None,
    /// An effort by name.
    Effort,
    /// A number of tokens.
    Budget,
    /// It decides by itself, led by an effort.
    Adaptive,
    /// A level by name, without a way to switch it off.
    Level,
    /// On or off.
    Toggle,
}

/// When a model can be made to call a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedToolChoice {
    Always,
    WithoutThinking,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    System,
    Developer,
    /// It takes no instructions: they become text of the user.
    None,
}

/// How a model can be held to a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonSchema {
    Native,
    /// It can be held to JSON; the schema is told in the instructions.
    JsonObject,
    /// By a tool that it must call.
    Tool,
    /// By instructions alone.
    Prompt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    Image,
    Audio,
    Video,
    Pdf,
}

impl Capabilities {
    /// Whether it can be made to call a tool while it thinks, or while it does not.
    pub(super) fn can_force(&self, thinking: bool) -> bool {
        match self.forced_tool_choice {
            None | Some(ForcedToolChoice::Always) => true,
            Some(ForcedToolChoice::WithoutThinking) => !thinking,
            Some(ForcedToolChoice::Never) => false,
        }
    }

    /// Whether it thinks when it is not told to.
    pub(super) fn thinks_by_itself(&self) -> bool {
        self.reasoning_default_on == Some(true)
    }

    pub(super) fn can_stop_thinking(&self) -> bool {
        self.reasoning_can_disable != Some(false)
    }

    /// Whether its row has this word for an effort.
    pub(super) fn names_effort(&self, effort: &str) -> bool {
        self.reasoning_efforts.as_ref().is_some_and(|efforts| efforts.iter().any(|known| known == effort))
    }

    pub(super) fn takes_effort(&self, effort: &str) -> bool {
        self.reasoning_efforts.as_ref().is_none_or(|efforts| efforts.iter().any(|known| known == effort))
    }
}
