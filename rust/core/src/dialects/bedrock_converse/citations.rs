//! What a text leans on: a place on the web, in a document of the request, or in a search result.
//!
//! Positions here are those in the source, not in the text that cites it, so they have no neutral form.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Block, Citation, Content, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

/// The mark of a block that was a text and its sources together.
const CITED: &str = "citationsContent";
const LOCATION: &str = "location";
const WEB: &str = "web";
const PIECES: &str = "sourceContent";

pub(super) fn parse(raw: &RawValue) -> Option<Citation<'_>> {
    let mut citation = Object::lenient(raw)?;
    let title = citation.take_if("title", object::text);
    let cited_text = citation.take_if(PIECES, only_text);
    let place = citation.take_if(LOCATION, |raw| {
        let mut location = Object::lenient(raw)?;
        let mut web = location.take_if(WEB, Object::lenient)?;
        let url = web.take_if("url", object::text)?;
        location.is_spent().then_some((url, web))
    });
    let mut extras = citation.into_extras(DIALECT);
    let url = place.map(|(url, web)| {
        if !web.is_empty() {
            extras.push(web.into_rest(DIALECT, LOCATION));
        }
        url
    });
    Some(Citation { url, title, cited_text, start_index: None, end_index: None, extras })
}

/// The text of a list of one piece, `[{"text":…}]`.
fn only_text(raw: &RawValue) -> Option<Text<'_>> {
    let items = object::list(raw)?;
    let [only] = items.as_slice() else {
        return None;
    };
    let mut piece = Object::lenient(only)?;
    let text = piece.take_if("text", object::text)?;
    piece.is_spent().then_some(text)
}

/// Takes a text and its sources out of `citationsContent`; `None` when they are not exactly what the neutral form holds.
pub(super) fn take<'a>(inner: &mut Object<'a, '_>) -> Option<Content<'a>> {
    let text = inner.peek("content").and_then(only_text)?;
    let citations = match inner.peek("citations") {
        Some(raw) => object::list(raw)?.into_iter().map(parse).collect::<Option<Vec<_>>>()?,
        None => return None,
    };
    inner.forget("content");
    inner.forget("citations");
    Some(Content::Text { text, citations })
}

/// The text of all pieces, and those of its sources that can be read.
pub(super) fn whole<'a>(inner: &Object<'a, '_>) -> Content<'a> {
    let items = |name| inner.peek(name).and_then(object::list).unwrap_or_default();
    let piece = |raw| Object::lenient(raw)?.take_if("text", object::text);
    let text: String = items("content").into_iter().filter_map(piece).collect();
    Content::Text { text: text.into(), citations: items("citations").into_iter().filter_map(parse).collect() }
}

/// Whether a text goes out together with sources.
pub(super) fn cites(citations: &[Citation<'_>], block: &Block<'_>) -> bool {
    !citations.is_empty() || block.extras.marked(DIALECT, CITED).is_some()
}

pub(super) const fn mark() -> &'static str {
    CITED
}

/// Whether there is anything to say of it: a source needs a name or an address, or is one of ours.
pub(super) fn has_words(citation: &Citation<'_>) -> bool {
    citation.url.is_some() || citation.title.is_some() || citation.extras.of(DIALECT).next().is_some()
}

/// Writes a text and its sources; what stands beside them is the caller's to write.
pub(super) fn write_content(members: &mut Members<'_>, text: &str, citations: &[Citation<'_>]) {
    members.list("content", [text], |out, text| output::object(out, |piece| piece.text("text", text)));
    members.list("citations", citations.iter().filter(|citation| has_words(citation)), write);
}

pub(super) fn write(out: &mut Buffer, citation: &Citation<'_>) {
    output::object(out, |members| {
        members.text_if("title", citation.title.as_deref());
        if let Some(text) = &citation.cited_text {
            members.list(PIECES, [text], |out, text| output::object(out, |piece| piece.text("text", text)));
        }
        if let Some(url) = &citation.url {
            members.object(LOCATION, |location| {
                location.object(WEB, |web| {
                    web.text("url", url);
                    web.rest_of(LOCATION, DIALECT, &citation.extras);
                });
            });
        }
        members.extras(DIALECT, &citation.extras);
    });
}
