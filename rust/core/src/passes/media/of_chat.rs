//! Parts for media that servers of chat have and its published schema has not.

use super::kinds;
use crate::dialects::Dialect;
use crate::dialects::message::{Block, ChatRequest, Content, Json, MediaSource, Spelling};
use crate::dialects::output::{self, Members};
use crate::passes::demands::Demands;
use crate::quirks::{Documents, Sounds};

const CHAT: Dialect = Dialect::OpenAiChat;

/// Says documents and sounds as the provider takes them, and videos of other dialects as those do that see them.
pub(in crate::passes) fn spell(request: &mut ChatRequest<'_>, source: Dialect, demands: &Demands) {
    let quirks = &demands.quirks;
    for turn in &mut request.turns {
        for block in &mut turn.blocks {
            let said = match &block.content {
                Content::File { source: from, .. } if source != CHAT && is_video(block, from) => {
                    part("video_url", |part| {
                        part.object("video_url", |video| video.text_if("url", from.to_url().as_deref()));
                    })
                }
                Content::File { source: from, filename } if quirks.documents == Documents::DocumentUrl => {
                    let Some(url) = from.to_url() else { continue };
                    part("document_url", |part| {
                        part.text("document_url", &url);
                        part.text_if("document_name", filename.as_deref());
                    })
                }
                Content::Audio { source: MediaSource::Base64 { data, .. } } if quirks.sounds == Sounds::Bare => {
                    part("input_audio", |part| part.text("input_audio", data))
                }
                _ => continue,
            };
            block.content = Content::Opaque { dialect: CHAT, raw: said };
            turn.spelling = Spelling::Structured;
        }
    }
}

fn is_video(block: &Block<'_>, source: &MediaSource<'_>) -> bool {
    match source {
        MediaSource::Base64 { media_type, .. } => media_type.starts_with("video/"),
        MediaSource::Url(url) => kinds::is_film(block, url),
        MediaSource::FileId(_) => false,
    }
}

fn part(kind: &str, fill: impl FnOnce(&mut Members<'_>)) -> Json<'static> {
    let mut out = Vec::new();
    output::object(&mut out, |part| {
        part.text("type", kind);
        fill(part);
    });
    Json::written(out)
}
