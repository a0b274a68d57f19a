//! OpenAI's usage objects, read as they stand.
//!
//! Servers fill them after rules of their own; bringing them to one invariant is the business of `crate::usage`. Here only
//! the form counts: null is nothing, a float may be whole, details may be missing.

use crate::dialects::raw::RawValue;

use crate::dialects::Dialect;
use crate::dialects::message::{Extras, TokenUsage, Usage};
use crate::dialects::object::{Object, whole};
use crate::dialects::output::Members;

/// Where some servers count instead: Groq beside the choices, Moonshot in one of them.
pub(crate) fn elsewhere<'a>(document: &Object<'a, '_>, choices: &[&'a RawValue]) -> Option<&'a RawValue> {
    let usage = |raw| Object::lenient(raw)?.peek("usage").filter(|raw| raw.get().starts_with('{'));
    document.peek("x_groq").and_then(usage).or_else(|| choices.iter().find_map(|choice| usage(choice)))
}

/// The names of the counts in one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    dialect: Dialect,
    prompt: &'static str,
    completion: &'static str,
    prompt_details: &'static str,
    completion_details: &'static str,
    /// The published schema requires each of the details, so an unknown number is written as none.
    complete: bool,
}

impl Counts {
    /// As chat completions and what is older have them.
    pub(crate) const fn of_chat(dialect: Dialect) -> Self {
        Self {
            dialect,
            prompt: "prompt_tokens",
            completion: "completion_tokens",
            prompt_details: "prompt_tokens_details",
            completion_details: "completion_tokens_details",
            complete: false,
        }
    }

    /// As responses have them.
    pub(crate) const fn of_responses(dialect: Dialect) -> Self {
        Self {
            dialect,
            prompt: "input_tokens",
            completion: "output_tokens",
            prompt_details: "input_tokens_details",
            completion_details: "output_tokens_details",
            complete: true,
        }
    }

    pub(crate) fn parse<'a>(&self, raw: &'a RawValue) -> Usage<'a> {
        let Some(mut object) = Object::lenient(raw) else {
            return Usage::default();
        };
        let mut extras = Extras::default();
        let [cached_tokens, cache_write_tokens] =
            self.details(&mut object, self.prompt_details, ["cached_tokens", "cache_write_tokens"], &mut extras);
        let [reasoning_tokens] = self.details(&mut object, self.completion_details, ["reasoning_tokens"], &mut extras);
        let prompt_tokens = object.take_if(self.prompt, whole).unwrap_or(0);
        let completion_tokens = object.take_if(self.completion, whole).unwrap_or(0);
        let total_tokens = object.take_if("total_tokens", whole);
        object.spill(self.dialect, &mut extras);
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
        &self,
        object: &mut Object<'a, '_>,
        name: &'static str,
        known: [&str; N],
        extras: &mut Extras<'a>,
    ) -> [Option<u64>; N] {
        let Some(mut inner) = object.take_if(name, Object::lenient) else {
            return [None; N];
        };
        let found = known.map(|name| inner.take_if(name, whole));
        // Where details are not required, an object that says nothing was still an object.
        let nothing = !self.complete && found.iter().all(Option::is_none);
        if nothing || !inner.is_empty() {
            extras.push(inner.into_rest(self.dialect, name));
        }
        found
    }

    pub(crate) fn write(&self, usage: &Usage<'_>, object: &mut Members<'_>) {
        let tokens = &usage.tokens;
        object.whole(self.prompt, tokens.prompt_tokens);
        object.whole(self.completion, tokens.completion_tokens);
        object.whole("total_tokens", tokens.total_tokens);
        let prompt = [("cached_tokens", tokens.cached_tokens), ("cache_write_tokens", tokens.cache_write_tokens)];
        let completion = [("reasoning_tokens", tokens.reasoning_tokens)];
        self.write_details(self.prompt_details, &prompt, &usage.extras, object);
        self.write_details(self.completion_details, &completion, &usage.extras, object);
        object.extras(self.dialect, &usage.extras);
    }

    fn write_details(
        &self,
        name: &'static str,
        known: &[(&'static str, Option<u64>)],
        extras: &Extras<'_>,
        object: &mut Members<'_>,
    ) {
        if !self.complete && known.iter().all(|(_, value)| value.is_none()) {
            return;
        }
        object.object(name, |details| {
            for (name, value) in known {
                details.whole_if(name, value.or(self.complete.then_some(0)));
            }
            details.rest_of(name, self.dialect, extras);
        });
    }
}
