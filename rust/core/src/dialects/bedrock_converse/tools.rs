//! Tools and the choice among them: `toolConfig`, both ways.
//!
//! There is no word for calling none: then the tools are not told, unless the history calls them.

use super::{DIALECT, cache};
use crate::dialects::anthropic_messages::input::FREE_TEXT;
use crate::dialects::message::{
    CallKind, Callable, ChatRequest, Content, Extras, Json, Tool, ToolChoice, ToolChoiceMode, placed,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const CONFIG: &str = "toolConfig";
const SPEC: &str = "toolSpec";
const SCHEMA: &str = "inputSchema";
const CHOICE: &str = "toolChoice";
/// Mark: the client did not declare this tool, and so has not said either that it is not to be called.
pub(crate) const DECLARED: &str = "declared";

pub(super) fn take<'a>(
    request: &mut Object<'a, '_>,
    chat: &mut ChatRequest<'a>,
    extras: &mut Extras<'a>,
) -> Result<(), DialectError> {
    let Some(raw) = request.take_object(CONFIG)? else {
        return Ok(());
    };
    let place = Place::Document.member(CONFIG);
    let mut config = Object::open(raw, place, Mode::Strict)?;
    let Some(items) = config.take_filled_list("tools")? else {
        extras.push(config.into_rest(DIALECT, CONFIG));
        return Ok(());
    };
    let place = place.member("tools");
    for (index, raw) in items.into_iter().enumerate() {
        if let (Some(mark), Some(Tool::Callable(last))) = (cache::mark(raw), chat.tools.last_mut())
            && last.cache_mark.is_none()
        {
            last.cache_mark = Some(mark);
            continue;
        }
        let tool = take_tool(raw, place.item(index))?;
        chat.tools.push(tool);
    }
    chat.tool_choice = config.take_if(CHOICE, |raw| {
        let mut choice = Object::lenient(raw)?;
        let empty = |raw| Object::lenient(raw)?.is_empty().then_some(());
        let mode = if choice.take_if("auto", empty).is_some() {
            ToolChoiceMode::Auto
        } else if choice.take_if("any", empty).is_some() {
            ToolChoiceMode::Required
        } else {
            ToolChoiceMode::Named(choice.take_if("tool", |raw| {
                let mut tool = Object::lenient(raw)?;
                let name = tool.take_if("name", object::text)?;
                tool.is_spent().then_some(name)
            })?)
        };
        choice.is_spent().then_some(ToolChoice { kind: CallKind::Function, mode })
    });
    if !config.is_empty() {
        extras.push(config.into_rest(DIALECT, CONFIG));
    }
    Ok(())
}

fn take_tool<'a>(raw: &'a crate::dialects::raw::RawValue, place: Place<'_>) -> Result<Tool<'a>, DialectError> {
    let opaque = || Ok(Tool::Opaque { dialect: DIALECT, raw: Json::from(raw) });
    let mut tool = Object::open(raw, place, Mode::Strict)?;
    let Some(spec) = tool.take_object(SPEC)? else {
        return opaque();
    };
    let place = place.member(SPEC);
    let mut spec = Object::open(spec, place, Mode::Strict)?;
    let name = spec.require_text("name")?;
    let Some(schema) = spec.take_object(SCHEMA)? else {
        return Err(place.member(SCHEMA).refuse("is required"));
    };
    let Some(mut schema) = Object::lenient(schema) else {
        return opaque();
    };
    let Some(parameters) = schema.take_if("json", |raw| raw.get().starts_with('{').then(|| Json::from(raw))) else {
        return opaque();
    };
    if !schema.is_empty() {
        return opaque();
    }
    let description = spec.take_text("description")?;
    let strict = spec.take_bool("strict")?;
    let mut extras = tool.into_extras(DIALECT);
    if !spec.is_empty() {
        extras.push(spec.into_rest(DIALECT, SPEC));
    }
    // Its schema stays as it is.
    extras.mark(DIALECT, SCHEMA, Json::null());
    Ok(Tool::Callable(Callable {
        kind: CallKind::Function,
        name,
        description,
        parameters: Some(parameters),
        strict,
        cache_mark: None,
        extras,
    }))
}

/// Where a choice allows only some tools, the others are not told: there is no word for it.
fn says(tool: &Tool<'_>, choice: Option<&ToolChoice<'_>>) -> bool {
    let allowed = match choice {
        Some(ToolChoice { mode: ToolChoiceMode::Allowed { tools, .. }, .. }) => Some(tools),
        _ => None,
    };
    match tool {
        Tool::Callable(callable) => allowed.is_none_or(|tools| tools.iter().any(|(_, name)| *name == callable.name)),
        Tool::Opaque { dialect, .. } => *dialect == DIALECT && allowed.is_none(),
    }
}

fn calls_none(chat: &ChatRequest<'_>) -> bool {
    matches!(chat.tool_choice, Some(ToolChoice { mode: ToolChoiceMode::None, .. }))
}

fn history_calls(chat: &ChatRequest<'_>) -> bool {
    let calls = |content: &Content<'_>| matches!(content, Content::ToolCall(_) | Content::ToolResult(_));
    chat.turns.iter().flat_map(|turn| &turn.blocks).any(|block| calls(&block.content))
}

