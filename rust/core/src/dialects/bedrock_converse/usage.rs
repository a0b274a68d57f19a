//! The usage object: what was read counts without the cache here, and with it in the neutral form. Reasoning is part of
//! the output and is not counted by itself.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extra, Extras, Json, TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

const INPUT: &str = "inputTokens";
const OUTPUT: &str = "outputTokens";
const TOTAL: &str = "totalTokens";
const CACHE_READ: &str = "cacheReadInputTokens";
const CACHE_WRITE: &str = "cacheWriteInputTokens";

pub(super) fn parse(raw: &RawValue) -> Usage<'_> {
    let Some(mut object) = Object::lenient(raw) else {
        return Usage::default();
    };
    let input = object.take_if(INPUT, whole).unwrap_or(0);
    let completion_tokens = object.take_if(OUTPUT, whole).unwrap_or(0);
    let cached_tokens = object.take_if(CACHE_READ, whole);
    let cache_write_tokens = object.take_if(CACHE_WRITE, whole);
    let parts = [Some(input), cached_tokens, cache_write_tokens];
    let prompt_tokens = parts.into_iter().flatten().fold(0, u64::saturating_add);
    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
    let mut extras = Extras::default();
    // A total that is not the sum is the provider's to explain.
    if let Some(raw) = object.peek(TOTAL).filter(|raw| whole(raw) != Some(total_tokens)) {
        extras.push(Extra { dialect: DIALECT, name: TOTAL.into(), value: Json::from(raw) });
    }
    object.forget(TOTAL);
    object.spill(DIALECT, &mut extras);
    let tokens = TokenUsage {
        prompt_tokens,
        completion_tokens,
        total_tokens,
        cached_tokens,
        cache_write_tokens,
        reasoning_tokens: None,
    };
    Usage { tokens, extras }
}

pub(super) fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    let cached = tokens.cached_tokens.unwrap_or(0).saturating_add(tokens.cache_write_tokens.unwrap_or(0));
    object.whole(INPUT, tokens.prompt_tokens.saturating_sub(cached));
    object.whole(OUTPUT, tokens.completion_tokens);
    if usage.extras.get(DIALECT, TOTAL).is_none() {
        object.whole(TOTAL, tokens.prompt_tokens.saturating_add(tokens.completion_tokens));
    }
    object.whole_if(CACHE_READ, tokens.cached_tokens);
    object.whole_if(CACHE_WRITE, tokens.cache_write_tokens);
    object.extras(DIALECT, &usage.extras);
}
