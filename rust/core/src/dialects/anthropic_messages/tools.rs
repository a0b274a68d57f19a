//! Tools and the choice among them, both ways. How many calls may be made at once is part of the choice here.

use super::DIALECT;
use super::input::FREE_TEXT;
use crate::dialects::message::{CallKind, Callable, Extras, Json, Tool, ToolChoice, ToolChoiceMode, placed};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const ONE_AT_A_TIME: &str = "disable_parallel_tool_use";

pub(super) fn take_tools<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let place = Place::Document.member("tools");
    let mut tools = Vec::new();
    for (index, raw) in request.take_filled_list("tools")?.into_iter().flatten().enumerate() {
        let place = place.item(index);
        let mut tool = Object::open(raw, place, Mode::Strict)?;
        // `custom` is the word for tools of the client's own, and may be left out.
        let custom = tool.peek("type").is_none_or(|raw| raw.get() == "\"custom\"");
        if !custom {
            tools.push(Tool::Opaque { dialect: DIALECT, raw: Json::from(raw) });
            continue;
        }
        let name = tool.require_text("name")?;
        let Some(schema) = tool.take_object("input_schema")? else {
            return Err(place.member("input_schema").refuse("is required"));
        };
        tools.push(Tool::Callable(Callable {
            kind: CallKind::Function,
            name,
            description: tool.take_text("description")?,
            parameters: Some(Json::from(schema)),
            strict: tool.take_bool("strict")?,
            cache_mark: tool.take_json("cache_control"),
            extras: tool.into_extras(DIALECT),
        }));
    }
    Ok(tools)
}

const CHOICE: &str = "tool_choice";

/// Takes `tool_choice`, and whether calls may be made in parallel. What is not known of it goes into `rest`; one of another
/// kind stays.
pub(super) fn take_choice<'a>(
    request: &mut Object<'a, '_>,
    rest: &mut Extras<'a>,
) -> Result<(Option<ToolChoice<'a>>, Option<bool>), DialectError> {
    if request.peek(CHOICE).is_some_and(|raw| !raw.get().starts_with('{')) {
        return Err(Place::Document.member(CHOICE).refuse("must be a JSON object"));
    }
    let taken = request.take_if(CHOICE, |raw| {
        let mut choice = Object::lenient(raw)?;
        let mode = match choice.take_if("type", object::text)?.as_ref() {
            "auto" => ToolChoiceMode::Auto,
            "any" => ToolChoiceMode::Required,
            "tool" => ToolChoiceMode::Named(choice.take_if("name", object::text)?),
            "none" => ToolChoiceMode::None,
            _ => return None,
        };
        let one = match mode {
            ToolChoiceMode::None => None,
            _ => choice.take_if(ONE_AT_A_TIME, |raw| raw.get().parse::<bool>().ok()),
        };
        rest.extend(choice.unspent(DIALECT, CHOICE));
        Some((ToolChoice { kind: CallKind::Function, mode }, one))
    });
    Ok(taken.map_or((None, None), |(choice, one)| (Some(choice), one.map(|one| !one))))
}

/// Where a choice allows only some tools, the others are not told: there is no word for it.
pub(super) fn says(tool: &Tool<'_>, choice: Option<&ToolChoice<'_>>) -> bool {
    let allowed = match choice {
        Some(ToolChoice { mode: ToolChoiceMode::Allowed { tools, .. }, .. }) => Some(tools),
        _ => None,
    };
    match tool {
        Tool::Callable(callable) => allowed.is_none_or(|tools| tools.iter().any(|(_, name)| *name == callable.name)),
        Tool::Opaque { dialect, .. } => *dialect == DIALECT && allowed.is_none(),
    }
}

pub(super) fn write_tools(request: &mut Members<'_>, tools: &[Tool<'_>], choice: Option<&ToolChoice<'_>>) {
    let said: Vec<_> = tools.iter().filter(|tool| says(tool, choice)).collect();
    if !said.is_empty() {
        request.list("tools", said, write_tool);
    }
}

fn write_tool(out: &mut Buffer, tool: &Tool<'_>) {
    match tool {
        Tool::Opaque { raw, .. } => output::raw(out, raw.as_str()),
        Tool::Callable(callable) => output::object(out, |tool| {
            tool.text("name", &callable.name);
            tool.text_if("description", callable.description.as_deref());
            tool.object("input_schema", |schema| write_schema(schema, callable));
            tool.flag_if("strict", callable.strict);
            tool.json_if("cache_control", callable.cache_mark.as_ref());
            tool.extras(DIALECT, &callable.extras);
        }),
    }
}

/// A schema is required, and its type is to be an object. A free text tool is one with a single text in it.
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

pub(super) fn write_choice(
    request: &mut Members<'_>,
    choice: Option<&ToolChoice<'_>>,
    parallel: Option<bool>,
    extras: &Extras<'_>,
) {
    let Some(choice) = choice else {
        if parallel == Some(false) {
            request.object(CHOICE, |members| {
                members.text("type", "auto");
                members.flag(ONE_AT_A_TIME, true);
            });
        }
        return;
    };
    let parallel = parallel.filter(|_| choice.mode != ToolChoiceMode::None);
    request.object(CHOICE, |members| {
        match &choice.mode {
            ToolChoiceMode::None => members.text("type", "none"),
            ToolChoiceMode::Auto | ToolChoiceMode::Allowed { required: false, .. } => members.text("type", "auto"),
            ToolChoiceMode::Required | ToolChoiceMode::Allowed { required: true, .. } => members.text("type", "any"),
            ToolChoiceMode::Named(name) => {
                members.text("type", "tool");
                members.text("name", name);
            }
        }
        members.flag_if(ONE_AT_A_TIME, parallel.map(|parallel| !parallel));
        members.rest_of(CHOICE, DIALECT, extras);
    });
}

/// A choice among no tools is refused.
pub(super) fn has_choice(tools: &[Tool<'_>], choice: Option<&ToolChoice<'_>>) -> bool {
    tools.iter().any(|tool| says(tool, choice))
}

/// Whether a choice says more than that the model may choose or must not, which is what there is without tools.
pub(super) fn says_more(choice: Option<&ToolChoice<'_>>) -> bool {
    choice.is_some_and(|choice| !matches!(choice.mode, ToolChoiceMode::Auto | ToolChoiceMode::None))
}

/// Names what is lost of the tools.
pub(super) fn dropped(
    tools: &[Tool<'_>],
    choice: Option<&ToolChoice<'_>>,
    foreign: impl Fn(&Extras<'_>, &str, &mut Vec<String>),
    dropped: &mut Vec<String>,
) {
    for (place, tool) in placed(tools) {
        match tool {
            // Those that the choice leaves out are not lost: they were not to be called.
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => dropped.extend(tool.lost_names(place)),
            Tool::Callable(callable) if says(tool, choice) => {
                if callable.kind == CallKind::Custom && callable.parameters.is_some() {
                    dropped.push(format!("{place}.format"));
                }
                foreign(&callable.extras, &format!("{place}."), dropped);
            }
            _ => {}
        }
    }
}
