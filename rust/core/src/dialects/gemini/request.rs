//! The request, both ways.
//!
//! Calls and results mostly come without ids in this dialect, so here they get them: each call one of ours, each result
//! that of the first call of its name, in the last turn of calls, which has none yet. Ids of ours are not written.

use std::collections::HashMap;

use super::{DIALECT, generation, ids, names, parts, results, tools, turn};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extras, Origin, Rendered, Role, Spelling, Tool, ToolResult, Turn, placed,
};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const SYSTEM: &str = "systemInstruction";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Strict)?;
    names::spell(&mut object)?;
    let mut request = ChatRequest::default();
    if let Some(raw) = object.take_object(SYSTEM)? {
        request.turns.push(turn::parse_system(raw, Place::Document.member(SYSTEM))?);
    }
    let place = Place::Document.member("contents");
    let contents = turn::take_repeated(&mut object, "contents")?.unwrap_or_default();
    if contents.is_empty() {
        return Err(place.refuse("must hold at least one content"));
    }
    for (index, raw) in contents.into_iter().enumerate() {
        request.turns.push(turn::parse(raw, place.item(index))?);
    }
    name_calls(&mut request.turns);
    request.tools = tools::take_tools(&mut object)?;
    let mut rest = Extras::default();
    request.tool_choice = tools::take_choice(&mut object, &mut rest)?;
    let config = generation::take(&mut object, &mut request)?;
    request.service_tier = object.take_text("serviceTier")?.map(|tier| match tier.as_ref() {
        // What OpenAI calls the default, Google calls the standard.
        "standard" => "default".into(),
        _ => tier,
    });
    object.spill(DIALECT, &mut rest);
    request.extras = rest;
    request.extras.extend(config);
    Ok(request)
}

fn name_calls(turns: &mut [Turn<'_>]) {
    // Name and id of the calls that no result has answered yet.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut before = None;
    for (at, turn) in (0..).zip(turns) {
        let mut number = 0;
        // Google's SDKs keep each piece of a stream as a turn of its own.
        let goes_on = before.replace(turn.role) == Some(turn.role);
        if !goes_on && turn.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_))) {
            open.clear();
        }
        // Those that say whom they answer go first.
        for block in &mut turn.blocks {
            if let Content::ToolResult(result) = &mut block.content
                && !result.call_id.is_empty()
            {
                answer(&mut open, result);
            }
        }
        for block in &mut turn.blocks {
            number += turn::name_call(block, "", at, number);
            match &mut block.content {
                Content::ToolCall(call) => open.push((call.name.to_string(), call.id.to_string())),
                Content::ToolResult(result) if result.call_id.is_empty() => {
                    answer(&mut open, result);
                    if result.call_id.is_empty() {
                        result.call_id = ids::mint("", at, number).into();
                        number += 1;
                    }
                }
                _ => {}
            }
        }
    }
}

fn answer(open: &mut Vec<(String, String)>, result: &mut ToolResult<'_>) {
    let name = result.name.as_deref().unwrap_or_default();
    let found = match result.call_id.as_ref() {
        "" => open.iter().position(|(called, _)| called == name),
        id => open.iter().position(|(_, known)| known == id),
    };
    if let Some(found) = found {
        let (_, id) = open.remove(found);
        result.call_id = id.into();
    }
}

pub(super) fn render(request: &ChatRequest<'_>) -> Rendered {
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write(members, request));
    Rendered { body: out.into(), dropped: dropped(request) }
}

fn is_system(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let in_front = request.turns.iter().take_while(|turn| is_system(turn)).count();
    let (system, turns) = request.turns.split_at_checked(in_front).unwrap_or_default();
    if let Some(first) = system.first() {
        members.object(SYSTEM, |content| {
            let blocks = system.iter().flat_map(|turn| &turn.blocks).filter(|block| parts::is_part(block));
            content.list("parts", blocks, |out, block| parts::write(out, block, None));
            content.extras(DIALECT, &first.extras);
        });
    }
    let mut names: HashMap<&str, &str> = HashMap::new();
    let turns = turns.iter().filter(|turn| turn.blocks.is_empty() || turn.blocks.iter().any(parts::is_part));
    members.list("contents", turns, |out, turn| {
        output::object(out, |content| write_turn(content, turn, &mut names));
    });
    tools::write_tools(members, &request.tools);
    if let Some(choice) = &request.tool_choice {
        tools::write_choice(members, choice, &request.extras);
    }
    generation::write(members, request);
    match request.service_tier.as_deref() {
        Some("default") => members.text("serviceTier", "standard"),
        Some("auto") | None => {}
        Some(tier) => members.text("serviceTier", tier),
    }
    members.extras(DIALECT, &request.extras);
}

