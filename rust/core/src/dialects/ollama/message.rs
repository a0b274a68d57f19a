//! One message of a conversation, both ways: one string, and beside it thoughts, images and calls.

use std::collections::HashMap;

use crate::dialects::raw::RawValue;

use super::{DIALECT, tools};
use crate::dialects::chatlike::turns::{self, Piece};
use crate::dialects::message::{
    Block, CallKind, Content, MediaSource, Reasoning, Role, Spelling, Text, ToolResult, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode, seed: &str) -> Result<Turn<'a>, DialectError> {
    let mut message = Object::open(raw, place, mode)?;
    let role = message.take_text("role")?;
    let role = match role.as_deref() {
        Some("user") => Role::User,
        Some("system") => Role::System,
        Some("assistant") => Role::Assistant,
        Some("tool") => return parse_result(message),
        _ if mode == Mode::Lenient => Role::Assistant,
        _ => return Err(place.member("role").refuse("must be one of system, user, assistant, tool")),
    };
    message.forget("role");
    let mut blocks = Vec::new();
    if let Some(text) = message.take_if("thinking", |raw| object::text(raw).filter(|text| !text.is_empty())) {
        blocks.push(Block::new(Content::Reasoning(Reasoning { text, ..Reasoning::default() })));
    }
    let spelling = take_content(&mut message, &mut blocks)?;
    let inner = place.member("images");
    for (index, image) in message.take_filled_list("images")?.into_iter().flatten().enumerate() {
        let data = object::text(image).ok_or_else(|| inner.item(index).refuse("must be a base64 string"))?;
        blocks.push(Block::new(Content::Image { source: MediaSource::picture(data), detail: None }));
    }
    tools::take_calls(&mut message, seed, &mut blocks)?;
    Ok(Turn { role, name: None, blocks, spelling, extras: message.into_extras(DIALECT) })
}

/// An empty string says nothing: it stands where only thoughts, images or calls are.
fn take_content<'a>(message: &mut Object<'a, '_>, blocks: &mut Vec<Block<'a>>) -> Result<Spelling, DialectError> {
    match message.take_text("content")? {
        Some(text) => {
            if !text.is_empty() {
                blocks.push(Block::text(text));
            }
            Ok(Spelling::Plain)
        }
        None => Ok(Spelling::Absent),
    }
}

fn parse_result<'a>(mut message: Object<'a, '_>) -> Result<Turn<'a>, DialectError> {
    let mut blocks = Vec::new();
    let spelling = take_content(&mut message, &mut blocks)?;
    let result = ToolResult {
        kind: CallKind::Function,
        call_id: message.take_text("tool_call_id")?.unwrap_or_default(),
        name: message.take_text("tool_name")?,
        blocks,
        spelling,
        is_error: None,
    };
    let mut turn = Turn::new(Role::Tool, vec![Block::new(Content::ToolResult(result))]);
    turn.extras = message.into_extras(DIALECT);
    Ok(turn)
}

/// Writes the messages that a turn of a request means: one per tool result, then one for the rest.
pub(super) fn write_messages(turns: &[Turn<'_>], members: &mut Members<'_>) {
    let calls = turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match &block.content {
        Content::ToolCall(call) => Some((call.id.as_ref(), call.name.as_ref())),
        _ => None,
    });
    let names: HashMap<&str, &str> = calls.collect();
    let pieces = turns::pieces(turns, |_| false);
    members.list("messages", pieces, |out, piece| match piece {
        Piece::Result(turn, result) => write_result(out, turn, result, &names),
        Piece::Rest(turn) => output::object(out, |message| {
            let role = match turn.role {
                Role::System | Role::Developer => "system",
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            message.text("role", role);
            write_body(message, turn, "");
        }),
    });
}

/// A result is told by the name of its tool, which other dialects do not repeat: it is that of the call.
fn write_result(out: &mut Buffer, turn: &Turn<'_>, result: &ToolResult<'_>, names: &HashMap<&str, &str>) {
    output::object(out, |message| {
        message.text("role", "tool");
        if result.spelling != Spelling::Absent || !result.blocks.is_empty() {
            message.text("content", &texts(&result.blocks));
        }
        let name = result.name.as_deref().or_else(|| names.get(result.call_id.as_ref()).copied());
        message.text_if("tool_name", name);
        if !result.call_id.is_empty() {
            message.text("tool_call_id", &result.call_id);
        }
        // Extras of a turn of the user belong to what the user says.
        if turn.role == Role::Tool {
            message.extras(DIALECT, &turn.extras);
        }
    });
}

pub(super) fn write_reply(message: &mut Members<'_>, turn: &Turn<'_>, seed: &str) {
    message.text("role", "assistant");
    write_body(message, turn, seed);
}

fn write_body(message: &mut Members<'_>, turn: &Turn<'_>, seed: &str) {
    let content = texts(&turn.blocks);
    if turn.spelling != Spelling::Absent || !content.is_empty() {
        message.text("content", &content);
    }
    let thoughts = turn.blocks.iter().filter_map(|block| match &block.content {
        Content::Reasoning(reasoning) if !reasoning.text.is_empty() => Some(reasoning.text.as_ref()),
        _ => None,
    });
    let thoughts: Vec<_> = thoughts.collect();
    if !thoughts.is_empty() {
        message.text("thinking", &thoughts.concat());
    }
    let images = turn.blocks.iter().filter_map(|block| match &block.content {
        Content::Image { source: MediaSource::Base64 { data, .. }, .. } => Some(data),
        _ => None,
    });
    let images: Vec<_> = images.collect();
    if !images.is_empty() {
        message.list("images", images, |out, data| output::text(out, data));
    }
    tools::write_calls(message, &turn.blocks, seed);
    message.extras(DIALECT, &turn.extras);
}

/// All texts joined without a separator, as the blocks of one stream would be.
fn texts<'b>(blocks: &'b [Block<'_>]) -> Text<'b> {
    let mut texts = blocks.iter().filter_map(|block| match &block.content {
        Content::Text { text, .. } | Content::Refusal { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    let mut joined = Text::Borrowed(texts.next().unwrap_or_default());
    for text in texts {
        joined.to_mut().push_str(text);
    }
    joined
}
