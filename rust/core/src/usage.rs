//! Token usage as upstreams report it, brought to one invariant.
//!
//! `prompt_tokens` is everything read (fresh, cache reads and cache writes), `completion_tokens` everything generated
//! including reasoning, `total_tokens` their sum, and no part exceeds its whole. A missing, `null` or odd number is 0:
//! accounting must survive what providers write.

use crate::cursor::{Broken, Cursor, count};
use crate::dialects::Dialect;
use crate::dialects::message::{self, Json, TokenUsage};
use crate::dialects::object::Object;

/// Where the numbers come from, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The upstream reported them.
    #[default]
    Provider,
    /// Counted here with the model's tokenizer.
    Counted,
    /// Estimated here from sizes.
    Estimated,
    /// What was reserved, because nothing better is known.
    Reserved,
    /// Nothing was used.
    Zero,
}

/// Tokens of one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    /// Part of the prompt that was read from a cache.
    pub cached_tokens: u64,
    /// Part of the prompt that was written to a cache.
    pub cache_write_tokens: u64,
    /// Part of the completion.
    pub reasoning_tokens: u64,
    pub basis: Basis,
}

impl From<TokenUsage> for Usage {
    fn from(tokens: TokenUsage) -> Self {
        Self {
            prompt_tokens: tokens.prompt_tokens,
            completion_tokens: tokens.completion_tokens,
            total_tokens: tokens.prompt_tokens.saturating_add(tokens.completion_tokens),
            cached_tokens: tokens.cached_tokens.unwrap_or(0),
            cache_write_tokens: tokens.cache_write_tokens.unwrap_or(0),
            reasoning_tokens: tokens.reasoning_tokens.unwrap_or(0),
            basis: Basis::Provider,
        }
    }
}

/// How an OpenAI-shaped provider departs from the invariant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageRule {
    /// It does not.
    #[default]
    Invariant,
    /// xAI: completion leaves reasoning out, the total has it. Applied only when the sum proves it, because the same
    /// models behind other doors already include it.
    ReasoningApart,
    /// Gemini's OpenAI door: completion leaves thoughts out and names them nowhere, the total has them.
    CompletionFromTotal,
    /// Mistral: audio is in the total but not in the prompt.
    PromptFromTotal,
}

/// The numbers as they are written.
#[derive(Default)]
struct Written {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: u64,
    cached: Option<u64>,
    /// Beside `prompt_tokens_details`, where Together, Moonshot, Mistral and DeepSeek put it.
    cached_outside: Option<u64>,
    cache_write: u64,
    reasoning: Option<u64>,
    reasoning_outside: Option<u64>,
}

impl Usage {
    /// Reads the value of `usage` in a reply or stream event of an OpenAI-shaped provider; `None` when it is `null`,
    /// not an object, or an object without a token count.
    pub fn from_openai(usage: &[u8], rule: UsageRule) -> Option<Self> {
        Written::read(usage).ok().flatten()?.settle(rule)
    }
}

/// Brings what a reply of `source` counts to the invariant, for clients of other dialects: those count by their own
/// rules, and would take the numbers of a provider that departs from its dialect for something else. That reasoning is
/// told beside the completion is believed of any provider whose total proves it.
pub(crate) fn settle(told: &mut message::Usage<'_>, source: Dialect, rule: UsageRule) {
    if !matches!(source, Dialect::OpenAiChat | Dialect::OpenAiCompletions) {
        return told.tokens.contain();
    }
    let rule = if rule == UsageRule::Invariant { UsageRule::ReasoningApart } else { rule };
    let outside = |names: &[&str]| names.iter().find_map(|name| json_count(told.extras.get(source, name)?));
    let details = told.extras.get(source, "prompt_tokens_details").and_then(Json::as_raw);
    let written_to_cache = details
        .and_then(Object::lenient)
        .and_then(|mut details| CACHE_WRITES.iter().find_map(|name| json_count(&details.take_json(name)?)));
    let tokens = told.tokens;
    let written = Written {
        prompt: Some(tokens.prompt_tokens),
        completion: Some(tokens.completion_tokens),
        total: tokens.total_tokens,
        cached: tokens.cached_tokens,
        cached_outside: outside(&CACHE_READS),
        cache_write: tokens.cache_write_tokens.or(written_to_cache).unwrap_or(0),
        reasoning: tokens.reasoning_tokens,
        reasoning_outside: outside(&["reasoning_tokens"]),
    };
    let reads = written.cached.or(written.cached_outside).is_some();
    let writes = tokens.cache_write_tokens.or(written_to_cache).is_some();
    let reasoning = written.reasoning.or(written.reasoning_outside);
    if let Some(usage) = written.settle(rule) {
        told.tokens = TokenUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
            cached_tokens: reads.then_some(usage.cached_tokens),
            cache_write_tokens: writes.then_some(usage.cache_write_tokens),
            reasoning_tokens: reasoning.map(|reasoning| reasoning.min(usage.completion_tokens)),
        };
    }
}

