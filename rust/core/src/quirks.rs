//! How a provider departs from the dialect it speaks, as data: each field one small verb, none needs another.
//!
//! Verbs of the body's top level (`rename`, `drop`, `default`, `clamp`, `tool_choice`) change those members and leave
//! every other byte as it came; the others ask for the messages to be read and written anew. Without quirks nothing is
//! looked at. Every verb is about the `openai_chat` dialect, which is the one that others imitate.

mod edits;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::passes::{CallIds, JsonSchema, SystemRole};
use crate::usage::UsageRule;
pub use edits::{Edited, edits};

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a verb of its own, and every mix of them is somebody's")]
pub struct Quirks {
    /// Members under another name, where nothing stands under that one; else the old one is dropped.
    pub rename: BTreeMap<String, String>,
    /// Members that are refused or mean nothing, left out and named.
    pub drop: Vec<String>,
    /// Members said where the client does not say them.
    pub default: BTreeMap<String, Scalar>,
    /// Numbers brought into `[least, most]`.
    pub clamp: BTreeMap<String, (f64, f64)>,
    /// Words of `tool_choice` for others (`required = "any"`). `named` stands for the object that names a function: its
    /// word takes its place, or, where the word is `name`, the bare name of the function.
    pub tool_choice: BTreeMap<String, String>,
    /// The role of instructions, where the provider knows only one.
    pub system_role: Option<SystemRole>,
    pub call_ids: CallIdRule,
    /// Content is a string and never a list, where it is nothing but text.
    pub flatten_text: bool,
    /// How documents are said.
    pub documents: Documents,
    /// How sounds are said.
    pub sounds: Sounds,
    /// The first turn behind the instructions must be the user's.
    pub user_first: bool,
    /// User and assistant take turns; what follows in the same role is joined.
    pub alternates: bool,
    /// Instructions stand in front only.
    pub system_first: bool,
    /// An empty text is refused, as it is by Anthropic.
    pub no_blank_text: bool,
    /// `name` stands on results of tools alone.
    pub no_name_on_messages: bool,
    /// Members of messages that are null are refused, and so are those that only replies have.
    pub no_null_members: bool,
    /// What becomes of the reasoning of earlier turns.
    pub history_reasoning: HistoryReasoning,
    /// Behind the results of tools the assistant must speak before the user does (Mistral).
    pub answer_after_results: bool,
    /// Arguments of calls must be the text of a JSON object (`DashScope`).
    pub arguments_are_objects: bool,
    /// The word with which a last turn of the assistant is gone on with: `prefix` (`DeepSeek`, Mistral), `partial` (Moonshot).
    pub prefill_mark: Option<PrefillMark>,
    /// `strict` is refused, in tools and in schemas.
    pub strict_unsupported: bool,
    /// Free text tools are taken as they are; elsewhere they become functions of one text.
    pub custom_tools: bool,
    /// What the schemas of tools may hold.
    pub tool_schema: Option<ToolSchema>,
    /// How answers are held to a schema, where the model's own row does not say.
    pub json_schema: Option<JsonSchema>,
    /// `json_object` is refused where no message holds the word "json".
    pub json_word_needed: bool,
    /// Where a wish to think stands.
    pub reasoning_form: ReasoningForm,
    /// More than one choice cannot be asked for.
    pub one_choice: bool,
    /// It answers in streams alone: one is asked for, and put together for a client that wants none.
    pub stream_only: bool,
    /// A reply without content that ended well is a failure, whatever the route says.
    pub empty_content_is_failure: bool,
    /// A rule of [`crate::usage::UsageRule`]: `reasoning_apart`, `completion_from_total`, `prompt_from_total`.
    pub usage: Option<UsageQuirk>,
}

/// A value of `default`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIdRule {
    #[default]
    Any,
    /// Nine letters or digits.
    Nine,
    Word64,
    Word40,
}

