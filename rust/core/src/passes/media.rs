//! Images, sound, video and documents: what a model cannot read is refused, because an answer without it would be one
//! to another question.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Medium;
use super::demands::{Demands, refusal};
use crate::dialects::message::{Block, ChatRequest, Content, MediaSource};
use crate::dialects::{Dialect, DialectError};

/// What a dialect has a place for, and whether it takes an address in it.
fn by_dialect(dialect: Dialect) -> (&'static [Medium], bool) {
    match dialect {
        Dialect::AnthropicMessages => (&[Medium::Image, Medium::Pdf], true),
        Dialect::CohereV2 => (&[Medium::Image], true),
        Dialect::Ollama => (&[Medium::Image], false),
        _ => (&[Medium::Image, Medium::Audio, Medium::Video, Medium::Pdf], true),
    }
}

pub(super) fn check(request: &ChatRequest<'_>, source: Dialect, demands: &Demands) -> Result<(), DialectError> {
    for (at, turn) in request.turns.iter().enumerate() {
        of_blocks(&turn.blocks, &format!("messages[{at}]"), source, demands)?;
    }
    Ok(())
}

/// Says what media are. Documents of text become text where there is no place for any but PDF, and pictures that came as
/// bytes where an address belongs are bytes.
pub(super) fn settle(request: &mut ChatRequest<'_>, target: Dialect) {
    let inlines = matches!(target, Dialect::OpenAiChat | Dialect::CohereV2 | Dialect::Ollama);
    request.turns.iter_mut().flat_map(|turn| &mut turn.blocks).for_each(|block| settle_block(block, inlines));
}

fn settle_block(block: &mut Block<'_>, inlines: bool) {
    match &mut block.content {
        Content::ToolResult(result) => result.blocks.iter_mut().for_each(|block| settle_block(block, inlines)),
        Content::Image { source, .. } => {
            if let MediaSource::Url(text) = source
                && !text.contains(':')
            {
                *source = MediaSource::picture(std::mem::take(text));
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

/// Whether an id of a stored file names the same file in both dialects. OpenAI keeps one store for its two.
fn share_files(source: Dialect, target: Dialect, medium: Medium) -> bool {
    const OPENAI: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::OpenAiResponses];
    let has_place = target != Dialect::OpenAiChat || medium == Medium::Pdf;
    source == target || (has_place && OPENAI.contains(&source) && OPENAI.contains(&target))
}

fn of_blocks(blocks: &[Block<'_>], place: &str, source: Dialect, demands: &Demands) -> Result<(), DialectError> {
    for (at, block) in blocks.iter().enumerate() {
        let place = || format!("{place}.content[{at}]");
        if let Content::ToolResult(result) = &block.content {
            of_blocks(&result.blocks, &place(), source, demands)?;
        }
        let Some((medium, from)) = medium_of(&block.content) else {
            continue;
        };
        let (has_place, takes_addresses) = by_dialect(demands.dialect);
        let knows = demands.capabilities.media_in.as_deref().unwrap_or(has_place);
        if !knows.contains(&medium) || (source != demands.dialect && !has_place.contains(&medium)) {
            return Err(refusal(&place(), words(medium)));
        }
        if from.is_stored() && !share_files(source, demands.dialect, medium) {
            return Err(refusal(&place(), "must not name a stored file: only its own provider has it"));
        }
        let by_address = matches!(from, MediaSource::Url(url) if !url.starts_with("gs:"));
        let takes_addresses = takes_addresses && (medium != Medium::Audio || hears_addresses(source, demands.dialect));
        if by_address && !demands.capabilities.media_by_url.unwrap_or(takes_addresses) {
            return Err(refusal(&place(), "must be sent as bytes: this model is not given addresses"));
        }
    }
    Ok(())
}

/// OpenAI's two dialects take sound as bytes alone.
fn hears_addresses(source: Dialect, target: Dialect) -> bool {
    source == target || !matches!(target, Dialect::OpenAiChat | Dialect::OpenAiResponses)
}

fn medium_of<'b>(content: &'b Content<'_>) -> Option<(Medium, &'b MediaSource<'b>)> {
    match content {
        Content::Image { source, .. } => Some((Medium::Image, source)),
        Content::Audio { source } => Some((Medium::Audio, source)),
        Content::File { source, .. } => {
            let medium = match source {
                // Text is text, and every model reads it.
                MediaSource::Base64 { media_type, .. } if media_type.starts_with("text/") => return None,
                MediaSource::Base64 { media_type, .. } if media_type.starts_with("video/") => Medium::Video,
                _ => Medium::Pdf,
            };
            Some((medium, source))
        }
        _ => None,
    }
}

fn words(medium: Medium) -> &'static str {
    match medium {
        Medium::Image => "must not be an image: this model reads none",
        Medium::Audio => "must not be audio: this model hears none",
        Medium::Video => "must not be a video: this model sees none",
        Medium::Pdf => "must not be a document: this model reads none",
    }
}
