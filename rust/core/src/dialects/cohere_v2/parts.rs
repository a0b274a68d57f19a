//! The content of a message: a string, or a list of parts, both ways.
//!
//! A part that is not exactly what the neutral form can hold stays as it is, in its place, as an opaque block.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::parts;
use crate::dialects::message::{Block, Content, Extra, Json, Reasoning, Spelling, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// Under this name, an extra of a text says that it is a document, and holds what the document says beside its data.
const DOCUMENT: &str = "document";

/// The mark of reasoning that was a part here. It is refused where its model does not think, so other dialects' reasoning
/// is told as a plan where there can be one.
pub(super) const THINKING: &str = "thinking";

/// Takes `content` of a message.
pub(super) fn take_content<'a>(message: &mut Object<'a, '_>) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    parts::take_content(message, parse_part)
}

fn parse_part<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let opaque = || Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) });
    let Some((mut part, kind)) = parts::open(raw, place, mode)? else {
        return Ok(opaque());
    };
    let plain = |text| Content::Text { text, citations: Vec::new() };
    let (mut document, mut rest) = (None, None);
    let content = match kind.as_ref() {
        "text" => take_string(&mut part, "text")?.map(plain),
        THINKING => {
            take_string(&mut part, THINKING)?.map(|text| Content::Reasoning(Reasoning { text, ..Reasoning::default() }))
        }
        "image_url" => part.take_if("image_url", |raw| parts::image(DIALECT, raw, &mut rest)),
        "document" => part.take_if("document", parse_document).map(|(text, rest)| {
            document = Some(rest);
            plain(text)
        }),
        _ => None,
    };
    let Some(content) = content else {
        return Ok(opaque());
    };
    let mut block = Block { content, cache_mark: None, extras: part.into_extras(DIALECT) };
    block.extras.extend(document.into_iter().chain(rest));
    if let Content::Reasoning(_) = block.content {
        let value = Json::written(b"true".to_vec());
        block.extras.push(Extra { dialect: DIALECT, name: THINKING.into(), value });
    }
    Ok(block)
}

fn take_string<'a>(part: &mut Object<'a, '_>, name: &'static str) -> Result<Option<Text<'a>>, DialectError> {
    match part.mode {
        Mode::Strict => part.require_text(name).map(Some),
        Mode::Lenient => part.take_text(name),
    }
}

/// A document is its data, as JSON text. Data that is a string is said as that string and also stays as it is, since
/// nothing tells it from an object later.
fn parse_document(raw: &RawValue) -> Option<(Text<'_>, Extra<'_>)> {
    let mut document = Object::lenient(raw)?;
    let data = document.peek("data")?;
    let text = if data.get().starts_with('{') {
        document.forget("data");
        Text::Borrowed(data.get())
    } else {
        object::text(data)?
    };
    Some((text, document.into_rest(DIALECT, DOCUMENT)))
}

/// Whether a block is written among the content of a message.
pub(super) fn is_part(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::Refusal { .. } => true,
        Content::Image { source, .. } => source.to_url().is_some(),
        Content::Reasoning(reasoning) => reasoning.redacted.is_none() && !super::message::is_plan(block),
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        Content::Audio { .. } | Content::File { .. } | Content::ToolCall(_) | Content::ToolResult(_) => false,
    }
}

/// Writes `content`: a string where nothing would be lost by that, else parts.
pub(super) fn write_content(message: &mut Members<'_>, parts: &[&Block<'_>], spelling: Spelling) {
    let is_bare = |part: &Block<'_>| part.extras.of(DIALECT).next().is_none();
    parts::write_content(message, parts, spelling, is_bare, write_part);
}

pub(super) fn write_part(out: &mut Buffer, block: &Block<'_>) {
    if let Content::Opaque { raw, .. } = &block.content {
        return output::raw(out, raw.as_str());
    }
    output::object(out, |part| {
        match &block.content {
            Content::Text { text, .. } => match block.extras.get(DIALECT, DOCUMENT) {
                Some(rest) => write_document(part, text, rest, block),
                None => write_text(part, text),
            },
            Content::Refusal { text, .. } => write_text(part, text),
            Content::Reasoning(reasoning) => {
                part.text("type", THINKING);
                part.text(THINKING, &reasoning.text);
            }
            Content::Image { source, detail } => {
                parts::write_image(DIALECT, part, source, detail.as_deref(), &block.extras);
            }
            _ => {}
        }
        part.extras(DIALECT, &block.extras);
    });
}

fn write_text(part: &mut Members<'_>, text: &str) {
    part.text("type", "text");
    part.text("text", text);
}

fn write_document(part: &mut Members<'_>, text: &str, rest: &Json<'_>, block: &Block<'_>) {
    let has_data = rest.as_raw().and_then(Object::lenient).is_some_and(|rest| rest.has("data"));
    part.text("type", "document");
    part.object(DOCUMENT, |document| {
        if !has_data {
            match Json::parse(text).filter(|data| data.as_str().starts_with('{')) {
                Some(data) => document.raw("data", data.as_str()),
                None => document.text("data", text),
            }
        }
        document.rest_of(DOCUMENT, DIALECT, &block.extras);
    });
}
