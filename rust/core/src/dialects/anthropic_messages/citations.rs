//! What a text leans on: places on the web, and places in documents of the request.
//!
//! The surprise: positions here are those in the source, not in the text that cites it, so they have no neutral form.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Citation, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

const ON_THE_WEB: &str = "web_search_result_location";

/// What the source is called, by the kind of place.
fn title_name(kind: &str) -> &'static str {
    match kind {
        "char_location" | "page_location" | "content_block_location" => "document_title",
        _ => "title",
    }
}

pub(super) fn parse(raw: &RawValue) -> Option<Citation<'_>> {
    let mut citation = Object::lenient(raw)?;
    let kind = citation.peek("type").and_then(object::text)?;
    if kind == ON_THE_WEB {
        citation.forget("type");
    }
    Some(Citation {
        url: citation.take_if("url", object::text),
        title: citation.take_if(title_name(&kind), object::text),
        cited_text: citation.take_if("cited_text", object::text),
        start_index: None,
        end_index: None,
        extras: citation.into_extras(DIALECT),
    })
}

/// Whether a citation is one of ours, to be sent back as it came: others lack what the provider checks.
pub(super) fn is_ours(citation: &Citation<'_>) -> bool {
    citation.extras.of(DIALECT).next().is_some()
}

/// Whether there is anything to say of it.
pub(super) fn has_words(citation: &Citation<'_>) -> bool {
    is_ours(citation) || citation.is_shown()
}

pub(super) fn write(out: &mut Buffer, citation: &Citation<'_>) {
    let kind = citation.extras.get(DIALECT, "type");
    let raw = kind.and_then(Json::as_raw);
    let kind = raw.and_then(object::text);
    let ours = is_ours(citation);
    output::object(out, |members| {
        if kind.is_none() {
            members.text("type", ON_THE_WEB);
        }
        let title_name = title_name(kind.as_deref().unwrap_or(ON_THE_WEB));
        members.text_if("url", citation.url.as_deref());
        members.text_if(title_name, citation.title.as_deref());
        members.text_if("cited_text", citation.cited_text.as_deref());
        if !ours {
            // The published schema has all of them.
            if citation.url.is_none() {
                members.text("url", "");
            }
            if citation.title.is_none() {
                members.null(title_name);
            }
            if citation.cited_text.is_none() {
                members.text("cited_text", "");
            }
            members.text("encrypted_index", "");
        }
        members.extras(DIALECT, &citation.extras);
    });
}
