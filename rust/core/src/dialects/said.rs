//! Which dialect a request is best said in, where its target speaks several and not the client's own.
//!
//! The rule: the one that loses least of this request; of two that lose as much, the richer one. Only what some dialects
//! have words for and others have not is looked at, by the names of members alone.

use std::borrow::Cow;

use super::Dialect;
use super::openai_responses::LEAST_OUTPUT_TOKENS;
use crate::json::member;

/// What a request says that not every dialect can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said(u16);

/// One thing each.
const CHOICES: u16 = 1;
const STOP: u16 = 1 << 1;
const SEED: u16 = 1 << 2;
const PENALTIES: u16 = 1 << 3;
const BIAS: u16 = 1 << 4;
const TOP_K: u16 = 1 << 5;
const LOGPROBS: u16 = 1 << 6;
const ONE_CALL: u16 = 1 << 7;
/// How much to think. Chat has a word for that, and no place for what was thought and proves it.
const THOUGHT: u16 = 1 << 8;
/// A limit that is lower than the lowest of Responses.
const FEW_TOKENS: u16 = 1 << 9;
/// Something to be heard. Who has no place for it refuses the request.
const SOUND: u16 = 1 << 10;

type Members = &'static [(&'static str, u16)];

const ANTHROPIC: Members = &[
    ("max_tokens", FEW_TOKENS),
    ("stop_sequences", STOP),
    ("top_k", TOP_K),
    ("thinking", THOUGHT),
    ("output_config", THOUGHT),
];
const COHERE: Members = &[
    ("max_tokens", FEW_TOKENS),
    ("stop_sequences", STOP),
    ("seed", SEED),
    ("frequency_penalty", PENALTIES),
    ("presence_penalty", PENALTIES),
    ("k", TOP_K),
    ("logprobs", LOGPROBS),
    ("thinking", THOUGHT),
];
const GEMINI: Members = &[
    ("candidateCount", CHOICES),
    ("maxOutputTokens", FEW_TOKENS),
    ("stopSequences", STOP),
    ("seed", SEED),
    ("frequencyPenalty", PENALTIES),
    ("presencePenalty", PENALTIES),
    ("topK", TOP_K),
    ("responseLogprobs", LOGPROBS),
    ("thinkingConfig", THOUGHT),
];
const OPENAI: Members = &[
    ("max_completion_tokens", FEW_TOKENS),
    ("max_tokens", FEW_TOKENS),
    ("num_predict", FEW_TOKENS),
    ("n", CHOICES),
    ("stop", STOP),
    ("seed", SEED),
    ("frequency_penalty", PENALTIES),
    ("presence_penalty", PENALTIES),
    ("logit_bias", BIAS),
    ("top_k", TOP_K),
    ("logprobs", LOGPROBS),
    ("top_logprobs", LOGPROBS),
    ("parallel_tool_calls", ONE_CALL),
    ("reasoning_effort", THOUGHT),
    ("reasoning", THOUGHT),
];

/// The members of a dialect, and the object they stand in where that is not the request.
fn members(client: Dialect) -> (Option<&'static str>, Members) {
    match client {
        Dialect::AnthropicMessages => (None, ANTHROPIC),
        Dialect::CohereV2 => (None, COHERE),
        Dialect::Gemini => (Some("generationConfig"), GEMINI),
        Dialect::Ollama => (Some("options"), OPENAI),
        _ => (None, OPENAI),
    }
}

