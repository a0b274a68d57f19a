//! Sources that stand beside the choices: Perplexity's `search_results` and `citations`, of which xAI has the latter,
//! Z.ai's `web_search` and Volcengine's `references`.
//!
//! To clients of other dialects they are citations of the answer. Here they stay among the extras as they came, so a
//! citation that was one of them is marked and not written twice.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Block, Citation, Content, Json};
use crate::dialects::object::{self, Object};

/// Mark: the citation stands beside the choices.
const BESIDE: &str = "sources";
/// More than any search finds; what is beyond is not told to others.
const MOST: usize = 256;

/// The sources of a reply or a chunk: with titles, where they have them.
pub(super) fn of<'a>(document: &Object<'a, '_>) -> Vec<Citation<'a>> {
    let list = |name: &str| document.peek(name).and_then(object::list).unwrap_or_default();
    for name in ["search_results", "web_search", "references"] {
        let found: Vec<_> = list(name).into_iter().filter_map(result).take(MOST).collect();
        if !found.is_empty() {
            return found;
        }
    }
    let urls = list("citations").into_iter().filter_map(object::text);
    urls.map(|url| source(Citation { url: Some(url), ..Citation::default() })).take(MOST).collect()
}

fn result(raw: &RawValue) -> Option<Citation<'_>> {
    let mut result = Object::lenient(raw)?;
    let url = result.take_if("url", object::text).or_else(|| result.take_if("link", object::text))?;
    Some(source(Citation { url: Some(url), title: result.take_if("title", object::text), ..Citation::default() }))
}

fn source(mut citation: Citation<'_>) -> Citation<'_> {
    stay_beside(&mut citation);
    citation
}

pub(super) fn stay_beside(citation: &mut Citation<'_>) {
    citation.extras.mark(DIALECT, BESIDE, Json::null());
}

pub(super) fn is_beside(citation: &Citation<'_>) -> bool {
    citation.extras.marked(DIALECT, BESIDE).is_some()
}

/// Hangs the sources on the first text, if nothing there says what it leans on.
pub(super) fn cite<'a>(blocks: &mut [Block<'a>], sources: Vec<Citation<'a>>) {
    let text = blocks.iter_mut().find_map(|block| match &mut block.content {
        Content::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(citations) = text.filter(|citations| citations.is_empty()) {
        *citations = sources;
    }
}
