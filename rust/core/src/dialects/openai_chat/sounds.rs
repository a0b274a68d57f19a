//! A spoken answer: `audio` of a message, with its words beside the sound.
//!
//! Only the request says in which format, so others are told what the first bytes tell. Here it goes out as it came.

use super::DIALECT;
use crate::dialects::message::{Block, Content, Extras, Json, MediaSource, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::Members;

pub(crate) const FIELD: &str = "audio";

/// Takes the sound of a reply and its words. A request names a sound by its id alone, which means nothing elsewhere.
pub(super) fn take<'a>(message: &mut Object<'a, '_>, blocks: &mut Vec<Block<'a>>) {
    if message.mode == Mode::Strict {
        return;
    }
    let found = message.take_if(FIELD, |raw| {
        let mut audio = Object::lenient(raw)?;
        let data = audio.take_if("data", object::text).filter(|data| !data.is_empty())?;
        Some((raw, data, audio.take_if("transcript", object::text).unwrap_or_default()))
    });
    let Some((raw, data, transcript)) = found else {
        return;
    };
    if !transcript.is_empty() {
        blocks.push(marked(Content::Text { text: transcript, citations: Vec::new() }, Json::null()));
    }
    let source = MediaSource::Base64 { media_type: media_type(&data).into(), data };
    blocks.push(marked(Content::Audio { source }, Json::from(raw)));
}

fn marked<'a>(content: Content<'a>, mark: Json<'a>) -> Block<'a> {
    let mut extras = Extras::default();
    extras.mark(DIALECT, FIELD, mark);
    Block { extras, ..Block::new(content) }
}

/// Without a head it is samples, of which there is one kind.
fn media_type(base64: &str) -> &'static str {
    const HEADS: [(&str, &str); 6] = [
        ("UklGR", "audio/wav"),
        ("SUQz", "audio/mp3"),
        ("//", "audio/mp3"),
        ("T2dnU", "audio/ogg"),
        ("ZkxhQ", "audio/flac"),
        ("AAAA", "audio/aac"),
    ];
    let known = HEADS.iter().find(|(head, _)| base64.starts_with(head));
    known.map_or("audio/pcm", |(_, media_type)| media_type)
}

/// Whether a block is said in this field and not among the content.
pub(super) fn is_beside(block: &Block<'_>) -> bool {
    block.extras.marked(DIALECT, FIELD).is_some()
}

pub(super) fn write(message: &mut Members<'_>, blocks: &[Block<'_>]) {
    let mut raw = blocks.iter().filter_map(|block| block.extras.marked(DIALECT, FIELD));
    if let Some(raw) = raw.find(|raw| raw.as_str() != "null") {
        message.raw(FIELD, raw.as_str());
    }
}

/// The words of a sound that comes in pieces, and whether some of the sound came with them: that has no event, because
/// pieces of it are nothing to others.
pub(super) fn piece<'a>(delta: &mut Object<'a, '_>) -> (Text<'a>, bool) {
    let Some(mut audio) = delta.take_if(FIELD, Object::lenient) else {
        return (Text::default(), false);
    };
    let sounds = audio.peek("data").and_then(object::text).is_some_and(|data| !data.is_empty());
    (audio.take_if("transcript", object::text).unwrap_or_default(), sounds)
}
