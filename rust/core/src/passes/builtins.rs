//! Tools that a client's dialect has words for and others have not: namespaces, shells and patches of the Responses API,
//! shell, editor and computer of Anthropic's. Whoever runs them is the client, so elsewhere they are functions.
//!
//! The rule: a call comes back in the words in which the client declared its tool. Tools that the provider would run
//! stay what they are, and are dropped with their name where the target does not know them.

use std::collections::HashMap;

use crate::dialects::raw::RawValue;

use super::demands::Losses;
use crate::dialects::message::{
    Block, CallKind, Callable, ChatRequest, Content, Extras, Json, Origin, Role, Spelling, Text, Tool, ToolCall,
    ToolResult, Turn, Word,
};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Members};
use crate::dialects::{Dialect, mint};

const RESPONSES: Dialect = Dialect::OpenAiResponses;
const NAMESPACE: &str = "namespace";

const LOCAL_SHELL: &str = r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"}},"required":["command"]}"#;
const SHELL: &str = r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#;
const APPLY_PATCH: &str = r#"{"type":"object","properties":{"operation":{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}},"required":["operation"]}"#;
const BASH: &str = r#"{"type":"object","properties":{"command":{"type":"string"},"restart":{"type":"boolean"}}}"#;
const EDITOR: &str = r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string"},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}}},"required":["command","path"]}"#;
const MEMORY: &str = r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}}},"required":["command"]}"#;
const COMPUTER: &str = r#"{"type":"object","properties":{"action":{"type":"string"},"coordinate":{"type":"array","items":{"type":"integer"}},"start_coordinate":{"type":"array","items":{"type":"integer"}},"text":{"type":"string"},"duration":{"type":"number"},"scroll_direction":{"type":"string"},"scroll_amount":{"type":"integer"}},"required":["action"]}"#;

/// In which words a call is told to the client that declared its tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Native {
    /// A function of this namespace, under this name.
    Namespaced {
        namespace: String,
        name: String,
    },
    LocalShell,
    Shell,
    ApplyPatch,
}

pub(super) type Natives = HashMap<String, Native>;

/// Makes functions of what the target has no words for. Gives the way back, by the function's name.
pub(super) fn cross(request: &mut ChatRequest<'_>, source: Dialect, losses: &mut Losses) -> Natives {
    let mut natives = Natives::new();
    match source {
        Dialect::OpenAiResponses => {
            declare(request, &mut natives, losses);
            of_history(&mut request.turns);
        }
        Dialect::AnthropicMessages => {
            for (at, tool) in request.tools.iter_mut().enumerate() {
                if let Some(mut callable) = anthropic(tool) {
                    callable.extras.place(Some(Origin::item(Word::Tools, at)));
                    *tool = Tool::Callable(callable);
                }
            }
        }
        _ => {}
    }
    natives
}

