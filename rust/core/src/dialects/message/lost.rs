//! What of the fields that only one dialect understands is lost in another one, by name.
//!
//! The rule: what says nothing is not lost. That is null, an empty list, and whatever only repeats in a dialect's own
//! words what the neutral form holds, or what every other dialect does anyway.

use crate::dialects::raw::RawValue;

use super::{Extra, Json, Origin};
use crate::dialects::Dialect;
use crate::dialects::object::{self, Object};

/// Objects of which the known members are read, so that what lies in the extras under their names is the rest of them.
const OPENED: &[(Dialect, &[&str])] = &[
    (
        Dialect::OpenAiChat,
        &[
            "custom",
            "file",
            "function",
            "image_url",
            "input_audio",
            "response_format",
            "response_format.json_schema",
            "tool_choice",
            "tool_choice.allowed_tools",
            "tool_choice.custom",
            "tool_choice.function",
        ],
    ),
    (
        Dialect::OpenAiResponses,
        &[
            "custom",
            "function",
            "input_audio",
            "message",
            "reasoning",
            "stream_options",
            "text",
            "text.format",
            "tool_choice",
        ],
    ),
    (
        Dialect::AnthropicMessages,
        &["metadata", "output_config", "output_config.format", "source", "thinking", "tool_choice"],
    ),
    (
        Dialect::Gemini,
        &[
            "fileData",
            "functionCall",
            "functionResponse",
            "generationConfig",
            "generationConfig.thinkingConfig",
            "inlineData",
            "toolConfig",
            "toolConfig.functionCallingConfig",
        ],
    ),
    (Dialect::CohereV2, &["document", "function", "image_url", "response_format", "thinking"]),
    (Dialect::Ollama, &["function", "options"]),
    (
        Dialect::BedrockConverse,
        &["additionalModelRequestFields", "inferenceConfig", "outputConfig", "toolConfig", "toolSpec"],
    ),
];

