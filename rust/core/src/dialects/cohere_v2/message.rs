//! One message of a conversation, both ways: the roles, and the fields that stand beside the content.
//!
//! The surprise: the plan of a turn that calls tools is reasoning with a mark, so that other dialects tell it as such
//! and this one puts it back where it was.

use crate::dialects::raw::RawValue;

use super::{DIALECT, citations, parts, tools};
use crate::dialects::chatlike::turns::{self, Piece};
use crate::dialects::message::{Block, CallKind, Content, Extra, Json, Reasoning, Role, Spelling, ToolResult, Turn};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// The mark of reasoning that is a plan.
const PLAN: &str = "tool_plan";

pub(super) fn is_plan(block: &Block<'_>) -> bool {
    matches!(block.content, Content::Reasoning(_)) && block.extras.get(DIALECT, PLAN).is_some()
}

pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Turn<'a>, DialectError> {
    let mut message = Object::open(raw, place, mode)?;
    let role = message.take_text("role")?;
    let role = match role.as_deref() {
        Some("user") => Role::User,
        Some("system") => Role::System,
        Some("assistant") => return parse_assistant(message),
        Some("tool") => return parse_result(message),
        _ if mode == Mode::Lenient => return parse_assistant(message),
        _ => return Err(place.member("role").refuse("must be one of system, user, assistant, tool")),
    };
    let (blocks, spelling) = parts::take_content(&mut message)?;
    if mode == Mode::Strict && blocks.is_empty() && spelling != Spelling::Structured {
        return Err(place.member("content").refuse("is required"));
    }
    Ok(Turn { role, name: None, blocks, spelling, extras: message.into_extras(DIALECT) })
}

fn parse_result<'a>(mut message: Object<'a, '_>) -> Result<Turn<'a>, DialectError> {
    let call_id = message.require_text("tool_call_id")?;
    let (blocks, spelling) = parts::take_content(&mut message)?;
    if blocks.is_empty() && spelling != Spelling::Structured {
        return Err(message.place.member("content").refuse("is required"));
    }
    if let Some(index) = blocks.iter().position(|block| !is_result_part(block)) {
        return Err(message.place.member("content").item(index).refuse("must be text or a document"));
    }
    let kind = CallKind::Function;
    let result = ToolResult { kind, call_id, name: None, blocks, spelling, is_error: None };
    let mut turn = Turn::new(Role::Tool, vec![Block::new(Content::ToolResult(result))]);
    turn.extras = message.into_extras(DIALECT);
    Ok(turn)
}

fn parse_assistant<'a>(mut message: Object<'a, '_>) -> Result<Turn<'a>, DialectError> {
    message.forget("role");
    if message.mode == Mode::Strict && message.peek(PLAN).is_some_and(|raw| object::text(raw).is_none()) {
        return Err(message.place.member(PLAN).refuse("must be a string of whole characters"));
    }
    let mut blocks = Vec::new();
    if let Some(text) = message.take_if(PLAN, |raw| object::text(raw).filter(|text| !text.is_empty())) {
        let mut plan = Block::new(Content::Reasoning(Reasoning { text, ..Reasoning::default() }));
        plan.extras.push(Extra { dialect: DIALECT, name: PLAN.into(), value: Json::written(b"true".to_vec()) });
        blocks.push(plan);
    }
    let (mut content, spelling) = parts::take_content(&mut message)?;
    citations::take(&mut message, &mut content);
    blocks.append(&mut content);
    tools::take_calls(&mut message, &mut blocks)?;
    let place = message.place.member("content");
    let says = |block: &Block<'_>| matches!(&block.content, Content::Text { text, .. } if !text.is_empty());
    if message.mode == Mode::Strict && calls_tools(&blocks) && blocks.iter().any(says) {
        return Err(place.refuse("must not hold text beside tool_calls; tool_plan is for that"));
    }
    Ok(Turn { role: Role::Assistant, name: None, blocks, spelling, extras: message.into_extras(DIALECT) })
}

