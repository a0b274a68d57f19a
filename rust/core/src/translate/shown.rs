//! Pictures, sounds and files of an answer, for clients whose dialect has no place for them: they are told in words that
//! there was one, and where it is if it has an address. A picture that nobody shows is not an answer that held none.

use crate::dialects::message::{Block, ChatReply, Content, Event, Events, MediaSource};
use crate::dialects::{Dialect, bedrock_converse, gemini};

/// Whether answers of a dialect hold this, `whole` ones or streams.
fn shows(target: Dialect, content: &Content<'_>, whole: bool) -> bool {
    let is_picture = matches!(content, Content::Image { .. });
    match content.media() {
        None => true,
        Some(MediaSource::FileId(_)) => false,
        Some(MediaSource::Url(_)) => target == Dialect::Gemini || (target == Dialect::OpenAiChat && is_picture),
        Some(source @ MediaSource::Base64 { data, .. }) => match target {
            Dialect::Gemini => gemini::is_base64(data),
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Ollama => is_picture,
            Dialect::BedrockConverse => is_picture && whole && bedrock_converse::shows(source),
            _ => false,
        },
    }
}

fn words(content: &Content<'_>) -> Option<String> {
    let kind = match content {
        Content::Image { .. } => "image",
        Content::Audio { .. } => "audio",
        _ => "file",
    };
    Some(match content.media()? {
        MediaSource::Url(url) if kind == "image" => format!("\n![image]({url})\n"),
        MediaSource::Url(url) => format!("\n[{kind}]({url})\n"),
        MediaSource::Base64 { media_type, .. } => format!("\n(here was {media_type}, which this API cannot show)\n"),
        MediaSource::FileId(_) => format!("\n(here was a stored {kind}, which this API cannot show)\n"),
    })
}

/// Says a whole answer so that `target` can show it.
pub(super) fn show(reply: &mut ChatReply<'_>, target: Dialect) {
    for choice in &mut reply.choices {
        // A draft is a thought, and no dialect but its own has pictures for thoughts.
        choice.turn.blocks.retain(|block| block.content.media().is_none() || !gemini::is_draft(block));
        for block in &mut choice.turn.blocks {
            if !shows(target, &block.content, true)
                && let Some(words) = words(&block.content)
            {
                *block = Block::text(words);
            }
        }
    }
}

/// The events that say this one so that `target` can show it.
pub(super) fn shown(event: Event<'_>, target: Dialect) -> Events<'_> {
    let mut events = Events::new();
    match &event {
        Event::Media { choice, content } if !shows(target, content, false) => {
            if let Some(words) = words(content) {
                let choice = *choice;
                events.push(Event::TextStart { choice });
                events.push(Event::TextDelta { choice, text: words.into(), logprobs: None });
                events.push(Event::TextEnd { choice });
            }
        }
        _ => events.push(event),
    }
    events
}
