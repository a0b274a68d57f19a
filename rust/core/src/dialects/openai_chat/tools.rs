//! Tools, the choice among them, and the calls of a message, in all three generations of them, both ways.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::tools::{self, required};
use crate::dialects::message::{
    Block, CallKind, Callable, Content, Extra, Extras, Json, Text, Tool, ToolCall, ToolChoice, ToolChoiceMode,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) const CHOICE: &str = "tool_choice";

/// Takes `tools` and `functions`, in this order.
pub(super) fn take_tools<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let mut tools = Vec::new();
    let place = Place::Document.member("tools");
    for (index, raw) in request.take_filled_list("tools")?.into_iter().flatten().enumerate() {
        tools.push(parse_tool(raw, place.item(index))?);
    }
    let place = Place::Document.member("functions");
    for (index, raw) in request.take_filled_list("functions")?.into_iter().flatten().enumerate() {
        let mut function = Object::open(raw, place.item(index), Mode::Strict)?;
        let mut callable = take_callable(&mut function, CallKind::LegacyFunction)?;
        callable.extras = function.into_extras(DIALECT);
        tools.push(Tool::Callable(callable));
    }
    Ok(tools)
}

fn parse_tool<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Tool<'a>, DialectError> {
    let mut tool = Object::open(raw, place, Mode::Strict)?;
    let (kind, name) = match tool.require_text("type")?.as_ref() {
        "function" => (CallKind::Function, "function"),
        "custom" => (CallKind::Custom, "custom"),
        _ => {
            return Ok(Tool::Opaque { dialect: DIALECT, raw: Json::from(raw) });
        }
    };
    let inner = place.member(name);
    let Some(body) = tool.take_object(name)? else {
        return Err(inner.refuse("is required"));
    };
    let mut function = Object::open(body, inner, Mode::Strict)?;
    let mut callable = take_callable(&mut function, kind)?;
    callable.cache_mark = tool.take_json("cache_control");
    callable.extras = tool.into_extras(DIALECT);
    if !function.is_empty() {
        callable.extras.push(function.into_rest(DIALECT, name));
    }
    Ok(Tool::Callable(callable))
}

fn take_callable<'a>(function: &mut Object<'a, '_>, kind: CallKind) -> Result<Callable<'a>, DialectError> {
    Ok(Callable {
        kind,
        name: function.require_text("name")?,
        description: function.take_text("description")?,
        parameters: match kind {
            CallKind::Custom => function.take_json("format"),
            _ => function.take_object("parameters")?.map(Json::from),
        },
        strict: function.take_bool("strict")?,
        cache_mark: None,
        extras: Extras::default(),
    })
}

pub(super) fn write_tools(request: &mut Members<'_>, tools: &[Tool<'_>]) {
    let is_legacy =
        |tool: &&Tool<'_>| matches!(tool, Tool::Callable(callable) if callable.kind == CallKind::LegacyFunction);
    let is_ours = |tool: &&Tool<'_>| match tool {
        Tool::Callable(_) => !is_legacy(tool),
        Tool::Opaque { dialect, .. } => *dialect == DIALECT,
    };
    if tools.iter().any(|tool| is_ours(&tool)) {
        request.list("tools", tools.iter().filter(is_ours), write_tool);
    }
    if tools.iter().any(|tool| is_legacy(&tool)) {
        request.list("functions", tools.iter().filter(is_legacy), |out, tool| {
            if let Tool::Callable(callable) = tool {
                output::object(out, |function| {
                    write_callable(function, callable);
                    function.extras(DIALECT, &callable.extras);
                });
            }
        });
    }
}

fn write_tool(out: &mut Buffer, tool: &Tool<'_>) {
    match tool {
        Tool::Opaque { raw, .. } => output::raw(out, raw.as_str()),
        Tool::Callable(callable) => output::object(out, |tool| {
            let name = kind_name(callable.kind);
            tool.text("type", name);
            tool.object(name, |function| {
                write_callable(function, callable);
                function.rest_of(name, DIALECT, &callable.extras);
            });
            tool.json_if("cache_control", callable.cache_mark.as_ref());
            tool.extras(DIALECT, &callable.extras);
        }),
    }
}

fn write_callable(function: &mut Members<'_>, callable: &Callable<'_>) {
    function.text("name", &callable.name);
    function.text_if("description", callable.description.as_deref());
    let parameters = match callable.kind {
        CallKind::Custom => "format",
        _ => "parameters",
    };
    function.json_if(parameters, callable.parameters.as_ref());
    function.flag_if("strict", callable.strict);
}

