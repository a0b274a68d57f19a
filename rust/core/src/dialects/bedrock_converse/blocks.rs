//! Reads the blocks of a message: each is an object whose one member says what it is.
//!
//! A block that is not exactly what the neutral form can hold stays as it is, in its place, as an opaque block: new
//! kinds appear every month.

use crate::dialects::raw::RawValue;

use super::media::{self, Kind};
use super::{DIALECT, cache, citations};
use crate::dialects::anthropic_messages::input;
use crate::dialects::message::{Block, CallKind, Content, Json, Reasoning, Spelling, Text, ToolCall, ToolResult};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place};

/// The kinds that have a neutral form.
const KINDS: [&str; 9] =
    ["text", "toolUse", "toolResult", "image", "document", "audio", "reasoningContent", super::citations::mark(), JSON];
/// A result that is JSON and not text. In the neutral form it is text, with this mark.
pub(super) const JSON: &str = "json";
/// The mark of reasoning that came without a signature, as some models here write it.
pub(super) const UNSIGNED: &str = "unsigned";
/// The mark of a document of ours, whose name stays as it is.
pub(super) const NAMED: &str = "named";

/// Takes `content`, a list of blocks. Absent in a reply, it gives none.
pub(super) fn take_content<'a>(owner: &mut Object<'a, '_>) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    let items = owner.take_list("content")?;
    let place = owner.place.member("content");
    match items {
        Some(items) => Ok((parse_list(items, place, owner.mode)?, Spelling::Structured)),
        None => Ok((Vec::new(), Spelling::Absent)),
    }
}

/// Takes `content` of the result of a tool, in which nothing can be marked.
fn take_result<'a>(owner: &mut Object<'a, '_>) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    let Some(items) = owner.take_list("content")? else {
        return Ok((Vec::new(), Spelling::Absent));
    };
    let place = owner.place.member("content");
    let blocks = items.into_iter().enumerate().map(|(index, raw)| parse(raw, place.item(index), owner.mode));
    Ok((blocks.collect::<Result<_, _>>()?, Spelling::Structured))
}

pub(super) fn parse_list<'a>(
    items: Vec<&'a RawValue>,
    place: Place<'_>,
    mode: Mode,
) -> Result<Vec<Block<'a>>, DialectError> {
    let mut blocks: Vec<Block<'a>> = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        if let Some(mark) = cache::mark(raw)
            && let Some(marked) = blocks.last_mut().filter(|block| cache::takes_mark(block))
        {
            marked.cache_mark = Some(mark);
            continue;
        }
        blocks.push(parse(raw, place.item(index), mode)?);
    }
    Ok(blocks)
}

fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let opaque = || Ok(Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) }));
    let mut block = match Object::open(raw, place, mode) {
        Ok(block) => block,
        Err(_) if mode == Mode::Lenient => return opaque(),
        Err(error) => return Err(error),
    };
    let mut said = KINDS.into_iter().filter(|kind| block.peek(kind).is_some());
    let (Some(kind), None) = (said.next(), said.next()) else {
        return opaque();
    };
    match kind {
        "text" => {
            let Some(text) = block.take_text("text")? else {
                return opaque();
            };
            return Ok(Block { extras: block.into_extras(DIALECT), ..Block::text(text) });
        }
        JSON => {
            let text = block.take_if(JSON, |raw| Some(Text::Borrowed(raw.get()))).unwrap_or_default();
            let mut found = Block { extras: block.into_extras(DIALECT), ..Block::text(text) };
            found.extras.mark(DIALECT, JSON, Json::null());
            return Ok(found);
        }
        _ => {}
    }
    let Some(raw_inner) = block.take_object(kind)? else {
        return opaque();
    };
    let mut inner = Object::open(raw_inner, place.member(kind), mode)?;
    if kind == citations::mark() && mode == Mode::Lenient {
        // What was said is text for everybody, in however many pieces; here it goes out as it came.
        let content = citations::whole(&inner);
        let mut extras = block.into_extras(DIALECT);
        extras.mark(DIALECT, kind, Json::from(raw_inner));
        return Ok(Block { content, cache_mark: None, extras });
    }
    let Some((content, mark)) = parse_inner(kind, &mut inner)? else {
        return opaque();
    };
    let mut extras = block.into_extras(DIALECT);
    if !inner.is_empty() {
        extras.push(inner.into_rest(DIALECT, kind));
    }
    if let Some(mark) = mark {
        extras.mark(DIALECT, mark, Json::null());
    }
    Ok(Block { content, cache_mark: None, extras })
}