/// Values that say what leaving them out says, or what is read already and kept as it was written.
const NOTHING: &[(Dialect, &str, &[&str])] = &[
    (Dialect::OpenAiChat, "prefix", &["false"]),
    (Dialect::OpenAiChat, "safe_prompt", &["false"]),
    (Dialect::OpenAiChat, "modalities", &[r#"["text"]"#]),
    (Dialect::OpenAiChat, "logit_bias", &["{}"]),
    (Dialect::OpenAiChat, "include_obfuscation", &["false"]),
    (Dialect::OpenAiResponses, "instructions", &["\"\""]),
    (Dialect::OpenAiResponses, "background", &["false"]),
    (Dialect::OpenAiResponses, "stream_options.include_obfuscation", &["false"]),
    (Dialect::OpenAiResponses, "truncation", &[r#""disabled""#]),
    (Dialect::AnthropicMessages, "caller", &[r#"{"type":"direct"}"#]),
    (Dialect::AnthropicMessages, "citations", &[r#"{"enabled":false}"#]),
    (Dialect::AnthropicMessages, "allowed_callers", &[r#"["direct"]"#]),
    (Dialect::AnthropicMessages, "defer_loading", &["false", "true"]),
    (Dialect::AnthropicMessages, "eager_input_streaming", &["false", "true"]),
    (Dialect::Gemini, "thought", &["false"]),
    (Dialect::Gemini, "generationConfig.responseModalities", &[r#"["TEXT"]"#]),
    (Dialect::CohereV2, "citation_options", &["{}"]),
    (Dialect::Ollama, "format", &["\"\""]),
    (Dialect::Ollama, "type", &["\"function\""]),
    (Dialect::CohereV2, "thinking", &["true"]),
    (Dialect::CohereV2, "tool_plan", &["true"]),
];

/// Fields that hold in their dialect's words what is read from them as well.
const READ: &[(Dialect, &str)] = &[
    (Dialect::OpenAiChat, "index"),
    (Dialect::OpenAiChat, "reasoning_content"),
    (Dialect::AnthropicMessages, "output_format"),
    (Dialect::AnthropicMessages, "role"),
    (Dialect::AnthropicMessages, "type"),
    (Dialect::CohereV2, "document.data"),
    (Dialect::Gemini, "fileData.mimeType"),
    (Dialect::Gemini, "generationConfig.responseSchema"),
    (Dialect::Gemini, "generationConfig.thinkingConfig.thinkingLevel"),
    (Dialect::Gemini, "model"),
    (Dialect::Gemini, "parameters"),
    (Dialect::Gemini, "role"),
];

/// The names of a tool that only its dialect knows. Google's entries hold several, and may be the head of functions that
/// follow and are told.
pub(crate) fn names_of_tool(place: Origin, dialect: Dialect, raw: &Json<'_>) -> Vec<String> {
    let raw = raw.as_raw();
    let entry = raw.and_then(Object::lenient).filter(|_| dialect == Dialect::Gemini);
    let Some(entry) = entry else {
        return vec![place.to_string()];
    };
    let functions = ["functionDeclarations", "function_declarations"];
    let held = entry.members().filter(|(name, value)| !functions.contains(name) && value.get() != "null");
    held.map(|(name, _)| format!("{place}.{name}")).collect()
}

/// What a client of the Responses API asks to be told beside an answer: who is told the answer is told the first two,
/// and the others are about tools, whose loss is named with them.
const INCLUDED: [&str; 2] = ["reasoning.encrypted_content", "message."];
const INCLUDED_OF_TOOLS: &str = "_call.";

/// The names of what is lost of a field where nobody understands it.
pub(super) fn names(extra: &Extra<'_>) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(raw) = extra.value.as_raw() {
        name(extra.dialect, extra.name.clone().into_owned(), raw, &mut names);
    }
    names
}

fn name(dialect: Dialect, path: String, raw: &RawValue, names: &mut Vec<String>) {
    if says_nothing(dialect, &path, raw) {
        return;
    }
    let is_opened = OPENED.iter().any(|(whose, paths)| *whose == dialect && paths.contains(&path.as_str()));
    // One that still has its type was not understood, and is lost as a whole.
    match Object::lenient(raw).filter(|object| is_opened && object.peek("type").is_none()) {
        Some(rest) => {
            for (member, value) in rest.members() {
                name(dialect, format!("{path}.{member}"), value, names);
            }
        }
        None => names.push(path),
    }
}

fn says_nothing(dialect: Dialect, path: &str, raw: &RawValue) -> bool {
    let value = raw.get();
    if matches!(value, "null" | "[]") || READ.contains(&(dialect, path)) {
        return true;
    }
    if (dialect, path) == (Dialect::OpenAiResponses, "include") {
        let known = |name: &RawValue| {
            object::text(name).is_some_and(|name| {
                INCLUDED.iter().any(|known| name.starts_with(known)) || name.contains(INCLUDED_OF_TOOLS)
            })
        };
        return object::list(raw).is_some_and(|names| names.into_iter().all(known));
    }
    let spelled = || value.chars().filter(|letter| !letter.is_ascii_whitespace()).collect::<String>();
    NOTHING
        .iter()
        .any(|(whose, name, values)| *whose == dialect && *name == path && values.contains(&spelled().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(dialect: Dialect, name: &str, value: &str) -> Vec<String> {
        names(&Extra { dialect, name: name.into(), value: Json::parse(value).unwrap() })
    }

    #[test]
    fn of_an_object_that_is_read_only_the_rest_is_lost() {
        let config =
            r#"{"speechConfig":{"a":1},"thinkingConfig":{"thinkingLevel":"LOW","x":1},"responseModalities":["TEXT"]}"#;
        let named = lost(Dialect::Gemini, "generationConfig", config);
        assert_eq!(named, ["generationConfig.speechConfig", "generationConfig.thinkingConfig.x"]);
        assert_eq!(lost(Dialect::Ollama, "options", "{}"), [""; 0]);
        assert_eq!(lost(Dialect::AnthropicMessages, "thinking", r#"{"type":"new","x":1}"#), ["thinking"]);
        assert_eq!(lost(Dialect::OpenAiChat, "prediction", r#"{"content":"x"}"#), ["prediction"]);
    }

    #[test]
    fn what_says_nothing_is_not_lost() {
        for (name, value) in [
            ("include", r#"["reasoning.encrypted_content","web_search_call.action.sources"]"#),
            ("truncation", r#""disabled""#),
            ("background", "false"),
            ("tools", "[]"),
        ] {
            assert_eq!(lost(Dialect::OpenAiResponses, name, value), [""; 0], "{name}");
        }
        assert_eq!(lost(Dialect::OpenAiResponses, "include", r#"["something.new"]"#), ["include"]);
        assert_eq!(lost(Dialect::OpenAiResponses, "truncation", r#""auto""#), ["truncation"]);
    }
}
