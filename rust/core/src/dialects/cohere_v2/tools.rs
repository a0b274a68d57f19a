//! Tools, the choice among them, and calls, both ways.
//!
//! The surprise: Cohere cannot demand one tool by name, so a choice of some tools is written as these tools alone; and
//! strictness is a matter of the whole request.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::foreign;
use crate::dialects::chatlike::tools::{self, required};
use crate::dialects::message::{
    Block, CallKind, ChatRequest, Content, Extras, Json, Text, Tool, ToolCall, ToolChoice, ToolChoiceMode, placed,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const STRICT: &str = "strict_tools";
const NO_ARGUMENTS: &str = "{}";

/// Takes `tools` and, where there are any, `strict_tools`.
pub(super) fn take_tools<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let place = Place::Document.member("tools");
    let Some(items) = request.take_filled_list("tools")? else {
        return Ok(Vec::new());
    };
    let strict = request.take_bool(STRICT)?;
    items.into_iter().enumerate().map(|(index, raw)| parse_tool(raw, place.item(index), strict)).collect()
}

/// A function must say what it takes, here.
fn parse_tool<'a>(raw: &'a RawValue, place: Place<'_>, strict: Option<bool>) -> Result<Tool<'a>, DialectError> {
    let tool = tools::parse_function(DIALECT, raw, place, strict)?;
    match &tool {
        Tool::Callable(callable) if callable.parameters.is_none() => {
            Err(place.member("function").member("parameters").refuse("is required"))
        }
        _ => Ok(tool),
    }
}

/// The two words Cohere has; anything else is left where it is.
pub(super) fn parse_choice(raw: &RawValue) -> Option<ToolChoice<'_>> {
    let mode = match object::text(raw)?.as_ref() {
        "REQUIRED" => ToolChoiceMode::Required,
        "NONE" => ToolChoiceMode::None,
        _ => return None,
    };
    Some(ToolChoice { kind: CallKind::Function, mode })
}

/// Whether a tool can be written. A custom tool takes text held to a grammar, for which there is no schema.
fn is_sayable(tool: &Tool<'_>) -> bool {
    match tool {
        Tool::Callable(callable) => callable.kind != CallKind::Custom,
        Tool::Opaque { dialect, .. } => *dialect == DIALECT,
    }
}

fn is_named(tool: &Tool<'_>, names: &[&Text<'_>]) -> bool {
    matches!(tool, Tool::Callable(callable) if names.contains(&&callable.name))
}

/// The tools that a choice leaves, and whether one of them must be called. `None` when the choice leaves nothing.
fn chosen<'t>(request: &'t ChatRequest<'t>) -> Option<(Vec<&'t Tool<'t>>, Option<&'static str>)> {
    let sayable = || request.tools.iter().filter(|tool| is_sayable(tool));
    let only = |names: &[&Text<'_>]| {
        let left: Vec<_> = sayable().filter(|tool| is_named(tool, names)).collect();
        (!left.is_empty()).then_some(left)
    };
    let Some(choice) = &request.tool_choice else {
        return Some((sayable().collect(), None));
    };
    match &choice.mode {
        ToolChoiceMode::Auto => Some((sayable().collect(), None)),
        ToolChoiceMode::None => Some((sayable().collect(), Some("NONE"))),
        ToolChoiceMode::Required => Some((sayable().collect(), Some("REQUIRED"))),
        ToolChoiceMode::Named(name) => Some((only(&[name])?, Some("REQUIRED"))),
        ToolChoiceMode::Allowed { tools, required } => {
            let names: Vec<_> = tools.iter().map(|(_, name)| name).collect();
            Some((only(&names)?, required.then_some("REQUIRED")))
        }
    }
}

