//! The request, both ways: every field of the contract, and whatever else the client sent.
//!
//! The surprise: instructions stand in a field of their own, `system`, and newer models take later ones among the
//! messages too. In the neutral form both are turns; one of the latter in front is marked by its `role` among the extras.

use crate::dialects::raw::RawValue;

use super::{DIALECT, blocks, dropped, tools, wish, write};
use crate::dialects::chatlike::sampling;
use crate::dialects::message::{
    Block, ChatRequest, Extra, Extras, Json, Rendered, Role, Sampling, Spelling, Stop, Text, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const ROLE: &str = "role";
const METADATA: &str = "metadata";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let mut extras = Extras::default();
    let turns = take_turns(&mut request)?;
    let tools = tools::take_tools(&mut request)?;
    let (tool_choice, parallel_tool_calls) = tools::take_choice(&mut request, &mut extras)?;
    let (reasoning, response_format) = wish::take(&mut request, &mut extras)?;
    let safety_identifier = take_user(&mut request, &mut extras)?;
    let service_tier = request.take_if("service_tier", |raw| neutral_tier(&object::text(raw)?));
    let chat = ChatRequest {
        model,
        turns,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        sampling: Sampling {
            temperature: request.take_f64("temperature")?,
            top_p: request.take_f64("top_p")?,
            top_k: request.take_u64("top_k")?,
            stop: take_stop(&mut request)?,
            ..Sampling::default()
        },
        // It counts thinking too.
        max_completion_tokens: request.take_u64("max_tokens")?,
        reasoning,
        stream: request.take_bool("stream")?,
        safety_identifier,
        service_tier: service_tier.map(Text::Borrowed),
        ..ChatRequest::default()
    };
    request.spill(DIALECT, &mut extras);
    Ok(ChatRequest { extras, ..chat })
}

fn take_turns<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Turn<'a>>, DialectError> {
    let mut turns = Vec::new();
    turns.extend(take_system(request)?);
    let place = Place::Document.member("messages");
    let messages = request.take_list("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(place.refuse("must hold at least one message"));
    }
    let mut in_front = true;
    for (index, raw) in messages.into_iter().enumerate() {
        let mut turn = parse_turn(raw, place.item(index))?;
        in_front &= turn.role == Role::System;
        if in_front {
            turn.extras.push(Extra { dialect: DIALECT, name: ROLE.into(), value: system_word() });
        }
        turns.push(turn);
    }
    Ok(turns)
}

fn system_word() -> Json<'static> {
    Json::written(b"\"system\"".to_vec())
}

fn take_system<'a>(request: &mut Object<'a, '_>) -> Result<Option<Turn<'a>>, DialectError> {
    let Some(raw) = request.peek("system") else {
        return Ok(None);
    };
    let place = Place::Document.member("system");
    let (blocks, spelling) = if let Some(text) = object::text(raw) {
        (vec![Block::text(text)], Spelling::Plain)
    } else if let Some(items) = object::list(raw) {
        (blocks::parse_list(items, place, Mode::Strict)?, Spelling::Structured)
    } else {
        return Err(place.refuse("must be a string or a list of blocks"));
    };
    request.forget("system");
    Ok(Some(Turn { spelling, ..Turn::new(Role::System, blocks) }))
}

fn parse_turn<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Turn<'a>, DialectError> {
    let mut message = Object::open(raw, place, Mode::Strict)?;
    let role = match message.take_text(ROLE)?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(place.member(ROLE).refuse("must be one of user, assistant, system")),
    };
    let (blocks, spelling) = blocks::take_content(&mut message)?;
    if spelling == Spelling::Absent {
        return Err(place.member("content").refuse("is required"));
    }
    Ok(Turn { spelling, extras: message.into_extras(DIALECT), ..Turn::new(role, blocks) })
}

fn take_stop<'a>(request: &mut Object<'a, '_>) -> Result<Option<Stop<'a>>, DialectError> {
    let place = Place::Document.member("stop_sequences");
    request.take_filled_list("stop_sequences")?.map(|items| sampling::stop_of(items, place)).transpose()
}