fn kind_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Custom => "custom",
        CallKind::Function | CallKind::LegacyFunction => "function",
    }
}

/// Takes `tool_choice`, or `function_call` where there is none. What is not known of it goes into `rest`; one of another
/// kind stays.
pub(super) fn take_choice<'a>(request: &mut Object<'a, '_>, rest: &mut Extras<'a>) -> Option<ToolChoice<'a>> {
    if request.has(CHOICE) {
        return request.take_if(CHOICE, |raw| parse_choice(raw, rest));
    }
    let mode = request.take_if("function_call", |raw| {
        mode_by_name(raw).or_else(|| {
            let mut choice = Object::lenient(raw)?;
            let name = choice.take_if("name", object::text)?;
            choice.is_spent().then_some(ToolChoiceMode::Named(name))
        })
    })?;
    Some(ToolChoice { kind: CallKind::LegacyFunction, mode })
}

fn mode_by_name<'a>(raw: &RawValue) -> Option<ToolChoiceMode<'a>> {
    match object::text(raw)?.as_ref() {
        "none" => Some(ToolChoiceMode::None),
        "auto" => Some(ToolChoiceMode::Auto),
        "required" => Some(ToolChoiceMode::Required),
        _ => None,
    }
}

fn parse_choice<'a>(raw: &'a RawValue, rest: &mut Extras<'a>) -> Option<ToolChoice<'a>> {
    if let Some(mode) = mode_by_name(raw) {
        return Some(ToolChoice { kind: CallKind::Function, mode });
    }
    if let Some((kind, name, left)) = named_tool(raw) {
        rest.extend(left);
        return Some(ToolChoice { kind, mode: ToolChoiceMode::Named(name) });
    }
    let mut choice = Object::lenient(raw)?;
    choice.take_if("type", |raw| (raw.get() == "\"allowed_tools\"").then_some(()))?;
    let mut allowed = choice.take_if("allowed_tools", Object::lenient)?;
    let mode = allowed.take_if("mode", object::text)?;
    let required = match mode.as_ref() {
        "required" => true,
        "auto" => false,
        _ => return None,
    };
    let tools = allowed.take_if("tools", object::list)?;
    // One that has more than its name stays as it is, with all of them.
    let only_named = |raw| named_tool(raw).filter(|(_, _, left)| left.is_none()).map(|(kind, name, _)| (kind, name));
    let tools = tools.into_iter().map(only_named).collect::<Option<Vec<_>>>()?;
    let allowed = allowed.unspent(DIALECT, "allowed_tools");
    rest.extend(choice.unspent_with(DIALECT, CHOICE, allowed));
    Some(ToolChoice { kind: CallKind::Function, mode: ToolChoiceMode::Allowed { tools, required } })
}

type Named<'a> = (CallKind, Text<'a>, Option<Extra<'a>>);

/// `{"type":"function","function":{"name":…}}`, the same for custom tools, and what else it says.
fn named_tool(raw: &RawValue) -> Option<Named<'_>> {
    let mut tool = Object::lenient(raw)?;
    let kind = match tool.take_if("type", object::text)?.as_ref() {
        "function" => CallKind::Function,
        "custom" => CallKind::Custom,
        _ => return None,
    };
    let mut inner = tool.take_if(kind_name(kind), Object::lenient)?;
    let name = inner.take_if("name", object::text)?;
    let inner = inner.unspent(DIALECT, kind_name(kind));
    Some((kind, name, tool.unspent_with(DIALECT, CHOICE, inner)))
}

pub(super) fn write_choice(request: &mut Members<'_>, choice: &ToolChoice<'_>, extras: &Extras<'_>) {
    let legacy = choice.kind == CallKind::LegacyFunction;
    let field = if legacy { "function_call" } else { CHOICE };
    let rest = extras.inside(DIALECT, CHOICE);
    match &choice.mode {
        ToolChoiceMode::None => request.text(field, "none"),
        ToolChoiceMode::Auto => request.text(field, "auto"),
        ToolChoiceMode::Required => request.text(field, "required"),
        ToolChoiceMode::Named(name) if legacy => {
            request.object(field, |choice| choice.text("name", name));
        }
        ToolChoiceMode::Named(name) => write_named_tool(request.key(field), choice.kind, name, &rest),
        ToolChoiceMode::Allowed { tools, required } => request.object(field, |choice| {
            choice.text("type", "allowed_tools");
            choice.object("allowed_tools", |allowed| {
                allowed.text("mode", if *required { "required" } else { "auto" });
                allowed.list("tools", tools, |out, (kind, name)| {
                    write_named_tool(out, *kind, name, &Extras::default());
                });
                allowed.rest_of("allowed_tools", DIALECT, &rest);
            });
            choice.extras(DIALECT, &rest);
        }),
    }
}

