//! The two spellings of a documented name: protobuf's JSON takes `camelCase` and `snake_case` alike.

use crate::dialects::raw::RawValue;

use crate::dialects::object::{Mode, Object};
use crate::dialects::{DialectError, Place};

/// Documented names of more than one word, of the objects that we look into.
const DOCUMENTED: &[&str] = &[
    "allowedFunctionNames",
    "audioTimestamp",
    "autoTruncate",
    "cachedContent",
    "candidateCount",
    "codeExecution",
    "codeExecutionResult",
    "displayName",
    "embedContentConfig",
    "enableEnhancedCivicAnswers",
    "executableCode",
    "fileData",
    "fileUri",
    "frequencyPenalty",
    "functionCall",
    "functionCallingConfig",
    "functionDeclarations",
    "functionResponse",
    "generationConfig",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "imageConfig",
    "includeThoughts",
    "inlineData",
    "maxOutputTokens",
    "mediaResolution",
    "mimeType",
    "outputDimensionality",
    "parametersJsonSchema",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "retrievalConfig",
    "safetySettings",
    "serviceTier",
    "speechConfig",
    "stopSequences",
    "systemInstruction",
    "taskType",
    "thinkingBudget",
    "thinkingConfig",
    "thinkingLevel",
    "thoughtSignature",
    "toolConfig",
    "topK",
    "topP",
    "urlContext",
    "videoMetadata",
    "willContinue",
];

/// Spells the documented members of an object in `camelCase`. Refuses one that is said in both spellings.
pub(in crate::dialects) fn spell(object: &mut Object<'_, '_>) -> Result<(), DialectError> {
    object.rename(camel)
}

/// Opens an object of a request with its documented members in `camelCase`.
pub(in crate::dialects) fn open<'a, 'p>(raw: &'a RawValue, place: Place<'p>) -> Result<Object<'a, 'p>, DialectError> {
    let mut object = Object::open(raw, place, Mode::Strict)?;
    spell(&mut object)?;
    Ok(object)
}

fn camel(name: &str) -> Option<&'static str> {
    if !name.contains('_') {
        return None;
    }
    DOCUMENTED.iter().copied().find(|documented| snake_equals(name, documented))
}

fn snake_equals(snake: &str, camel: &str) -> bool {
    let spelled = camel.chars().flat_map(|letter| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain(std::iter::once(letter.to_ascii_lowercase()))
    });
    snake.chars().eq(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documented_names_have_a_second_spelling() {
        assert_eq!(camel("system_instruction"), Some("systemInstruction"));
        assert_eq!(camel("top_p"), Some("topP"));
        for other in ["systemInstruction", "my_own", "system__instruction", "_top_p"] {
            assert_eq!(camel(other), None, "{other}");
        }
    }
}