/// Writes the messages that a turn of a request means: one per tool result, then one for the rest.
pub(super) fn write_messages<'t>(turns: &'t [Turn<'t>], messages: &mut Members<'_>) {
    let pieces = turns::pieces(turns, |_| false);
    messages.list("messages", pieces, |out, piece| match piece {
        Piece::Result(turn, result) => write_result(out, turn, result),
        Piece::Rest(turn) => output::object(out, |message| write_request_turn(message, turn)),
    });
}

fn write_result(out: &mut Buffer, turn: &Turn<'_>, result: &ToolResult<'_>) {
    output::object(out, |message| {
        message.text("role", "tool");
        message.text("tool_call_id", &result.call_id);
        let parts: Vec<_> = result.blocks.iter().filter(|block| is_result_part(block)).collect();
        // A result must say something, if only that it is empty.
        if parts.is_empty() && result.spelling != Spelling::Structured {
            message.text("content", "");
        } else {
            parts::write_content(message, &parts, result.spelling);
        }
        // Extras of a turn of the user belong to what the user says.
        if turn.role == Role::Tool {
            message.extras(DIALECT, &turn.extras);
        }
    });
}

/// The results of tools are text and documents, and no media.
pub(super) fn is_result_part(block: &Block<'_>) -> bool {
    matches!(block.content, Content::Text { .. } | Content::Refusal { .. } | Content::Opaque { dialect: DIALECT, .. })
}

fn write_request_turn(message: &mut Members<'_>, turn: &Turn<'_>) {
    let role = match turn.role {
        Role::System | Role::Developer => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    message.text("role", role);
    write_body(message, turn, turn.spelling, true);
}

/// Writes the message of a reply, whose content is a list or left out.
pub(super) fn write_reply(message: &mut Members<'_>, turn: &Turn<'_>) {
    message.text("role", "assistant");
    let spelling = match turn.spelling {
        Spelling::Structured => Spelling::Structured,
        _ if turn.blocks.iter().any(parts::is_part) => Spelling::Structured,
        _ => Spelling::Absent,
    };
    write_body(message, turn, spelling, false);
}

/// `request` says that Cohere will read it: beside calls it refuses text, which is then the plan of these calls.
fn write_body(message: &mut Members<'_>, turn: &Turn<'_>, spelling: Spelling, request: bool) {
    let plans = request && calls_tools(&turn.blocks);
    let plan: Vec<_> = turn.blocks.iter().filter_map(|block| plan_of(block, plans)).collect();
    if !plan.is_empty() {
        message.text(PLAN, &plan.join("\n\n"));
    }
    let is_part = |block: &&Block<'_>| parts::is_part(block) && !(plans && is_plannable(block));
    let parts: Vec<_> = turn.blocks.iter().filter(is_part).collect();
    parts::write_content(message, &parts, spelling);
    citations::write_all(message, &parts);
    tools::write_calls(message, &turn.blocks, request);
    message.extras(DIALECT, &turn.extras);
}

pub(super) fn calls_tools(blocks: &[Block<'_>]) -> bool {
    blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)))
}

/// What can stand before calls as their plan and not as content.
fn is_plannable(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::Refusal { .. } => true,
        Content::Reasoning(reasoning) => {
            reasoning.redacted.is_none() && block.extras.get(DIALECT, parts::THINKING).is_none()
        }
        _ => false,
    }
}

fn plan_of<'b>(block: &'b Block<'_>, plans: bool) -> Option<&'b str> {
    let text = match &block.content {
        Content::Text { text, .. } | Content::Refusal { text, .. } => text,
        Content::Reasoning(reasoning) => &reasoning.text,
        _ => return None,
    };
    (is_plan(block) || (plans && is_plannable(block) && !text.is_empty())).then_some(text)
}
