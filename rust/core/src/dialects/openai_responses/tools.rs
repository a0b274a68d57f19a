//! Tools and the choice among them, both ways. They are flat here: no object around a function.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use super::parts::CACHE;
use crate::dialects::message::{
    CallKind, Callable, Extra, Extras, Json, Text, Tool, ToolChoice, ToolChoiceMode, placed,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// Mark: the client speaks this dialect, and leaving `strict` out is its own word.
const OURS: &str = "ours";
/// Mark: the tool as the client wrote it, in chat's form. To its own dialect it goes as it came.
const NESTED: &str = "nested";

pub(super) fn take<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Tool<'a>>, DialectError> {
    let place = Place::Document.member("tools");
    let tools = request.take_filled_list("tools")?.unwrap_or_default();
    tools.into_iter().enumerate().map(|(index, raw)| parse(raw, place.item(index))).collect()
}

fn parse<'a>(raw_tool: &'a RawValue, place: Place<'_>) -> Result<Tool<'a>, DialectError> {
    let mut tool = Object::open(raw_tool, place, Mode::Strict)?;
    let kind = match tool.require_text("type")?.as_ref() {
        "function" => CallKind::Function,
        "custom" => CallKind::Custom,
        _ => return Ok(Tool::Opaque { dialect: DIALECT, raw: Json::from(raw_tool) }),
    };
    // Some clients say a tool as chat does, with an object around it or half of it.
    let nested = tool.take_if(kind_name(kind), |raw| raw.get().starts_with('{').then_some(raw));
    let mut callable = match nested {
        None => take_callable(&mut tool, kind)?,
        Some(raw) => {
            let mut inner = Object::open(raw, place.member(kind_name(kind)), Mode::Strict)?;
            for (name, value) in tool.members().filter(|(name, _)| CALLABLE.contains(name)) {
                inner.put(name, value);
            }
            for name in CALLABLE {
                tool.forget(name);
            }
            let mut callable = take_callable(&mut inner, kind)?;
            callable.extras.extend(inner.unspent(DIALECT, kind_name(kind)));
            callable.extras.mark(DIALECT, NESTED, Json::from(raw_tool));
            callable
        }
    };
    callable.cache_mark = tool.take_json(CACHE);
    tool.spill(DIALECT, &mut callable.extras);
    callable.extras.mark(DIALECT, OURS, Json::null());
    Ok(Tool::Callable(callable))
}

/// What a callable tool is made of.
const CALLABLE: [&str; 5] = ["name", "description", "parameters", "format", "strict"];

fn take_callable<'a>(tool: &mut Object<'a, '_>, kind: CallKind) -> Result<Callable<'a>, DialectError> {
    let parameters = match kind {
        CallKind::Custom => tool.take_object("format")?.map(grammar),
        _ => tool.take_object("parameters")?.map(Json::from),
    };
    Ok(Callable {
        kind,
        name: tool.require_text("name")?,
        description: tool.take_text("description")?,
        parameters,
        strict: tool.take_bool("strict")?,
        cache_mark: None,
        extras: Extras::default(),
    })
}

pub(super) fn write(request: &mut Members<'_>, tools: &[Tool<'_>]) {
    let is_ours = |tool: &&Tool<'_>| match tool {
        Tool::Callable(_) => true,
        Tool::Opaque { dialect, .. } => *dialect == DIALECT,
    };
    if tools.iter().any(|tool| is_ours(&tool)) {
        request.list("tools", tools.iter().filter(is_ours), write_tool);
    }
}

fn write_tool(out: &mut Buffer, tool: &Tool<'_>) {
    match tool {
        Tool::Opaque { raw, .. } => output::raw(out, raw.as_str()),
        Tool::Callable(callable) if callable.extras.marked(DIALECT, NESTED).is_some() => {
            output::raw(out, callable.extras.marked(DIALECT, NESTED).map_or("{}", Json::as_str));
        }
        Tool::Callable(callable) => output::object(out, |tool| {
            tool.text("type", kind_name(callable.kind));
            tool.text("name", &callable.name);
            tool.text_if("description", callable.description.as_deref());
            let ours = callable.extras.marked(DIALECT, OURS).is_some();
            if callable.kind == CallKind::Custom {
                if let Some(format) = &callable.parameters {
                    write_format(tool.key("format"), format);
                }
                tool.flag_if("strict", callable.strict);
            } else {
                match callable.parameters.as_ref() {
                    None if !ours => tool.raw("parameters", r#"{"type":"object","properties":{}}"#),
                    parameters => tool.json_if("parameters", parameters),
                }
                // Left out it means true here and false elsewhere.
                tool.flag_if("strict", callable.strict.or((!ours).then_some(false)));
            }
            tool.json_if(CACHE, callable.cache_mark.as_ref().filter(|_| ours));
            tool.extras(DIALECT, &callable.extras);
        }),
    }
}

/// A grammar is flat here; the neutral form is that of chat, with an object around it. Other formats are the same in both.
fn grammar(raw: &RawValue) -> Json<'_> {
    let nested = || {
        let mut format = Object::lenient(raw)?;
        let is_grammar = format.take_if("type", object::text)? == "grammar";
        (is_grammar && format.has("definition")).then(|| format.into_rest(DIALECT, "grammar").value)
    };
    let Some(inner) = nested() else {
        return Json::from(raw);
    };
    let mut out = Buffer::new();
    output::object(&mut out, |format| {
        format.text("type", "grammar");
        format.raw("grammar", inner.as_str());
    });
    Json::written(out)
}

