//! What an answer leans on: `groundingMetadata` and `citationMetadata`, read as citations and made from them.
//!
//! Both say more than citations can, so they stay among the extras whole, and what Gemini itself said is said again from
//! there. The surprise: Google's positions count bytes of a part, neutral ones characters.

use std::ops::Range;

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Block, Citation, Content, Extras};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Members};

const GROUNDING: &str = "groundingMetadata";
const CITATION: &str = "citationMetadata";

/// What a candidate said, and from which byte on it is the text that its citations hang on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spoken<'t> {
    pub(super) text: &'t str,
    pub(super) from: usize,
}

impl Spoken<'_> {
    /// The characters, of the text that citations hang on, at these bytes of all that was said. Some servers count from
    /// where that text begins: what is cited tells, or that it is a `later` part. `None` for what lies elsewhere.
    fn characters(self, bytes: Range<usize>, cited: Option<&str>, later: bool) -> Option<(u64, u64)> {
        let last = self.text.get(self.from..)?;
        let holds = |text: &str| cited.is_some_and(|cited| text.get(bytes.clone()) == Some(cited));
        let counts_anew = if later { holds(last) || !holds(self.text) } else { holds(last) && !holds(self.text) };
        let from = if counts_anew { 0 } else { self.from };
        let (start, end) = (bytes.start.checked_sub(from)?, bytes.end.checked_sub(from)?);
        if start > end || end > last.len() {
            return None;
        }
        let characters = |mut at: usize| {
            while !last.is_char_boundary(at) {
                at -= 1;
            }
            last.get(..at).unwrap_or_default().chars().count() as u64
        };
        Some((characters(start), characters(end)))
    }
}

/// What the text of a part was, and from which byte of all text on; `None` for parts that are none.
pub(super) type PartText<'t> = Option<Spoken<'t>>;

/// The citations of a candidate with their positions in what it said, each behind the number of the part that it is about
/// where one of `parts` is named: Google leaves out a zero, and counts over all of them there.
pub(super) fn of<'a>(
    candidate: &Object<'a, '_>,
    spoken: Option<Spoken<'_>>,
    parts: &[PartText<'_>],
) -> Vec<(Option<usize>, Citation<'a>)> {
    let mut citations = Vec::new();
    if let Some(mut metadata) = candidate.peek(GROUNDING).and_then(Object::lenient) {
        let list = |metadata: &mut Object<'a, '_>, name| metadata.take_if(name, object::list).unwrap_or_default();
        let chunks: Vec<_> = list(&mut metadata, "groundingChunks").into_iter().map(source).collect();
        let mut leaned_on = vec![false; chunks.len()];
        for mut support in list(&mut metadata, "groundingSupports").into_iter().filter_map(Object::lenient) {
            let segment = support.take_if("segment", Object::lenient);
            let indices = support.take_if("groundingChunkIndices", object::list).unwrap_or_default();
            let (part, positions) = segment.map(|segment| positioned(segment, spoken, parts)).unwrap_or_default();
            for index in indices.into_iter().filter_map(object::whole).filter_map(|index| usize::try_from(index).ok()) {
                let Some(Some(chunk)) = chunks.get(index) else { continue };
                if let Some(leaned_on) = leaned_on.get_mut(index) {
                    *leaned_on = true;
                }
                let (url, title) = (chunk.url.clone(), chunk.title.clone());
                citations.push((part, Citation { url, title, ..positions.clone() }));
            }
        }
        let others = chunks.into_iter().zip(leaned_on).filter(|(_, leaned_on)| !leaned_on);
        citations.extend(others.filter_map(|(chunk, _)| Some((None, chunk?))));
    }
    if let Some(mut metadata) = candidate.peek(CITATION).and_then(Object::lenient) {
        for name in ["citationSources", "citations"] {
            let sources = metadata.take_if(name, object::list).unwrap_or_default();
            for mut source in sources.into_iter().filter_map(Object::lenient) {
                let (url, title) = (source.take_if("uri", object::text), source.take_if("title", object::text));
                if url.is_some() || title.is_some() {
                    let (part, positions) = positioned(source, spoken, parts);
                    citations.push((part, Citation { url, title, ..positions }));
                }
            }
        }
    }
    citations
}

