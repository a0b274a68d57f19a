//! Says what media are before anybody looks at them: what only one dialect has a word for, and what is said as one thing
//! and is another.

use crate::dialects::raw::RawValue;

use super::{is_openai, kinds};
use crate::dialects::Dialect;
use crate::dialects::message::{Block, ChatRequest, Content, Extra, Json, MediaSource, Origin, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output;
use crate::passes::demands::Losses;

const FILE_DATA: &str = "fileData";
/// Stands between a document that became text and the text beside it.
const BETWEEN: &str = "\n\n";

/// Says what media are. Documents of text become text where there is no place for any but PDF, and so does what only one
/// dialect has a block for and is text all the same. Pictures that came as bytes where an address belongs are bytes.
pub(in crate::passes) fn settle(request: &mut ChatRequest<'_>, target: Dialect, losses: &mut Losses) {
    for (at, turn) in request.turns.iter_mut().enumerate() {
        let place = turn.place(at);
        settle_blocks(&mut turn.blocks, place, target, losses);
    }
}

fn settle_blocks(blocks: &mut [Block<'_>], place: Origin, target: Dialect, losses: &mut Losses) {
    let is_text = |block: &Block<'_>| matches!(block.content, Content::Text { .. });
    let mut became = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter_mut().enumerate() {
        let was_text = is_text(block);
        settle_block(block, index, place, target, losses);
        became.push(!was_text && is_text(block));
    }
    // Many servers put the texts of a message together without anything between them.
    let texts: Vec<_> = blocks.iter().map(is_text).collect();
    let said = |at: Option<usize>, of: &[bool]| at.and_then(|at| of.get(at)).copied().unwrap_or_default();
    for (at, block) in blocks.iter_mut().enumerate() {
        let Content::Text { text, .. } = &mut block.content else { continue };
        if !said(Some(at), &became) {
            continue;
        }
        let before = at.checked_sub(1);
        if said(before, &texts) && !said(before, &became) {
            text.to_mut().insert_str(0, BETWEEN);
        }
        if said(at.checked_add(1), &texts) {
            text.to_mut().push_str(BETWEEN);
        }
    }
}

fn settle_block(block: &mut Block<'_>, index: usize, place: Origin, target: Dialect, losses: &mut Losses) {
    if let Content::Opaque { dialect, raw } = &block.content
        && *dialect != target
        && let Some(content) = understood(*dialect, raw, target)
    {
        if matches!(content, Content::Text { .. }) {
            losses.note(&block.place(place, index).to_string());
        }
        block.content = content;
    }
    if let Content::ToolResult(result) = &mut block.content {
        settle_blocks(&mut result.blocks, place, target, losses);
        return;
    }
    let is_named = matches!(block.content, Content::File { filename: Some(_), .. });
    settle_source(&mut block.content);
    block.content =
        by_type(std::mem::replace(&mut block.content, Content::Text { text: Text::default(), citations: Vec::new() }));
    if is_named && !matches!(block.content, Content::File { .. }) {
        losses.note(&format!("{}.filename", block.place(place, index)));
    }
    match &mut block.content {
        Content::Audio { source: MediaSource::Base64 { media_type, .. } } if is_openai(target) => of_openai(media_type),
        Content::File { source: MediaSource::Base64 { media_type, data }, .. } if kinds::is_text(media_type) => {
            let Some(text) = kinds::text_of(data) else { return };
            match target {
                Dialect::OpenAiChat | Dialect::CohereV2 | Dialect::Ollama => {
                    losses.note(&block.place(place, index).to_string());
                    block.content = Content::Text { text: text.into(), citations: Vec::new() };
                }
                Dialect::OpenAiResponses => {}
                _ if media_type.starts_with("text/") => {}
                _ => *media_type = "text/plain".into(),
            }
        }
        _ => {}
    }
    if target == Dialect::Gemini && block.extras.get(target, FILE_DATA).is_none() {
        let media_type = match block.content.media() {
            Some(MediaSource::Url(url)) => kinds::of_address(url),
            _ => None,
        };
        if let Some(media_type) = media_type {
            let mut rest = Vec::new();
            output::object(&mut rest, |members| members.text("mimeType", media_type));
            block.extras.push(Extra { dialect: target, name: FILE_DATA.into(), value: Json::written(rest) });
        }
    }
}

/// Bytes that stand in an address are bytes, and each has a type.
fn settle_source(content: &mut Content<'_>) {
    let (source, filename, is_picture) = match content {
        Content::Image { source, .. } => (source, None, true),
        Content::Audio { source } => (source, None, false),
        Content::File { source, filename } => (source, filename.as_deref(), false),
        _ => return,
    };
    if let MediaSource::Url(url) = source {
        if let Some(read) = kinds::of_data(url) {
            *source = read;
        } else if is_picture && !url.contains(':') {
            *source = MediaSource::picture(std::mem::take(url));
        }
    }
    if let MediaSource::Base64 { media_type, data } = source {
        kinds::spell(media_type);
        kinds::unescape(data);
        kinds::respell(data);
        if kinds::says_nothing(media_type)
            && let Some(told) = kinds::of_bytes(data, filename)
        {
            *media_type = told.into();
        }
    }
}

/// Pictures, sounds and documents are what their type says, whichever part they came in.
fn by_type(content: Content<'_>) -> Content<'_> {
    match content {
        Content::Image { source: MediaSource::Base64 { media_type, data }, .. } if is_document(&media_type) => {
            Content::File { source: MediaSource::Base64 { media_type, data }, filename: None }
        }
        Content::Image { source: MediaSource::Base64 { media_type, data }, .. }
        | Content::File { source: MediaSource::Base64 { media_type, data }, .. }
            if media_type.starts_with("audio/") =>
        {
            Content::Audio { source: MediaSource::Base64 { media_type, data } }
        }
        Content::File { source: MediaSource::Base64 { media_type, data }, .. }
            if media_type.starts_with("image/") && !kinds::is_text(&media_type) =>
        {
            Content::Image { source: MediaSource::Base64 { media_type, data }, detail: None }
        }
        other => other,
    }
}

fn is_document(media_type: &str) -> bool {
    ["application/pdf", "text/", "video/"].iter().any(|kind| media_type.starts_with(kind))
}

/// OpenAI has a word for each of two formats, and it is not that of their type. What stands behind a type is no part of the
/// word.
fn of_openai(media_type: &mut Text<'_>) {
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    if essence.len() < media_type.len() {
        *media_type = Text::Owned(essence.to_owned());
    }
    match media_type.as_ref() {
        "audio/mpeg" | "audio/mpga" | "audio/x-mp3" => *media_type = "audio/mp3".into(),
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => *media_type = "audio/wav".into(),
        _ => {}
    }
}

/// What some servers of a dialect have a part for, as the neutral form has it.
fn understood(dialect: Dialect, raw: &Json<'_>, target: Dialect) -> Option<Content<'static>> {
    let raw = raw.as_raw()?;
    let mut part = Object::lenient(raw)?;
    let kind = part.take_if("type", object::text)?;
    match (dialect, kind.as_ref()) {
        (Dialect::OpenAiChat, "image_url" | "audio_url" | "document_url") => {
            let source = MediaSource::from_url(address(&mut part, &kind)?).into_owned();
            let filename = part.take_if("document_name", object::text).map(|name| name.into_owned().into());
            Some(match kind.as_ref() {
                "image_url" => Content::Image { source, detail: None },
                "audio_url" => Content::Audio { source },
                _ => Content::File { source, filename },
            })
        }
        // Mistral has the bytes alone.
        (Dialect::OpenAiChat, "input_audio") => {
            let data = part.take_if("input_audio", object::text)?.into_owned();
            let media_type = if data.starts_with("UklG") { "audio/wav" } else { "audio/mp3" };
            Some(Content::Audio { source: MediaSource::Base64 { media_type: media_type.into(), data: data.into() } })
        }
        (Dialect::OpenAiChat, "video_url") if target == Dialect::Gemini => {
            let source = MediaSource::from_url(address(&mut part, &kind)?).into_owned();
            Some(Content::File { source, filename: None })
        }
        (Dialect::OpenAiResponses, "image_url") => {
            let source = MediaSource::from_url(address(&mut part, &kind)?).into_owned();
            Some(Content::Image { source, detail: None })
        }
        (Dialect::OpenAiChat, "file") => file(part.take_if("file", Object::lenient)?),
        (Dialect::OpenAiResponses, "input_file") => file(part),
        // What an earlier part of the conversation came to.
        (Dialect::AnthropicMessages, "compaction") => {
            let text = part.peek("content").and_then(texts)?;
            Some(Content::Text { text: text.into(), citations: Vec::new() })
        }
        (Dialect::AnthropicMessages, "search_result") => {
            let text = texts(part.peek("content")?)?;
            let heads = ["title", "source"].into_iter().filter_map(|name| part.peek(name).and_then(object::text));
            let lines: Vec<_> = heads.map(Text::into_owned).chain([text]).collect();
            Some(Content::Text { text: lines.join("\n").into(), citations: Vec::new() })
        }
        (Dialect::AnthropicMessages, "document") => {
            let mut source = part.peek("source").and_then(Object::lenient)?;
            if source.peek("type").is_some_and(|kind| kind.get() == "\"base64\"") {
                let media_type = source.take_if("media_type", object::text)?.into_owned().into();
                let data = source.take_if("data", object::text)?.into_owned().into();
                let filename = part.take_if("title", object::text).map(|title| title.into_owned().into());
                return Some(Content::File { source: MediaSource::Base64 { media_type, data }, filename });
            }
            let is_content = source.peek("type").is_some_and(|kind| kind.get() == "\"content\"");
            let text = source.peek("content").filter(|_| is_content).and_then(texts)?;
            Some(Content::Text { text: text.into(), citations: Vec::new() })
        }
        _ => None,
    }
}

/// A file of which some clients leave out what says that these are bytes.
fn file(mut file: Object<'_, '_>) -> Option<Content<'static>> {
    let filename = file.take_if("filename", object::text);
    let data = file.take_if("file_data", object::text)?;
    let source = match kinds::of_data(&data) {
        Some(source) => source,
        None if data.contains(':') => return None,
        None => {
            let media_type = kinds::of_bytes(&data, filename.as_deref())?.into();
            MediaSource::Base64 { media_type, data: data.into_owned().into() }
        }
    };
    Some(Content::File { source, filename: filename.map(|name| name.into_owned().into()) })
}

/// The address of a part, bare or in an object.
fn address<'a>(part: &mut Object<'a, '_>, name: &str) -> Option<Text<'a>> {
    part.take_if(name, |raw| object::text(raw).or_else(|| Object::lenient(raw)?.take_if("url", object::text)))
}

/// A text, or a list of nothing but texts.
fn texts(raw: &RawValue) -> Option<String> {
    if let Some(text) = object::text(raw) {
        return Some(text.into_owned());
    }
    let texts = object::list(raw)?.into_iter().map(|block| {
        let block = Object::lenient(block)?;
        let text = block.peek("text").and_then(object::text)?;
        (block.peek("type")?.get() == "\"text\"").then(|| text.into_owned())
    });
    texts.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
}