fn write_format(out: &mut Buffer, format: &Json<'_>) {
    let raw = format.as_raw();
    let inner = raw.and_then(Object::lenient).and_then(|mut format| format.take_if("grammar", Object::lenient));
    let Some(inner) = inner else {
        return output::raw(out, format.as_str());
    };
    output::object(out, |format| {
        format.text("type", "grammar");
        for (name, value) in inner.members() {
            format.fill(name, value.get());
        }
    });
}

fn kind_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Custom => "custom",
        CallKind::Function | CallKind::LegacyFunction => "function",
    }
}

const CHOICE: &str = "tool_choice";

/// What is not known of it goes into `rest`; one of another kind stays where it is.
pub(super) fn take_choice<'a>(request: &mut Object<'a, '_>, rest: &mut Extras<'a>) -> Option<ToolChoice<'a>> {
    request.take_if(CHOICE, |raw| {
        if let Some(word) = object::text(raw) {
            let mode = match word.as_ref() {
                "none" => ToolChoiceMode::None,
                "auto" => ToolChoiceMode::Auto,
                "required" => ToolChoiceMode::Required,
                _ => return None,
            };
            return Some(ToolChoice { kind: CallKind::Function, mode });
        }
        let mut choice = Object::lenient(raw)?;
        let is_list = choice.peek("type").is_some_and(|raw| raw.get() == "\"allowed_tools\"");
        if !is_list {
            let (kind, name, left) = named(raw)?;
            rest.extend(left);
            return Some(ToolChoice { kind, mode: ToolChoiceMode::Named(name) });
        }
        choice.forget("type");
        let required = match choice.take_if("mode", object::text)?.as_ref() {
            "auto" => false,
            "required" => true,
            _ => return None,
        };
        // One that has more than its name stays as it is, with all of them.
        let only_named = |raw| named(raw).filter(|(_, _, left)| left.is_none()).map(|(kind, name, _)| (kind, name));
        let tools = choice.take_if("tools", object::list)?.into_iter().map(only_named).collect::<Option<_>>()?;
        let mode = ToolChoiceMode::Allowed { tools, required };
        rest.extend(choice.unspent(DIALECT, CHOICE));
        Some(ToolChoice { kind: CallKind::Function, mode })
    })
}

fn named<'a>(raw: &'a RawValue) -> Option<(CallKind, Text<'a>, Option<Extra<'a>>)> {
    let mut tool = Object::lenient(raw)?;
    let kind = match tool.take_if("type", object::text)?.as_ref() {
        "function" => CallKind::Function,
        "custom" => CallKind::Custom,
        _ => return None,
    };
    let named = |mut tool: Object<'a, 'static>| tool.take_if("name", object::text);
    let name = match tool.take_if("name", object::text) {
        Some(name) => name,
        // As chat has it.
        None => tool.take_if(kind_name(kind), |raw| named(Object::lenient(raw)?))?,
    };
    Some((kind, name, tool.unspent(DIALECT, CHOICE)))
}

pub(super) fn write_choice(request: &mut Members<'_>, choice: &ToolChoice<'_>, extras: &Extras<'_>) {
    const FIELD: &str = CHOICE;
    let rest = extras.inside(DIALECT, CHOICE);
    match &choice.mode {
        ToolChoiceMode::None => request.text(FIELD, "none"),
        ToolChoiceMode::Auto => request.text(FIELD, "auto"),
        ToolChoiceMode::Required => request.text(FIELD, "required"),
        ToolChoiceMode::Named(name) => write_named(request.key(FIELD), choice.kind, name, &rest),
        ToolChoiceMode::Allowed { tools, required } => request.object(FIELD, |choice| {
            choice.text("type", "allowed_tools");
            choice.text("mode", if *required { "required" } else { "auto" });
            choice.list("tools", tools, |out, (kind, name)| write_named(out, *kind, name, &Extras::default()));
            choice.extras(DIALECT, &rest);
        }),
    }
}

fn write_named(out: &mut Buffer, kind: CallKind, name: &str, rest: &Extras<'_>) {
    output::object(out, |tool| {
        tool.text("type", kind_name(kind));
        tool.text("name", name);
        tool.extras(DIALECT, rest);
    });
}

pub(super) fn dropped(tools: &[Tool<'_>], foreign: impl Fn(&Extras<'_>) -> Vec<String>, dropped: &mut Vec<String>) {
    for (place, tool) in placed(tools) {
        match tool {
            Tool::Opaque { dialect, .. } if *dialect != DIALECT => dropped.extend(tool.lost_names(place)),
            Tool::Opaque { .. } => {}
            Tool::Callable(callable) => {
                if callable.cache_mark.is_some() && callable.extras.marked(DIALECT, OURS).is_none() {
                    dropped.push(format!("{place}.{CACHE}"));
                }
                dropped.extend(foreign(&callable.extras).into_iter().map(|name| format!("{place}.{name}")));
            }
        }
    }
}
