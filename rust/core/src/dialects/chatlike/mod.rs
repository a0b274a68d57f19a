//! What the dialects share that took OpenAI's chat for a model: messages, parts, tools, sampling, chunks, counts, and how
//! things are named that cannot be said.
//!
//! Its rule: a function here does the same for everybody who calls it; what is somebody's own stays in their module.

pub(crate) mod chunks;
pub(crate) mod finish;
pub(crate) mod parts;
pub(crate) mod reply;
pub(crate) mod sampling;
pub(crate) mod tools;
pub(crate) mod turns;
pub(crate) mod usage;

use super::message::{ChatRequest, Extras, ResponseFormat, StreamOptions};
use super::object::{Mode, Object};
use super::output::Members;
use super::{Dialect, DialectError, Place};

/// The names of what only other dialects understand; null says nothing.
pub(crate) fn foreign<'e>(dialect: Dialect, extras: &'e Extras<'_>) -> impl Iterator<Item = String> + 'e {
    extras.lost_in(dialect)
}

/// Names what is said of a request as a whole that only OpenAI's dialects have words for, all but those in `known`.
pub(crate) fn openai_only(request: &ChatRequest<'_>, known: &[&str], dropped: &mut Vec<String>) {
    for (name, said) in [
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        ("n", request.sampling.n.is_some_and(|n| n != 1)),
        ("user", request.user.is_some()),
        ("safety_identifier", request.safety_identifier.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("service_tier", request.wants_tier()),
        ("verbosity", request.wants_verbosity()),
        ("store", request.is_to_be_stored()),
        ("metadata", request.has_metadata()),
    ] {
        if said && !known.contains(&name) {
            dropped.push(name.to_owned());
        }
    }
}

/// Names what a schema for the answer says beside itself, for dialects that take the schema alone.
pub(crate) fn schema_details(request: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    // An answer always holds to its schema there, and what it is called says nothing.
    if let Some(ResponseFormat::JsonSchema { description: Some(_), .. }) = &request.response_format {
        dropped.push("response_format.description".to_owned());
    }
}

/// The upstream's own word, or ours where it said nothing.
pub(crate) fn or<'t>(said: &'t str, ours: &'t str) -> &'t str {
    if said.is_empty() { ours } else { said }
}

pub(crate) fn take_stream_options<'a>(
    dialect: Dialect,
    request: &mut Object<'a, '_>,
) -> Result<Option<StreamOptions<'a>>, DialectError> {
    let place = Place::Document.member("stream_options");
    let Some(raw) = request.take_object("stream_options")? else {
        return Ok(None);
    };
    let mut options = Object::open(raw, place, Mode::Strict)?;
    Ok(Some(StreamOptions { include_usage: options.take_bool("include_usage")?, extras: options.into_extras(dialect) }))
}

pub(crate) fn write_stream_options(dialect: Dialect, members: &mut Members<'_>, request: &ChatRequest<'_>) {
    if let Some(options) = &request.stream_options {
        members.object("stream_options", |members| {
            members.flag_if("include_usage", options.include_usage);
            members.extras(dialect, &options.extras);
        });
    }
}
