//! Tools and the choice among them, both ways.
//!
//! An entry of `tools` may hold many functions and tools of Google's own beside them, so a list of functions alone does not
//! tell how they were grouped. An opaque tool of this dialect in front of functions is the rest of their entry; in it,
//! `functionDeclarations` is the number of functions that follow and belong to it.

use crate::dialects::raw::RawValue;

use super::{DIALECT, names, schema, turn};
use crate::dialects::message::{CallKind, Callable, Extra, Extras, Json, Text, Tool, ToolChoice, ToolChoiceMode};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const FUNCTIONS: &str = "functionDeclarations";
const PARAMETERS: &str = "parameters";

pub(super) fn take_tools<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let mut tools = Vec::new();
    let mut groups = 0;
    let place = Place::Document.member("tools");
    if request.peek("tools").and_then(object::list).is_some_and(|entries| entries.is_empty()) {
        return Ok(tools);
    }
    for (index, raw) in turn::take_repeated(request, "tools")?.into_iter().flatten().enumerate() {
        let place = place.item(index);
        let mut entry = names::open(raw, place)?;
        let functions = match entry.peek(FUNCTIONS).and_then(object::list) {
            Some(none) if none.is_empty() => Vec::new(),
            _ => turn::take_repeated(&mut entry, FUNCTIONS)?.unwrap_or_default(),
        };
        if functions.is_empty() {
            tools.push(Tool::Opaque { dialect: DIALECT, raw: Json::from(raw) });
            continue;
        }
        // The first entry of nothing but functions is the one that functions of other dialects would be put into.
        if groups > 0 || !entry.is_empty() || !tools.is_empty() {
            tools.push(Tool::Opaque { dialect: DIALECT, raw: group(entry, functions.len()) });
        }
        groups += 1;
        let place = place.member(FUNCTIONS);
        for (index, raw) in functions.into_iter().enumerate() {
            tools.push(Tool::Callable(parse_function(raw, place.item(index))?));
        }
    }
    Ok(tools)
}

fn group<'a>(entry: Object<'a, '_>, count: usize) -> Json<'a> {
    let rest = entry.into_extras(DIALECT);
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.whole(FUNCTIONS, count as u64);
        members.extras(DIALECT, &rest);
    });
    Json::written(out)
}

fn parse_function<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Callable<'a>, DialectError> {
    let mut function = names::open(raw, place)?;
    let name = function.require_text("name")?;
    let description = function.take_text("description")?;
    let mut parameters = function.take_object("parametersJsonSchema")?.map(Json::from);
    let mut original = None;
    if let Some(raw) = function.take_object(PARAMETERS)? {
        if parameters.is_some() {
            return Err(place.member(PARAMETERS).refuse("must not stand beside parametersJsonSchema"));
        }
        parameters = Some(schema::to_json_schema(raw));
        // Google's older form of it, which is what was said and what is said again.
        original = Some(Extra { dialect: DIALECT, name: PARAMETERS.into(), value: Json::from(raw) });
    }
    let mut extras = function.into_extras(DIALECT);
    if let Some(original) = original {
        extras.push(original);
    }
    Ok(Callable { kind: CallKind::Function, name, description, parameters, strict: None, cache_mark: None, extras })
}

/// Whether a tool can be said here.
pub(super) fn is_sayable(tool: &Tool<'_>) -> bool {
    match tool {
        Tool::Callable(callable) => callable.kind != CallKind::Custom,
        Tool::Opaque { dialect, .. } => *dialect == DIALECT,
    }
}

pub(super) fn write_tools(request: &mut Members<'_>, tools: &[Tool<'_>]) {
    let entries = grouped(tools);
    if entries.is_empty() {
        return;
    }
    request.list("tools", entries, |out, entry| {
        if let (Some(raw), true) = (entry.rest, entry.functions.is_empty()) {
            return output::raw(out, raw.as_str());
        }
        output::object(out, |members| {
            members.list(FUNCTIONS, entry.functions, |out, callable| {
                output::object(out, |function| write_function(function, callable));
            });
            let rest = entry.rest.and_then(Json::as_raw);
            if let Some(rest) = rest.and_then(Object::lenient) {
                members.extras(DIALECT, &rest.into_extras(DIALECT));
            }
        });
    });
}

#[derive(Default)]
struct Entry<'t> {
    rest: Option<&'t Json<'t>>,
    functions: Vec<&'t Callable<'t>>,
    /// How many functions it still takes; without an end for the entry that is not told to have one.
    room: Option<u64>,
}