fn write_turn<'t>(content: &mut Members<'_>, turn: &'t Turn<'t>, names: &mut HashMap<&'t str, &'t str>) {
    let role = if turn.role == Role::Assistant { "model" } else { "user" };
    if turn.role != Role::User || turn.spelling != Spelling::Absent {
        content.text("role", role);
    }
    content.list("parts", turn.blocks.iter().filter(|block| parts::is_part(block)), |out, block| {
        let call_name = match &block.content {
            Content::ToolResult(result) => names.get(result.call_id.as_ref()).copied(),
            _ => None,
        };
        if let Content::ToolCall(call) = &block.content {
            names.insert(&call.id, &call.name);
        }
        parts::write(out, block, call_name);
    });
    content.extras(DIALECT, &turn.extras);
}

/// The names and places of what another dialect said and Gemini has no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(&request.extras).collect();
    let fields = [
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        ("user", request.user.is_some()),
        ("safety_identifier", request.safety_identifier.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("verbosity", request.wants_verbosity()),
        ("store", request.is_to_be_stored()),
        ("metadata", request.has_metadata()),
    ];
    dropped.extend(fields.iter().filter(|(_, said)| *said).map(|(name, _)| (*name).to_owned()));
    dropped.extend(generation::dropped(request.response_format.as_ref()));
    for (place, tool) in placed(&request.tools) {
        match tool {
            tool if !tools::is_sayable(tool) => dropped.extend(tool.lost_names(place)),
            Tool::Callable(callable) => {
                let said =
                    [("strict", callable.strict == Some(true)), ("cache_control", callable.cache_mark.is_some())];
                let lost = said.iter().filter(|(_, said)| *said).map(|(name, _)| format!("{place}.{name}"));
                dropped.extend(lost);
                dropped.extend(foreign(&callable.extras).map(|name| format!("{place}.{name}")));
            }
            Tool::Opaque { .. } => {}
        }
    }
    let in_front = request.turns.iter().take_while(|turn| is_system(turn)).count();
    for (index, turn) in request.turns.iter().enumerate() {
        let place = turn.place(index);
        if index >= in_front && is_system(turn) {
            // Said by the user, because nobody else may say it there.
            dropped.push(format!("{place}.role"));
        }
        if turn.name.is_some() {
            dropped.push(format!("{place}.name"));
        }
        dropped.extend(foreign(&turn.extras).map(|name| format!("{place}.{name}")));
        for (index, block) in turn.blocks.iter().enumerate() {
            dropped_of_block(block, block.place(place, index), &mut dropped);
        }
    }
    dropped
}

fn dropped_of_block(block: &Block<'_>, place: Origin, dropped: &mut Vec<String>) {
    if !parts::is_part(block) {
        dropped.push(place.to_string());
    }
    match &block.content {
        Content::Image { detail: Some(detail), .. } if detail != "auto" => dropped.push(format!("{place}.detail")),
        Content::Text { citations, .. } if !citations.is_empty() => dropped.push(format!("{place}.citations")),
        Content::ToolResult(result) => {
            for (index, inner) in result.blocks.iter().enumerate() {
                let place = inner.place(place, index);
                let is_text = matches!(inner.content, Content::Text { .. } | Content::Refusal { .. });
                if !is_text && !results::is_result_part(inner) {
                    dropped.push(place.to_string());
                }
                dropped.extend(foreign(&inner.extras).map(|name| format!("{place}.{name}")));
            }
        }
        _ => {}
    }
    if block.cache_mark.is_some() {
        dropped.push(format!("{place}.cache_control"));
    }
    dropped.extend(foreign(&block.extras).map(|name| format!("{place}.{name}")));
}

fn foreign<'e>(extras: &'e Extras<'_>) -> impl Iterator<Item = String> + 'e {
    extras.lost_in(DIALECT)
}
