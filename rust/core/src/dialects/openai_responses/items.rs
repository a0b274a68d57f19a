//! The items the model makes (messages, reasoning, calls) and the blocks they come to, both ways.
//!
//! One item may come to several blocks: the first of them is marked with the item's head, and what follows without a mark
//! belongs to it. Blocks of other dialects have no marks: neighbouring texts share one message.

mod write;

use crate::dialects::raw::RawValue;

use super::DIALECT;
use super::parts::{self, OUTPUT_TEXT};
use crate::dialects::message::{Block, CallKind, Content, Json, MediaSource, Reasoning, Text, ToolCall};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};
pub(super) use write::{Item, Manner, is_said, items, repeat_head, write, write_thought};

/// Mark: the block begins an item, of which this is the head.
pub(super) const ITEM: &str = "item";
/// Mark: the text stands in the item's `content`, not in its `summary`.
const CONTENT: &str = "content";
/// Mark: the lengths of the parts of a text, in bytes.
const LENGTHS: &str = "lengths";
/// Mark: the picture is an item of its own.
const PICTURE: &str = "picture";
/// What a head is made of.
const HEAD: [&str; 4] = ["type", "id", "status", "role"];

/// The type of a picture's item.
pub(crate) const MADE: &str = "image_generation_call";

/// Stands between two parts of a reasoning that are one text to others.
pub(super) const BETWEEN: &str = "\n\n";

pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Vec<Block<'a>>, DialectError> {
    let item = match Object::open(raw, place, mode) {
        Ok(item) => item,
        Err(_) if mode == Mode::Lenient => return Ok(vec![opaque(raw)]),
        Err(error) => return Err(error),
    };
    let kind = item.peek("type").and_then(object::text);
    let blocks = match kind.as_deref() {
        Some("message") => message(item)?,
        None if item.has("role") => message(item)?,
        Some("reasoning") => reasoning(item),
        Some("function_call") => call(item, CallKind::Function)?.map(|block| vec![block]),
        Some("custom_tool_call") => call(item, CallKind::Custom)?.map(|block| vec![block]),
        Some(MADE) => picture(item).map(|block| vec![block]),
        _ => None,
    };
    Ok(blocks.unwrap_or_else(|| vec![opaque(raw)]))
}

fn opaque(raw: &RawValue) -> Block<'_> {
    Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) })
}

/// Takes what identifies an item and means nothing to others.
pub(super) fn take_head(item: &mut Object<'_, '_>, text_content: bool) -> Json<'static> {
    let mut out = Buffer::new();
    output::object(&mut out, |head| {
        for name in HEAD {
            if let Some(raw) = item.take_if(name, Some) {
                head.raw(name, raw.get());
            }
        }
        if text_content {
            head.text("content", "");
        }
    });
    Json::written(out)
}

fn message<'a>(mut item: Object<'a, '_>) -> Result<Option<Vec<Block<'a>>>, DialectError> {
    let (place, mode) = (item.place, item.mode);
    let text = item.take_if("content", object::text);
    let head = take_head(&mut item, text.is_some());
    let mut blocks = if let Some(text) = text {
        vec![Block::text(text)]
    } else {
        let place = place.member("content");
        let Some(content) = item.take_list("content")? else {
            return match mode {
                Mode::Lenient => Ok(None),
                Mode::Strict => Err(place.refuse("is required")),
            };
        };
        let parts = content.into_iter().enumerate().map(|(n, raw)| parts::parse(raw, place.item(n), mode, OUTPUT_TEXT));
        parts.collect::<Result<Vec<_>, _>>()?
    };
    let Some(first) = blocks.first_mut() else {
        return Ok(None);
    };
    first.extras.mark(DIALECT, ITEM, head);
    if !item.is_empty() {
        first.extras.push(item.into_rest(DIALECT, "message"));
    }
    Ok(Some(blocks))
}

fn call<'a>(mut item: Object<'a, '_>, kind: CallKind) -> Result<Option<Block<'a>>, DialectError> {
    let input = input_of(kind);
    if item.mode == Mode::Lenient && item.peek(input).is_none_or(|raw| object::text(raw).is_none()) {
        return Ok(None);
    }
    let mut required = |name| match item.mode {
        Mode::Strict => item.require_text(name),
        Mode::Lenient => Ok(item.take_text(name)?.unwrap_or_default()),
    };
    let content = Content::ToolCall(ToolCall {
        kind,
        id: required("call_id")?,
        name: required("name")?,
        arguments: required(input)?,
        signature: None,
    });
    let head = take_head(&mut item, false);
    let mut block = Block { content, cache_mark: None, extras: item.into_extras(DIALECT) };
    block.extras.mark(DIALECT, ITEM, head);
    Ok(Some(block))
}

