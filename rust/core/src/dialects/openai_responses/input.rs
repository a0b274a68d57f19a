//! The input of a request, both ways: items, which are turns only here and there.
//!
//! What the model made (its messages, reasoning, calls and the items only its server knows) is one turn as long as nobody
//! else speaks; every result and every message of others is a turn of its own.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use super::items::{self, ITEM, Manner};
use super::parts::{self, Dress, INPUT_TEXT};
use crate::dialects::message::{
    Block, CallKind, Content, Extras, Json, Origin, Reasoning, Role, Spelling, ToolResult, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// Mark on a turn: it stands beside the input, under this name.
pub(super) const INSTRUCTIONS: &str = "instructions";

pub(super) fn take<'a>(request: &mut Object<'a, '_>, extras: &mut Extras<'a>) -> Result<Vec<Turn<'a>>, DialectError> {
    let mut turns = Vec::new();
    // Empty instructions say nothing, and no other dialect has a place for an empty text.
    let instructions = request.take_if("instructions", |raw| object::text(raw).filter(|text| !text.is_empty()));
    if let Some(text) = instructions {
        let mut turn = Turn::new(Role::System, vec![Block::text(text)]);
        turn.extras.mark(DIALECT, INSTRUCTIONS, Json::null());
        turns.push(turn);
    }
    let place = Place::Document.member("input");
    if let Some(text) = request.take_if("input", object::text) {
        extras.mark(DIALECT, "input", Json::quoted("text"));
        turns.push(Turn::new(Role::User, vec![Block::text(text)]));
        return Ok(turns);
    }
    let Some(input) = request.take_list("input")? else {
        // A stored conversation may be gone on with, and a stored prompt may be all there is.
        if !["prompt", "previous_response_id", "conversation"].iter().any(|name| request.peek(name).is_some()) {
            return Err(place.refuse("is required"));
        }
        extras.mark(DIALECT, "input", Json::quoted("absent"));
        return Ok(turns);
    };
    extras.mark(DIALECT, "input", Json::quoted("list"));
    for (index, raw) in input.into_iter().enumerate() {
        add(raw, place.item(index), &mut turns)?;
    }
    Ok(turns)
}

fn add<'a>(raw: &'a RawValue, place: Place<'_>, turns: &mut Vec<Turn<'a>>) -> Result<(), DialectError> {
    let mut item = Object::open(raw, place, Mode::Strict)?;
    let kind =
        item.peek("type").map(|raw| object::text(raw).ok_or_else(|| place.member("type").refuse("must be a string")));
    let turn = match kind.transpose()?.as_deref() {
        None | Some("message") => {
            let role = match item.require_text("role")?.as_ref() {
                "user" => Role::User,
                "system" => Role::System,
                "developer" => Role::Developer,
                "assistant" => Role::Assistant,
                _ => return Err(place.member("role").refuse("must be one of developer, system, user, assistant")),
            };
            if role == Role::Assistant { None } else { Some(message(item, role)?) }
        }
        Some("function_call_output") => Some(result(item, CallKind::Function)?),
        Some("custom_tool_call_output") => Some(result(item, CallKind::Custom)?),
        Some(_) => None,
    };
    if let Some(turn) = turn {
        turns.push(turn);
        return Ok(());
    }
    let mut blocks = items::parse(raw, place, Mode::Strict)?;
    match turns.last_mut() {
        Some(turn) if turn.role == Role::Assistant => turn.blocks.append(&mut blocks),
        _ => turns.push(Turn::new(Role::Assistant, blocks)),
    }
    Ok(())
}

fn message<'a>(mut item: Object<'a, '_>, role: Role) -> Result<Turn<'a>, DialectError> {
    let (blocks, spelling) = take_parts(&mut item, "content")?;
    let head = items::take_head(&mut item, false);
    let mut turn = Turn { role, name: None, blocks, spelling, extras: item.into_extras(DIALECT) };
    turn.extras.mark(DIALECT, ITEM, head);
    Ok(turn)
}

