//! The content of a message: a string, or a list of parts, both ways.
//!
//! A part that is not exactly what the neutral form can hold stays as it is, in its place, as an opaque block.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::parts;
use crate::dialects::message::{Block, Content, Extra, Json, MediaSource, Reasoning, ReasoningField, Spelling, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// The type of a part that is reasoning, and on a block the mark of one that was more than one text.
const THINKING: &str = "thinking";
const AUDIO: &str = "input_audio";
const FILE: &str = "file";

/// Takes `content` of a message.
pub(super) fn take_content<'a>(message: &mut Object<'a, '_>) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    parts::take_content(message, parse_part)
}

fn parse_part<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let opaque = || Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) });
    let Some((mut part, kind)) = parts::open(raw, place, mode)? else {
        return Ok(opaque());
    };
    let whole =
        part.peek(THINKING).filter(|raw| kind == THINKING && object::list(raw).is_some_and(|texts| texts.len() != 1));
    let mut rest = None;
    let content = match kind.as_ref() {
        "text" => {
            if mode == Mode::Strict && part.peek("text").is_none_or(|raw| object::text(raw).is_none()) {
                return Err(place.member("text").refuse("must be a string"));
            }
            part.take_if("text", object::text).map(|text| Content::Text { text, citations: Vec::new() })
        }
        "refusal" => {
            part.take_if("refusal", object::text).map(|text| Content::Refusal { text, spelling: Spelling::Structured })
        }
        "image_url" => part.take_if("image_url", |raw| parts::image(DIALECT, raw, &mut rest)),
        AUDIO => part.take_if(AUDIO, |raw| audio(raw, &mut rest)),
        FILE => part.take_if(FILE, |raw| file(raw, &mut rest)),
        THINKING => part.take_if(THINKING, thinking),
        _ => None,
    };
    let Some(content) = content else {
        return Ok(opaque());
    };
    let mut block = Block { content, cache_mark: part.take_json("cache_control"), extras: part.into_extras(DIALECT) };
    block.extras.extend(rest);
    if let (Some(raw), Content::Reasoning(_)) = (whole, &block.content) {
        block.extras.mark(DIALECT, THINKING, Json::from(raw));
    }
    Ok(block)
}

fn audio<'a>(raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<Content<'a>> {
    let mut audio = Object::lenient(raw)?;
    let data = audio.take_if("data", object::text)?;
    let format = audio.take_if("format", object::text)?;
    let source = MediaSource::Base64 { media_type: format!("audio/{format}").into(), data };
    *rest = audio.unspent(DIALECT, AUDIO);
    Some(Content::Audio { source })
}

fn file<'a>(raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<Content<'a>> {
    let mut file = Object::lenient(raw)?;
    let filename = file.take_if("filename", object::text);
    let source = match file.take_if("file_id", object::text) {
        Some(id) => MediaSource::FileId(id),
        None => match MediaSource::from_url(file.take_if("file_data", object::text)?) {
            // Some clients leave out what says that these are bytes.
            MediaSource::Url(data) if data.starts_with("JVBERi0") => {
                MediaSource::Base64 { media_type: "application/pdf".into(), data }
            }
            MediaSource::Url(data) if !data.contains("://") => return None,
            source => source,
        },
    };
    *rest = file.unspent(DIALECT, FILE);
    Some(Content::File { source, filename })
}

/// Mistral's reasoning: a part that holds text parts, mostly one.
fn thinking(raw: &RawValue) -> Option<Content<'_>> {
    let texts = object::list(raw)?.into_iter().map(|item| {
        let mut item = Object::lenient(item)?;
        item.take_if("type", |raw| (raw.get() == "\"text\"").then_some(()))?;
        let text = item.take_if("text", object::text)?;
        item.is_spent().then_some(text)
    });
    let texts = texts.collect::<Option<Vec<_>>>()?;
    let text = match <[Text<'_>; 1]>::try_from(texts) {
        Ok([text]) => text,
        Err(texts) => texts.concat().into(),
    };
    Some(Content::Reasoning(Reasoning { text, field: ReasoningField::ThinkingPart, ..Reasoning::default() }))
}

/// Whether a block is written among the content, or has a field of its own in the message.
pub(super) fn is_part(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::File { .. } => true,
        // There is a place for the id of a file, and none for that of a picture.
        Content::Image { source, .. } => !source.is_stored(),
        Content::Audio { source } => matches!(source, MediaSource::Base64 { .. }),
        Content::Refusal { spelling, .. } => *spelling == Spelling::Structured,
        Content::Reasoning(reasoning) => reasoning.field == ReasoningField::ThinkingPart,
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        Content::ToolCall(_) | Content::ToolResult(_) => false,
    }
}

/// Whether a block has a field of its own in the message, or is a message of its own.
pub(super) fn stands_beside(block: &Block<'_>) -> bool {
    matches!(
        block.content,
        Content::Refusal { .. } | Content::Reasoning(_) | Content::ToolCall(_) | Content::ToolResult(_)
    )
}

/// Writes `content`: a string where nothing would be lost by that, else parts.
pub(super) fn write_content(message: &mut Members<'_>, parts: &[&Block<'_>], spelling: Spelling) {
    let is_bare = |part: &Block<'_>| part.cache_mark.is_none() && part.extras.of(DIALECT).next().is_none();
    parts::write_content(message, parts, spelling, is_bare, write_part);
}

fn write_part(out: &mut Buffer, block: &Block<'_>) {
    if let Content::Opaque { raw, .. } = &block.content {
        return output::raw(out, raw.as_str());
    }
    output::object(out, |part| {
        match &block.content {
            Content::Text { text, .. } => {
                part.text("type", "text");
                part.text("text", text);
            }
            Content::Refusal { text, .. } => {
                part.text("type", "refusal");
                part.text("refusal", text);
            }
            Content::Image { source, detail } => {
                parts::write_image(DIALECT, part, source, detail.as_deref(), &block.extras);
            }
            Content::Audio { source } => {
                part.text("type", AUDIO);
                part.object(AUDIO, |audio| {
                    write_audio(audio, source);
                    audio.rest_of(AUDIO, DIALECT, &block.extras);
                });
            }
            Content::File { source, filename } => {
                part.text("type", FILE);
                part.object(FILE, |file| {
                    file.text_if("filename", filename.as_deref());
                    match source {
                        MediaSource::FileId(id) => file.text("file_id", id),
                        _ => file.text_if("file_data", source.to_url().as_deref()),
                    }
                    file.rest_of(FILE, DIALECT, &block.extras);
                });
            }
            Content::Reasoning(reasoning) => {
                part.text("type", THINKING);
                match block.extras.marked(DIALECT, THINKING) {
                    Some(texts) => part.raw(THINKING, texts.as_str()),
                    None => part.list(THINKING, [&reasoning.text], |out, text| {
                        output::object(out, |inner| {
                            inner.text("type", "text");
                            inner.text("text", text);
                        });
                    }),
                }
            }
            Content::ToolCall(_) | Content::ToolResult(_) | Content::Opaque { .. } => {}
        }
        part.json_if("cache_control", block.cache_mark.as_ref());
        part.extras(DIALECT, &block.extras);
    });
}

fn write_audio(audio: &mut Members<'_>, source: &MediaSource<'_>) {
    if let MediaSource::Base64 { media_type, data } = source {
        audio.text("data", data);
        let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
        audio.text("format", format);
    }
}