impl CallIdRule {
    pub(crate) fn rule(self) -> Option<CallIds> {
        match self {
            Self::Any => None,
            Self::Nine => Some(CallIds::Nine),
            Self::Word64 => Some(CallIds::Word(64)),
            Self::Word40 => Some(CallIds::Word(40)),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Documents {
    /// As `file`, in bytes alone, and only PDF (`OpenAI`).
    #[default]
    File,
    /// As `file`, of any type, which may be an address as well (`OpenRouter`).
    FileUrl,
    /// As `document_url` (Mistral).
    DocumentUrl,
    /// There is no part for them; requests of other dialects that hold one are refused.
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sounds {
    /// With their format beside them (`OpenAI`).
    #[default]
    Named,
    /// As bytes and nothing else (Mistral).
    Bare,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryReasoning {
    /// As the client sends it.
    #[default]
    Keep,
    /// Taken out: the provider refuses or ignores it.
    Strip,
    /// The provider refuses a turn of the assistant without it while it thinks: a blank stands for what is missing.
    Require,
    /// As text parts of type `thinking` among the content (Mistral).
    ThinkingPart,
    /// In `reasoning` and not in `reasoning_content`.
    Reasoning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefillMark {
    Prefix,
    Partial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolSchema {
    /// Without `$ref` and `$defs`.
    Inlined,
    /// And without `$id`, `$schema` and `additionalProperties: false` (Mistral).
    Bare,
    /// Google's older form.
    OpenApi,
    /// What structured outputs of OpenAI take.
    OpenAiStrict,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningForm {
    /// `reasoning_effort`.
    #[default]
    Effort,
    /// `thinking: {"type": …}`, and `reasoning_effort` beside it where the model has efforts (`DeepSeek`, Z.ai, Moonshot).
    Thinking,
    /// `enable_thinking` and `thinking_budget` (Qwen).
    EnableThinking,
    /// `reasoning: {…}` (`OpenRouter`).
    Reasoning,
    /// `chat_template_kwargs: {"enable_thinking": …}` (vLLM, `SGLang`).
    Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageQuirk {
    ReasoningApart,
    CompletionFromTotal,
    PromptFromTotal,
}

impl Quirks {
    /// A request must be read and written anew for this provider, even where it is in its dialect already.
    pub fn reshapes(&self) -> bool {
        // No `..`: a new verb must be put on its side of the line.
        let Self {
            // Edits of the top level.
            rename: _,
            drop: _,
            default: _,
            clamp: _,
            tool_choice: _,
            // About what comes back, or only about requests of other dialects.
            custom_tools: _,
            reasoning_form: _,
            one_choice: _,
            stream_only: _,
            empty_content_is_failure: _,
            usage: _,
            system_role,
            call_ids,
            flatten_text,
            documents,
            sounds,
            user_first,
            alternates,
            system_first,
            no_blank_text,
            no_name_on_messages,
            no_null_members,
            history_reasoning,
            answer_after_results,
            arguments_are_objects,
            prefill_mark,
            strict_unsupported,
            tool_schema,
            json_schema,
            json_word_needed,
        } = self;
        let turns = *flatten_text || *user_first || *alternates || *system_first || *answer_after_results;
        let texts = *no_blank_text || *no_name_on_messages || *no_null_members || system_role.is_some();
        let tools = *arguments_are_objects || *strict_unsupported || tool_schema.is_some();
        let schemas = json_schema.is_some() || *json_word_needed;
        let media = *documents == Documents::DocumentUrl || *sounds != Sounds::Named;
        let others = *call_ids != CallIdRule::Any || *history_reasoning != HistoryReasoning::Keep;
        turns || texts || tools || schemas || media || others || prefill_mark.is_some()
    }

    /// Whether members of the body's top level are to be edited.
    pub fn edits(&self) -> bool {
        !(self.rename.is_empty()
            && self.drop.is_empty()
            && self.default.is_empty()
            && self.clamp.is_empty()
            && self.tool_choice.is_empty())
    }

    /// Whether a stream's usage must be asked for. Where the question itself is refused it comes anyway.
    pub fn asks_for_usage(&self) -> bool {
        !self.drop.iter().any(|name| name == "stream_options")
    }

    pub fn usage_rule(&self) -> UsageRule {
        match self.usage {
            None => UsageRule::Invariant,
            Some(UsageQuirk::ReasoningApart) => UsageRule::ReasoningApart,
            Some(UsageQuirk::CompletionFromTotal) => UsageRule::CompletionFromTotal,
            Some(UsageQuirk::PromptFromTotal) => UsageRule::PromptFromTotal,
        }
    }
}