fn result<'a>(mut item: Object<'a, '_>, kind: CallKind) -> Result<Turn<'a>, DialectError> {
    let call_id = item.require_text("call_id")?;
    let (blocks, spelling) = take_parts(&mut item, "output")?;
    let head = items::take_head(&mut item, false);
    let result = ToolResult { kind, call_id, name: None, blocks, spelling, is_error: None };
    let mut turn = Turn::new(Role::Tool, vec![Block::new(Content::ToolResult(result))]);
    turn.extras = item.into_extras(DIALECT);
    turn.extras.mark(DIALECT, ITEM, head);
    Ok(turn)
}

fn take_parts<'a>(item: &mut Object<'a, '_>, name: &'static str) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    let here = item.place;
    let place = here.member(name);
    if let Some(text) = item.take_if(name, object::text) {
        return Ok((vec![Block::text(text)], Spelling::Plain));
    }
    if item.peek(name).is_some_and(|raw| object::list(raw).is_none()) {
        return Err(place.refuse("must be a string or a list of parts"));
    }
    let Some(list) = item.take_list(name)? else {
        return Err(place.refuse("is required"));
    };
    let blocks =
        list.into_iter().enumerate().map(|(n, raw)| parts::parse(raw, place.item(n), Mode::Strict, INPUT_TEXT));
    Ok((blocks.collect::<Result<_, _>>()?, Spelling::Structured))
}

/// Writes `instructions` and `input`.
pub(super) fn write(request: &mut Members<'_>, turns: &[Turn<'_>], extras: &Extras<'_>) {
    let beside = |turn: &&Turn<'_>| turn.extras.marked(DIALECT, INSTRUCTIONS).is_some();
    let mut turns: Vec<_> = turns.iter().collect();
    if let Some(instructions) = turns.first().filter(|turn| beside(turn)) {
        request.text("instructions", &instructions.texts().collect::<String>());
        turns.remove(0);
    }
    let spelled = extras.marked(DIALECT, "input").map_or("", Json::as_str);
    match turns.as_slice() {
        [] if spelled == "\"absent\"" => {}
        [Turn { role: Role::User, blocks, .. }] if spelled == "\"text\"" && bare(blocks).is_some() => {
            request.text("input", bare(blocks).unwrap_or_default());
        }
        turns => request.list("input", turns.iter().flat_map(|turn| pieces(turn)), write_piece),
    }
}

/// What becomes an item of the input.
enum Piece<'t> {
    Result(&'t Turn<'t>, &'t ToolResult<'t>),
    Message(&'t Turn<'t>),
    Model(items::Item<'t>),
}

fn pieces<'t>(turn: &'t Turn<'t>) -> Vec<Piece<'t>> {
    let results = turn.blocks.iter().filter_map(|block| match &block.content {
        Content::ToolResult(result) => Some(Piece::Result(turn, result)),
        _ => None,
    });
    let mut pieces: Vec<_> = results.collect();
    if turn.role == Role::Assistant {
        pieces.extend(items::items(&turn.blocks, false).into_iter().map(Piece::Model));
    } else if turn.blocks.is_empty() || turn.blocks.iter().any(is_part) {
        pieces.push(Piece::Message(turn));
    }
    pieces
}

fn write_piece(out: &mut Buffer, piece: Piece<'_>) {
    match piece {
        Piece::Model(item) => items::write(out, 0, &item, &mut Manner { reply_id: None, logprobs: None }),
        Piece::Message(turn) => output::object(out, |item| {
            items::repeat_head(item, &turn.extras);
            item.text("role", word_of(turn.role));
            let parts = turn.blocks.iter().filter(|block| is_part(block));
            write_parts(item, "content", parts.collect(), turn.spelling);
            item.extras(DIALECT, &turn.extras);
        }),
        Piece::Result(turn, result) => output::object(out, |item| {
            let kind = match result.kind {
                CallKind::Custom => "custom_tool_call_output",
                CallKind::Function | CallKind::LegacyFunction => "function_call_output",
            };
            // The head of a turn that is nothing but a result is that of the result.
            if turn.role != Role::Tool || !items::repeat_head(item, &turn.extras) {
                item.text("type", kind);
            }
            item.text("call_id", &result.call_id);
            write_parts(item, "output", result.blocks.iter().filter(|block| is_part(block)).collect(), result.spelling);
            if turn.role == Role::Tool {
                item.extras(DIALECT, &turn.extras);
            }
        }),
    }
}

