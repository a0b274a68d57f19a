//! The request body, both ways: most of what other dialects say at the top stands among the `options`.

use crate::dialects::raw::RawValue;

use super::{DIALECT, message, tools};
use crate::dialects::chatlike::{foreign, openai_only, sampling, schema_details, turns};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extra, Json, MediaSource, Origin, ReasoningMode, ReasoningWish, Rendered,
    ResponseFormat, Sampling, ToolCall, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const OPTIONS: &str = "options";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let place = Place::Document.member("messages");
    let messages = turns::take_messages(&mut request)?;
    let turns =
        messages.into_iter().enumerate().map(|(index, raw)| message::parse(raw, place.item(index), Mode::Strict, ""));
    let turns = turns.collect::<Result<_, _>>()?;
    let (mut sampling, max_tokens, options) = take_options(&mut request)?;
    sampling.logprobs = request.take_bool("logprobs")?;
    sampling.top_logprobs = request.take_u64("top_logprobs")?;
    let mut chat = ChatRequest {
        model,
        turns,
        tools: tools::take_tools(&mut request)?,
        response_format: request.take_if("format", response_format),
        sampling,
        max_tokens,
        reasoning: request.take_if("think", think),
        // Who does not say otherwise gets a stream.
        stream: Some(request.take_bool("stream")?.unwrap_or(true)),
        extras: request.into_extras(DIALECT),
        ..ChatRequest::default()
    };
    if let Some(options) = options {
        chat.extras.push(options);
    }
    Ok(chat)
}

/// What the options say, and the rest of them: also where all are understood or none is there, to be told as an object.
type Options<'a> = (Sampling<'a>, Option<u64>, Option<Extra<'a>>);

fn take_options<'a>(request: &mut Object<'a, '_>) -> Result<Options<'a>, DialectError> {
    let place = Place::Document.member(OPTIONS);
    let Some(raw) = request.take_object(OPTIONS)? else {
        return Ok((Sampling::default(), None, None));
    };
    let mut options = Object::open(raw, place, Mode::Strict)?;
    let sampling = Sampling {
        temperature: options.take_f64("temperature")?,
        top_p: options.take_f64("top_p")?,
        top_k: options.take_u64("top_k")?,
        frequency_penalty: options.take_f64("frequency_penalty")?,
        presence_penalty: options.take_f64("presence_penalty")?,
        seed: options.take_i64("seed")?,
        stop: sampling::take_stop_list(&mut options, "stop")?,
        ..Sampling::default()
    };
    // Less than nothing means without a limit, which is a matter of Ollama's alone.
    let max_tokens = options.take_if("num_predict", object::whole);
    Ok((sampling, max_tokens, Some(options.into_rest(DIALECT, OPTIONS))))
}

/// The word json, or a schema. An empty word says nothing and stays as it is.
fn response_format(raw: &RawValue) -> Option<ResponseFormat<'_>> {
    if raw.get().starts_with('{') {
        let schema = Some(Json::from(raw));
        return Some(ResponseFormat::JsonSchema { name: None, description: None, schema, strict: None });
    }
    (raw.get() == "\"json\"").then_some(ResponseFormat::JsonObject)
}

/// Yes, no, or how much.
fn think(raw: &RawValue) -> Option<ReasoningWish<'_>> {
    if let Some(effort) = object::text(raw) {
        return Some(ReasoningWish { effort: Some(effort), ..ReasoningWish::default() });
    }
    let mode = match raw.get() {
        "true" => ReasoningMode::Enabled,
        "false" => ReasoningMode::Disabled,
        _ => return None,
    };
    Some(ReasoningWish { mode: Some(mode), ..ReasoningWish::default() })
}

pub(super) fn render(request: &ChatRequest<'_>) -> Rendered {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write(members, request));
    Rendered { body: out.into(), dropped: dropped(request) }
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    members.text("model", &request.model);
    message::write_messages(&request.turns, members);
    tools::write_tools(members, request);
    match &request.response_format {
        Some(ResponseFormat::JsonSchema { schema: Some(schema), .. }) => members.raw("format", schema.as_str()),
        Some(ResponseFormat::JsonSchema { .. } | ResponseFormat::JsonObject) => members.text("format", "json"),
        Some(ResponseFormat::Text) | None => {}
    }
    write_options(members, request);
    members.flag_if("logprobs", request.sampling.logprobs);
    members.whole_if("top_logprobs", request.sampling.top_logprobs);
    match request.reasoning.as_ref().and_then(think_of) {
        Some(Think::Flag(on)) => members.flag("think", on),
        Some(Think::Level(level)) => members.text("think", level),
        None => {}
    }
    members.flag("stream", request.streams());
    members.extras(DIALECT, &request.extras);
}

