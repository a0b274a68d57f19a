//! The request, both ways: every field of the contract, and whatever else the client sent.

use crate::dialects::raw::RawValue;

use super::{DIALECT, tools, turn};
use crate::dialects::chatlike::{foreign, sampling, take_stream_options, turns, write_stream_options};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extra, Extras, Json, Origin, ReasoningWish, Rendered, ResponseFormat, Sampling,
    Spelling, Tool, Turn, placed,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const FORMAT: &str = "response_format";
const SCHEMA: &str = "json_schema";
const EFFORT: &str = "reasoning_effort";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let place = Place::Document.member("messages");
    let messages = turns::take_messages(&mut request)?;
    let turns = messages.into_iter().enumerate().map(|(index, raw)| turn::parse(raw, place.item(index), Mode::Strict));
    let turns = turns.collect::<Result<_, _>>()?;
    let mut rest = Extras::default();
    let chat = ChatRequest {
        model,
        turns,
        tools: tools::take_tools(&mut request)?,
        tool_choice: tools::take_choice(&mut request, &mut rest),
        parallel_tool_calls: request.take_bool("parallel_tool_calls")?,
        response_format: request.take_if(FORMAT, |raw| response_format(raw, &mut rest)),
        sampling: take_sampling(&mut request)?,
        max_completion_tokens: request.take_u64("max_completion_tokens")?,
        max_tokens: request.take_u64("max_tokens")?,
        reasoning: request.take_if(EFFORT, |raw| reasoning_wish(raw, &mut rest)),
        stream: request.take_bool("stream")?,
        stream_options: take_stream_options(DIALECT, &mut request)?,
        user: request.take_text("user")?,
        safety_identifier: request.take_text("safety_identifier")?,
        prompt_cache_key: request.take_text("prompt_cache_key")?,
        service_tier: request.take_text("service_tier")?,
        verbosity: request.take_text("verbosity")?,
        store: request.take_bool("store")?,
        metadata: request.take_object("metadata")?.map(Json::from),
        extras: Extras::default(),
    };
    request.spill(DIALECT, &mut rest);
    Ok(ChatRequest { extras: rest, ..chat })
}

fn take_sampling<'a>(request: &mut Object<'a, '_>) -> Result<Sampling<'a>, DialectError> {
    Ok(Sampling {
        logprobs: request.take_bool("logprobs")?,
        top_logprobs: request.take_u64("top_logprobs")?,
        ..sampling::take(request)?
    })
}

/// A name, or the object that clients of the Responses API carry over. What else is in it is kept as a mark.
fn reasoning_wish<'a>(raw: &'a RawValue, rest: &mut Extras<'a>) -> Option<ReasoningWish<'a>> {
    if let Some(effort) = object::text(raw) {
        return Some(ReasoningWish { effort: Some(effort), ..ReasoningWish::default() });
    }
    let mut wish = Object::lenient(raw)?;
    let effort = wish.take_if("effort", object::text);
    let summary = wish.take_if("summary", object::text);
    let wish_of = ReasoningWish { effort, summary, spelling: Spelling::Structured, ..ReasoningWish::default() };
    let is_read = wish_of.effort.is_some() || wish_of.summary.is_some() || wish.is_spent();
    if let Some(Extra { value, .. }) = is_read.then(|| wish.unspent(DIALECT, EFFORT))? {
        rest.mark(DIALECT, EFFORT, value);
    }
    Some(wish_of)
}