fn word_of(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

fn write_parts(item: &mut Members<'_>, name: &'static str, parts: Vec<&Block<'_>>, spelling: Spelling) {
    if spelling != Spelling::Structured {
        let text = match parts.as_slice() {
            [] => Some(""),
            [part] => bare(std::slice::from_ref(*part)),
            _ => None,
        };
        if let Some(text) = text {
            return item.text(name, text);
        }
    }
    item.list(name, parts, |out, part| {
        parts::write(out, part, Dress { text: INPUT_TEXT, complete: false, logprobs: None });
    });
}

/// One text and nothing with it.
fn bare<'b>(blocks: &'b [Block<'_>]) -> Option<&'b str> {
    match blocks {
        [block @ Block { content: Content::Text { text, citations }, extras, .. }]
            if citations.is_empty() && extras.of(DIALECT).next().is_none() && parts::cache_mark(block).is_none() =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// Whether a block is a part of what somebody else than the model says.
pub(super) fn is_part(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::Image { .. } | Content::Audio { .. } | Content::File { .. } => true,
        Content::Refusal { .. } => block.extras.marked(DIALECT, parts::PART).is_some(),
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        Content::Reasoning(_) | Content::ToolCall(_) | Content::ToolResult(_) => false,
    }
}

/// The names and places of what the turns hold and the input has no words for.
pub(super) fn dropped(turns: &[Turn<'_>], dropped: &mut Vec<String>) {
    for (index, turn) in turns.iter().enumerate() {
        let place = turn.place(index);
        dropped.extend(foreign(&turn.extras).map(|name| format!("{place}.{name}")));
        if turn.name.is_some() {
            dropped.push(format!("{place}.name"));
        }
        for (index, block) in turn.blocks.iter().enumerate() {
            let said = if turn.role == Role::Assistant { items::is_said(block) } else { is_part(block) };
            dropped_of_block(block, said, block.place(place, index), dropped);
        }
    }
}

fn dropped_of_block(block: &Block<'_>, said: bool, place: Origin, dropped: &mut Vec<String>) {
    match &block.content {
        Content::ToolResult(result) => {
            if block.says_that_it_failed() {
                dropped.push(format!("{place}.is_error"));
            }
            for (index, inner) in result.blocks.iter().enumerate() {
                dropped_of_block(inner, is_part(inner), inner.place(place, index), dropped);
            }
        }
        _ if !said => dropped.push(place.to_string()),
        Content::Text { citations, .. } if !citations.iter().all(parts::is_annotation) => {
            dropped.push(format!("{place}.citations"));
        }
        Content::ToolCall(call) if call.signature.is_some() => dropped.push(format!("{place}.signature")),
        // There is one slot for both, and the proof of the text goes first.
        Content::Reasoning(Reasoning { signature: Some(_), redacted: Some(_), .. }) => {
            dropped.push(format!("{place}.redacted"));
        }
        _ => {}
    }
    if block.cache_mark.is_some() && parts::cache_mark(block).is_none() {
        dropped.push(format!("{place}.{}", parts::CACHE));
    }
    dropped.extend(foreign(&block.extras).map(|name| format!("{place}.{name}")));
}

pub(super) fn foreign<'e>(extras: &'e Extras<'_>) -> impl Iterator<Item = String> + 'e {
    extras.lost_in(DIALECT)
}