/// The tools that the target is told of.
fn told<'c>(chat: &'c ChatRequest<'c>) -> Vec<&'c Tool<'c>> {
    if calls_none(chat) && !history_calls(chat) {
        return Vec::new();
    }
    chat.tools.iter().filter(|tool| says(tool, chat.tool_choice.as_ref())).collect()
}

/// Tools are told and none is to be called: only words can say so.
pub(super) fn must_be_told_not_to(chat: &ChatRequest<'_>) -> bool {
    calls_none(chat) && !told(chat).is_empty()
}

pub(super) fn write(request: &mut Members<'_>, chat: &ChatRequest<'_>) {
    let told = told(chat);
    if told.is_empty() {
        return;
    }
    request.object(CONFIG, |config| {
        let marks = |tool: &Tool<'_>| matches!(tool, Tool::Callable(callable) if callable.cache_mark.is_some());
        let each = told.iter().flat_map(|tool| [Some((tool, false)), marks(tool).then_some((tool, true))]);
        config.list("tools", each.flatten(), |out, (tool, mark)| match tool {
            Tool::Callable(Callable { cache_mark: Some(cache_mark), .. }) if mark => cache::write(out, cache_mark),
            tool => write_tool(out, tool),
        });
        if let Some(choice) = chat.tool_choice.as_ref().filter(|_| !calls_none(chat)) {
            config.object(CHOICE, |members| match &choice.mode {
                ToolChoiceMode::Required | ToolChoiceMode::Allowed { required: true, .. } => {
                    members.object("any", |_| {});
                }
                ToolChoiceMode::Named(name) => members.object("tool", |tool| tool.text("name", name)),
                _ => members.object("auto", |_| {}),
            });
        }
        config.rest_of(CONFIG, DIALECT, &chat.extras);
    });
}

fn write_tool(out: &mut Buffer, tool: &Tool<'_>) {
    match tool {
        Tool::Opaque { raw, .. } => output::raw(out, raw.as_str()),
        Tool::Callable(callable) => output::object(out, |tool| {
            let ours = callable.extras.marked(DIALECT, SCHEMA).is_some();
            tool.object(SPEC, |spec| {
                spec.text("name", &callable.name);
                // An empty one is refused.
                let described = |text: &&str| ours || !text.is_empty();
                spec.text_if("description", callable.description.as_deref().filter(described));
                spec.object(SCHEMA, |schema| match &callable.parameters {
                    Some(parameters) if ours => schema.raw("json", parameters.as_str()),
                    _ => schema.object("json", |json| write_schema(json, callable)),
                });
                spec.flag_if("strict", callable.strict);
                spec.rest_of(SPEC, DIALECT, &callable.extras);
            });
            tool.extras(DIALECT, &callable.extras);
        }),
    }
}

/// The type of a schema is to be an object. A free text tool is one with a single text in it.
fn write_schema(schema: &mut Members<'_>, callable: &Callable<'_>) {
    if callable.kind == CallKind::Custom {
        schema.text("type", "object");
        schema.object("properties", |properties| {
            properties.object(FREE_TEXT, |text| text.text("type", "string"));
        });
        schema.list("required", [FREE_TEXT], output::text);
        return;
    }
    let raw = callable.parameters.as_ref().and_then(Json::as_raw);
    let parameters = raw.and_then(Object::lenient);
    if !parameters.as_ref().is_some_and(|parameters| parameters.has("type")) {
        schema.text("type", "object");
    }
    match parameters {
        Some(parameters) if !parameters.is_empty() => schema.extras(DIALECT, &parameters.into_extras(DIALECT)),
        _ => schema.object("properties", |_| {}),
    }
}

/// Names what is lost of the tools and the choice among them.
pub(super) fn dropped(
    chat: &ChatRequest<'_>,
    foreign: impl Fn(&Extras<'_>, &str, &mut Vec<String>),
    dropped: &mut Vec<String>,
) {
    for (place, tool) in placed(&chat.tools) {
        match tool {
            // Those that the choice leaves out are not lost: they were not to be called.
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => dropped.extend(tool.lost_names(place)),
            Tool::Callable(callable) if says(tool, chat.tool_choice.as_ref()) => {
                if callable.kind == CallKind::Custom && callable.parameters.is_some() {
                    dropped.push(format!("{place}.format"));
                }
                foreign(&callable.extras, &format!("{place}."), dropped);
            }
            _ => {}
        }
    }
    let told = told(chat);
    let unsaid = chat.tool_choice.is_some() && told.is_empty() && !calls_none(chat);
    let is_declared = |callable: &Callable<'_>| callable.extras.marked(DIALECT, DECLARED).is_some();
    let of_client = told.iter().any(|tool| !matches!(tool, Tool::Callable(callable) if is_declared(callable)));
    if unsaid || (must_be_told_not_to(chat) && of_client) {
        dropped.push("tool_choice".to_owned());
    }
    if chat.parallel_tool_calls == Some(false) && !told.is_empty() {
        dropped.push("parallel_tool_calls".to_owned());
    }
}
