//! The usage object: what was read counts without the cache here, and with it in the neutral form.
//!
//! The surprise: a reply that the server made in several iterations counts only the last of them at the top. The sum is
//! what was used; the counts as written then stay among the extras.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extra, Extras, Json, TokenUsage, Usage};
use crate::dialects::object::{self, Object, whole};
use crate::dialects::output::Members;

const INPUT: &str = "input_tokens";
const OUTPUT: &str = "output_tokens";
const CACHE_WRITE: &str = "cache_creation_input_tokens";
const CACHE_READ: &str = "cache_read_input_tokens";
const DETAILS: &str = "output_tokens_details";
const THINKING: &str = "thinking_tokens";

/// The counts of one usage object, as it writes them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_write: Option<u64>,
    cache_read: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    fn take(object: &mut Object<'_, '_>) -> Self {
        Self {
            input: object.take_if(INPUT, whole),
            output: object.take_if(OUTPUT, whole),
            cache_write: object.take_if(CACHE_WRITE, whole),
            cache_read: object.take_if(CACHE_READ, whole),
            thinking: None,
        }
    }

    /// The second usage of a stream is cumulative, and overrides only what it says.
    pub(super) fn or(self, earlier: Self) -> Self {
        Self {
            input: self.input.or(earlier.input),
            output: self.output.or(earlier.output),
            cache_write: self.cache_write.or(earlier.cache_write),
            cache_read: self.cache_read.or(earlier.cache_read),
            thinking: self.thinking.or(earlier.thinking),
        }
    }

    fn plus(self, other: Self) -> Self {
        let sum = |left: Option<u64>, right: Option<u64>| match (left, right) {
            (Some(left), Some(right)) => Some(left.saturating_add(right)),
            (left, right) => left.or(right),
        };
        Self {
            input: sum(self.input, other.input),
            output: sum(self.output, other.output),
            cache_write: sum(self.cache_write, other.cache_write),
            cache_read: sum(self.cache_read, other.cache_read),
            thinking: sum(self.thinking, other.thinking),
        }
    }

    pub(super) fn tokens(self) -> TokenUsage {
        let parts = [self.input, self.cache_write, self.cache_read];
        let prompt_tokens = parts.into_iter().flatten().fold(0, u64::saturating_add);
        let completion_tokens = self.output.unwrap_or(0);
        TokenUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            cached_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: self.thinking,
        }
    }
}

pub(super) fn parse(raw: &RawValue) -> Usage<'_> {
    let (counts, extras) = read(raw);
    Usage { tokens: counts.tokens(), extras }
}

pub(super) fn read(raw: &RawValue) -> (Counts, Extras<'_>) {
    let Some(mut object) = Object::lenient(raw) else {
        return (Counts::default(), Extras::default());
    };
    let mut extras = Extras::default();
    let summed = object.peek("iterations").and_then(sum_of_iterations);
    if summed.is_some() {
        for name in [INPUT, OUTPUT, CACHE_WRITE, CACHE_READ] {
            if let Some(raw) = object.peek(name) {
                extras.push(Extra { dialect: DIALECT, name: name.into(), value: Json::from(raw) });
            }
        }
    }
    let mut counts = Counts::take(&mut object);
    if let Some(mut details) = object.take_if(DETAILS, Object::lenient) {
        counts.thinking = details.take_if(THINKING, whole);
        if counts.thinking.is_none() || !details.is_empty() {
            extras.push(details.into_rest(DIALECT, DETAILS));
        }
    }
    object.spill(DIALECT, &mut extras);
    let thinking = counts.thinking;
    (summed.map_or(counts, |sum| Counts { thinking, ..sum }), extras)
}

/// What all iterations of the answer used. A fallback is told at the top already, and the counsel of another model is
/// priced apart.
fn sum_of_iterations(raw: &RawValue) -> Option<Counts> {
    let mut sum: Option<Counts> = None;
    for mut iteration in object::list(raw)?.into_iter().filter_map(Object::lenient) {
        match iteration.take_if("type", object::text)?.as_ref() {
            "message" | "compaction" => {
                let counts = Counts::take(&mut iteration);
                sum = Some(sum.map_or(counts, |sum| sum.plus(counts)));
            }
            "fallback_message" => return None,
            _ => {}
        }
    }
    sum
}

/// Writes `usage`. Two of its counts are required; where nothing was told, nothing is what they say.
pub(super) fn write_member(owner: &mut Members<'_>, usage: Option<&Usage<'_>>) {
    let nothing = Usage::default();
    owner.object("usage", |members| write(usage.unwrap_or(&nothing), members));
}

fn write(usage: &Usage<'_>, object: &mut Members<'_>) {
    let tokens = &usage.tokens;
    let cached = tokens.cached_tokens.unwrap_or(0).saturating_add(tokens.cache_write_tokens.unwrap_or(0));
    let known = [
        (INPUT, Some(tokens.prompt_tokens.saturating_sub(cached))),
        (CACHE_WRITE, tokens.cache_write_tokens),
        (CACHE_READ, tokens.cached_tokens),
        (OUTPUT, Some(tokens.completion_tokens)),
    ];
    for (name, count) in known {
        if usage.extras.get(DIALECT, name).is_none() {
            object.whole_if(name, count);
        }
    }
    if let Some(thinking) = tokens.reasoning_tokens {
        object.object(DETAILS, |details| {
            details.whole(THINKING, thinking);
            details.rest_of(DETAILS, DIALECT, &usage.extras);
        });
    }
    object.extras(DIALECT, &usage.extras);
}