fn write_named_tool(out: &mut Buffer, kind: CallKind, name: &str, rest: &Extras<'_>) {
    output::object(out, |tool| {
        tool.text("type", kind_name(kind));
        tool.object(kind_name(kind), |inner| {
            inner.text("name", name);
            inner.rest_of(kind_name(kind), DIALECT, rest);
        });
        tool.extras(DIALECT, rest);
    });
}

/// Takes `tool_calls` and `function_call` of an assistant's message.
pub(super) fn take_calls<'a>(message: &mut Object<'a, '_>, blocks: &mut Vec<Block<'a>>) -> Result<(), DialectError> {
    let mode = message.mode;
    tools::take_calls(message, blocks, |raw, place, _| parse_call(raw, place, mode))?;
    let here = message.place;
    let place = here.member("function_call");
    if let Some(raw) = message.take_object("function_call")? {
        let mut call = Object::open(raw, place, message.mode)?;
        let content = Content::ToolCall(ToolCall {
            kind: CallKind::LegacyFunction,
            id: "".into(),
            name: required(&mut call, "name")?,
            arguments: required(&mut call, "arguments")?,
            signature: None,
        });
        let mut block = Block::new(content);
        block.extras = call.into_extras(DIALECT);
        blocks.push(block);
    }
    Ok(())
}

fn parse_call<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let mut call = Object::open(raw, place, mode)?;
    // Some servers leave the type out; there was only one for years.
    let (kind, name, input) = match call.take_text("type")?.as_deref() {
        Some("function") | None => (CallKind::Function, "function", "arguments"),
        Some("custom") => (CallKind::Custom, "custom", "input"),
        Some(_) => return Err(place.member("type").refuse("must be function or custom")),
    };
    let id = required(&mut call, "id")?;
    let inner = place.member(name);
    let Some(body) = call.take_object(name)? else {
        return Err(inner.refuse("is required"));
    };
    let mut function = Object::open(body, inner, mode)?;
    let signature = call.take_if("extra_content", signature_of);
    let content = Content::ToolCall(ToolCall {
        kind,
        id,
        name: required(&mut function, "name")?,
        arguments: match mode {
            Mode::Strict => required(&mut function, input)?,
            Mode::Lenient => function.take_if(input, tools::arguments).unwrap_or_default(),
        },
        signature,
    });
    let mut block = Block::new(content);
    block.extras = call.into_extras(DIALECT);
    if !function.is_empty() {
        block.extras.push(function.into_rest(DIALECT, name));
    }
    Ok(block)
}

/// Google's own spelling, `{"google":{"thought_signature":…}}`; with anything beside it the object stays as it is.
pub(super) fn signature_of(extra_content: &RawValue) -> Option<Text<'_>> {
    let mut outer = Object::lenient(extra_content)?;
    let mut google = outer.take_if("google", Object::lenient)?;
    let signature = google.take_if("thought_signature", object::text)?;
    (outer.is_empty() && google.is_empty()).then_some(signature)
}

pub(super) fn write_signature(entry: &mut Members<'_>, signature: Option<&str>) {
    if let Some(signature) = signature {
        entry.object("extra_content", |outer| {
            outer.object("google", |google| google.text("thought_signature", signature));
        });
    }
}

pub(super) fn write_calls(message: &mut Members<'_>, blocks: &[Block<'_>]) {
    let current = || tools::calls(blocks).filter(|(_, call)| call.kind != CallKind::LegacyFunction);
    if current().next().is_some() {
        message.list("tool_calls", current(), |out, (block, call)| {
            output::object(out, |entry| {
                let (name, input) = match call.kind {
                    CallKind::Custom => ("custom", "input"),
                    _ => ("function", "arguments"),
                };
                entry.text("id", &call.id);
                entry.text("type", name);
                entry.object(name, |function| {
                    function.text("name", &call.name);
                    function.text(input, &call.arguments);
                    function.rest_of(name, DIALECT, &block.extras);
                });
                write_signature(entry, call.signature.as_deref());
                entry.extras(DIALECT, &block.extras);
            });
        });
    }
    if let Some((block, call)) = tools::calls(blocks).find(|(_, call)| call.kind == CallKind::LegacyFunction) {
        message.object("function_call", |function| {
            function.text("name", &call.name);
            function.text("arguments", &call.arguments);
            function.extras(DIALECT, &block.extras);
        });
    }
}
