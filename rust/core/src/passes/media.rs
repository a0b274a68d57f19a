//! Images, sound, video, documents, and whatever else a user sends to be read: what a model cannot be told of it is refused,
//! because an answer without it would be one to another question.
//!
//! The rule: only what the model itself made before, and nobody else can make again, may be left out and named.

mod kinds;
mod of_chat;
mod settle;

use super::Medium;
use super::demands::{Demands, refusal};
use crate::dialects::message::{Block, ChatRequest, Content, MediaSource, Origin, Role};
use crate::dialects::object::{self, Object};
use crate::dialects::{Dialect, DialectError};
use crate::quirks::Documents;
pub(super) use of_chat::spell;
pub(super) use settle::settle;

/// Items with which clients of the Responses API answer a tool of the provider's, and which no other dialect has.
const ANSWERS: [&str; 2] = ["computer_call_output", "mcp_approval_response"];

/// What a dialect has a place for, and whether it takes an address in it.
fn by_dialect(dialect: Dialect) -> (&'static [Medium], bool) {
    match dialect {
        Dialect::AnthropicMessages | Dialect::OpenAiResponses => (&[Medium::Image, Medium::Pdf], true),
        Dialect::CohereV2 => (&[Medium::Image], true),
        Dialect::Ollama => (&[Medium::Image], false),
        Dialect::BedrockConverse => (&[Medium::Image, Medium::Audio, Medium::Pdf], false),
        Dialect::OpenAiChat => (&[Medium::Image, Medium::Audio, Medium::Pdf], true),
        _ => (&[Medium::Image, Medium::Audio, Medium::Video, Medium::Pdf], true),
    }
}

pub(super) fn check(request: &ChatRequest<'_>, source: Dialect, demands: &Demands) -> Result<(), DialectError> {
    for (at, turn) in request.turns.iter().enumerate() {
        of_blocks(&turn.blocks, turn.place(at), turn.role, source, demands)?;
    }
    Ok(())
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
        let capabilities = &demands.capabilities;
        let knows = capabilities.media_in.as_deref().unwrap_or(has_place);
        // OpenAI's chat has no part for videos. Who sees them through it has one of the same name.
        let is_film_of_chat = medium == Medium::Video && target == Dialect::OpenAiChat;
        let is_read = knows.contains(&medium) && !(medium == Medium::Pdf && reads_no_documents(source, demands));
        if !is_read || (source != target && !has_place.contains(&medium) && !is_film_of_chat) {
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
        if let MediaSource::Url(url) = from
            && source != target
            && kinds::is_data(url)
        {
            return Err(refusal(&place.to_string(), "is no whole data address"));
        }
        // Google's models look at films where they are.
        let is_fetched = |url: &str| store == Some(target) || (target == Dialect::Gemini && kinds::is_film(block, url));
        let by_address = matches!(from, MediaSource::Url(url) if !is_fetched(url));
        if by_address && !(takes(medium, source, demands) && capabilities.media_by_url.unwrap_or(takes_addresses)) {
            return Err(refusal(&place.to_string(), "must be sent as bytes: this model is not given addresses"));
        }
        let is_known = target.says(block, role) && reads_kind(block, demands);
        if role != Role::Assistant && source != target && !is_known {
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
    if *dialect == target {
        return false;
    }
    let raw = raw.as_raw();
    let part = raw.and_then(Object::lenient);
    if role == Role::Assistant {
        // Items have no role: what the client answered to the model stands among what the model made.
        let kind = part.and_then(|part| part.peek("type").and_then(object::text));
        return *dialect == Dialect::OpenAiResponses && kind.is_some_and(|kind| ANSWERS.contains(&kind.as_ref()));
    }
    // Which tools were found is told by the tools themselves.
    let of_tools = |part: &Object<'_, '_>| part.peek("type").is_some_and(|kind| kind.get() == "\"tool_reference\"");
    part.is_none_or(|part| !part.is_spent() && !of_tools(&part))
}

/// Whether media of this kind may be an address, where the dialect takes addresses at all. OpenAI's two take sound as bytes
/// alone, and its chat documents too.
fn takes(medium: Medium, source: Dialect, demands: &Demands) -> bool {
    let target = demands.dialect;
    match medium {
        _ if source == target => true,
        Medium::Audio => !is_openai(target),
        Medium::Pdf => target != Dialect::OpenAiChat || demands.quirks.documents != Documents::File,
        Medium::Image | Medium::Video => true,
    }
}

/// Whether a provider of chat reads no documents, whatever its models do elsewhere.
fn reads_no_documents(source: Dialect, demands: &Demands) -> bool {
    let none = demands.dialect == Dialect::OpenAiChat && demands.quirks.documents == Documents::None;
    none && source != demands.dialect
}

/// Whether the type of bytes is one that is read there. Whoever takes more than PDF says what it is.
fn reads_kind(block: &Block<'_>, demands: &Demands) -> bool {
    let more = demands.dialect == Dialect::OpenAiChat && demands.quirks.documents != Documents::File;
    (more && matches!(block.content, Content::File { .. })) || kinds::reads(demands.dialect, block)
}

fn medium_of<'b>(block: &'b Block<'_>) -> Option<(Medium, &'b MediaSource<'b>)> {
    match &block.content {
        Content::Image { source, .. } => Some((Medium::Image, source)),
        Content::Audio { source } => Some((Medium::Audio, source)),
        Content::File { source, .. } => {
            let medium = match source {
                // Text is text, and every model reads it.
                MediaSource::Base64 { media_type, data } if kinds::is_text(media_type) => {
                    return kinds::text_of(data).is_none().then_some((Medium::Pdf, source));
                }
                MediaSource::Base64 { media_type, .. } if media_type.starts_with("video/") => Medium::Video,
                MediaSource::Url(url) if kinds::is_film(block, url) => Medium::Video,
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