fn function(name: &str, description: Option<&str>, parameters: &'static str) -> Callable<'static> {
    Callable {
        kind: CallKind::Function,
        name: Text::Owned(name.to_owned()),
        description: description.map(|text| Text::Owned(text.to_owned())),
        parameters: Json::parse(parameters),
        strict: None,
        cache_mark: None,
        extras: Extras::default(),
    }
}

fn anthropic(tool: &Tool<'_>) -> Option<Callable<'static>> {
    let Tool::Opaque { dialect: Dialect::AnthropicMessages, raw } = tool else {
        return None;
    };
    let raw = raw.as_raw()?;
    let mut tool = Object::lenient(raw)?;
    let kind = tool.take_if("type", object::text)?;
    let (parameters, description) = [
        ("bash_", BASH, "Runs a command in a shell that stays open."),
        ("text_editor_", EDITOR, "Views and edits files."),
        ("memory_", MEMORY, "Reads and writes files of memories."),
        ("computer_", COMPUTER, "Uses screen, mouse and keyboard."),
    ]
    .into_iter()
    .find(|(prefix, ..)| kind.starts_with(prefix))
    .map(|(_, parameters, description)| (parameters, description))?;
    let name = tool.take_if("name", object::text)?;
    let cache_mark = tool.take_json("cache_control").map(Json::into_owned);
    Some(Callable { cache_mark, ..function(&name, Some(description), parameters) })
}

fn declare(request: &mut ChatRequest<'_>, natives: &mut Natives, losses: &mut Losses) {
    let mut declared = Vec::with_capacity(request.tools.len());
    for (at, tool) in std::mem::take(&mut request.tools).into_iter().enumerate() {
        match of_responses(&tool, natives) {
            Some(functions) => {
                let origin = Origin::item(Word::Tools, at);
                losses.note(&origin.to_string());
                declared.extend(functions.into_iter().map(|mut function| {
                    function.extras.place(Some(origin));
                    Tool::Callable(function)
                }));
            }
            None => declared.push(tool),
        }
    }
    request.tools = declared;
}

fn of_responses(tool: &Tool<'_>, natives: &mut Natives) -> Option<Vec<Callable<'static>>> {
    let Tool::Opaque { dialect: RESPONSES, raw } = tool else {
        return None;
    };
    let raw = raw.as_raw()?;
    let mut tool = Object::lenient(raw)?;
    let (native, name, parameters, description) = match tool.take_if("type", object::text)?.as_ref() {
        NAMESPACE => return namespaced(tool, natives),
        "local_shell" => (Native::LocalShell, "local_shell", LOCAL_SHELL, "Runs a command on the user's machine."),
        "shell" => (Native::Shell, "shell", SHELL, "Runs commands in a shell."),
        "apply_patch" => {
            (Native::ApplyPatch, "apply_patch", APPLY_PATCH, "Creates, updates or deletes one file by a diff.")
        }
        _ => return None,
    };
    natives.insert(name.to_owned(), native);
    Some(vec![function(name, Some(description), parameters)])
}

/// The functions of a namespace; what in it is no function cannot be one elsewhere either.
fn namespaced(mut space: Object<'_, '_>, natives: &mut Natives) -> Option<Vec<Callable<'static>>> {
    let namespace = space.take_if("name", object::text)?;
    let mut functions = Vec::new();
    for raw in space.take_if("tools", object::list)? {
        let mut tool = Object::lenient(raw)?;
        if tool.take_if("type", object::text)? != "function" {
            continue;
        }
        let name = tool.take_if("name", object::text)?;
        let flat = flattened(&namespace, &name);
        natives.insert(flat.clone(), Native::Namespaced { namespace: namespace.to_string(), name: name.to_string() });
        let parameters = tool.take_json("parameters").map(Json::into_owned);
        let strict = tool.take_if("strict", |raw| raw.get().parse().ok());
        let description = tool.take_if("description", object::text);
        functions.push(Callable { parameters, strict, ..function(&flat, description.as_deref(), "{}") });
    }
    Some(functions)
}

fn flattened(namespace: &str, name: &str) -> String {
    if namespace.ends_with("__") { format!("{namespace}{name}") } else { format!("{namespace}__{name}") }
}

/// Calls and results of the history: those of a namespace under their flat names, those of built-in tools as functions.
fn of_history(turns: &mut Vec<Turn<'_>>) {
    let mut sorted: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for mut turn in turns.drain(..) {
        let blocks = std::mem::take(&mut turn.blocks);
        let was_empty = blocks.is_empty();
        for mut block in blocks {
            if let Content::ToolCall(call) = &mut block.content
                && let Some(namespace) = block.extras.take(RESPONSES, NAMESPACE)
            {
                call.name = flattened(namespace.as_str().trim_matches('"'), &call.name).into();
            }
            match item(&block.content) {
                Some(Content::ToolResult(result)) => {
                    let mut of_result = Block::new(Content::ToolResult(result));
                    of_result.extras.place(block.extras.origin());
                    if !turn.blocks.is_empty() {
                        let blocks = std::mem::take(&mut turn.blocks);
                        sorted.push(Turn { blocks, ..turn.clone() });
                    }
                    let mut answer = Turn::new(Role::Tool, vec![of_result]);
                    answer.extras.place(block.extras.origin());
                    sorted.push(answer);
                }
                Some(content) => {
                    let mut call = Block::new(content);
                    call.extras.place(block.extras.origin());
                    turn.blocks.push(call);
                }
                None => turn.blocks.push(block),
            }
        }
        if was_empty || !turn.blocks.is_empty() {
            sorted.push(turn);
        }
    }
    *turns = sorted;
}

/// An item of a built-in tool as a call or a result.
fn item(content: &Content<'_>) -> Option<Content<'static>> {
    let Content::Opaque { dialect: RESPONSES, raw } = content else {
        return None;
    };
    let raw = raw.as_raw()?;
    let mut item = Object::lenient(raw)?;
    let kind = item.take_if("type", object::text)?;
    let id = item.take_if("call_id", object::text).or_else(|| item.take_if("id", object::text))?.into_owned();
    let (name, member) = match kind.as_ref() {
        "local_shell_call" => ("local_shell", "action"),
        "shell_call" => ("shell", "action"),
        "apply_patch_call" => ("apply_patch", "operation"),
        "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" => {
            let output = item.peek("output").or_else(|| item.peek("status"))?;
            let text = object::text(output).map_or_else(|| output.get().to_owned(), Text::into_owned);
            return Some(Content::ToolResult(ToolResult {
                kind: CallKind::Function,
                call_id: id.into(),
                name: None,
                blocks: vec![Block::text(text)],
                spelling: Spelling::Plain,
                is_error: None,
            }));
        }
        _ => return None,
    };
    let inner = item.take_if(member, |raw| raw.get().starts_with('{').then_some(raw))?;
    let arguments =
        if member == "operation" { written(|all| all.raw(member, inner.get())) } else { without_type(inner)? };
    Some(Content::ToolCall(ToolCall {
        kind: CallKind::Function,
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    }))
}

fn without_type(action: &RawValue) -> Option<String> {
    let action = Object::lenient(action)?;
    Some(written(|all| {
        for (name, value) in action.members().filter(|(name, value)| *name != "type" && value.get() != "null") {
            all.fill(name, value.get());
        }
    }))
}

fn written(fill: impl FnOnce(&mut Members<'_>)) -> String {
    let mut out = Vec::new();
    output::object(&mut out, fill);
    String::from_utf8(out).unwrap_or_default()
}

impl Native {
    /// The item that a whole call is; `None` where its arguments are not what the tool takes, so that it stays a function's.
    pub(super) fn item(&self, id: &str, arguments: &str) -> Option<Json<'static>> {
        let json = Json::parse(arguments)?;
        let raw = json.as_raw()?;
        let given = Object::lenient(raw)?;
        let (kind, prefix, needed) = match self {
            Self::Namespaced { .. } => return None,
            Self::LocalShell => ("local_shell_call", "lsh", "command"),
            Self::Shell => ("shell_call", "sh", "commands"),
            Self::ApplyPatch => ("apply_patch_call", "apc", "operation"),
        };
        let needs = given.peek(needed)?;
        let item = written(|item| {
            item.text("type", kind);
            item.text("id", &mint::item_id(prefix, id, 0));
            item.text("call_id", id);
            item.text("status", "completed");
            if *self == Self::ApplyPatch {
                return item.raw("operation", needs.get());
            }
            item.object("action", |action| {
                if *self == Self::LocalShell {
                    action.text("type", "exec");
                }
                for (name, value) in given.members().filter(|(name, _)| *name != "type") {
                    action.fill(name, value.get());
                }
                let missing: &[(&'static str, &str)] = match self {
                    Self::LocalShell => &[("env", "{}")],
                    _ => &[("timeout_ms", "null"), ("max_output_length", "null")],
                };
                for (name, value) in missing.iter().filter(|(name, _)| !given.has(name)) {
                    action.raw(name, value);
                }
            });
        });
        Some(Json::written(item.into_bytes()))
    }
}
