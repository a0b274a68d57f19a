//! One content, `{role, parts}`, both ways: of a conversation, of the system instruction, and of a candidate.

use crate::dialects::raw::RawValue;

use super::{DIALECT, ids, parts};
use crate::dialects::message::{Block, Content, Role, Spelling, Turn};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::Members;
use crate::dialects::{DialectError, Place};

/// Reads a content of a request. Its spelling is `Absent` where the role was left out, which Google reads as the user.
pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Turn<'a>, DialectError> {
    let mut content = Object::open(raw, place, Mode::Strict)?;
    let role = content.take_text("role")?;
    let spelling = if role.is_some() { Spelling::Plain } else { Spelling::Absent };
    let role = match role.as_deref() {
        Some("user") | None => Role::User,
        Some("model") => Role::Assistant,
        Some(_) => return Err(place.member("role").refuse("must be user or model")),
    };
    let blocks = take_parts(&mut content)?;
    Ok(Turn { spelling, extras: content.into_extras(DIALECT), ..Turn::new(role, blocks) })
}

/// Reads the system instruction. Its role says nothing, and clients say all kinds of them there.
pub(super) fn parse_system<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Turn<'a>, DialectError> {
    let mut content = Object::open(raw, place, Mode::Strict)?;
    let blocks = take_parts(&mut content)?;
    Ok(Turn { extras: content.into_extras(DIALECT), ..Turn::new(Role::System, blocks) })
}

fn take_parts<'a>(content: &mut Object<'a, '_>) -> Result<Vec<Block<'a>>, DialectError> {
    let here = content.place;
    let place = here.member("parts");
    let items = take_repeated(content, "parts")?.ok_or_else(|| place.refuse("is required"))?;
    items.into_iter().enumerate().map(|(index, raw)| parts::parse(raw, place.item(index), Mode::Strict)).collect()
}

/// A list, or the one object that protobuf's JSON takes in the place of a list.
pub(super) fn take_repeated<'a>(
    object: &mut Object<'a, '_>,
    name: &'static str,
) -> Result<Option<Vec<&'a RawValue>>, DialectError> {
    if object.peek(name).is_some_and(|raw| raw.get().starts_with('{')) {
        return Ok(object.take_object(name)?.map(|one| vec![one]));
    }
    object.take_list(name)
}

/// Reads the content of a candidate around what is odd in it. Without blocks, the spelling says what there was instead:
/// a content without parts, an empty list of them (`Structured`), or no content at all.
pub(super) fn parse_candidate<'a>(raw: Option<&'a RawValue>, reply_id: &str, choice: u32) -> Turn<'a> {
    let mut turn = Turn::new(Role::Assistant, Vec::new());
    let Some(mut content) = raw.and_then(Object::lenient) else {
        return Turn { spelling: Spelling::Absent, ..turn };
    };
    content.take_if("role", |raw| (raw.get() == "\"model\"").then_some(()));
    if let Some(items) = content.take_if("parts", object::list) {
        let blocks = items.into_iter().filter_map(|raw| parts::parse(raw, Place::Document, Mode::Lenient).ok());
        turn.blocks = blocks.collect();
        if turn.blocks.is_empty() {
            turn.spelling = Spelling::Structured;
        }
    }
    turn.extras = content.into_extras(DIALECT);
    let mut number = 0;
    for block in &mut turn.blocks {
        number += name_call(block, reply_id, choice, number);
    }
    turn
}

/// Gives a call without an id one of ours. Says how many calls the block is.
pub(super) fn name_call(block: &mut Block<'_>, seed: &str, choice: u32, number: u32) -> u32 {
    let Content::ToolCall(call) = &mut block.content else {
        return 0;
    };
    if call.id.is_empty() {
        call.id = ids::mint(seed, choice, number).into();
    }
    1
}

/// Writes `content` of a candidate.
pub(super) fn write_candidate(candidate: &mut Members<'_>, turn: &Turn<'_>) {
    let blocks: Vec<_> = turn.blocks.iter().filter(|block| parts::is_part(block)).collect();
    if blocks.is_empty() && turn.spelling == Spelling::Absent {
        return;
    }
    candidate.object("content", |content| {
        if !blocks.is_empty() || turn.spelling == Spelling::Structured {
            content.list("parts", blocks, |out, block| parts::write(out, block, None));
        }
        if turn.extras.get(DIALECT, "role").is_none() {
            content.text("role", "model");
        }
        content.extras(DIALECT, &turn.extras);
    });
}
