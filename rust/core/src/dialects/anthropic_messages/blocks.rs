//! Reads the blocks of a message.
//!
//! A block that is not exactly what the neutral form can hold stays as it is, in its place, as an opaque block: new
//! kinds appear every month.

use crate::dialects::raw::RawValue;

use super::{DIALECT, citations, finish, input, media};
use crate::dialects::message::{
    Block, CallKind, Citation, Content, Extra, Finish, Json, MediaSource, Reasoning, Spelling, Text, ToolCall,
    ToolResult,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place, mint};

/// Beside the input of a call, its proof: not Anthropic's, which gives none, but where its clients bring one back.
pub(super) const SIGNATURE: &str = "signature";

/// Takes `content`: a string or a list of blocks. Null and absence give no blocks; a null stays among the extras.
pub(super) fn take_content<'a>(owner: &mut Object<'a, '_>) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    let place = owner.place.member("content");
    let Some(raw) = owner.peek("content") else {
        return Ok((Vec::new(), Spelling::Absent));
    };
    let found = if let Some(text) = object::text(raw) {
        (vec![Block::text(text)], Spelling::Plain)
    } else if let Some(items) = object::list(raw) {
        (parse_list(items, place, owner.mode)?, Spelling::Structured)
    } else if owner.mode == Mode::Strict {
        return Err(place.refuse("must be a string or a list of blocks"));
    } else {
        return Ok((Vec::new(), Spelling::Absent));
    };
    owner.forget("content");
    Ok(found)
}

pub(super) fn parse_list<'a>(
    items: Vec<&'a RawValue>,
    place: Place<'_>,
    mode: Mode,
) -> Result<Vec<Block<'a>>, DialectError> {
    items.into_iter().enumerate().map(|(index, raw)| parse(raw, place.item(index), mode)).collect()
}

fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let opaque = || Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) });
    let mut block = match Object::open(raw, place, mode) {
        Ok(block) => block,
        Err(_) if mode == Mode::Lenient => return Ok(opaque()),
        Err(error) => return Err(error),
    };
    let kind = match block.take_text("type")? {
        Some(kind) => kind,
        None if mode == Mode::Lenient => return Ok(opaque()),
        None => return Err(place.member("type").refuse("is required")),
    };
    let mut rest = None;
    let content = match kind.as_ref() {
        "text" => {
            required(&mut block, "text")?.map(|text| Content::Text { text, citations: take_citations(&mut block) })
        }
        "thinking" => thinking(&mut block)?,
        "redacted_thinking" => required(&mut block, "data")?.map(redacted),
        "tool_use" => tool_use(&mut block)?,
        "tool_result" => tool_result(&mut block)?,
        "image" => source(&mut block, false, &mut rest)?.map(|source| Content::Image { source, detail: None }),
        "document" => source(&mut block, true, &mut rest)?.map(|source| {
            let filename = block.take_if("title", object::text);
            Content::File { source, filename }
        }),
        _ => None,
    };
    let Some(content) = content else {
        return Ok(opaque());
    };
    let mut block = Block { content, cache_mark: block.take_json("cache_control"), extras: block.into_extras(DIALECT) };
    block.extras.extend(rest);
    Ok(block)
}

/// A member that the block cannot be understood without: refused in requests, and in replies `None`.
fn required<'a>(block: &mut Object<'a, '_>, name: &'static str) -> Result<Option<Text<'a>>, DialectError> {
    match block.mode {
        Mode::Strict => block.require_text(name).map(Some),
        Mode::Lenient => block.take_text(name),
    }
}

fn take_citations<'a>(block: &mut Object<'a, '_>) -> Vec<Citation<'a>> {
    let found = block.take_if("citations", |raw| {
        let items = object::list(raw)?;
        let all: Option<Vec<_>> = items.into_iter().map(citations::parse).collect();
        all.filter(|all| !all.is_empty())
    });
    found.unwrap_or_default()
}

fn thinking<'a>(block: &mut Object<'a, '_>) -> Result<Option<Content<'a>>, DialectError> {
    let Some(text) = required(block, "thinking")? else {
        return Ok(None);
    };
    let signature = match block.mode {
        Mode::Strict => Some(block.require_text("signature")?),
        Mode::Lenient => block.take_text("signature")?,
    };
    Ok(Some(Content::Reasoning(Reasoning { text, signature, ..Reasoning::default() })))
}

fn redacted(data: Text<'_>) -> Content<'_> {
    Content::Reasoning(Reasoning { redacted: Some(data), ..Reasoning::default() })
}

fn tool_use<'a>(block: &mut Object<'a, '_>) -> Result<Option<Content<'a>>, DialectError> {
    let (id, Some(name)) = (required(block, "id")?, required(block, "name")?) else {
        return Ok(None);
    };
    // Some servers say the input as text, as chat does.
    let lenient = block.mode == Mode::Lenient;
    let as_text = block.take_if("input", |raw| object::text(raw).filter(|text| lenient && input::is_object(text)));
    let arguments = match as_text {
        Some(text) => Some(text),
        None => block.take_object("input")?.map(input::arguments),
    };
    // One without an id gets it from the reply, which has one.
    let id = id.unwrap_or_default();
    if arguments.is_none() && block.mode == Mode::Strict {
        return Err(block.place.member("input").refuse("is required"));
    }
    let arguments = arguments.unwrap_or_default();
    let signature = block.take_if(SIGNATURE, object::text);
    Ok(Some(Content::ToolCall(ToolCall { kind: CallKind::Function, id, name, arguments, signature })))
}

fn tool_result<'a>(block: &mut Object<'a, '_>) -> Result<Option<Content<'a>>, DialectError> {
    let Some(call_id) = required(block, "tool_use_id")? else {
        return Ok(None);
    };
    let (blocks, spelling) = take_content(block)?;
    let is_error = block.take_bool("is_error")?;
    let result = ToolResult { kind: CallKind::Function, call_id, name: None, blocks, spelling, is_error };
    Ok(Some(Content::ToolResult(result)))
}

fn source<'a>(
    block: &mut Object<'a, '_>,
    document: bool,
    rest: &mut Option<Extra<'a>>,
) -> Result<Option<MediaSource<'a>>, DialectError> {
    if block.mode == Mode::Strict && block.peek(media::SOURCE).is_none_or(|raw| !raw.get().starts_with('{')) {
        return Err(block.place.member(media::SOURCE).refuse("must be a JSON object"));
    }
    Ok(block.take_if(media::SOURCE, |raw| media::source(raw, document, rest)))
}

/// Gives the calls of a reply that came without an id one of ours.
pub(super) fn name_calls(blocks: &mut [Block<'_>], reply_id: &str) {
    let calls = blocks.iter_mut().filter_map(|block| match &mut block.content {
        Content::ToolCall(call) => Some(call),
        _ => None,
    });
    for (number, call) in (0..).zip(calls).filter(|(_, call)| call.id.is_empty()) {
        call.id = mint::call_id(reply_id, 0, number).into();
    }
}

/// The explanation of a refusal, where nothing else was said, as the block that other dialects have for it.
pub(super) fn explanation<'a>(message: &mut Object<'a, '_>, finish: &mut Finish<'a>) -> Option<Block<'a>> {
    let text = finish::take_explanation(message, &mut finish.extras)?;
    Some(Block::new(Content::Refusal { text, spelling: Spelling::Plain }))
}