/// What all tools say of strictness, where they agree.
fn strictness(tools: &[Tool<'_>]) -> Option<bool> {
    let mut said = tools.iter().filter_map(|tool| match tool {
        Tool::Callable(callable) => Some(callable.strict),
        Tool::Opaque { .. } => None,
    });
    let first = said.next()??;
    said.all(|strict| strict == Some(first)).then_some(first)
}

pub(super) fn write_tools(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let (tools, choice) =
        chosen(request).unwrap_or_else(|| (request.tools.iter().filter(|tool| is_sayable(tool)).collect(), None));
    if !tools.is_empty() {
        members.list("tools", tools, |out, tool| tools::write_function(DIALECT, out, tool));
        members.flag_if(STRICT, strictness(&request.tools));
    }
    members.text_if("tool_choice", choice);
}

/// Names what of the tools and the choice among them cannot be said.
pub(super) fn dropped(request: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    let agreed = strictness(&request.tools);
    for (place, tool) in placed(&request.tools) {
        let Tool::Callable(callable) = tool else {
            if !is_sayable(tool) {
                dropped.extend(tool.lost_names(place));
            }
            continue;
        };
        if !is_sayable(tool) {
            dropped.push(place.to_string());
            continue;
        }
        if callable.strict.is_some() && agreed.is_none() {
            dropped.push(format!("{place}.strict"));
        }
        if callable.cache_mark.is_some() {
            dropped.push(format!("{place}.cache_control"));
        }
        dropped.extend(foreign(DIALECT, &callable.extras).map(|name| format!("{place}.{name}")));
    }
    if chosen(request).is_none() {
        dropped.push("tool_choice".to_owned());
    }
}

/// Takes `tool_calls` of an assistant's message.
pub(super) fn take_calls<'a>(message: &mut Object<'a, '_>, blocks: &mut Vec<Block<'a>>) -> Result<(), DialectError> {
    let mode = message.mode;
    tools::take_calls(message, blocks, |raw, place, _| parse_call(raw, place, mode))
}

fn parse_call<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let mut call = Object::open(raw, place, mode)?;
    if call.take_text("type")?.is_some_and(|kind| kind != "function") {
        return Err(place.member("type").refuse("must be function"));
    }
    let id = required(&mut call, "id")?;
    let inner = place.member("function");
    let Some(body) = call.take_object("function")? else {
        return Err(inner.refuse("is required"));
    };
    let mut function = Object::open(body, inner, mode)?;
    let name = required(&mut function, "name")?;
    // A call without arguments says null, the word null or nothing; the word stays, to be said again.
    let nothing = function.peek("arguments").is_none_or(|raw| matches!(raw.get(), r#""null""# | r#""""#));
    let arguments = if nothing { None } else { function.take_text("arguments")? };
    let arguments = arguments.unwrap_or(NO_ARGUMENTS.into());
    let kind = CallKind::Function;
    let mut block = Block::new(Content::ToolCall(ToolCall { kind, id, name, arguments, signature: None }));
    block.extras = call.into_extras(DIALECT);
    if !function.is_empty() {
        block.extras.push(function.into_rest(DIALECT, "function"));
    }
    Ok(block)
}

/// In a request, the free text that a custom tool takes must be JSON as well.
pub(super) fn write_calls(message: &mut Members<'_>, blocks: &[Block<'_>], request: bool) {
    if tools::calls(blocks).next().is_none() {
        return;
    }
    message.list("tool_calls", tools::calls(blocks), |out, (block, call)| {
        output::object(out, |entry| {
            entry.text("id", &call.id);
            entry.text("type", "function");
            entry.object("function", |function| {
                function.text("name", &call.name);
                if call.arguments != NO_ARGUMENTS || !says_nothing(&block.extras) {
                    function.text("arguments", &arguments_of(call, request));
                }
                function.rest_of("function", DIALECT, &block.extras);
            });
            entry.extras(DIALECT, &block.extras);
        });
    });
}

/// Whether Cohere's own word for no arguments is kept beside the call.
fn says_nothing(extras: &Extras<'_>) -> bool {
    let rest = extras.get(DIALECT, "function").and_then(Json::as_raw);
    rest.and_then(Object::lenient).is_some_and(|rest| rest.has("arguments"))
}

fn arguments_of<'c>(call: &'c ToolCall<'_>, wrap: bool) -> Text<'c> {
    if call.kind != CallKind::Custom || !wrap {
        return Text::Borrowed(&call.arguments);
    }
    let mut out = Buffer::new();
    output::object(&mut out, |arguments| arguments.text("input", &call.arguments));
    String::from_utf8(out).unwrap_or_default().into()
}
