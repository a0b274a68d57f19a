//! The usage object of chat completions, read as it stands.
//!
//! Servers fill it after rules of their own; bringing them to one invariant is the business of `crate::usage`. Here only
//! the form counts: null is nothing, a float may be whole, details may be missing.

use serde_json::value::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extras, TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

const PROMPT: &str = "prompt_tokens_details";
const COMPLETION: &str = "completion_tokens_details";

pub(super) fn parse(raw: &RawValue) -> Usage<'_> {
    let Some(mut object) = Object::lenient(raw) else {
        return Usage::default();
    };
    let mut extras = Extras::default();
    let [cached_tokens, cache_write_tokens] =
        details(&mut object, PROMPT, ["cached_tokens", "cache_write_tokens"], &mut extras);
    let [reasoning_tokens] = details(&mut object, COMPLETION, ["reasoning_tokens"], &mut extras);
    let prompt_tokens = object.take_if("prompt_tokens", whole).unwrap_or(0);
    let completion_tokens = object.take_if("completion_tokens", whole).unwrap_or(0);
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
    if found.iter().all(Option::is_none) || !inner.is_empty() {
        extras.push(inner.into_rest(DIALECT, name));
    }
    found
}

pub(super) fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    object.whole("prompt_tokens", tokens.prompt_tokens);
    object.whole("completion_tokens", tokens.completion_tokens);
    object.whole("total_tokens", tokens.total_tokens);
    let prompt = [("cached_tokens", tokens.cached_tokens), ("cache_write_tokens", tokens.cache_write_tokens)];
    let completion = [("reasoning_tokens", tokens.reasoning_tokens)];
    write_details(PROMPT, &prompt, &usage.extras, object);
    write_details(COMPLETION, &completion, &usage.extras, object);
    object.extras(DIALECT, &usage.extras);
}

fn write_details(
    name: &'static str,
    known: &[(&'static str, Option<u64>)],
    extras: &Extras<'_>,
    object: &mut Members<'_>,
) {
    if known.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    object.object(name, |details| {
        for (name, value) in known {
            details.whole_if(name, *value);
        }
        details.rest_of(name, DIALECT, extras);
    });
}