fn grouped<'t>(tools: &'t [Tool<'t>]) -> Vec<Entry<'t>> {
    let mut entries: Vec<Entry<'t>> = Vec::new();
    for tool in tools.iter().filter(|tool| is_sayable(tool)) {
        match tool {
            Tool::Opaque { raw, .. } => {
                entries.push(Entry { rest: Some(raw), room: Some(room(raw)), functions: Vec::new() });
            }
            Tool::Callable(callable) => {
                let has_room = |entry: &Entry<'_>| entry.room.is_none_or(|room| room > 0);
                if !entries.iter().any(has_room) {
                    entries.push(Entry::default());
                }
                if let Some(entry) = entries.iter_mut().rev().find(|entry| has_room(entry)) {
                    entry.room = entry.room.map(|room| room.saturating_sub(1));
                    entry.functions.push(callable);
                }
            }
        }
    }
    entries
}

/// How many of the functions behind an entry of our own belong to it.
pub(crate) fn room(raw: &Json<'_>) -> u64 {
    let count = |raw: &RawValue| Object::lenient(raw)?.peek(FUNCTIONS).and_then(object::whole);
    raw.as_raw().and_then(count).unwrap_or(0)
}

fn write_function(function: &mut Members<'_>, callable: &Callable<'_>) {
    function.text("name", &callable.name);
    function.text_if("description", callable.description.as_deref());
    if callable.extras.get(DIALECT, PARAMETERS).is_none() {
        function.json_if("parametersJsonSchema", callable.parameters.as_ref());
    }
    function.extras(DIALECT, &callable.extras);
}

const CONFIG: &str = "toolConfig";
const CALLING: &str = "functionCallingConfig";
const ALLOWED: &str = "allowedFunctionNames";

/// Takes the choice out of `toolConfig`. What is not known of it goes into `rest`; where there is none, it all stays.
pub(super) fn take_choice<'a>(
    request: &mut Object<'a, '_>,
    rest: &mut Extras<'a>,
) -> Result<Option<ToolChoice<'a>>, DialectError> {
    let place = Place::Document.member(CONFIG);
    let Some(raw) = request.peek(CONFIG) else {
        return Ok(None);
    };
    let mut config = names::open(raw, place)?;
    let Some(calling) = config.take_object(CALLING)? else {
        return Ok(None);
    };
    let Some((mode, left)) = parse_calling(names::open(calling, place.member(CALLING))?)? else {
        return Ok(None);
    };
    request.forget(CONFIG);
    rest.extend(config.unspent_with(DIALECT, CONFIG, left));
    Ok(Some(ToolChoice { kind: CallKind::Function, mode }))
}

type Calling<'a> = (ToolChoiceMode<'a>, Option<Extra<'a>>);

fn parse_calling<'a>(mut calling: Object<'a, '_>) -> Result<Option<Calling<'a>>, DialectError> {
    let place = calling.place;
    let mode = calling.take_text("mode")?;
    let place = place.member(ALLOWED);
    let mut allowed = Vec::new();
    let listed = calling.take_filled_list(ALLOWED)?;
    for (index, raw) in listed.into_iter().flatten().enumerate() {
        allowed.push(object::text(raw).ok_or_else(|| place.item(index).refuse("must be a string"))?);
    }
    let mode = match (mode.as_deref(), allowed.as_slice()) {
        (Some("AUTO"), []) => Some(ToolChoiceMode::Auto),
        (Some("NONE"), []) => Some(ToolChoiceMode::None),
        (Some("ANY"), []) => Some(ToolChoiceMode::Required),
        (Some("ANY"), [name]) => Some(ToolChoiceMode::Named(name.clone())),
        (Some("ANY"), _) => Some(several(allowed, true)),
        (Some("AUTO"), _) => Some(several(allowed, false)),
        _ => None,
    };
    Ok(mode.map(|mode| (mode, calling.unspent(DIALECT, CALLING))))
}

fn several(names: Vec<Text<'_>>, required: bool) -> ToolChoiceMode<'_> {
    let tools = names.into_iter().map(|name| (CallKind::Function, name)).collect();
    ToolChoiceMode::Allowed { tools, required }
}

pub(super) fn write_choice(request: &mut Members<'_>, choice: &ToolChoice<'_>, extras: &Extras<'_>) {
    let rest = extras.inside(DIALECT, CONFIG);
    let (mode, names): (_, Vec<&str>) = match &choice.mode {
        ToolChoiceMode::None => ("NONE", Vec::new()),
        ToolChoiceMode::Auto => ("AUTO", Vec::new()),
        ToolChoiceMode::Required => ("ANY", Vec::new()),
        ToolChoiceMode::Named(name) => ("ANY", vec![name.as_ref()]),
        ToolChoiceMode::Allowed { tools, required } => {
            let names = tools.iter().map(|(_, name)| name.as_ref()).collect();
            (if *required { "ANY" } else { "AUTO" }, names)
        }
    };
    request.object(CONFIG, |config| {
        config.object(CALLING, |calling| {
            calling.text("mode", mode);
            if !names.is_empty() {
                calling.list(ALLOWED, names, output::text);
            }
            calling.rest_of(CALLING, DIALECT, &rest);
        });
        config.extras(DIALECT, &rest);
    });
}