/// Takes the one key that `metadata` has. It names a user without saying who it is, as `safety_identifier` does.
fn take_user<'a>(request: &mut Object<'a, '_>, extras: &mut Extras<'a>) -> Result<Option<Text<'a>>, DialectError> {
    let Some(raw) = request.take_object(METADATA)? else {
        return Ok(None);
    };
    let place = Place::Document.member(METADATA);
    let mut metadata = Object::open(raw, place, Mode::Strict)?;
    let user = metadata.take_text("user_id")?;
    if user.is_none() || !metadata.is_empty() {
        extras.push(metadata.into_rest(DIALECT, METADATA));
    }
    Ok(user)
}

fn neutral_tier(word: &str) -> Option<&'static str> {
    match word {
        "auto" => Some("auto"),
        "standard_only" => Some("default"),
        _ => None,
    }
}

pub(super) fn tier(neutral: &str) -> Option<&'static str> {
    match neutral {
        "auto" => Some("auto"),
        "default" => Some("standard_only"),
        _ => None,
    }
}

/// Whom the request is for: an address or a telephone number is refused in this place.
pub(super) fn user<'r>(request: &'r ChatRequest<'_>) -> Option<&'r str> {
    let says_who = |user: &str| user.contains('@') || user.starts_with('+') || user.len() > 256;
    let user = || request.user.as_deref().filter(|user| !says_who(user));
    request.safety_identifier.as_deref().or_else(user)
}

pub(super) fn render(request: &ChatRequest<'_>) -> Rendered {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write(members, request));
    Rendered { body: out.into(), dropped: dropped::names(request) }
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    members.text("model", &request.model);
    members.whole_if("max_tokens", request.max_output_tokens());
    write_turns(members, &request.turns);
    let choice = request.tool_choice.as_ref();
    tools::write_tools(members, &request.tools, choice);
    if tools::has_choice(&request.tools, choice) {
        tools::write_choice(members, choice, request.parallel_tool_calls, &request.extras);
    }
    wish::write(members, request);
    let sampling = &request.sampling;
    members.float_if("temperature", sampling.temperature);
    members.float_if("top_p", sampling.top_p);
    members.whole_if("top_k", sampling.top_k);
    let stops = sampling.stop.iter().flat_map(|stop| &stop.sequences).filter(|text| stops(text));
    let stops: Vec<_> = stops.collect();
    if !stops.is_empty() {
        members.list("stop_sequences", stops, |out, text| output::text(out, text));
    }
    members.flag_if("stream", request.stream);
    if let Some(user) = user(request) {
        members.object(METADATA, |metadata| {
            metadata.text("user_id", user);
            metadata.rest_of(METADATA, DIALECT, &request.extras);
        });
    }
    members.text_if("service_tier", request.service_tier.as_deref().and_then(tier));
    members.extras(DIALECT, &request.extras);
}

/// A sequence of blanks is refused.
pub(super) fn stops(sequence: &str) -> bool {
    !sequence.trim().is_empty()
}

fn write_turns(members: &mut Members<'_>, turns: &[Turn<'_>]) {
    let in_front = |turn: &&Turn<'_>| {
        let instructs = matches!(turn.role, Role::System | Role::Developer);
        instructs && turn.extras.get(DIALECT, ROLE).is_none()
    };
    let leading = turns.iter().take_while(in_front).count();
    let (system, messages) = turns.split_at_checked(leading).unwrap_or((&[], turns));
    match system {
        [only] if !only.blocks.is_empty() || only.spelling == Spelling::Structured => {
            write::write_content(members, "system", &only.blocks, only.spelling);
        }
        several if several.iter().any(|turn| !turn.blocks.is_empty()) => {
            let blocks = several.iter().flat_map(|turn| &turn.blocks);
            write::write_list(members, "system", blocks, write::Side::Model, "");
        }
        _ => {}
    }
    members.list("messages", messages, |out, turn| {
        output::object(out, |message| {
            let role = match turn.role {
                Role::System | Role::Developer => "system",
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            message.text(ROLE, role);
            write::write_content(message, "content", &turn.blocks, turn.spelling);
            message.extras(DIALECT, &turn.extras);
        });
    });
}
