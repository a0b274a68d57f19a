//! The counts, both ways: Gemini counts thoughts beside the candidates and what its own tools read beside the prompt.
//!
//! The surprise is protobuf's: a count of zero is left out. One that is said all the same stays among the extras. What
//! the tools read is part of the neutral prompt and stays there too, because it is billed apart.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

const PROMPT: &str = "promptTokenCount";
const CANDIDATES: &str = "candidatesTokenCount";
const TOTAL: &str = "totalTokenCount";
const TOOL_USE: &str = "toolUsePromptTokenCount";

/// `None` when nothing is counted: Vertex tells the kind of traffic in every chunk, and counts only in the last.
pub(super) fn parse(raw: &RawValue) -> Option<Usage<'_>> {
    let mut object = Object::lenient(raw)?;
    let mut counted = |name: &str| object.take_if(name, |raw| whole(raw).filter(|count| *count > 0));
    let (prompt, candidates, total) = (counted(PROMPT), counted(CANDIDATES), counted(TOTAL));
    let reasoning_tokens = object.take_if("thoughtsTokenCount", whole);
    let cached_tokens = object.take_if("cachedContentTokenCount", whole);
    let tool_use = object.peek(TOOL_USE).and_then(whole);
    if [prompt, candidates, total, reasoning_tokens, cached_tokens, tool_use].iter().all(Option::is_none) {
        return None;
    }
    let prompt_tokens = prompt.unwrap_or(0).saturating_add(tool_use.unwrap_or(0));
    let completion_tokens = candidates.unwrap_or(0).saturating_add(reasoning_tokens.unwrap_or(0));
    Some(Usage {
        tokens: TokenUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens: total.unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens,
            cache_write_tokens: None,
            reasoning_tokens,
        },
        extras: object.into_extras(DIALECT),
    })
}

pub(super) fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    let tool_use = usage.extras.get(DIALECT, TOOL_USE).and_then(|json| whole(json.as_raw()?));
    let said = |count: u64| (count > 0).then_some(count);
    object.whole_if(PROMPT, said(tokens.prompt_tokens.saturating_sub(tool_use.unwrap_or(0))));
    // Some servers count more reasoning than they count at all; here both would be added up.
    let reasoning = tokens.reasoning_tokens.map(|reasoning| reasoning.min(tokens.completion_tokens));
    object.whole_if(CANDIDATES, said(tokens.completion_tokens.saturating_sub(reasoning.unwrap_or(0))));
    object.whole_if(TOTAL, said(tokens.total_tokens));
    object.whole_if("thoughtsTokenCount", reasoning);
    object.whole_if("cachedContentTokenCount", tokens.cached_tokens);
    object.extras(DIALECT, &usage.extras);
}
