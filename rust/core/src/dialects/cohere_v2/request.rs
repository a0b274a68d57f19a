//! The request body, both ways.

use crate::dialects::raw::RawValue;

use super::{DIALECT, message, parts, tools};
use crate::dialects::chatlike::{foreign, openai_only, sampling, schema_details, turns};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extras, Origin, ReasoningMode, ReasoningWish, Rendered, ResponseFormat, Sampling,
    Spelling, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const FORMAT: &str = "response_format";
const THINKING: &str = "thinking";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let place = Place::Document.member("messages");
    let messages = turns::take_messages(&mut request)?;
    let turns =
        messages.into_iter().enumerate().map(|(index, raw)| message::parse(raw, place.item(index), Mode::Strict));
    let mut rest = Extras::default();
    let chat = ChatRequest {
        model,
        turns: turns.collect::<Result<_, _>>()?,
        tools: tools::take_tools(&mut request)?,
        tool_choice: request.take_if("tool_choice", tools::parse_choice),
        response_format: request.take_if(FORMAT, |raw| response_format(raw, &mut rest)),
        sampling: take_sampling(&mut request)?,
        max_tokens: request.take_u64("max_tokens")?,
        reasoning: request.take_if(THINKING, |raw| thinking(raw, &mut rest)),
        stream: request.take_bool("stream")?,
        ..ChatRequest::default()
    };
    request.spill(DIALECT, &mut rest);
    Ok(ChatRequest { extras: rest, ..chat })
}

fn take_sampling<'a>(request: &mut Object<'a, '_>) -> Result<Sampling<'a>, DialectError> {
    Ok(Sampling {
        temperature: request.take_f64("temperature")?,
        top_p: request.take_f64("p")?,
        top_k: request.take_u64("k")?,
        frequency_penalty: request.take_f64("frequency_penalty")?,
        presence_penalty: request.take_f64("presence_penalty")?,
        seed: request.take_i64("seed")?,
        logprobs: request.take_bool("logprobs")?,
        stop: sampling::take_stop_list(request, "stop_sequences")?,
        ..Sampling::default()
    })
}

/// The schema stands beside the type. What is not known of it goes into `rest`.
fn response_format<'a>(raw: &'a RawValue, rest: &mut Extras<'a>) -> Option<ResponseFormat<'a>> {
    let mut format = Object::lenient(raw)?;
    let understood = match format.take_if("type", object::text)?.as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => match format.take_json("json_schema") {
            Some(schema) => {
                ResponseFormat::JsonSchema { name: None, description: None, schema: Some(schema), strict: None }
            }
            None => ResponseFormat::JsonObject,
        },
        _ => return None,
    };
    rest.extend(format.unspent(DIALECT, FORMAT));
    Some(understood)
}

fn thinking<'a>(raw: &'a RawValue, rest: &mut Extras<'a>) -> Option<ReasoningWish<'a>> {
    let mut wish = Object::lenient(raw)?;
    let mode = match wish.take_if("type", object::text)?.as_ref() {
        "enabled" => ReasoningMode::Enabled,
        "disabled" => ReasoningMode::Disabled,
        _ => return None,
    };
    let budget_tokens = wish.take_if("token_budget", object::whole);
    rest.extend(wish.unspent(DIALECT, THINKING));
    Some(ReasoningWish { mode: Some(mode), budget_tokens, spelling: Spelling::Structured, ..ReasoningWish::default() })
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
    if let Some(format) = &request.response_format {
        members.object(FORMAT, |members| {
            write_format(members, format);
            members.rest_of(FORMAT, DIALECT, &request.extras);
        });
    }
    let sampling = &request.sampling;
    members.float_if("temperature", sampling.temperature);
    members.float_if("p", sampling.top_p);
    members.whole_if("k", sampling.top_k);
    members.float_if("frequency_penalty", sampling.frequency_penalty);
    members.float_if("presence_penalty", sampling.presence_penalty);
    members.signed_if("seed", sampling.seed);
    members.flag_if("logprobs", sampling.logprobs);
    if let Some(stop) = &sampling.stop {
        sampling::write_stop_list(members, "stop_sequences", &stop.sequences);
    }
    members.whole_if("max_tokens", request.max_output_tokens());
    if let Some((mode, budget)) = request.reasoning.as_ref().and_then(thinking_of) {
        members.object(THINKING, |wish| {
            wish.text("type", mode);
            wish.whole_if("token_budget", budget);
            wish.rest_of(THINKING, DIALECT, &request.extras);
        });
    }
    members.flag_if("stream", request.stream);
    members.extras(DIALECT, &request.extras);
}

