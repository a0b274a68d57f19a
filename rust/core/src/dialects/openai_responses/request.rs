//! The request, both ways: every field of the contract, and whatever else the client sent.

use crate::dialects::raw::RawValue;

use super::{DIALECT, input, tools};
use crate::dialects::DialectError;
use crate::dialects::message::{
    ChatRequest, Extra, Extras, Json, ReasoningMode, ReasoningWish, Rendered, ResponseFormat, Sampling, StreamOptions,
    Text,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let mut extras = Extras::default();
    let model = request.require_text("model")?;
    let turns = input::take(&mut request, &mut extras)?;
    let sampling = Sampling {
        temperature: request.take_f64("temperature")?,
        top_p: request.take_f64("top_p")?,
        logprobs: asks_for_logprobs(&request),
        top_logprobs: request.take_u64("top_logprobs")?,
        ..Sampling::default()
    };
    let (response_format, verbosity) = take_text_options(&mut request, &mut extras);
    let stream = request.take_bool("stream")?;
    // A stream of this dialect always tells its usage; other servers must be asked for it.
    let stream_options =
        (stream == Some(true)).then(|| StreamOptions { include_usage: Some(true), extras: Extras::default() });
    let mut chat = ChatRequest {
        model,
        turns,
        tools: tools::take(&mut request)?,
        tool_choice: tools::take_choice(&mut request, &mut extras),
        parallel_tool_calls: request.take_bool("parallel_tool_calls")?,
        response_format,
        sampling,
        max_completion_tokens: request.take_u64("max_output_tokens")?,
        max_tokens: None,
        reasoning: take_reasoning(&mut request, &mut extras),
        stream,
        stream_options,
        user: request.take_text("user")?,
        safety_identifier: request.take_text("safety_identifier")?,
        prompt_cache_key: request.take_text("prompt_cache_key")?,
        service_tier: request.take_text("service_tier")?,
        verbosity,
        store: request.take_bool("store")?,
        metadata: request.take_object("metadata")?.map(Json::from),
        extras,
    };
    request.spill(DIALECT, &mut chat.extras);
    Ok(chat)
}

const TEXT: &str = "text";
const FORMAT: &str = "format";
const LOGPROBS: &str = "message.output_text.logprobs";
/// Less than this is refused.
pub(crate) const LEAST_OUTPUT_TOKENS: u64 = 16;

/// They are wished for in a list of many things, which stays as it is.
fn asks_for_logprobs(request: &Object<'_, '_>) -> Option<bool> {
    let included = request.peek("include").and_then(|raw| serde_json::from_str::<Vec<String>>(raw.get()).ok())?;
    included.iter().any(|name| name == LOGPROBS).then_some(true)
}

/// Takes what is understood of an object; the rest lies in the extras under its name.
fn take_some<'a, T>(
    request: &mut Object<'a, '_>,
    name: &'static str,
    extras: &mut Extras<'a>,
    read: impl FnOnce(&mut Object<'a, '_>) -> Option<T>,
) -> Option<T> {
    let mut object = request.peek(name).and_then(Object::lenient)?;
    let found = read(&mut object)?;
    request.forget(name);
    if !object.is_empty() {
        extras.push(object.into_rest(DIALECT, name));
    }
    Some(found)
}

fn take_text_options<'a>(
    request: &mut Object<'a, '_>,
    extras: &mut Extras<'a>,
) -> (Option<ResponseFormat<'a>>, Option<Text<'a>>) {
    let Some(mut text) = request.peek(TEXT).and_then(Object::lenient) else {
        return (None, None);
    };
    let mut rest = None;
    let format = text.take_if(FORMAT, |raw| response_format(raw, &mut rest));
    let verbosity = text.take_if("verbosity", object::text);
    if format.is_some() || verbosity.is_some() {
        request.forget(TEXT);
        extras.extend(text.unspent_with(DIALECT, TEXT, rest));
    }
    (format, verbosity)
}

fn take_reasoning<'a>(request: &mut Object<'a, '_>, extras: &mut Extras<'a>) -> Option<ReasoningWish<'a>> {
    take_some(request, "reasoning", extras, |wish| {
        let effort = wish.take_if("effort", object::text);
        let summary = wish.take_if("summary", object::text);
        let found = effort.is_some() || summary.is_some();
        found.then(|| ReasoningWish { effort, summary, ..ReasoningWish::default() })
    })
}

fn response_format<'a>(raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<ResponseFormat<'a>> {
    let mut format = Object::lenient(raw)?;
    let understood = match format.take_if("type", object::text)?.as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => ResponseFormat::JsonSchema {
            name: format.take_if("name", object::text),
            description: format.take_if("description", object::text),
            schema: format.take_json("schema"),
            strict: format.take_if("strict", |raw| raw.get().parse().ok()),
        },
        _ => return None,
    };
    *rest = format.unspent(DIALECT, FORMAT);
    Some(understood)
}

