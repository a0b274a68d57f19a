//! The usage object: `tokens` is what the model read and wrote, `billed_units` what is charged for.
//!
//! The counts are those of `tokens`; what is charged stays as it is, because only Cohere can say it.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extras, TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

pub(super) fn parse(raw: &RawValue) -> Usage<'_> {
    let Some(mut object) = Object::lenient(raw) else {
        return Usage::default();
    };
    let mut extras = Extras::default();
    let mut tokens = TokenUsage::default();
    if let Some(mut counts) = object.take_if("tokens", Object::lenient) {
        tokens.prompt_tokens = counts.take_if("input_tokens", whole).unwrap_or(0);
        tokens.completion_tokens = counts.take_if("output_tokens", whole).unwrap_or(0);
        tokens.reasoning_tokens = counts.take_if("reasoning_tokens", whole);
        if !counts.is_empty() {
            extras.push(counts.into_rest(DIALECT, "tokens"));
        }
    } else if let Some(mut billed) = object.peek("billed_units").and_then(Object::lenient) {
        tokens.prompt_tokens = billed.take_if("input_tokens", whole).unwrap_or(0);
        tokens.completion_tokens = billed.take_if("output_tokens", whole).unwrap_or(0);
    }
    tokens.total_tokens = tokens.prompt_tokens.saturating_add(tokens.completion_tokens);
    tokens.cached_tokens = object.take_if("cached_tokens", whole);
    object.spill(DIALECT, &mut extras);
    Usage { tokens, extras }
}

pub(super) fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    object.object("tokens", |counts| {
        counts.whole("input_tokens", tokens.prompt_tokens);
        counts.whole("output_tokens", tokens.completion_tokens);
        counts.whole_if("reasoning_tokens", tokens.reasoning_tokens);
        counts.rest_of("tokens", DIALECT, &usage.extras);
    });
    object.whole_if("cached_tokens", tokens.cached_tokens);
    object.extras(DIALECT, &usage.extras);
}