fn write_options(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let sampling = &request.sampling;
    let max_tokens = request.max_output_tokens();
    let said = sampling.temperature.is_some()
        || sampling.top_p.is_some()
        || sampling.top_k.is_some()
        || sampling.frequency_penalty.is_some()
        || sampling.presence_penalty.is_some()
        || sampling.seed.is_some()
        || sampling.stop.is_some()
        || max_tokens.is_some();
    if !said && request.extras.get(DIALECT, OPTIONS).is_none() {
        return;
    }
    members.object(OPTIONS, |options| {
        options.float_if("temperature", sampling.temperature);
        options.float_if("top_p", sampling.top_p);
        options.whole_if("top_k", sampling.top_k);
        options.float_if("frequency_penalty", sampling.frequency_penalty);
        options.float_if("presence_penalty", sampling.presence_penalty);
        options.signed_if("seed", sampling.seed);
        if let Some(stop) = &sampling.stop {
            sampling::write_stop_list(options, "stop", &stop.sequences);
        }
        options.whole_if("num_predict", max_tokens);
        options.rest_of(OPTIONS, DIALECT, &request.extras);
    });
}

enum Think<'w> {
    Flag(bool),
    Level(&'w str),
}

/// Ollama knows three levels by name; the ones around them mean the nearest.
fn think_of<'w>(wish: &'w ReasoningWish<'_>) -> Option<Think<'w>> {
    match (wish.mode, wish.effort.as_deref()) {
        (Some(ReasoningMode::Disabled), _) | (None, Some("none")) => Some(Think::Flag(false)),
        (_, Some("minimal")) => Some(Think::Level("low")),
        (_, Some("xhigh" | "max")) => Some(Think::Level("high")),
        (_, Some(level)) => Some(Think::Level(level)),
        (Some(ReasoningMode::Enabled | ReasoningMode::Adaptive), None) => Some(Think::Flag(true)),
        (None, None) => wish.budget_tokens.map(|_| Think::Flag(true)),
    }
}

/// The names and places of what another dialect said and Ollama has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    tools::dropped(request, &mut dropped);
    // Usage ends every stream, asked for or not.
    let options = request.stream_options.iter().flat_map(|options| foreign(DIALECT, &options.extras));
    dropped.extend(options.map(|name| format!("stream_options.{name}")));
    openai_only(request, &[], &mut dropped);
    schema_details(request, &mut dropped);
    let wish = request.reasoning.as_ref();
    for (name, said) in [
        ("reasoning.budget_tokens", wish.is_some_and(|wish| wish.budget_tokens.is_some())),
        // What was thought is always told.
        ("reasoning.include", wish.is_some_and(|wish| wish.include == Some(false))),
    ] {
        if said {
            dropped.push(name.to_owned());
        }
    }
    for (index, turn) in request.turns.iter().enumerate() {
        dropped_of_turn(turn, turn.place(index), &mut dropped);
    }
    dropped
}

fn dropped_of_turn(turn: &Turn<'_>, place: Origin, dropped: &mut Vec<String>) {
    if turn.name.is_some() {
        dropped.push(format!("{place}.name"));
    }
    dropped.extend(foreign(DIALECT, &turn.extras).map(|name| format!("{place}.{name}")));
    for (index, block) in turn.blocks.iter().enumerate() {
        dropped_of_block(block, block.place(place, index), dropped);
    }
}

fn dropped_of_block(block: &Block<'_>, place: Origin, dropped: &mut Vec<String>) {
    let mut drop = |name: &str| dropped.push(format!("{place}{name}"));
    match &block.content {
        Content::Text { citations, .. } if !citations.is_empty() => drop(".citations"),
        Content::Text { .. } | Content::Refusal { .. } | Content::ToolCall(ToolCall { signature: None, .. }) => {}
        Content::Image { source: MediaSource::Base64 { .. }, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                drop(".detail");
            }
        }
        Content::Reasoning(reasoning) => {
            if reasoning.redacted.is_some() {
                drop("");
            }
            if reasoning.signature.is_some() {
                drop(".signature");
            }
        }
        Content::ToolCall(_) => drop(".signature"),
        Content::ToolResult(result) => {
            if block.says_that_it_failed() {
                drop(".is_error");
            }
            for (index, inner) in result.blocks.iter().enumerate() {
                let place = inner.place(place, index);
                match inner.content {
                    Content::Text { .. } | Content::Refusal { .. } => dropped_of_block(inner, place, dropped),
                    _ => dropped.push(place.to_string()),
                }
            }
        }
        Content::Image { .. } | Content::Audio { .. } | Content::File { .. } | Content::Opaque { .. } => drop(""),
    }
    if block.cache_mark.is_some() {
        dropped.push(format!("{place}.cache_control"));
    }
    dropped.extend(foreign(DIALECT, &block.extras).map(|name| format!("{place}.{name}")));
}
