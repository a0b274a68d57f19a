//! Pictures that the model made. OpenAI's messages have no place for them; OpenRouter's `images`, beside the content, is
//! the one that clients already read.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::parts;
use crate::dialects::message::{Block, Content, Extras, Json, Spelling, Turn};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

pub(super) const FIELD: &str = "images";

/// Takes the pictures of a message, where all of them can be read.
pub(super) fn take<'a>(message: &mut Object<'a, '_>, blocks: &mut Vec<Block<'a>>) {
    let found = message.take_if(FIELD, |raw| {
        let pictures: Option<Vec<_>> = object::list(raw)?.into_iter().map(picture).collect();
        pictures.filter(|pictures| !pictures.is_empty())
    });
    blocks.extend(found.into_iter().flatten());
}

pub(super) fn picture(raw: &RawValue) -> Option<Block<'_>> {
    let mut entry = Object::lenient(raw)?;
    entry.take_if("type", |raw| (raw.get() == "\"image_url\"").then_some(()))?;
    let mut rest = None;
    let mut block = Block::new(entry.take_if("image_url", |raw| parts::image(DIALECT, raw, &mut rest))?);
    block.extras = entry.into_extras(DIALECT);
    block.extras.extend(rest);
    block.extras.mark(DIALECT, FIELD, Json::null());
    Some(block)
}

/// Whether a picture of this turn stands beside the content and not in it, where some servers put it.
pub(super) fn is_beside(block: &Block<'_>, turn: &Turn<'_>, in_reply: bool) -> bool {
    let Content::Image { source, .. } = &block.content else {
        return false;
    };
    let made = in_reply && turn.spelling != Spelling::Structured && !source.is_stored();
    made || block.extras.marked(DIALECT, FIELD).is_some()
}

/// Writes the pictures among these blocks.
pub(super) fn write(message: &mut Members<'_>, turn: &Turn<'_>, in_reply: bool) {
    let pictures: Vec<_> = turn.blocks.iter().filter(|block| is_beside(block, turn, in_reply)).collect();
    if !pictures.is_empty() {
        message.list(FIELD, pictures, |out, block| write_one(out, &block.content, None, &block.extras));
    }
}

/// Writes one; in a stream, under its number.
pub(super) fn write_one(out: &mut Buffer, content: &Content<'_>, number: Option<u64>, extras: &Extras<'_>) {
    output::object(out, |entry| {
        if let Content::Image { source, detail } = content {
            parts::write_image(DIALECT, entry, source, detail.as_deref(), extras);
        }
        entry.whole_if("index", number);
        entry.extras(DIALECT, extras);
    });
}
