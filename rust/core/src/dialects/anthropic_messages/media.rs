//! Where the bytes of images and documents are, both ways.
//!
//! The surprise: a text document carries its text as it is, and every other dialect carries bytes, so the text crosses as
//! base64.

use crate::dialects::raw::RawValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DIALECT;
use crate::dialects::message::{Extra, Extras, MediaSource, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::Members;

const PLAIN_TEXT: &str = "text/plain";

pub(super) const SOURCE: &str = "source";

/// `None` for a source that the neutral form cannot hold. What it says beside goes into `rest`.
pub(super) fn source<'a>(raw: &'a RawValue, document: bool, rest: &mut Option<Extra<'a>>) -> Option<MediaSource<'a>> {
    let mut source = Object::lenient(raw)?;
    let kind = source.take_if("type", object::text)?;
    let found = match kind.as_ref() {
        "base64" => MediaSource::Base64 {
            media_type: source.take_if("media_type", object::text)?,
            data: source.take_if("data", object::text)?,
        },
        "url" => MediaSource::Url(source.take_if("url", object::text)?),
        "file" => MediaSource::FileId(source.take_if("file_id", object::text)?),
        "text" if document => {
            let media_type = source.take_if("media_type", object::text).filter(|kind| kind == PLAIN_TEXT)?;
            let text = source.take_if("data", object::text)?;
            MediaSource::Base64 { media_type, data: STANDARD.encode(text.as_bytes()).into() }
        }
        _ => return None,
    };
    // A document of text that says it is base64 could not be told from one that does not.
    let ambiguous = document && kind == "base64" && plain_text(&found).is_some();
    if ambiguous {
        return None;
    }
    *rest = (!source.is_empty()).then(|| source.into_rest(DIALECT, SOURCE));
    Some(found)
}

/// The text of a source that is nothing but text.
fn plain_text<'s>(source: &'s MediaSource<'_>) -> Option<Text<'s>> {
    match source {
        MediaSource::Base64 { media_type, data } if media_type.starts_with("text/") => {
            String::from_utf8(STANDARD.decode(data.as_bytes()).ok()?).ok().map(Text::Owned)
        }
        _ => None,
    }
}

pub(super) fn write(block: &mut Members<'_>, source: &MediaSource<'_>, document: bool, extras: &Extras<'_>) {
    block.object(SOURCE, |members| {
        write_source(members, source, document);
        members.rest_of(SOURCE, DIALECT, extras);
    });
}

fn write_source(members: &mut Members<'_>, source: &MediaSource<'_>, document: bool) {
    let text = if document { plain_text(source) } else { None };
    match (text, source) {
        (Some(text), _) => {
            members.text("type", "text");
            members.text("media_type", PLAIN_TEXT);
            members.text("data", &text);
        }
        (None, MediaSource::Base64 { media_type, data }) => {
            members.text("type", "base64");
            members.text("media_type", media_type);
            members.text("data", data);
        }
        (None, MediaSource::Url(url)) => {
            members.text("type", "url");
            members.text("url", url);
        }
        (None, MediaSource::FileId(id)) => {
            members.text("type", "file");
            members.text("file_id", id);
        }
    }
}
