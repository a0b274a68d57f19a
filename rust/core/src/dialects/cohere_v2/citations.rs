//! Which sources a text leans on.
//!
//! A citation has one span and any number of sources; the neutral form has one source. The sources stay whole, and the
//! first that is a document with an address or a title shows these to other dialects.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Block, Citation, Content, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

/// Moves `citations` to the texts they are about, when each of them is about a text and none would change its place.
pub(super) fn take<'a>(message: &mut Object<'a, '_>, content: &mut [Block<'a>]) {
    let found = message.take_if("citations", |raw| {
        let mut last = 0;
        let items = object::list(raw)?.into_iter().map(|raw| {
            let at = position(raw, content)?;
            let in_order = at >= last;
            last = at;
            in_order.then_some((at, parse(raw)?))
        });
        items.collect::<Option<Vec<_>>>().filter(|items| !items.is_empty())
    });
    for (at, citation) in found.into_iter().flatten() {
        if let Some(Block { content: Content::Text { citations, .. }, .. }) = content.get_mut(at) {
            citations.push(citation);
        }
    }
}

/// Where among the content the cited text is; without a `content_index`, it is the first one.
fn position(raw: &RawValue, content: &[Block<'_>]) -> Option<usize> {
    let mut citation = Object::lenient(raw)?;
    let is_text = |block: &Block<'_>| matches!(block.content, Content::Text { .. });
    match citation.take_if("content_index", object::whole) {
        Some(index) => usize::try_from(index).ok().filter(|index| content.get(*index).is_some_and(is_text)),
        None => content.iter().position(is_text),
    }
}

/// `None` for a citation of something else than the answer's text.
pub(super) fn parse(raw: &RawValue) -> Option<Citation<'_>> {
    let mut object = Object::lenient(raw)?;
    if object.peek("type").is_some_and(|raw| raw.get() != "\"TEXT_CONTENT\"") {
        return None;
    }
    let mut citation = Citation {
        start_index: object.take_if("start", object::whole),
        end_index: object.take_if("end", object::whole),
        ..Citation::default()
    };
    let sources = object.peek("sources").and_then(object::list).unwrap_or_default();
    for mut source in sources.iter().filter_map(|source| Object::lenient(source)) {
        let Some(mut document) = source.take_if("document", Object::lenient) else { continue };
        citation.url = document.take_if("url", object::text);
        citation.title = document.take_if("title", object::text);
        if citation.url.is_some() || citation.title.is_some() {
            break;
        }
    }
    if !citation.is_shown() {
        // What a tool found, and documents without a title, have an id at least.
        citation.title = sources.into_iter().find_map(|source| Object::lenient(source)?.take_if("id", object::text));
    }
    citation.extras = object.into_extras(DIALECT);
    Some(citation)
}

/// Writes `citations` of the texts among `content`, the parts in the order in which they are written.
pub(super) fn write_all(message: &mut Members<'_>, content: &[&Block<'_>]) {
    let cited = content.iter().enumerate().flat_map(|(index, block)| match &block.content {
        Content::Text { text, citations } => {
            let said = citations.iter().filter(|citation| is_said(citation));
            said.map(|citation| (index, text, citation)).collect()
        }
        _ => Vec::new(),
    });
    let cited: Vec<_> = cited.collect();
    if cited.is_empty() {
        return;
    }
    let first = content.iter().position(|block| matches!(block.content, Content::Text { .. }));
    message.list("citations", cited, |out, (index, text, citation)| {
        let content_index = (first != Some(index)).then_some(index as u64);
        write(out, citation, span(text, citation).as_deref(), content_index);
    });
}

/// Whether there is anything to say of it.
pub(super) fn is_said(citation: &Citation<'_>) -> bool {
    citation.is_shown() || citation.extras.of(DIALECT).next().is_some()
}

/// The cited piece of the answer; positions count characters.
fn span<'t>(text: &'t str, citation: &Citation<'_>) -> Option<Text<'t>> {
    let start = usize::try_from(citation.start_index?).ok()?;
    let end = usize::try_from(citation.end_index?).ok()?;
    let piece: String = text.chars().skip(start).take(end.checked_sub(start)?).collect();
    (!piece.is_empty()).then(|| piece.into())
}

pub(super) fn write(out: &mut Buffer, citation: &Citation<'_>, span: Option<&str>, content_index: Option<u64>) {
    let ours = citation.extras.of(DIALECT).next().is_some();
    output::object(out, |members| {
        members.whole_if("start", citation.start_index);
        members.whole_if("end", citation.end_index);
        if !ours {
            members.text_if("text", span);
            write_source(members, citation);
            members.whole_if("content_index", content_index);
            members.text("type", "TEXT_CONTENT");
        }
        members.extras(DIALECT, &citation.extras);
    });
}

fn write_source(members: &mut Members<'_>, citation: &Citation<'_>) {
    if citation.url.is_none() && citation.title.is_none() && citation.cited_text.is_none() {
        return;
    }
    members.list("sources", [citation], |out, citation| {
        output::object(out, |source| {
            source.text("type", "document");
            source.object("document", |document| {
                document.text_if("title", citation.title.as_deref());
                document.text_if("url", citation.url.as_deref());
                document.text_if("text", citation.cited_text.as_deref());
            });
        });
    });
}