pub(super) fn render(request: &ChatRequest<'_>) -> Rendered {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write(members, request));
    Rendered { body: out.into(), dropped: dropped(request) }
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let ours = request.extras.marked(DIALECT, "input").is_some();
    members.text("model", &request.model);
    input::write(members, &request.turns, &request.extras);
    tools::write(members, &request.tools);
    if let Some(choice) = &request.tool_choice {
        tools::write_choice(members, choice, &request.extras);
    }
    members.flag_if("parallel_tool_calls", request.parallel_tool_calls);
    write_text_options(members, request);
    let sampling = &request.sampling;
    members.float_if("temperature", sampling.temperature);
    members.float_if("top_p", sampling.top_p);
    members.whole_if("top_logprobs", sampling.top_logprobs);
    let least = if ours { 0 } else { LEAST_OUTPUT_TOKENS };
    members.whole_if("max_output_tokens", request.max_output_tokens().map(|limit| limit.max(least)));
    if let Some(wish) = &request.reasoning {
        write_reasoning(members, wish, &request.extras);
    }
    members.flag_if("stream", request.stream);
    members.text_if("user", request.user.as_deref());
    members.text_if("safety_identifier", request.identifier());
    members.text_if("prompt_cache_key", request.prompt_cache_key.as_deref());
    members.text_if("service_tier", request.service_tier.as_deref());
    // Clients of other dialects keep their history themselves: nothing is stored for them unless they say so, and
    // their reasoning must come along to be sent back.
    members.flag_if("store", request.store.or((!ours).then_some(false)));
    if !ours {
        let logprobs = (sampling.logprobs == Some(true)).then_some(LOGPROBS);
        // Models that do not reason refuse to be asked for it.
        let proofs = request.reasoning.is_some().then_some("reasoning.encrypted_content");
        let mut include = proofs.into_iter().chain(logprobs).peekable();
        if include.peek().is_some() {
            members.list("include", include, output::text);
        }
    }
    members.json_if("metadata", request.metadata.as_ref());
    members.extras(DIALECT, &request.extras);
}

fn write_text_options(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    if request.response_format.is_none() && request.verbosity.is_none() {
        return;
    }
    members.object(TEXT, |text| {
        let rest = request.extras.inside(DIALECT, TEXT);
        if let Some(format) = &request.response_format {
            text.object(FORMAT, |members| {
                write_format(members, format);
                members.rest_of(FORMAT, DIALECT, &rest);
            });
        }
        text.text_if("verbosity", request.verbosity.as_deref());
        text.extras(DIALECT, &rest);
    });
}

fn write_format(members: &mut Members<'_>, format: &ResponseFormat<'_>) {
    match format {
        ResponseFormat::Text => members.text("type", "text"),
        ResponseFormat::JsonObject => members.text("type", "json_object"),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            members.text("type", "json_schema");
            // A name is required here and nowhere else.
            members.text("name", name.as_deref().unwrap_or("response"));
            members.text_if("description", description.as_deref());
            members.json_if("schema", schema.as_ref());
            members.flag_if("strict", *strict);
        }
    }
}

fn write_reasoning(members: &mut Members<'_>, wish: &ReasoningWish<'_>, extras: &Extras<'_>) {
    let off = wish.mode == Some(ReasoningMode::Disabled);
    let effort = wish.effort.as_deref().or(off.then_some("none"));
    let summary = wish.summary.as_deref().or((wish.include == Some(true)).then_some("auto"));
    if effort.is_none() && summary.is_none() {
        return;
    }
    members.object("reasoning", |reasoning| {
        reasoning.text_if("effort", effort);
        reasoning.text_if("summary", summary);
        reasoning.rest_of("reasoning", DIALECT, extras);
    });
}

/// The names and places of what another dialect said and this one has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = input::foreign(&request.extras).collect();
    let sampling = &request.sampling;
    let ours = request.extras.marked(DIALECT, "input").is_some();
    let limit = request.max_output_tokens().unwrap_or(LEAST_OUTPUT_TOKENS);
    let wish = request.reasoning.as_ref();
    let lost = [
        // Said, but not as low.
        (!ours && limit < LEAST_OUTPUT_TOKENS, "max_tokens"),
        (sampling.top_k.is_some(), "top_k"),
        (sampling.wants_frequency_penalty(), "frequency_penalty"),
        (sampling.wants_presence_penalty(), "presence_penalty"),
        (sampling.seed.is_some(), "seed"),
        (sampling.n.is_some_and(|n| n != 1), "n"),
        (sampling.stop.is_some(), "stop"),
        (request.safety_identifier.is_some() && request.identifier().is_none(), "safety_identifier"),
        (wish.is_some_and(|wish| wish.budget_tokens.is_some()), "reasoning.budget_tokens"),
        (
            wish.is_some_and(|wish| {
                wish.effort.is_none() && wish.mode.is_some_and(|mode| mode != ReasoningMode::Disabled)
            }),
            "reasoning.mode",
        ),
    ];
    dropped.extend(lost.into_iter().filter(|(lost, _)| *lost).map(|(_, name)| name.to_owned()));
    let options = request.stream_options.as_ref();
    let options = options.into_iter().flat_map(|options| input::foreign(&options.extras));
    dropped.extend(options.map(|name| format!("stream_options.{name}")));
    tools::dropped(&request.tools, |extras| input::foreign(extras).collect(), &mut dropped);
    input::dropped(&request.turns, &mut dropped);
    dropped
}
