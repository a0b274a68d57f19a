//! The names of a request's members in the dialects of clients, for those that chat calls otherwise.

use crate::dialects::message::{CallKind, ChatRequest, EmbeddingsRequest, Inputs, Json};
use crate::dialects::{Dialect, gemini_embeddings};

/// What of a request may stand under one of several names, and under which it does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spelled {
    limit: Option<&'static str>,
    effort: Option<&'static str>,
    format: Option<&'static str>,
    choice: Option<&'static str>,
    user: Option<&'static str>,
    inputs: Option<&'static str>,
}

/// Members that every dialect has under a name of its own, or where chat has it.
type Renamed = &'static [(&'static str, &'static str)];

const ANTHROPIC: Renamed = &[
    ("max_completion_tokens", "max_tokens"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("reasoning.budget_tokens", "thinking.budget_tokens"),
    ("reasoning.effort", "output_config.effort"),
    ("reasoning.include", "thinking.display"),
    ("reasoning.mode", "thinking.type"),
    ("response_format", "output_config.format"),
    ("safety_identifier", "metadata.user_id"),
    ("stop", "stop_sequences"),
];
const BEDROCK: Renamed = &[
    ("max_completion_tokens", "inferenceConfig.maxTokens"),
    ("max_tokens", "inferenceConfig.maxTokens"),
    ("metadata", "requestMetadata"),
    ("reasoning", "additionalModelRequestFields.thinking"),
    ("reasoning_effort", "outputConfig.effort"),
    ("response_format", "outputConfig.textFormat"),
    ("service_tier", "serviceTier"),
    ("stop", "inferenceConfig.stopSequences"),
    ("temperature", "inferenceConfig.temperature"),
    ("tool_choice", "toolConfig.toolChoice"),
    ("top_k", "additionalModelRequestFields.top_k"),
    ("top_p", "inferenceConfig.topP"),
];
const COHERE: Renamed = &[
    ("max_completion_tokens", "max_tokens"),
    ("reasoning.budget_tokens", "thinking.token_budget"),
    ("reasoning.mode", "thinking.type"),
    ("reasoning_effort", "thinking"),
    ("response_format.json_schema.schema", "response_format.json_schema"),
    ("stop", "stop_sequences"),
    ("top_k", "k"),
    ("top_p", "p"),
];
const GEMINI: Renamed = &[
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("logprobs", "generationConfig.responseLogprobs"),
    ("max_completion_tokens", "generationConfig.maxOutputTokens"),
    ("max_tokens", "generationConfig.maxOutputTokens"),
    ("messages", "contents"),
    ("n", "generationConfig.candidateCount"),
    ("presence_penalty", "generationConfig.presencePenalty"),
    ("reasoning", "generationConfig.thinkingConfig"),
    ("reasoning.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
    ("reasoning.effort", "generationConfig.thinkingConfig.thinkingLevel"),
    ("reasoning.include", "generationConfig.thinkingConfig.includeThoughts"),
    ("reasoning.mode", "generationConfig.thinkingConfig.thinkingBudget"),
    ("reasoning_effort", "generationConfig.thinkingConfig"),
    ("response_format", "generationConfig.responseMimeType"),
    ("seed", "generationConfig.seed"),
    ("service_tier", "serviceTier"),
    ("stop", "generationConfig.stopSequences"),
    ("temperature", "generationConfig.temperature"),
    ("tool_choice", "toolConfig.functionCallingConfig"),
    ("top_k", "generationConfig.topK"),
    ("top_logprobs", "generationConfig.logprobs"),
    ("top_p", "generationConfig.topP"),
];
const OLLAMA: Renamed = &[
    ("frequency_penalty", "options.frequency_penalty"),
    ("max_completion_tokens", "options.num_predict"),
    ("max_tokens", "options.num_predict"),
    ("presence_penalty", "options.presence_penalty"),
    ("reasoning", "think"),
    ("reasoning_effort", "think"),
    ("response_format", "format"),
    ("seed", "options.seed"),
    ("stop", "options.stop"),
    ("temperature", "options.temperature"),
    ("top_k", "options.top_k"),
    ("top_p", "options.top_p"),
];
const RESPONSES: Renamed = &[
    ("logprobs", "include"),
    ("max_completion_tokens", "max_output_tokens"),
    ("max_tokens", "max_output_tokens"),
    ("messages", "input"),
    ("reasoning_effort", "reasoning.effort"),
    ("response_format", "text.format"),
    ("verbosity", "text.verbosity"),
];
const COMPLETIONS: Renamed =
    &[("max_completion_tokens", "max_tokens"), ("messages", "prompt"), ("top_logprobs", "logprobs")];

const GEMINI_EMBEDDINGS: Renamed =
    &[("dimensions", "outputDimensionality"), ("task", "taskType"), ("truncate", "autoTruncate")];
const COHERE_EMBEDDINGS: Renamed =
    &[("dimensions", "output_dimension"), ("encoding_format", "embedding_types"), ("task", "input_type")];

fn renamed(source: Dialect) -> Renamed {
    match source {
        Dialect::GeminiEmbeddings => GEMINI_EMBEDDINGS,
        Dialect::CohereEmbeddings => COHERE_EMBEDDINGS,
        Dialect::AnthropicMessages => ANTHROPIC,
        Dialect::BedrockConverse => BEDROCK,
        Dialect::CohereV2 => COHERE,
        Dialect::Gemini => GEMINI,
        Dialect::Ollama => OLLAMA,
        Dialect::OpenAiResponses => RESPONSES,
        Dialect::OpenAiCompletions => COMPLETIONS,
        _ => &[],
    }
}

/// What the client calls the last member of a place in the conversation.
fn member_of(source: Dialect, member: &str) -> &str {
    match (source, member) {
        (Dialect::OpenAiChat | Dialect::CohereV2, "detail") => "image_url.detail",
        (Dialect::OpenAiChat, "filename") => "file.filename",
        (Dialect::OpenAiChat | Dialect::AnthropicMessages, "redacted") => "data",
        (Dialect::BedrockConverse, "redacted") => "reasoningContent.redactedContent",
        (Dialect::AnthropicMessages, "filename") => "title",
        (Dialect::AnthropicMessages, "tool_call_id") => "tool_use_id",
        (Dialect::Gemini, "content") => "parts",
        (Dialect::Gemini, "filename") => "inlineData.displayName",
        (Dialect::Gemini, "signature") => "thoughtSignature",
        (Dialect::Gemini, "tool_call_id") => "functionResponse.id",
        (Dialect::OpenAiResponses, "citations") => "annotations",
        (Dialect::OpenAiResponses, "signature" | "redacted") => "encrypted_content",
        (Dialect::OpenAiResponses, "tool_call_id") => "call_id",
        (_, member) => member,
    }
}

/// The same of a tool.
fn of_tool(source: Dialect, member: &str) -> &str {
    match (source, member) {
        (Dialect::OpenAiChat | Dialect::CohereV2 | Dialect::Ollama, "parameters") => "function.parameters",
        (Dialect::OpenAiChat, "strict") => "function.strict",
        (Dialect::OpenAiChat, "format") => "custom.format",
        (Dialect::BedrockConverse, "parameters") => "toolSpec.inputSchema",
        (Dialect::BedrockConverse, "strict") => "toolSpec.strict",
        (Dialect::AnthropicMessages, "parameters") => "input_schema",
        (_, member) => member,
    }
}

const CONVERSATION: [&str; 7] =
    ["messages", "contents", "input", "system", "systemInstruction", "instructions", "prompt"];

impl Spelled {
    pub(super) fn of_inputs(request: &EmbeddingsRequest<'_>, source: Dialect) -> Self {
        let inputs = match (source, &request.inputs) {
            (Dialect::GeminiEmbeddings, _) => Some(gemini_embeddings::member_of_inputs(request)),
            (Dialect::CohereEmbeddings, Inputs::Opaque { member, .. }) => Some(*member),
            (Dialect::CohereEmbeddings, _) => Some("texts"),
            (Dialect::TitanEmbeddings, _) => Some("inputText"),
            _ => None,
        };
        Self { inputs, ..Self::default() }
    }

    pub(super) fn of(request: &ChatRequest<'_>, source: Dialect) -> Self {
        let extra = |name: &str| request.extras.get(source, name).is_some();
        let wish = request.reasoning.as_ref();
        let mut spelled = Self::default();
        match source {
            Dialect::OpenAiChat => {
                spelled.limit = match (request.max_completion_tokens, request.max_tokens) {
                    (Some(_), None) => Some("max_completion_tokens"),
                    (None, Some(_)) => Some("max_tokens"),
                    _ => None,
                };
                let elsewhere = ["thinking", "reasoning", "enable_thinking"];
                spelled.effort = elsewhere.into_iter().find(|name| wish.is_none() && extra(name));
                let legacy = |kind| kind == CallKind::LegacyFunction;
                let choice = request.tool_choice.as_ref().is_some_and(|choice| legacy(choice.kind));
                spelled.choice = choice.then_some("function_call");
            }
            Dialect::AnthropicMessages => {
                let by_mode = wish.is_some_and(|wish| wish.mode.is_some());
                spelled.effort = Some(if by_mode { "thinking" } else { "output_config.effort" });
                spelled.user = request.safety_identifier.is_some().then_some("metadata.user_id");
                spelled.format = extra("output_format").then_some("output_format");
            }
            Dialect::Gemini if super::has_schema(request) => {
                let rest = request.extras.get(source, "generationConfig").map_or("", Json::as_str);
                let older = rest.contains("\"responseSchema\"");
                let [newer, older_name] = ["generationConfig.responseJsonSchema", "generationConfig.responseSchema"];
                spelled.format = Some(if older { older_name } else { newer });
            }
            Dialect::OpenAiResponses => {
                let by_name = wish.is_none_or(|wish| wish.effort.is_some());
                spelled.effort = Some(if by_name { "reasoning.effort" } else { "reasoning" });
            }
            _ => {}
        }
        spelled
    }

    /// A name as the client has it.
    pub(super) fn name(self, name: &str, source: Dialect) -> String {
        let end = name.find(['[', '.']).unwrap_or(name.len());
        let (head, rest) = name.split_at_checked(end).unwrap_or((name, ""));
        if CONVERSATION.contains(&head) && !rest.is_empty() {
            return in_conversation(name, source);
        }
        if matches!(head, "tools" | "functions") {
            let head = if source == Dialect::BedrockConverse { "toolConfig.tools" } else { head };
            let Some((place, member)) = rest.rsplit_once("].") else { return format!("{head}{rest}") };
            if (source, member) == (Dialect::CohereV2, "strict") {
                return "strict_tools".to_owned();
            }
            let member = if head == "functions" { member } else { of_tool(source, member) };
            return format!("{head}{place}].{member}");
        }
        let chosen = match head {
            "max_tokens" | "max_completion_tokens" => self.limit,
            "reasoning_effort" => self.effort,
            "response_format" => self.format,
            "tool_choice" => self.choice,
            "user" => self.user,
            "input" => self.inputs,
            _ => None,
        };
        if let Some(chosen) = chosen {
            return if head == "response_format" {
                format!("{chosen}{}", in_schema(rest, source))
            } else {
                chosen.to_owned()
            };
        }
        let found = |name: &str| renamed(source).iter().find(|(known, _)| *known == name).map(|(_, said)| *said);
        match (found(name), found(head)) {
            (Some(whole), _) => whole.to_owned(),
            // Where the dialect has one word for all of it, what is inside has none.
            (None, Some(said)) if matches!(head, "reasoning" | "reasoning_effort") => said.to_owned(),
            (None, Some(said)) if head == "response_format" => format!("{said}{}", in_schema(rest, source)),
            (None, Some(said)) => format!("{said}{rest}"),
            (None, None) if source == Dialect::OpenAiChat => of_chat(self, head, rest, name),
            (None, None) => name.to_owned(),
        }
    }
}

/// Members of a schema's envelope, which others than chat have beside the schema, or not at all.
fn in_schema(rest: &str, source: Dialect) -> &str {
    if matches!(source, Dialect::Gemini | Dialect::Ollama) {
        return "";
    }
    rest.strip_prefix(".json_schema").unwrap_or(rest)
}

fn of_chat(spelled: Spelled, head: &str, rest: &str, name: &str) -> String {
    match (head, rest) {
        ("response_format", ".name" | ".description" | ".strict") => format!("{head}.json_schema{rest}"),
        ("reasoning", ".summary") => "reasoning_effort.summary".to_owned(),
        ("reasoning", ".budget_tokens" | ".effort" | ".include" | ".mode") => {
            spelled.effort.unwrap_or("reasoning_effort").to_owned()
        }
        _ => name.to_owned(),
    }
}

fn in_conversation(name: &str, source: Dialect) -> String {
    // What a message says beside its parts is kept with the first of them.
    if source == Dialect::OpenAiResponses
        && let Some((part, member)) = name.split_once(".message.")
    {
        let item = part.split_once('.').map_or(part, |(item, _)| item);
        return format!("{item}.{member}");
    }
    let Some((place, member)) = name.rsplit_once('.') else { return name.to_owned() };
    // Links stand beside the content that they are about.
    if member == "citations" && source == Dialect::OpenAiChat {
        let message = place.split_once('.').map_or(place, |(message, _)| message);
        return format!("{message}.annotations");
    }
    format!("{place}.{}", member_of(source, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_as_its_client_names_it() {
        let named = |source, name| Spelled::default().name(name, source);
        for (source, name, said) in [
            (Dialect::Gemini, "max_tokens", "generationConfig.maxOutputTokens"),
            (Dialect::Gemini, "stop[1]", "generationConfig.stopSequences[1]"),
            (Dialect::Gemini, "contents[0].parts[1].signature", "contents[0].parts[1].thoughtSignature"),
            (Dialect::Gemini, "generationConfig.speechConfig", "generationConfig.speechConfig"),
            (Dialect::AnthropicMessages, "parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
            (Dialect::AnthropicMessages, "tools[2].parameters", "tools[2].input_schema"),
            (Dialect::OpenAiResponses, "response_format.json_schema.schema", "text.format.schema"),
            (Dialect::OpenAiResponses, "reasoning.summary", "reasoning.summary"),
            (Dialect::OpenAiResponses, "input[1].content[0].message.phase", "input[1].phase"),
            (Dialect::OpenAiChat, "response_format.strict", "response_format.json_schema.strict"),
            (Dialect::OpenAiChat, "tools[0].strict", "tools[0].function.strict"),
            (Dialect::OpenAiChat, "functions[0].parameters", "functions[0].parameters"),
            (Dialect::OpenAiChat, "messages[1].content.citations", "messages[1].annotations"),
            (Dialect::OpenAiChat, "messages[1].content[0].detail", "messages[1].content[0].image_url.detail"),
            (Dialect::BedrockConverse, "tools[0].parameters", "toolConfig.tools[0].toolSpec.inputSchema"),
            (Dialect::BedrockConverse, "tools[1]", "toolConfig.tools[1]"),
            (Dialect::CohereV2, "top_p", "p"),
            (Dialect::CohereV2, "tools[1].strict", "strict_tools"),
            (Dialect::Ollama, "seed", "options.seed"),
        ] {
            assert_eq!(named(source, name), said, "{}", source.name());
        }
    }
}