impl Said {
    /// `member` gives the value of a member of the request, as it stands there.
    pub fn of<'b>(client: Dialect, member_of: impl Fn(&str) -> Option<Cow<'b, [u8]>>) -> Self {
        let (object, members) = members(client);
        let object = object.map(|name| member_of(name).unwrap_or_default());
        let says = |name: &str| {
            let value = match &object {
                Some(object) => member(object, name).map(Cow::Borrowed),
                None => member_of(name),
            };
            value.is_some_and(|value| says_something(name, &value))
        };
        Self(members.iter().filter(|(name, _)| says(name)).fold(0, |said, (_, flag)| said | flag))
    }

    /// How many of these things a dialect has no words for.
    pub fn unsaid_in(self, dialect: Dialect) -> u32 {
        let words = match dialect {
            Dialect::AnthropicMessages => STOP | TOP_K | ONE_CALL | THOUGHT,
            Dialect::BedrockConverse => STOP | TOP_K | THOUGHT,
            Dialect::CohereV2 | Dialect::Ollama => STOP | SEED | PENALTIES | TOP_K | LOGPROBS,
            Dialect::Gemini => CHOICES | STOP | SEED | PENALTIES | TOP_K | LOGPROBS | THOUGHT,
            Dialect::OpenAiChat => CHOICES | STOP | SEED | PENALTIES | BIAS | LOGPROBS | ONE_CALL,
            Dialect::OpenAiResponses => LOGPROBS | ONE_CALL | THOUGHT,
            _ => return 0,
        };
        let words = if dialect == Dialect::OpenAiResponses { words } else { words | FEW_TOKENS };
        let deaf =
            self.0 & SOUND != 0 && !matches!(dialect, Dialect::OpenAiChat | Dialect::Gemini | Dialect::BedrockConverse);
        (self.0 & !words & !SOUND).count_ones() + if deaf { u32::from(u8::MAX) } else { 0 }
    }

    /// The same of a request that holds sounds.
    #[must_use]
    pub fn heard(self, sounds: bool) -> Self {
        Self(if sounds { self.0 | SOUND } else { self.0 })
    }

    /// Without what a model refuses that thinks: nothing is lost of it by choosing a dialect.
    #[must_use]
    pub fn unsampled(self) -> Self {
        Self(self.0 & !(STOP | SEED | PENALTIES | BIAS | LOGPROBS))
    }
}

/// Whether a value is another one than what there is without it.
fn says_something(name: &str, value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if ["max_tokens", "max_completion_tokens", "maxOutputTokens", "num_predict"].contains(&name) {
        let limit = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        return limit.is_some_and(|limit| limit < LEAST_OUTPUT_TOKENS);
    }
    match value {
        b"null" | b"[]" | b"{}" => false,
        b"false" => name == "parallel_tool_calls",
        b"true" => name != "parallel_tool_calls",
        b"0" => name == "seed",
        b"1" if matches!(name, "n" | "candidateCount") => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(client: Dialect, body: &str, spoken: &[Dialect]) -> Dialect {
        let said = Said::of(client, |name| member(body.as_bytes(), name).map(Cow::Borrowed));
        let key = |dialect: &&Dialect| (std::cmp::Reverse(said.unsaid_in(**dialect)), dialect.richness());
        *spoken.iter().max_by_key(key).unwrap()
    }

    #[test]
    fn a_request_is_said_where_least_of_it_is_lost() {
        const BOTH: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::OpenAiResponses];
        for (client, body, said) in [
            (Dialect::AnthropicMessages, r#"{"max_tokens":9}"#, Dialect::OpenAiChat),
            (Dialect::AnthropicMessages, r#"{"max_tokens":16}"#, Dialect::OpenAiResponses),
            (Dialect::Ollama, r#"{"options":{"num_predict":1}}"#, Dialect::OpenAiChat),
            (Dialect::AnthropicMessages, r#"{"stop_sequences":["x"]}"#, Dialect::OpenAiChat),
            (Dialect::AnthropicMessages, r#"{"stop_sequences":[]}"#, Dialect::OpenAiResponses),
            (Dialect::AnthropicMessages, r#"{"stop_sequences":["x"],"thinking":{}}"#, Dialect::OpenAiChat),
            (Dialect::AnthropicMessages, r#"{"stop_sequences":["x"],"thinking":{"a":1}}"#, Dialect::OpenAiResponses),
            (Dialect::Gemini, r#"{"generationConfig":{"seed":0,"candidateCount":1}}"#, Dialect::OpenAiChat),
            (Dialect::Gemini, r#"{"generationConfig":{"candidateCount":1}}"#, Dialect::OpenAiResponses),
            (Dialect::Gemini, r#"{"seed":1}"#, Dialect::OpenAiResponses),
            (Dialect::Ollama, r#"{"options":{"stop":["x"]}}"#, Dialect::OpenAiChat),
            (Dialect::OpenAiCompletions, r#"{"n":2}"#, Dialect::OpenAiChat),
        ] {
            assert_eq!(best(client, body, &BOTH), said, "{body}");
        }
        let sounds = Said::default().heard(true);
        assert!(sounds.unsaid_in(Dialect::OpenAiChat) < sounds.unsaid_in(Dialect::OpenAiResponses));
        let three = [Dialect::OpenAiChat, Dialect::AnthropicMessages];
        assert_eq!(best(Dialect::OpenAiResponses, r#"{"reasoning":{"effort":"low"}}"#, &three), three[1]);
        assert_eq!(best(Dialect::Gemini, r#"{"generationConfig":{"seed":3}}"#, &three), three[0]);
    }
}
