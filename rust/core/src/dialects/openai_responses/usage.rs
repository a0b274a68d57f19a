//! The usage object of a response. Its numbers follow the neutral invariant already; only the names differ.

use serde_json::value::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extras, TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

const INPUT: &str = "input_tokens_details";
const OUTPUT: &str = "output_tokens_details";

pub(super) fn parse(raw: &RawValue) -> Usage<'_> {
    let Some(mut object) = Object::lenient(raw) else {
        return Usage::default();
    };
    let mut extras = Extras::default();
    let [cached_tokens, cache_write_tokens] =
        details(&mut object, INPUT, ["cached_tokens", "cache_write_tokens"], &mut extras);
    let [reasoning_tokens] = details(&mut object, OUTPUT, ["reasoning_tokens"], &mut extras);
    let prompt_tokens = object.take_if("input_tokens", whole).unwrap_or(0);
    let completion_tokens = object.take_if("output_tokens", whole).unwrap_or(0);
    let total_tokens = object.take_if("total_tokens", whole);
    object.spill(DIALECT, &mut extras);
    Usage {
        tokens: TokenUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens: total_tokens.unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            cached_tokens,
            cache_write_tokens,
            reasoning_tokens,
        },
        extras,
    }
}

fn details<'a, const N: usize>(
    object: &mut Object<'a, '_>,
    name: &'static str,
    known: [&str; N],
    extras: &mut Extras<'a>,
) -> [Option<u64>; N] {
    let Some(mut inner) = object.take_if(name, Object::lenient) else {
        return [None; N];
    };
    let found = known.map(|name| inner.take_if(name, whole));
    if !inner.is_empty() {
        extras.push(inner.into_rest(DIALECT, name));
    }
    found
}

/// The published schema requires each of the details, so an unknown number is written as none.
pub(super) fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    object.whole("input_tokens", tokens.prompt_tokens);
    object.object(INPUT, |details| {
        details.whole("cached_tokens", tokens.cached_tokens.unwrap_or(0));
        details.whole("cache_write_tokens", tokens.cache_write_tokens.unwrap_or(0));
        details.rest_of(INPUT, DIALECT, &usage.extras);
    });
    object.whole("output_tokens", tokens.completion_tokens);
    object.object(OUTPUT, |details| {
        details.whole("reasoning_tokens", tokens.reasoning_tokens.unwrap_or(0));
        details.rest_of(OUTPUT, DIALECT, &usage.extras);
    });
    object.whole("total_tokens", tokens.total_tokens);
    object.extras(DIALECT, &usage.extras);
}
