//! The content of a message: a string, or a list of parts, both ways.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Block, Content, Extra, Extras, MediaSource, Spelling, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{Buffer, Members};
use crate::dialects::{Dialect, DialectError, Place};

/// Takes `content` of a message. Null and absence give no blocks and differ only in their spelling.
pub(crate) fn take_content<'a>(
    message: &mut Object<'a, '_>,
    parse_part: impl Fn(&'a RawValue, Place<'_>, Mode) -> Result<Block<'a>, DialectError>,
) -> Result<(Vec<Block<'a>>, Spelling), DialectError> {
    let place = message.place.member("content");
    let Some(raw) = message.peek("content") else {
        let spelling = if message.has("content") { Spelling::Plain } else { Spelling::Absent };
        message.forget("content");
        return Ok((Vec::new(), spelling));
    };
    let content = if let Some(text) = object::text(raw) {
        (vec![Block::text(text)], Spelling::Plain)
    } else if let Some(items) = object::list(raw) {
        let blocks =
            items.into_iter().enumerate().map(|(index, item)| parse_part(item, place.item(index), message.mode));
        (blocks.collect::<Result<_, _>>()?, Spelling::Structured)
    } else if message.mode == Mode::Strict {
        return Err(place.refuse("must be a string or a list of parts"));
    } else {
        return Ok((Vec::new(), Spelling::Absent));
    };
    message.forget("content");
    Ok(content)
}

/// Opens a part and takes its type. `None` in a reply for what has none: it is kept as it is.
pub(crate) fn open<'a, 'p>(
    raw: &'a RawValue,
    place: Place<'p>,
    mode: Mode,
) -> Result<Option<(Object<'a, 'p>, Text<'a>)>, DialectError> {
    let mut part = match Object::open(raw, place, mode) {
        Ok(part) => part,
        Err(_) if mode == Mode::Lenient => return Ok(None),
        Err(error) => return Err(error),
    };
    match part.take_text("type")? {
        Some(kind) => Ok(Some((part, kind))),
        None if mode == Mode::Lenient => Ok(None),
        None => Err(place.member("type").refuse("is required")),
    }
}

const IMAGE: &str = "image_url";

/// The `image_url` of a part. What nobody knows of it goes into `rest`.
pub(crate) fn image<'a>(dialect: Dialect, raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<Content<'a>> {
    let mut image = Object::lenient(raw)?;
    let source = MediaSource::from_url(image.take_if("url", object::text)?);
    let detail = image.take_if("detail", object::text);
    *rest = image.unspent(dialect, IMAGE);
    Some(Content::Image { source, detail })
}

pub(crate) fn write_image(
    dialect: Dialect,
    part: &mut Members<'_>,
    source: &MediaSource<'_>,
    detail: Option<&str>,
    extras: &Extras<'_>,
) {
    part.text("type", IMAGE);
    part.object(IMAGE, |image| {
        image.text_if("url", source.to_url().as_deref());
        image.text_if("detail", detail);
        image.rest_of(IMAGE, dialect, extras);
    });
}

/// Writes `content`: a string where nothing would be lost by that, else parts. `is_bare` tells a text that has nothing
/// beside it.
pub(crate) fn write_content(
    message: &mut Members<'_>,
    parts: &[&Block<'_>],
    spelling: Spelling,
    is_bare: impl Fn(&Block<'_>) -> bool,
    write_part: impl Fn(&mut Buffer, &Block<'_>),
) {
    let write_part = |out: &mut Buffer, part: &&Block<'_>| write_part(out, part);
    if spelling == Spelling::Structured {
        message.list("content", parts, write_part);
    } else if parts.is_empty() {
        if spelling == Spelling::Plain {
            message.null("content");
        }
    } else if let Some(text) = bare_text(parts, is_bare) {
        message.text("content", &text);
    } else {
        message.list("content", parts, write_part);
    }
}

/// Blocks that are nothing but text, joined without a separator, as the blocks of one stream would be.
fn bare_text<'b>(parts: &[&'b Block<'_>], is_bare: impl Fn(&Block<'_>) -> bool) -> Option<Text<'b>> {
    let mut joined: Option<Text<'b>> = None;
    for part in parts {
        let Content::Text { text, .. } = &part.content else {
            return None;
        };
        if !is_bare(part) {
            return None;
        }
        match &mut joined {
            None => joined = Some(Text::Borrowed(text)),
            Some(joined) => joined.to_mut().push_str(text),
        }
    }
    joined
}
