//! Tools that are functions, and the calls of a message.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Block, CallKind, Callable, Content, Json, Text, Tool, ToolCall};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{Dialect, DialectError, Place};

/// What a function without parameters takes, where they may not be left out.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Reads a tool where functions are the only kind; what is none is kept as it is.
pub(crate) fn parse_function<'a>(
    dialect: Dialect,
    raw: &'a RawValue,
    place: Place<'_>,
    strict: Option<bool>,
) -> Result<Tool<'a>, DialectError> {
    let mut tool = Object::open(raw, place, Mode::Strict)?;
    if tool.require_text("type")? != "function" {
        return Ok(Tool::Opaque { dialect, raw: Json::from(raw) });
    }
    let inner = place.member("function");
    let Some(body) = tool.take_object("function")? else {
        return Err(inner.refuse("is required"));
    };
    let mut function = Object::open(body, inner, Mode::Strict)?;
    let mut callable = Callable {
        kind: CallKind::Function,
        name: function.require_text("name")?,
        description: function.take_text("description")?,
        parameters: function.take_object("parameters")?.map(Json::from),
        strict,
        cache_mark: None,
        extras: tool.into_extras(dialect),
    };
    if !function.is_empty() {
        callable.extras.push(function.into_rest(dialect, "function"));
    }
    Ok(Tool::Callable(callable))
}

/// As [`parse_function`], the other way.
pub(crate) fn write_function(dialect: Dialect, out: &mut Buffer, tool: &Tool<'_>) {
    match tool {
        Tool::Opaque { raw, .. } => output::raw(out, raw.as_str()),
        Tool::Callable(callable) => output::object(out, |tool| {
            tool.text("type", "function");
            tool.object("function", |function| {
                function.text("name", &callable.name);
                function.text_if("description", callable.description.as_deref());
                let parameters = callable.parameters.as_ref().map(Json::as_str);
                function.raw("parameters", parameters.unwrap_or(NO_PARAMETERS));
                function.rest_of("function", dialect, &callable.extras);
            });
            tool.extras(dialect, &callable.extras);
        }),
    }
}

/// What a request must say, and a reply may have left out.
pub(crate) fn required<'a>(object: &mut Object<'a, '_>, name: &'static str) -> Result<Text<'a>, DialectError> {
    match object.mode {
        Mode::Strict => object.require_text(name),
        Mode::Lenient => Ok(object.take_text(name)?.unwrap_or_default()),
    }
}

/// The text of arguments; some servers write the object itself where its text belongs.
pub(crate) fn arguments(raw: &RawValue) -> Option<Text<'_>> {
    object::text(raw).or_else(|| raw.get().starts_with('{').then(|| Text::Borrowed(raw.get())))
}

/// Takes `tool_calls` of a message, each with its place and its number.
pub(crate) fn take_calls<'a>(
    message: &mut Object<'a, '_>,
    blocks: &mut Vec<Block<'a>>,
    parse_call: impl Fn(&'a RawValue, Place<'_>, usize) -> Result<Block<'a>, DialectError>,
) -> Result<(), DialectError> {
    let here = message.place;
    let place = here.member("tool_calls");
    for (index, raw) in message.take_filled_list("tool_calls")?.into_iter().flatten().enumerate() {
        blocks.push(parse_call(raw, place.item(index), index)?);
    }
    Ok(())
}

/// The calls among the blocks of a turn.
pub(crate) fn calls<'b>(blocks: &'b [Block<'b>]) -> impl Iterator<Item = (&'b Block<'b>, &'b ToolCall<'b>)> + Clone {
    blocks.iter().filter_map(|block| match &block.content {
        Content::ToolCall(call) => Some((block, call)),
        _ => None,
    })
}
