//! `meta` in Cohere's answers: the tokens that were read, and what is charged for.
//!
//! Its rule: what is not understood lies in the extras of the reply, as objects under the names of those it was in.

use super::Dialect;
use super::message::{Extras, TokenUsage, Usage};
use super::object::{Object, whole};
use super::output::Members;

const META: &str = "meta";
const TOKENS: &str = "tokens";
const BILLED: &str = "billed_units";

/// Takes `meta`: the tokens, and the search units.
pub(super) fn take<'a>(
    dialect: Dialect,
    reply: &mut Object<'a, '_>,
    extras: &mut Extras<'a>,
) -> (Option<Usage<'a>>, Option<u64>) {
    let Some(mut meta) = reply.take_if(META, Object::lenient) else {
        return (None, None);
    };
    let (mut read, mut written, mut search_units) = (None, 0, None);
    if let Some(mut tokens) = meta.take_if(TOKENS, Object::lenient) {
        read = tokens.take_if("input_tokens", whole);
        written = tokens.take_if("output_tokens", |raw| whole(raw).filter(|count| *count > 0)).unwrap_or(0);
        extras.push(tokens.into_rest(dialect, TOKENS));
    }
    if let Some(mut billed) = meta.take_if(BILLED, Object::lenient) {
        search_units = billed.take_if("search_units", whole);
        if read.is_none() {
            read = billed.take_if("input_tokens", whole);
        }
        extras.push(billed.into_rest(dialect, BILLED));
    }
    extras.push(meta.into_rest(dialect, META));
    let usage = read.map(|prompt_tokens| Usage {
        tokens: TokenUsage {
            prompt_tokens,
            completion_tokens: written,
            total_tokens: prompt_tokens.saturating_add(written),
            ..TokenUsage::default()
        },
        extras: Extras::default(),
    });
    (usage, search_units)
}

/// As [`take`], the other way. `charges_tokens` says that tokens which nobody placed are what is charged for.
pub(super) fn write(
    dialect: Dialect,
    members: &mut Members<'_>,
    usage: Option<&Usage<'_>>,
    search_units: Option<u64>,
    extras: &Extras<'_>,
    charges_tokens: bool,
) {
    let told = |name| extras.get(dialect, name).is_some();
    let count = usage.map(|usage| usage.tokens);
    let (billed, counted) =
        if told(TOKENS) || !(charges_tokens || told(BILLED)) { (None, count) } else { (count, None) };
    if told(META) || count.is_some() || search_units.is_some() {
        members.object(META, |meta| {
            if told(BILLED) || billed.is_some() || search_units.is_some() {
                meta.object(BILLED, |units| {
                    units.whole_if("search_units", search_units);
                    units.whole_if("input_tokens", billed.map(|count| count.prompt_tokens));
                    units.rest_of(BILLED, dialect, extras);
                });
            }
            if told(TOKENS) || counted.is_some() {
                meta.object(TOKENS, |tokens| {
                    tokens.whole_if("input_tokens", counted.map(|count| count.prompt_tokens));
                    let written = counted.map(|count| count.completion_tokens);
                    tokens.whole_if("output_tokens", written.filter(|count| *count > 0));
                    tokens.rest_of(TOKENS, dialect, extras);
                });
            }
            meta.rest_of(META, dialect, extras);
        });
    }
    for inner in [TOKENS, BILLED] {
        members.withhold(inner);
    }
}