/// `{"web":{uri,title}}`, and the same of maps or of what was retrieved.
fn source(raw: &RawValue) -> Option<Citation<'_>> {
    let chunk = Object::lenient(raw)?;
    let mut inner = ["web", "retrievedContext", "maps"].iter().find_map(|kind| Object::lenient(chunk.peek(kind)?))?;
    let (url, title) = (inner.take_if("uri", object::text), inner.take_if("title", object::text));
    Some(Citation { url, title, ..Citation::default() })
}

fn positioned<'a>(
    mut segment: Object<'a, '_>,
    spoken: Option<Spoken<'_>>,
    parts: &[PartText<'_>],
) -> (Option<usize>, Citation<'a>) {
    let mut at = |name: &str| usize::try_from(segment.take_if(name, object::whole)?).ok();
    // A start of zero is left out.
    let (start, end) = (at("startIndex").unwrap_or(0), at("endIndex"));
    let later = at("partIndex").filter(|part| *part > 0);
    let cited_text = segment.take_if("text", object::text);
    let named = later.and_then(|part| Some((part, (*parts.get(part)?)?)));
    let spoken = named.map(|(_, spoken)| spoken).or(spoken);
    let place =
        end.zip(spoken).and_then(|(end, spoken)| spoken.characters(start..end, cited_text.as_deref(), later.is_some()));
    let (start_index, end_index) = place.unzip();
    (named.map(|(part, _)| part), Citation { cited_text, start_index, end_index, ..Citation::default() })
}

/// Whether a candidate says what it leans on.
pub(super) fn stand_in(candidate: &Object<'_, '_>) -> bool {
    [GROUNDING, CITATION].iter().any(|name| candidate.peek(name).is_some())
}

/// Whether the candidate said itself what it leans on.
pub(super) fn are_said(extras: &Extras<'_>) -> bool {
    [GROUNDING, CITATION].iter().any(|name| extras.get(DIALECT, name).is_some())
}

/// The citations of the text among `blocks`, each with the place of its part and with that text.
pub(super) fn among<'b>(blocks: &'b [Block<'b>]) -> Vec<(&'b Citation<'b>, Option<(usize, &'b str)>)> {
    let parts = blocks.iter().filter(|block| super::parts::is_part(block)).enumerate();
    let cited = parts.filter_map(|(part, block)| match &block.content {
        Content::Text { text, citations } => Some((part, text.as_ref(), citations)),
        _ => None,
    });
    let shown = |(part, text, citations): (usize, &'b str, &'b Vec<Citation<'b>>)| {
        citations.iter().filter(|one| one.is_shown()).map(move |one| (one, Some((part, text))))
    };
    cited.flat_map(shown).collect()
}

/// Writes `groundingMetadata`: one chunk for each citation, and what it is about where that is known.
pub(super) fn write(candidate: &mut Members<'_>, citations: &[(&Citation<'_>, Option<(usize, &str)>)]) {
    if citations.is_empty() {
        return;
    }
    candidate.object(GROUNDING, |metadata| {
        metadata.list("groundingChunks", citations, |out, (citation, _)| {
            output::object(out, |chunk| {
                chunk.object("web", |web| {
                    web.text_if("uri", citation.url.as_deref());
                    web.text_if("title", citation.title.as_deref());
                });
            });
        });
        let about = citations.iter().enumerate().filter(|(_, (citation, place))| {
            citation.cited_text.is_some() || (citation.end_index.is_some() && place.is_some())
        });
        metadata.list("groundingSupports", about, |out, (index, (citation, place))| {
            output::object(out, |support| {
                support.object("segment", |segment| write_segment(segment, citation, *place));
                support.list("groundingChunkIndices", [index], |out, index| {
                    out.extend_from_slice(index.to_string().as_bytes());
                });
            });
        });
    });
}

fn write_segment(segment: &mut Members<'_>, citation: &Citation<'_>, place: Option<(usize, &str)>) {
    if let Some((part, text)) = place {
        let bytes = |characters: Option<u64>| {
            let characters = usize::try_from(characters?).ok()?;
            Some(text.chars().take(characters).map(char::len_utf8).sum::<usize>() as u64)
        };
        segment.whole_if("partIndex", (part > 0).then_some(part as u64));
        segment.whole_if("startIndex", bytes(citation.start_index));
        segment.whole_if("endIndex", bytes(citation.end_index));
    }
    segment.text_if("text", citation.cited_text.as_deref());
}
