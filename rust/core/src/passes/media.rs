//! Images, sound, video, documents, and whatever else a user sends to be read: what a model cannot be told of it is refused,
//! because an answer without it would be one to another question.
//!
//! The rule: only what the model itself made before, and nobody else can make again, may be left out and named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::Medium;
use super::demands::{Demands, Losses, refusal};
use crate::dialects::message::{Block, ChatRequest, Content, Json, MediaSource, Origin, Role, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::{Dialect, DialectError};

/// What a dialect has a place for, and whether it takes an address in it.
fn by_dialect(dialect: Dialect) -> (&'static [Medium], bool) {
    match dialect {
        Dialect::AnthropicMessages => (&[Medium::Image, Medium::Pdf], true),
        Dialect::CohereV2 => (&[Medium::Image], true),
        Dialect::Ollama => (&[Medium::Image], false),
        Dialect::BedrockConverse => (&[Medium::Image, Medium::Audio, Medium::Pdf], false),
        Dialect::OpenAiResponses => (&[Medium::Image, Medium::Audio, Medium::Pdf], true),
        _ => (&[Medium::Image, Medium::Audio, Medium::Video, Medium::Pdf], true),
    }
}

pub(super) fn check(request: &ChatRequest<'_>, source: Dialect, demands: &Demands) -> Result<(), DialectError> {
    for (at, turn) in request.turns.iter().enumerate() {
        of_blocks(&turn.blocks, turn.place(at), turn.role, source, demands)?;
    }
    Ok(())
}

/// Says what media are. Documents of text become text where there is no place for any but PDF, and so does what only one
/// dialect has a block for and is text all the same. Pictures that came as bytes where an address belongs are bytes.
pub(super) fn settle(request: &mut ChatRequest<'_>, target: Dialect, losses: &mut Losses) {
    for (at, turn) in request.turns.iter_mut().enumerate() {
        let place = turn.place(at);
        for (index, block) in turn.blocks.iter_mut().enumerate() {
            settle_block(block, index, place, target, losses);
        }
    }
}

fn settle_block(block: &mut Block<'_>, index: usize, place: Origin, target: Dialect, losses: &mut Losses) {
    let inlines = matches!(target, Dialect::OpenAiChat | Dialect::CohereV2 | Dialect::Ollama);
    if let Content::Opaque { dialect, raw } = &block.content
        && *dialect != target
        && let Some(content) = understood(*dialect, raw, target)
    {
        if matches!(content, Content::Text { .. }) {
            losses.note(&block.place(place, index).to_string());
        }
        block.content = content;
    }
    match &mut block.content {
        Content::ToolResult(result) => {
            for (index, block) in result.blocks.iter_mut().enumerate() {
                settle_block(block, index, place, target, losses);
            }
        }
        Content::Image { source, .. } => {
            if let MediaSource::Url(text) = source
                && !text.contains(':')
            {
                *source = MediaSource::picture(std::mem::take(text));
            }
        }
        // OpenAI has a word for each of two formats, and it is not that of their type.
        Content::Audio { source: MediaSource::Base64 { media_type, .. } } if is_openai(target) => {
            match media_type.as_ref() {
                "audio/mpeg" | "audio/mpga" | "audio/x-mp3" => *media_type = "audio/mp3".into(),
                "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => *media_type = "audio/wav".into(),
                _ => {}
            }
        }
        Content::File { source: MediaSource::Base64 { media_type, data }, .. }
            if inlines && media_type.starts_with("text/") =>
        {
            let text = STANDARD.decode(data.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(text) = text {
                block.content = Content::Text { text: text.into(), citations: Vec::new() };
            }
        }
        _ => {}
    }
}

/// What some servers of a dialect have a part for, as the neutral form has it.
fn understood(dialect: Dialect, raw: &Json<'_>, target: Dialect) -> Option<Content<'static>> {
    let raw = raw.as_raw()?;
    let mut part = Object::lenient(&raw)?;
    let kind = part.take_if("type", object::text)?;
    match (dialect, kind.as_ref()) {
        (Dialect::OpenAiChat, "image_url" | "audio_url" | "document_url") => {
            let source = MediaSource::from_url(address(&mut part, &kind)?).into_owned();
            Some(match kind.as_ref() {
                "image_url" => Content::Image { source, detail: None },
                "audio_url" => Content::Audio { source },
                _ => Content::File { source, filename: None },
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
            let source = part.peek("source").and_then(Object::lenient)?;
            let is_content = source.peek("type").is_some_and(|kind| kind.get() == "\"content\"");
            let text = source.peek("content").filter(|_| is_content).and_then(texts)?;
            Some(Content::Text { text: text.into(), citations: Vec::new() })
        }
        _ => None,
    }
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

/// Whether an id of a stored file names the same file in both dialects. OpenAI keeps one store for its two.
fn share_files(source: Dialect, target: Dialect, medium: Medium) -> bool {
    let has_place = target != Dialect::OpenAiChat || medium == Medium::Pdf;
    source == target || (has_place && is_openai(source) && is_openai(target))
}

fn is_openai(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses)
}

/// Whose store an address is in that nobody else may look into.
fn store_of(url: &str) -> Option<Dialect> {
    const STORES: [(&str, Dialect); 3] = [
        ("gs:", Dialect::Gemini),
        ("https://generativelanguage.googleapis.com/", Dialect::Gemini),
        ("s3:", Dialect::BedrockConverse),
    ];
    STORES.into_iter().find(|(beginning, _)| url.starts_with(beginning)).map(|(_, dialect)| dialect)
}

fn of_blocks(
    blocks: &[Block<'_>],
    place: Origin,
    role: Role,
    source: Dialect,
    demands: &Demands,
) -> Result<(), DialectError> {
    let target = demands.dialect;
    for (at, block) in blocks.iter().enumerate() {
        let place = block.place(place, at);
        if let Content::ToolResult(result) = &block.content {
            of_blocks(&result.blocks, place, Role::Tool, source, demands)?;
        }
        let Some((medium, from)) = medium_of(block) else {
            if is_lost(block, role, target) {
                return Err(refusal(&place.to_string(), "cannot be said to this model"));
            }
            continue;
        };
        let (has_place, takes_addresses) = by_dialect(target);
        let knows = demands.capabilities.media_in.as_deref().unwrap_or(has_place);
        if !knows.contains(&medium) || (source != target && !has_place.contains(&medium)) {
            return Err(refusal(&place.to_string(), words(medium)));
        }
        let store = match from {
            MediaSource::Url(url) => store_of(url),
            _ => None,
        };
        let is_elsewhere = source != target && store.is_some_and(|store| store != target);
        if is_elsewhere || (from.is_stored() && !share_files(source, target, medium)) {
            return Err(refusal(&place.to_string(), "must not name a stored file: only its own provider has it"));
        }
        let by_address = matches!(from, MediaSource::Url(_)) && store != Some(target);
        let takes_addresses = takes_addresses && (medium != Medium::Audio || hears_addresses(source, target));
        if by_address && !demands.capabilities.media_by_url.unwrap_or(takes_addresses) {
            return Err(refusal(&place.to_string(), "must be sent as bytes: this model is not given addresses"));
        }
        if role != Role::Assistant && source != target && !target.says(block, role) {
            return Err(refusal(&place.to_string(), "is of a kind that this model does not read"));
        }
    }
    Ok(())
}

/// Whether nothing would be told of a block that only another dialect knows, and that somebody else than the model sent.
fn is_lost(block: &Block<'_>, role: Role, target: Dialect) -> bool {
    let Content::Opaque { dialect, raw } = &block.content else {
        return false;
    };
    if *dialect == target || role == Role::Assistant {
        return false;
    }
    let raw = raw.as_raw();
    let part = raw.as_deref().and_then(Object::lenient);
    // Which tools were found is told by the tools themselves.
    let of_tools = |part: &Object<'_, '_>| part.peek("type").is_some_and(|kind| kind.get() == "\"tool_reference\"");
    part.is_none_or(|part| !part.is_spent() && !of_tools(&part))
}

/// OpenAI's two dialects take sound as bytes alone.
fn hears_addresses(source: Dialect, target: Dialect) -> bool {
    source == target || !is_openai(target)
}

fn medium_of<'b>(block: &'b Block<'_>) -> Option<(Medium, &'b MediaSource<'b>)> {
    match &block.content {
        Content::Image { source, .. } => Some((Medium::Image, source)),
        Content::Audio { source } => Some((Medium::Audio, source)),
        Content::File { source, .. } => {
            let medium = match source {
                // Text is text, and every model reads it.
                MediaSource::Base64 { media_type, .. } if media_type.starts_with("text/") => return None,
                MediaSource::Base64 { media_type, .. } if media_type.starts_with("video/") => Medium::Video,
                MediaSource::Url(_) if is_film(block) => Medium::Video,
                _ => Medium::Pdf,
            };
            Some((medium, source))
        }
        _ => None,
    }
}

/// Whether the type that stands beside an address is that of a video.
fn is_film(block: &Block<'_>) -> bool {
    let rest = block.extras.get(Dialect::Gemini, "fileData").and_then(Json::as_raw);
    let kind = rest.as_deref().and_then(Object::lenient).and_then(|rest| rest.peek("mimeType"));
    kind.is_some_and(|kind| kind.get().starts_with("\"video/"))
}

fn words(medium: Medium) -> &'static str {
    match medium {
        Medium::Image => "must not be an image: this model reads none",
        Medium::Audio => "must not be audio: this model hears none",
        Medium::Video => "must not be a video: this model sees none",
        Medium::Pdf => "must not be a document: this model reads none",
    }
}
