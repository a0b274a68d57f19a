//! Tools and calls, both ways.
//!
//! The surprise: arguments are an object here and text everywhere else. Text that is no object travels as the member
//! `input` of one, so that it is not lost.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::foreign;
use crate::dialects::chatlike::tools::{self, required};
use crate::dialects::message::{
    Block, CallKind, ChatRequest, Content, Json, Text, Tool, ToolCall, ToolChoiceMode, placed,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Members};
use crate::dialects::{DialectError, Place, mint};

pub(super) fn take_tools<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let place = Place::Document.member("tools");
    let items = request.take_filled_list("tools")?.unwrap_or_default();
    items
        .into_iter()
        .enumerate()
        .map(|(index, raw)| tools::parse_function(DIALECT, raw, place.item(index), None))
        .collect()
}

/// Whether a tool is written. A choice cannot be said, but tools that may not be called can be left out.
fn is_written(tool: &Tool<'_>, request: &ChatRequest<'_>) -> bool {
    let callable = match tool {
        Tool::Opaque { dialect, .. } => return *dialect == DIALECT,
        Tool::Callable(callable) if callable.kind == CallKind::Custom => return false,
        Tool::Callable(callable) => callable,
    };
    match request.tool_choice.as_ref().map(|choice| &choice.mode) {
        Some(ToolChoiceMode::None) => false,
        Some(ToolChoiceMode::Named(name)) => callable.name == *name,
        Some(ToolChoiceMode::Allowed { tools, .. }) => tools.iter().any(|(_, name)| callable.name == *name),
        Some(ToolChoiceMode::Auto | ToolChoiceMode::Required) | None => true,
    }
}

pub(super) fn write_tools(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let tools: Vec<_> = request.tools.iter().filter(|tool| is_written(tool, request)).collect();
    if !tools.is_empty() {
        members.list("tools", tools, |out, tool| tools::write_function(DIALECT, out, tool));
    }
}

/// Names what of the tools and the choice among them cannot be said.
pub(super) fn dropped(request: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    for (place, tool) in placed(&request.tools) {
        match tool {
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => dropped.extend(tool.lost_names(place)),
            Tool::Opaque { .. } => {}
            Tool::Callable(callable) if callable.kind == CallKind::Custom => dropped.push(place.to_string()),
            Tool::Callable(callable) => {
                for (name, said) in
                    [("strict", callable.strict), ("cache_control", callable.cache_mark.as_ref().map(|_| true))]
                {
                    if said == Some(true) {
                        dropped.push(format!("{place}.{name}"));
                    }
                }
                dropped.extend(foreign(DIALECT, &callable.extras).map(|name| format!("{place}.{name}")));
            }
        }
    }
    let demands = request.tool_choice.as_ref().is_some_and(|choice| {
        matches!(
            choice.mode,
            ToolChoiceMode::Required | ToolChoiceMode::Named(_) | ToolChoiceMode::Allowed { required: true, .. }
        )
    });
    if demands {
        dropped.push("tool_choice".to_owned());
    }
}

/// Takes `tool_calls` of an assistant's message. `seed` tells this message from all others, for calls without an id.
pub(super) fn take_calls<'a>(
    message: &mut Object<'a, '_>,
    seed: &str,
    blocks: &mut Vec<Block<'a>>,
) -> Result<(), DialectError> {
    let mode = message.mode;
    tools::take_calls(message, blocks, |raw, place, number| {
        parse_call(raw, place, mode, seed, u32::try_from(number).unwrap_or(u32::MAX))
    })
}

pub(super) fn parse_call<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    mode: Mode,
    seed: &str,
    number: u32,
) -> Result<Block<'a>, DialectError> {
    let mut call = Object::open(raw, place, mode)?;
    let id = call.take_if("id", |raw| object::text(raw).filter(|id| !id.is_empty()));
    let inner = place.member("function");
    let Some(body) = call.take_object("function")? else {
        return Err(inner.refuse("is required"));
    };
    let mut function = Object::open(body, inner, mode)?;
    let name = required(&mut function, "name")?;
    let arguments = function.take_object("arguments")?.map_or("{}".into(), |raw| Text::Borrowed(raw.get()));
    let id = id.unwrap_or_else(|| mint::call_id(seed, 0, number).into());
    let kind = CallKind::Function;
    let mut block = Block::new(Content::ToolCall(ToolCall { kind, id, name, arguments, signature: None }));
    block.extras = call.into_extras(DIALECT);
    if !function.is_empty() {
        block.extras.push(function.into_rest(DIALECT, "function"));
    }
    Ok(block)
}

pub(super) fn write_calls(message: &mut Members<'_>, blocks: &[Block<'_>], seed: &str) {
    if tools::calls(blocks).next().is_none() {
        return;
    }
    message.list("tool_calls", tools::calls(blocks).zip(0..), |out, ((block, call), number)| {
        output::object(out, |entry| {
            write_id(entry, &call.id, seed, number);
            entry.object("function", |function| {
                function.text("name", &call.name);
                write_arguments(function, &call.arguments);
                function.rest_of("function", DIALECT, &block.extras);
            });
            entry.extras(DIALECT, &block.extras);
        });
    });
}

/// An id that was made here is not told: its server gave none.
pub(super) fn write_id(entry: &mut Members<'_>, id: &str, seed: &str, number: u32) {
    if id != mint::call_id(seed, 0, number) {
        entry.text("id", id);
    }
}

pub(super) fn write_arguments(function: &mut Members<'_>, arguments: &str) {
    let arguments = arguments.trim();
    if matches!(arguments, "" | "null") {
        function.raw("arguments", "{}");
    } else if let Some(object) = Json::parse(arguments).filter(|json| json.as_str().starts_with('{')) {
        function.raw("arguments", object.as_str());
    } else {
        function.object("arguments", |object| object.text("input", arguments));
    }
}