fn write_format(members: &mut Members<'_>, format: &ResponseFormat<'_>) {
    match format {
        ResponseFormat::Text => members.text("type", "text"),
        ResponseFormat::JsonObject => members.text("type", "json_object"),
        ResponseFormat::JsonSchema { schema, .. } => {
            members.text("type", "json_object");
            members.json_if("json_schema", schema.as_ref());
        }
    }
}

/// Thinking is on or off, with or without a budget; an effort by name can only be none or some.
fn thinking_of(wish: &ReasoningWish<'_>) -> Option<(&'static str, Option<u64>)> {
    let off =
        wish.mode == Some(ReasoningMode::Disabled) || (wish.mode.is_none() && wish.effort.as_deref() == Some("none"));
    if off {
        return Some(("disabled", wish.budget_tokens));
    }
    let on = wish.mode.is_some() || wish.effort.is_some() || wish.budget_tokens.is_some();
    on.then_some(("enabled", wish.budget_tokens))
}

/// The names and places of what another dialect said and Cohere has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    tools::dropped(request, &mut dropped);
    // Usage ends every stream, asked for or not.
    let options = request.stream_options.iter().flat_map(|options| foreign(DIALECT, &options.extras));
    dropped.extend(options.map(|name| format!("stream_options.{name}")));
    openai_only(request, &[], &mut dropped);
    if request.sampling.wants_top_logprobs() {
        dropped.push("top_logprobs".to_owned());
    }
    schema_details(request, &mut dropped);
    if let Some(wish) = &request.reasoning {
        for (member, said) in [
            ("effort", wish.effort.as_deref().is_some_and(|effort| effort != "none")),
            // What was thought is always told.
            ("include", wish.include == Some(false)),
        ] {
            if said {
                dropped.push(format!("reasoning.{member}"));
            }
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
    let plans = message::calls_tools(&turn.blocks);
    for (index, block) in turn.blocks.iter().enumerate() {
        let place = block.place(place, index);
        if plans && matches!(&block.content, Content::Text { citations, .. } if !citations.is_empty()) {
            dropped.push(format!("{place}.citations"));
        }
        dropped_of_block(block, place, dropped);
    }
}

fn dropped_of_block(block: &Block<'_>, place: Origin, dropped: &mut Vec<String>) {
    let mut drop = |name: &str| dropped.push(format!("{place}{name}"));
    match &block.content {
        Content::Reasoning(reasoning) => {
            if reasoning.redacted.is_some() {
                drop("");
            }
            if reasoning.signature.is_some() {
                drop(".signature");
            }
        }
        Content::ToolCall(call) if call.signature.is_some() => drop(".signature"),
        Content::ToolCall(_) => {}
        Content::ToolResult(result) => {
            if block.says_that_it_failed() {
                drop(".is_error");
            }
            for (index, inner) in result.blocks.iter().enumerate() {
                let place = inner.place(place, index);
                if message::is_result_part(inner) {
                    dropped_of_block(inner, place, dropped);
                } else {
                    dropped.push(place.to_string());
                }
            }
        }
        _ if !parts::is_part(block) => drop(""),
        _ => {}
    }
    if block.cache_mark.is_some() {
        dropped.push(format!("{place}.cache_control"));
    }
    dropped.extend(foreign(DIALECT, &block.extras).map(|name| format!("{place}.{name}")));
}