type Found<'a> = Option<(Content<'a>, Option<&'static str>)>;

/// What is in a block, and the mark it gets.
fn parse_inner<'a>(kind: &str, inner: &mut Object<'a, '_>) -> Result<Found<'a>, DialectError> {
    Ok(match kind {
        "toolUse" => tool_use(inner)?.map(|content| (content, None)),
        "toolResult" => tool_result(inner)?.map(|content| (content, None)),
        "reasoningContent" => reasoning(inner),
        "image" => media::take(inner, Kind::Image).map(|source| (Content::Image { source, detail: None }, None)),
        "audio" => media::take(inner, Kind::Sound).map(|source| (Content::Audio { source }, None)),
        "document" => media::take(inner, Kind::Document).map(|source| {
            let filename = inner.take_if("name", object::text);
            (Content::File { source, filename }, Some(NAMED))
        }),
        _ => citations::take(inner).map(|content| (content, Some(citations::mark()))),
    })
}

/// A member that the block cannot be understood without: refused in requests, and in replies `None`.
fn required<'a>(block: &mut Object<'a, '_>, name: &'static str) -> Result<Option<Text<'a>>, DialectError> {
    match block.mode {
        Mode::Strict => block.require_text(name).map(Some),
        Mode::Lenient => block.take_text(name),
    }
}

/// Whether the server calls the tool itself: such a call is nothing for others to answer.
pub(super) fn is_server_call(call: &Object<'_, '_>) -> bool {
    call.peek("type").is_some_and(|raw| raw.get() == "\"server_tool_use\"")
}

fn tool_use<'a>(inner: &mut Object<'a, '_>) -> Result<Option<Content<'a>>, DialectError> {
    if is_server_call(inner) {
        return Ok(None);
    }
    // One without an id gets it from the reply.
    let id = required(inner, "toolUseId")?.unwrap_or_default();
    let Some(name) = required(inner, "name")? else {
        return Ok(None);
    };
    let arguments = match inner.take_object("input")? {
        Some(raw) => input::arguments(raw),
        None if inner.mode == Mode::Strict => return Err(inner.place.member("input").refuse("is required")),
        // A model that wrote no object wrote this.
        None => inner.take_if("input", |raw| Some(Text::Borrowed(raw.get()))).unwrap_or_default(),
    };
    Ok(Some(Content::ToolCall(ToolCall { kind: CallKind::Function, id, name, arguments, signature: None })))
}

fn tool_result<'a>(inner: &mut Object<'a, '_>) -> Result<Option<Content<'a>>, DialectError> {
    // In a reply, it is that of a tool which the server calls itself.
    if inner.mode == Mode::Lenient {
        return Ok(None);
    }
    let Some(call_id) = required(inner, "toolUseId")? else {
        return Ok(None);
    };
    let (blocks, spelling) = take_result(inner)?;
    // That a call went well is said by saying nothing: not every model takes the word for it.
    let is_error = inner.take_if("status", |raw| (raw.get() == "\"error\"").then_some(true));
    let result = ToolResult { kind: CallKind::Function, call_id, name: None, blocks, spelling, is_error };
    Ok(Some(Content::ToolResult(result)))
}

fn reasoning<'a>(inner: &mut Object<'a, '_>) -> Found<'a> {
    if let Some(data) = inner.peek("redactedContent").and_then(object::text) {
        if inner.has("reasoningText") {
            return None;
        }
        inner.forget("redactedContent");
        return Some((Content::Reasoning(Reasoning { redacted: Some(data), ..Reasoning::default() }), Some(UNSIGNED)));
    }
    let reasoning = inner.take_if("reasoningText", |raw| {
        let mut said = Object::lenient(raw)?;
        let text = said.take_if("text", object::text)?;
        let signature = said.take_if("signature", object::text);
        said.is_spent().then_some(Reasoning { text, signature, ..Reasoning::default() })
    })?;
    let mark = reasoning.signature.is_none().then_some(UNSIGNED);
    Some((Content::Reasoning(reasoning), mark))
}