/// A picture that the model made: its bytes, and perhaps their format. One that is not made yet is only a name.
fn picture<'a>(mut item: Object<'a, '_>) -> Option<Block<'a>> {
    let data = item.take_if("result", |raw| object::text(raw).filter(|data| !data.is_empty()))?;
    let source = match item.peek("output_format").and_then(object::text) {
        Some(format) => MediaSource::Base64 { media_type: format!("image/{format}").into(), data },
        None => MediaSource::picture(data),
    };
    let head = take_head(&mut item, false);
    let mut block = Block::new(Content::Image { source, detail: None });
    block.extras = item.into_extras(DIALECT);
    block.extras.mark(DIALECT, ITEM, head);
    block.extras.mark(DIALECT, PICTURE, Json::null());
    Some(block)
}

/// The type of a call's item and the member its input is under.
pub(super) fn type_of(kind: CallKind) -> &'static str {
    if kind == CallKind::Custom { "custom_tool_call" } else { "function_call" }
}

pub(super) fn input_of(kind: CallKind) -> &'static str {
    if kind == CallKind::Custom { "input" } else { "arguments" }
}

/// The texts of a list of parts; `None` where one of them is more than a text.
pub(super) fn texts_of<'a>(raw: &'a RawValue, kind: &str) -> Option<Vec<Text<'a>>> {
    let parts = object::list(raw)?.into_iter().map(|raw| {
        let mut part = Object::lenient(raw)?;
        let is_ours = part.take_if("type", object::text)? == kind;
        let text = part.take_if("text", object::text)?;
        (is_ours && part.is_empty() && !text.is_empty()).then_some(text)
    });
    parts.collect()
}

/// The summary, the reasoning itself where a server shows it, and the encrypted form of both, which proves a text or, where
/// there is none, stands for it. An item with nothing of the three is only a name, and stays one.
fn reasoning<'a>(mut item: Object<'a, '_>) -> Option<Vec<Block<'a>>> {
    let take = |name, kind| match item.peek(name) {
        None => Some(Vec::new()),
        Some(raw) => texts_of(raw, kind),
    };
    let summary = take("summary", "summary_text")?;
    let content = take("content", "reasoning_text")?;
    let mut blocks = Vec::new();
    if !summary.is_empty() {
        item.forget("summary");
        blocks.push(thought(summary, true));
    }
    if !content.is_empty() {
        item.forget("content");
        let mut block = thought(content, false);
        block.extras.mark(DIALECT, CONTENT, Json::null());
        blocks.push(block);
    }
    let encrypted = item.take_if("encrypted_content", object::text);
    match (blocks.first_mut().map(|block| &mut block.content), encrypted) {
        (Some(Content::Reasoning(first)), encrypted) => first.signature = encrypted,
        (_, Some(data)) => {
            let redacted = Reasoning { redacted: Some(data), summary: true, ..Reasoning::default() };
            blocks.push(Block::new(Content::Reasoning(redacted)));
        }
        (_, None) => return None,
    }
    if item.peek("summary").and_then(object::list).is_some_and(|list| list.is_empty()) {
        item.forget("summary");
    }
    let head = take_head(&mut item, false);
    let first = blocks.first_mut()?;
    first.extras.mark(DIALECT, ITEM, head);
    item.spill(DIALECT, &mut first.extras);
    Some(blocks)
}

fn thought<'a>(texts: Vec<Text<'a>>, summary: bool) -> Block<'a> {
    let mut lengths = Buffer::new();
    output::list(&mut lengths, &texts, |out, text| output::text(out, &text.len().to_string()));
    let several = texts.len() > 1;
    let text = match <[Text<'a>; 1]>::try_from(texts) {
        Ok([text]) => text,
        Err(texts) => texts.join(BETWEEN).into(),
    };
    let mut block = Block::new(Content::Reasoning(Reasoning { text, summary, ..Reasoning::default() }));
    if several {
        block.extras.mark(DIALECT, LENGTHS, Json::written(lengths));
    }
    block
}