/// What is not known of it goes into `rest`, in an object like the one that it stands in.
fn response_format<'a>(raw: &'a RawValue, rest: &mut Extras<'a>) -> Option<ResponseFormat<'a>> {
    let mut format = Object::lenient(raw)?;
    let mut inner = None;
    let understood = match format.take_if("type", object::text)?.as_ref() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => {
            let mut schema = format.take_if(SCHEMA, Object::lenient)?;
            let understood = ResponseFormat::JsonSchema {
                name: schema.take_if("name", object::text),
                description: schema.take_if("description", object::text),
                schema: schema.take_json("schema"),
                strict: schema.take_if("strict", |raw| raw.get().parse().ok()),
            };
            inner = schema.unspent(DIALECT, SCHEMA);
            understood
        }
        _ => return None,
    };
    rest.extend(format.unspent_with(DIALECT, FORMAT, inner));
    Some(understood)
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
        tools::write_choice(members, choice, &request.extras);
    }
    members.flag_if("parallel_tool_calls", request.parallel_tool_calls);
    if let Some(format) = &request.response_format {
        members.object(FORMAT, |members| write_format(members, format, &request.extras));
    }
    sampling::write(members, &request.sampling);
    members.flag_if("logprobs", request.sampling.logprobs);
    members.whole_if("top_logprobs", request.sampling.top_logprobs);
    members.whole_if("max_completion_tokens", request.max_completion_tokens);
    members.whole_if("max_tokens", request.max_tokens);
    if let Some(wish) = &request.reasoning {
        write_reasoning_wish(members, wish, &request.extras);
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
    // The rest of an object that is not told any more means nothing.
    for name in [FORMAT, tools::CHOICE] {
        let is_rest = request.extras.get(DIALECT, name).and_then(Json::as_raw);
        let is_rest = is_rest.and_then(Object::lenient).is_some_and(|rest| !rest.has("type"));
        if is_rest && !members.has(name) {
            members.withhold(name);
        }
    }
    members.extras(DIALECT, &request.extras);
}

fn write_reasoning_wish(members: &mut Members<'_>, wish: &ReasoningWish<'_>, extras: &Extras<'_>) {
    // Other dialects wish in objects too, and in words that this one does not have.
    let said = wish.effort.is_some() || wish.summary.is_some();
    if wish.spelling == Spelling::Structured && said {
        members.object(EFFORT, |members| {
            members.text_if("effort", wish.effort.as_deref());
            members.text_if("summary", wish.summary.as_deref());
            let more = extras.marked(DIALECT, EFFORT).and_then(Json::as_raw);
            for (name, value) in more.and_then(Object::lenient).iter().flat_map(Object::members) {
                members.fill(name, value.get());
            }
        });
    } else {
        members.text_if(EFFORT, wish.effort.as_deref());
    }
}

fn write_format(members: &mut Members<'_>, format: &ResponseFormat<'_>, extras: &Extras<'_>) {
    let rest = extras.inside(DIALECT, FORMAT);
    match format {
        ResponseFormat::Text => members.text("type", "text"),
        ResponseFormat::JsonObject => members.text("type", "json_object"),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            members.text("type", "json_schema");
            members.object(SCHEMA, |members| {
                // Required; most other dialects have none.
                members.text("name", name.as_deref().unwrap_or("response"));
                members.text_if("description", description.as_deref());
                members.json_if("schema", schema.as_ref());
                members.flag_if("strict", *strict);
                members.rest_of(SCHEMA, DIALECT, &rest);
            });
        }
    }
    members.extras(DIALECT, &rest);
}

/// The names and places of what another dialect said and chat has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    if request.safety_identifier.is_some() && request.identifier().is_none() {
        dropped.push("safety_identifier".to_owned());
    }
    for (place, tool) in placed(&request.tools) {
        match tool {
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => {
                dropped.extend(tool.lost_names(place));
            }
            Tool::Callable(callable) => {
                dropped.extend(foreign(DIALECT, &callable.extras).map(|name| format!("{place}.{name}")));
            }
            Tool::Opaque { .. } => {}
        }
    }
    for (index, turn) in request.turns.iter().enumerate() {
        dropped_of_turn(turn, turn.place(index), &mut dropped);
    }
    dropped
}

fn dropped_of_turn(turn: &Turn<'_>, place: Origin, dropped: &mut Vec<String>) {
    dropped.extend(foreign(DIALECT, &turn.extras).map(|name| format!("{place}.{name}")));
    for (index, block) in turn.blocks.iter().enumerate() {
        dropped_of_block(block, block.place(place, index), dropped);
    }
}

fn dropped_of_block(block: &Block<'_>, place: Origin, dropped: &mut Vec<String>) {
    match &block.content {
        Content::ToolResult(result) => {
            if block.says_that_it_failed() {
                dropped.push(format!("{place}.is_error"));
            }
            for (index, inner) in result.blocks.iter().enumerate() {
                dropped_of_block(inner, inner.place(place, index), dropped);
            }
        }
        _ if !super::says(block) => dropped.push(place.to_string()),
        Content::Text { citations, .. } if !citations.iter().all(turn::is_told) => {
            dropped.push(format!("{place}.citations"));
        }
        _ => {}
    }
    dropped.extend(foreign(DIALECT, &block.extras).map(|name| format!("{place}.{name}")));
}
