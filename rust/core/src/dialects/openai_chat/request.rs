//! The request, both ways: every field of the contract, and whatever else the client sent.

use serde_json::value::RawValue;

use super::{DIALECT, tools, turn};
use crate::dialects::chatlike::{foreign, sampling, take_stream_options, turns, write_stream_options};
use crate::dialects::message::{
    Block, ChatRequest, Content, Json, ReasoningWish, Rendered, ResponseFormat, Sampling, Spelling, Tool, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let place = Place::Document.member("messages");
    let messages = turns::take_messages(&mut request)?;
    let turns = messages.into_iter().enumerate().map(|(index, raw)| turn::parse(raw, place.item(index), Mode::Strict));
    let turns = turns.collect::<Result<_, _>>()?;
    Ok(ChatRequest {
        model,
        turns,
        tools: tools::take_tools(&mut request)?,
        tool_choice: tools::take_choice(&mut request),
        parallel_tool_calls: request.take_bool("parallel_tool_calls")?,
        response_format: request.take_if("response_format", response_format),
        sampling: take_sampling(&mut request)?,
        max_completion_tokens: request.take_u64("max_completion_tokens")?,
        max_tokens: request.take_u64("max_tokens")?,
        reasoning: request.take_if("reasoning_effort", reasoning_wish),
        stream: request.take_bool("stream")?,
        stream_options: take_stream_options(DIALECT, &mut request)?,
        user: request.take_text("user")?,
        safety_identifier: request.take_text("safety_identifier")?,
        prompt_cache_key: request.take_text("prompt_cache_key")?,
        service_tier: request.take_text("service_tier")?,
        verbosity: request.take_text("verbosity")?,
        store: request.take_bool("store")?,
        metadata: request.take_object("metadata")?.map(Json::from),
        extras: request.into_extras(DIALECT),
    })
}

fn take_sampling<'a>(request: &mut Object<'a, '_>) -> Result<Sampling<'a>, DialectError> {
    Ok(Sampling {
        logprobs: request.take_bool("logprobs")?,
        top_logprobs: request.take_u64("top_logprobs")?,
        ..sampling::take(request)?
    })
}

/// A name, or the object that clients of the Responses API carry over. Other objects stay as they are.
fn reasoning_wish(raw: &RawValue) -> Option<ReasoningWish<'_>> {
    if let Some(effort) = object::text(raw) {
        return Some(ReasoningWish { effort: Some(effort), ..ReasoningWish::default() });
    }
    let mut wish = Object::lenient(raw)?;
    let effort = wish.take_if("effort", object::text);
    let summary = wish.take_if("summary", object::text);
    let wish_of = ReasoningWish { effort, summary, spelling: Spelling::Structured, ..ReasoningWish::default() };
    wish.is_spent().then_some(wish_of)
}

fn response_format(raw: &RawValue) -> Option<ResponseFormat<'_>> {
    let mut format = Object::lenient(raw)?;
    let understood = match format.take_if("type", object::text)?.as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => {
            let mut schema = format.take_if("json_schema", Object::lenient)?;
            let understood = ResponseFormat::JsonSchema {
                name: schema.take_if("name", object::text),
                description: schema.take_if("description", object::text),
                schema: schema.take_json("schema"),
                strict: schema.take_if("strict", |raw| raw.get().parse().ok()),
            };
            schema.is_spent().then_some(understood)?
        }
        _ => return None,
    };
    format.is_spent().then_some(understood)
}

pub(super) fn render(request: &ChatRequest<'_>) -> Rendered {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write(members, request));
    Rendered { body: out.into(), dropped: dropped(request) }
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    members.text("model", &request.model);
    turn::write_messages(&request.turns, members);
    tools::write_tools(members, &request.tools);
    if let Some(choice) = &request.tool_choice {
        tools::write_choice(members, choice);
    }
    members.flag_if("parallel_tool_calls", request.parallel_tool_calls);
    if let Some(format) = &request.response_format {
        members.object("response_format", |members| write_format(members, format));
    }
    sampling::write(members, &request.sampling);
    members.flag_if("logprobs", request.sampling.logprobs);
    members.whole_if("top_logprobs", request.sampling.top_logprobs);
    members.whole_if("max_completion_tokens", request.max_completion_tokens);
    members.whole_if("max_tokens", request.max_tokens);
    if let Some(wish) = &request.reasoning {
        write_reasoning_wish(members, wish);
    }
    members.flag_if("stream", request.stream);
    write_stream_options(DIALECT, members, request);
    members.text_if("user", request.user.as_deref());
    members.text_if("safety_identifier", request.identifier());
    members.text_if("prompt_cache_key", request.prompt_cache_key.as_deref());
    members.text_if("service_tier", request.service_tier.as_deref());
    members.text_if("verbosity", request.verbosity.as_deref());
    members.flag_if("store", request.store);
    members.json_if("metadata", request.metadata.as_ref());
    members.extras(DIALECT, &request.extras);
}

fn write_reasoning_wish(members: &mut Members<'_>, wish: &ReasoningWish<'_>) {
    // Other dialects wish in objects too, and in words that this one does not have.
    let said = wish.effort.is_some() || wish.summary.is_some();
    if wish.spelling == Spelling::Structured && said {
        members.object("reasoning_effort", |members| {
            members.text_if("effort", wish.effort.as_deref());
            members.text_if("summary", wish.summary.as_deref());
        });
    } else {
        members.text_if("reasoning_effort", wish.effort.as_deref());
    }
}

fn write_format(members: &mut Members<'_>, format: &ResponseFormat<'_>) {
    match format {
        ResponseFormat::Text => members.text("type", "text"),
        ResponseFormat::JsonObject => members.text("type", "json_object"),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            members.text("type", "json_schema");
            members.object("json_schema", |members| {
                // Required; most other dialects have none.
                members.text("name", name.as_deref().unwrap_or("response"));
                members.text_if("description", description.as_deref());
                members.json_if("schema", schema.as_ref());
                members.flag_if("strict", *strict);
            });
        }
    }
}

/// The names and places of what another dialect said and chat has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    if request.safety_identifier.is_some() && request.identifier().is_none() {
        dropped.push("safety_identifier".to_owned());
    }
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => {
                dropped.push(format!("tools[{index}]"));
            }
            _ => {}
        }
    }
    for (index, turn) in request.turns.iter().enumerate() {
        dropped_of_turn(turn, &format!("messages[{index}]"), &mut dropped);
    }
    dropped
}

fn dropped_of_turn(turn: &Turn<'_>, place: &str, dropped: &mut Vec<String>) {
    dropped.extend(foreign(DIALECT, &turn.extras).map(|name| format!("{place}.{name}")));
    for (index, block) in turn.blocks.iter().enumerate() {
        dropped_of_block(block, &format!("{place}.content[{index}]"), dropped);
    }
}

fn dropped_of_block(block: &Block<'_>, place: &str, dropped: &mut Vec<String>) {
    match &block.content {
        Content::ToolResult(result) => {
            if result.is_error.is_some() {
                dropped.push(format!("{place}.is_error"));
            }
            for (index, inner) in result.blocks.iter().enumerate() {
                dropped_of_block(inner, &format!("{place}.content[{index}]"), dropped);
            }
        }
        _ if !super::says(block) => dropped.push(place.to_owned()),
        Content::Text { citations, .. } if !citations.iter().all(turn::is_told) => {
            dropped.push(format!("{place}.citations"));
        }
        _ => {}
    }
    dropped.extend(foreign(DIALECT, &block.extras).map(|name| format!("{place}.{name}")));
}