/// Where providers put what others count among the details.
const CACHE_READS: [&str; 3] = ["cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"];
const CACHE_WRITES: [&str; 2] = ["cache_creation_input_tokens", "cache_creation_tokens"];

fn json_count(json: &Json<'_>) -> Option<u64> {
    number(json.as_str().as_bytes())
}

impl Written {
    fn read(usage: &[u8]) -> Result<Option<Self>, Broken> {
        let mut cursor = Cursor::new(usage);
        if !cursor.open_object() {
            return Ok(None);
        }
        let mut written = Self::default();
        while let Some(key) = cursor.key()? {
            match key.as_ref() {
                b"prompt_tokens" | b"input_tokens" => written.prompt = Some(count(cursor.skip()?)),
                b"completion_tokens" | b"output_tokens" => {
                    written.completion = Some(count(cursor.skip()?));
                }
                b"total_tokens" => written.total = count(cursor.skip()?),
                b"cached_tokens" | b"num_cached_tokens" | b"prompt_cache_hit_tokens" => {
                    written.cached_outside = number(cursor.skip()?).or(written.cached_outside);
                }
                b"reasoning_tokens" => written.reasoning_outside = number(cursor.skip()?),
                b"prompt_tokens_details" | b"input_tokens_details" if cursor.open_object() => {
                    while let Some(key) = cursor.key()? {
                        let value = cursor.skip()?;
                        match key.as_ref() {
                            b"cached_tokens" => written.cached = number(value),
                            b"cache_write_tokens" | b"cache_creation_input_tokens" | b"cache_creation_tokens" => {
                                written.cache_write = written.cache_write.max(count(value));
                            }
                            _ => {}
                        }
                    }
                }
                b"completion_tokens_details" | b"output_tokens_details" if cursor.open_object() => {
                    while let Some(key) = cursor.key()? {
                        let value = cursor.skip()?;
                        if key.as_ref() == b"reasoning_tokens" {
                            written.reasoning = number(value);
                        }
                    }
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        Ok(Some(written))
    }

    fn settle(self, rule: UsageRule) -> Option<Usage> {
        if self.prompt.is_none() && self.completion.is_none() {
            return None;
        }
        let mut prompt = self.prompt.unwrap_or(0);
        let mut completion = self.completion.unwrap_or(0);
        let reasoning = self.reasoning.or(self.reasoning_outside).unwrap_or(0);
        let sum = prompt.saturating_add(completion);
        match rule {
            UsageRule::ReasoningApart if self.total == sum.saturating_add(reasoning) => {
                completion = completion.saturating_add(reasoning);
            }
            UsageRule::Invariant | UsageRule::ReasoningApart => {}
            UsageRule::CompletionFromTotal => {
                completion = self.total.saturating_sub(prompt).max(completion);
            }
            UsageRule::PromptFromTotal => {
                prompt = self.total.saturating_sub(completion).max(prompt);
            }
        }
        let cached = self.cached.or(self.cached_outside).unwrap_or(0).min(prompt);
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            cached_tokens: cached,
            cache_write_tokens: self.cache_write.min(prompt - cached),
            reasoning_tokens: reasoning.min(completion),
            basis: Basis::Provider,
        })
    }
}

/// A count that is really there: `null` says as little as no key.
fn number(value: &[u8]) -> Option<u64> {
    (value != b"null").then(|| count(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// prompt, completion, total, cached, cache write, reasoning
    fn read(usage: &str, rule: UsageRule) -> [u64; 6] {
        let usage = Usage::from_openai(usage.as_bytes(), rule).unwrap();
        [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        ]
    }

    #[test]
    fn what_already_holds_the_invariant_is_taken_as_it_is() {
        let usage = r#"{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140,
            "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},
            "completion_tokens_details":{"reasoning_tokens":25}}"#;
        assert_eq!(read(usage, UsageRule::Invariant), [100, 40, 140, 60, 30, 25]);
    }

    #[test]
    fn null_float_text_and_missing_numbers_are_read_leniently() {
        let usage = r#"{"prompt_tokens":7.0,"completion_tokens":null,"total_tokens":"7",
            "prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}"#;
        assert_eq!(read(usage, UsageRule::Invariant), [7, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn no_usage_is_not_zero_usage() {
        for nothing in ["null", "{}", "[]", "3", "", "{\"cost\":1}", "{\"prompt_tokens\":1"] {
            assert_eq!(Usage::from_openai(nothing.as_bytes(), UsageRule::Invariant), None, "{nothing}");
        }
        assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0}"#, UsageRule::Invariant), [0; 6]);
    }

    #[test]
    fn cache_reads_are_found_beside_the_details_and_the_details_win() {
        for outside in ["cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"] {
            let usage = format!(r#"{{"prompt_tokens":10,"completion_tokens":1,"{outside}":8}}"#);
            assert_eq!(read(&usage, UsageRule::Invariant), [10, 1, 11, 8, 0, 0], "{outside}");
        }
        let both = r#"{"prompt_tokens":10,"prompt_cache_hit_tokens":8,"prompt_tokens_details":{"cached_tokens":6}}"#;
        assert_eq!(read(both, UsageRule::Invariant), [10, 0, 10, 6, 0, 0]);
    }

    #[test]
    fn dashscope_writes_cache_creation_into_the_prompt_details() {
        let usage =
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cache_creation_input_tokens":9}}"#;
        assert_eq!(read(usage, UsageRule::Invariant), [10, 1, 11, 0, 9, 0]);
    }

    #[test]
    fn a_part_never_exceeds_its_whole() {
        let usage = r#"{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,
            "prompt_tokens_details":{"cached_tokens":12,"cache_write_tokens":3},
            "completion_tokens_details":{"reasoning_tokens":9}}"#;
        assert_eq!(read(usage, UsageRule::Invariant), [10, 4, 14, 10, 0, 4]);
    }

    #[test]
    fn reasoning_left_out_of_the_completion_is_added_only_where_the_total_proves_it() {
        let apart = r#"{"prompt_tokens":12,"completion_tokens":3,"total_tokens":115,
            "completion_tokens_details":{"reasoning_tokens":100}}"#;
        assert_eq!(read(apart, UsageRule::ReasoningApart), [12, 103, 115, 0, 0, 100]);
        let inside = r#"{"prompt_tokens":12,"completion_tokens":103,"total_tokens":115,
            "completion_tokens_details":{"reasoning_tokens":100}}"#;
        assert_eq!(read(inside, UsageRule::ReasoningApart), [12, 103, 115, 0, 0, 100]);
    }

    #[test]
    fn unnamed_thoughts_and_audio_are_taken_from_the_total() {
        let usage = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#;
        assert_eq!(read(usage, UsageRule::CompletionFromTotal), [10, 30, 40, 0, 0, 0]);
        assert_eq!(read(usage, UsageRule::PromptFromTotal), [35, 5, 40, 0, 0, 0]);
        assert_eq!(read(usage, UsageRule::Invariant), [10, 5, 15, 0, 0, 0]);
        let short = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":0}"#;
        assert_eq!(read(short, UsageRule::CompletionFromTotal), [10, 5, 15, 0, 0, 0]);
    }

    #[test]
    fn a_repeated_key_does_not_lose_the_usage() {
        let usage = r#"{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":3}"#;
        assert_eq!(read(usage, UsageRule::Invariant), [2, 3, 5, 0, 0, 0]);
    }
}
