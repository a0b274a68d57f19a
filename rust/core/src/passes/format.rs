//! Structured output: native where the model has it, else by JSON mode, by a tool it must call, or by instructions.
//!
//! The rule: the client gets text, whichever way the model was made to give it, and what was emulated is checked when it
//! is whole.

use super::demands::{Demands, Losses, OnLoss, refusal};
use super::schema::{self, SchemaRules};
use super::{JsonSchema, ReasoningStyle, instructions};
use crate::dialects::message::{
    Block, CallKind, Callable, ChatRequest, Content, Extras, Json, ReasoningMode, ResponseFormat, Tool, ToolChoice,
    ToolChoiceMode, Turn,
};
use crate::dialects::{Dialect, DialectError};

const NAME: &str = "response_format";
/// The tool whose arguments are the answer.
const TOOL: &str = "json_response";

/// How an answer that was emulated is told and checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Answer {
    /// The tool that the answer comes as a call of.
    pub(super) tool: Option<String>,
    /// What the answer must hold to.
    pub(super) schema: Option<String>,
    /// Nothing but instructions asked for JSON: there may be a fence around it.
    pub(super) fenced: bool,
}

pub(super) fn suit(
    request: &mut ChatRequest<'_>,
    source: Dialect,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<Option<Answer>, DialectError> {
    match request.response_format.take() {
        Some(ResponseFormat::JsonSchema { name, description, schema: Some(schema), strict }) => {
            let way = demands.capabilities.json_schema.or(demands.quirks.json_schema).unwrap_or(JsonSchema::Native);
            if way != JsonSchema::Native {
                return emulate(request, &schema, way, demands, losses).map(Some);
            }
            let suited = native_rules(demands).and_then(|rules| schema::suit(&schema, &rules));
            if suited.is_some() && source != demands.dialect {
                losses.note("response_format.json_schema.schema");
            }
            let strict = if demands.quirks.strict_unsupported { None } else { strict };
            let schema = Some(suited.unwrap_or(schema));
            request.response_format = Some(ResponseFormat::JsonSchema { name, description, schema, strict });
        }
        Some(ResponseFormat::JsonObject) if demands.dialect == Dialect::AnthropicMessages => {
            // It has schemas and nothing less.
            instructions::add(request, "Answer with one JSON object and nothing else.");
            losses.note(NAME);
            return Ok(Some(Answer { fenced: true, ..Answer::default() }));
        }
        other => request.response_format = other,
    }
    if request.response_format == Some(ResponseFormat::JsonObject) {
        name_json(request, demands, losses);
    }
    Ok(None)
}

fn native_rules(demands: &Demands) -> Option<SchemaRules> {
    (demands.dialect == Dialect::AnthropicMessages).then_some(SchemaRules::ANTHROPIC)
}

/// Some providers refuse JSON mode where nothing in the conversation speaks of JSON.
fn name_json(request: &mut ChatRequest<'_>, demands: &Demands, losses: &mut Losses) {
    if !demands.quirks.json_word_needed {
        return;
    }
    let named = request
        .turns
        .iter()
        .flat_map(Turn::texts)
        .any(|text| text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json")));
    if !named {
        instructions::add(request, "Answer in JSON.");
        losses.note("messages");
    }
}

fn emulate(
    request: &mut ChatRequest<'_>,
    schema: &Json<'_>,
    way: JsonSchema,
    demands: &Demands,
    losses: &mut Losses,
) -> Result<Answer, DialectError> {
    if demands.on_loss == OnLoss::Reject {
        return Err(refusal(NAME, "must not be a JSON schema: this model cannot be held to one"));
    }
    losses.note(NAME);
    let mut answer = Answer { schema: Some(schema.as_str().to_owned()), ..Answer::default() };
    let way = if way == JsonSchema::Tool && !can_call(request, demands) { JsonSchema::Prompt } else { way };
    match way {
        JsonSchema::Native => {}
        JsonSchema::JsonObject => {
            describe(request, schema);
            request.response_format = Some(ResponseFormat::JsonObject);
        }
        JsonSchema::Prompt => {
            describe(request, schema);
            answer.fenced = true;
        }
        JsonSchema::Tool => answer.tool = Some(answer_by_tool(request, schema, demands)),
    }
    Ok(answer)
}

fn describe(request: &mut ChatRequest<'_>, schema: &Json<'_>) {
    let sentence =
        format!("Answer with one JSON value and nothing else. It must hold to this JSON schema:\n{}", schema.as_str());
    instructions::add(request, &sentence);
}

/// A model that thinks anyway, and cannot be forced while it does, is asked in words.
fn can_call(request: &ChatRequest<'_>, demands: &Demands) -> bool {
    let capabilities = &demands.capabilities;
    let said = request.reasoning.as_ref();
    let thinks = match said {
        Some(wish) => wish.mode != Some(ReasoningMode::Disabled) && wish.effort.as_deref() != Some("none"),
        None => capabilities.thinks_by_itself(),
    };
    let by_budget = demands.dialect == Dialect::AnthropicMessages && thinks;
    let free = capabilities.reasoning_style == Some(ReasoningStyle::None) || !by_budget;
    capabilities.can_force(thinks) && free
}

/// Declares the tool and makes the model call it, or one of the client's own where there are some.
fn answer_by_tool(request: &mut ChatRequest<'_>, schema: &Json<'_>, demands: &Demands) -> String {
    let taken = |name: &str| {
        let declared = request.tools.iter().any(|tool| matches!(tool, Tool::Callable(known) if known.name == name));
        let called = request.turns.iter().flat_map(|turn| &turn.blocks).any(|block| match &block.content {
            Content::ToolCall(call) => call.name == name,
            _ => false,
        });
        declared || called
    };
    let name = (1..u32::MAX)
        .map(|number| if number == 1 { TOOL.to_owned() } else { format!("{TOOL}_{number}") })
        .find(|name| !taken(name))
        .unwrap_or_default();
    let choosable = request.tools.iter().any(|tool| matches!(tool, Tool::Callable(_)));
    let chosen = request.tool_choice.as_ref().map(|choice| &choice.mode);
    let mode = match chosen {
        // The client's own choice stands: the answer comes in a later turn.
        Some(ToolChoiceMode::Named(_) | ToolChoiceMode::Allowed { .. } | ToolChoiceMode::Required) => None,
        Some(ToolChoiceMode::None) => Some(ToolChoiceMode::Named(name.clone().into())),
        _ if choosable => Some(ToolChoiceMode::Required),
        _ => Some(ToolChoiceMode::Named(name.clone().into())),
    };
    let parameters = object_of(schema, demands);
    request.tools.push(Tool::Callable(Callable {
        kind: CallKind::Function,
        name: name.clone().into(),
        description: Some("Gives the answer. Its arguments are the whole answer.".into()),
        parameters: Some(parameters),
        strict: None,
        cache_mark: None,
        extras: Extras::default(),
    }));
    if let Some(mode) = mode {
        request.tool_choice = Some(ToolChoice { kind: CallKind::Function, mode });
        if !choosable && demands.capabilities.parallel_tools_flag != Some(false) {
            request.parallel_tool_calls = Some(false);
        }
    }
    name
}

fn object_of(schema: &Json<'_>, demands: &Demands) -> Json<'static> {
    let suited = native_rules(demands).and_then(|rules| schema::suit(schema, &rules));
    suited.unwrap_or_else(|| schema.clone().into_owned())
}

impl Answer {
    /// The JSON in an answer, without the fence that models put around it.
    pub(super) fn bare<'t>(&self, text: &'t str) -> &'t str {
        let trimmed = text.trim();
        if !self.fenced {
            return trimmed;
        }
        let inner = trimmed.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
        let Some(inner) = inner else { return trimmed };
        inner.strip_prefix("json").unwrap_or(inner).trim()
    }

    /// Whether the whole answer is what was asked for.
    pub(super) fn holds(&self, text: &str) -> bool {
        // A schema that cannot be read was not one the model could hold to; without one nothing was promised.
        let schema = self.schema.as_ref().and_then(|schema| serde_json::from_str(schema).ok());
        let Some(schema) = schema else { return true };
        serde_json::from_str(self.bare(text)).is_ok_and(|value| super::check::holds(&value, &schema))
    }
}

/// A block of text, for an answer that came as a call.
pub(super) fn text_of(arguments: &str) -> Block<'static> {
    Block::text(arguments.to_owned())
}
