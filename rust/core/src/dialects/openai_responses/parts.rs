//! The parts of a message's content, both ways.
//!
//! The same text is `input_text` from a user and `output_text` from the model; a part of the other kind is marked. A part
//! that is not exactly what the neutral form can hold stays as it is, in its place, as an opaque block.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::chatlike::parts;
use crate::dialects::message::{Block, Citation, Content, Extra, Extras, Json, MediaSource, Spelling};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

pub(super) const INPUT_TEXT: &str = "input_text";
pub(super) const OUTPUT_TEXT: &str = "output_text";

/// Mark: this block is a part of a message and no item of its own.
pub(super) const PART: &str = "part";
const KIND: &str = "type";
/// The member that routers of several dialects take beside this one's own, and its mark: a client of this dialect said it,
/// so that its server knows it. OpenAI's refuses it.
pub(super) const CACHE: &str = "cache_control";
const AUDIO: &str = "input_audio";

pub(super) fn parse<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    mode: Mode,
    ours: &str,
) -> Result<Block<'a>, DialectError> {
    let opaque = || {
        let mut block = Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) });
        block.extras.mark(DIALECT, PART, Json::null());
        block
    };
    let Some((mut part, kind)) = parts::open(raw, place, mode)? else {
        return Ok(opaque());
    };
    let is_text = matches!(kind.as_ref(), INPUT_TEXT | OUTPUT_TEXT | "text");
    if is_text && mode == Mode::Strict && part.peek("text").is_none_or(|raw| object::text(raw).is_none()) {
        return Err(place.member("text").refuse("must be a string"));
    }
    let mut rest = None;
    let content = match kind.as_ref() {
        _ if is_text => part.take_if("text", object::text).map(|text| Content::Text { text, citations: Vec::new() }),
        "refusal" => {
            part.take_if("refusal", object::text).map(|text| Content::Refusal { text, spelling: Spelling::Plain })
        }
        "input_image" => take_image(&mut part),
        AUDIO => part.take_if(AUDIO, |raw| audio(raw, &mut rest)),
        "input_file" => take_file(&mut part),
        _ => None,
    };
    let Some(content) = content else {
        return Ok(opaque());
    };
    let mut block = Block { content, cache_mark: part.take_json(CACHE), extras: Extras::default() };
    if block.cache_mark.is_some() {
        block.extras.mark(DIALECT, CACHE, Json::null());
    }
    take_annotations(&mut part, &mut block);
    if part.peek("logprobs").and_then(object::list).is_some_and(|list| list.is_empty()) {
        part.forget("logprobs");
        block.extras.mark(DIALECT, "logprobs", Json::null());
    }
    if is_text && kind != ours {
        block.extras.mark(DIALECT, KIND, Json::quoted(&kind));
    }
    if !is_text {
        block.extras.mark(DIALECT, PART, Json::null());
    }
    part.spill(DIALECT, &mut block.extras);
    block.extras.extend(rest);
    Ok(block)
}

/// What a block says of caches, where this dialect has words for it.
pub(super) fn cache_mark<'b, 'a>(block: &'b Block<'a>) -> Option<&'b Json<'a>> {
    block.cache_mark.as_ref().filter(|_| block.extras.marked(DIALECT, CACHE).is_some())
}

fn take_annotations<'a>(part: &mut Object<'a, '_>, block: &mut Block<'a>) {
    let Content::Text { citations, .. } = &mut block.content else {
        return;
    };
    let found = part.take_if("annotations", |raw| object::list(raw)?.into_iter().map(citation).collect());
    let Some(found) = found else {
        return;
    };
    *citations = found;
    if citations.is_empty() {
        block.extras.mark(DIALECT, "annotations", Json::null());
    }
}

/// A link is understood; other annotations, which point into files, stay what they are.
pub(super) fn citation(raw: &RawValue) -> Option<Citation<'_>> {
    let mut annotation = Object::lenient(raw)?;
    let is_link = annotation.peek("type").is_none_or(|raw| raw.get() == "\"url_citation\"");
    let mut citation = Citation::default();
    if is_link {
        annotation.take_if("type", Some);
        citation.url = annotation.take_if("url", object::text);
        citation.title = annotation.take_if("title", object::text);
        citation.start_index = annotation.take_if("start_index", object::whole);
        citation.end_index = annotation.take_if("end_index", object::whole);
    }
    if !is_link {
        citation.title = annotation.peek("filename").and_then(object::text);
    }
    citation.extras = annotation.into_extras(DIALECT);
    citation.extras.mark(DIALECT, PART, Json::null());
    Some(citation)
}

/// Whether a citation is an annotation here: one of another dialect is a link, or it is none.
pub(super) fn is_annotation(citation: &Citation<'_>) -> bool {
    citation.url.is_some() || citation.extras.marked(DIALECT, PART).is_some()
}

/// One of another dialect may leave out title and place; the schema requires all. Without a place it is about all the
/// text, which has `length` characters.
pub(super) fn write_citation(out: &mut Buffer, citation: &Citation<'_>, length: usize) {
    let ours = citation.extras.marked(DIALECT, PART).is_some();
    let or = |known: Option<u64>, otherwise: u64| known.or((!ours).then_some(otherwise));
    output::object(out, |annotation| {
        if citation.extras.get(DIALECT, "type").is_none() {
            annotation.text("type", "url_citation");
        }
        annotation.text_if("url", citation.url.as_deref());
        // What is no link has its name where it came from.
        let title = citation.title.as_deref().filter(|_| citation.extras.get(DIALECT, "type").is_none());
        annotation.text_if("title", title.or((!ours).then_some("")));
        annotation.whole_if("start_index", or(citation.start_index, 0));
        annotation.whole_if("end_index", or(citation.end_index, length as u64));
        annotation.extras(DIALECT, &citation.extras);
    });
}

fn take_image<'a>(part: &mut Object<'a, '_>) -> Option<Content<'a>> {
    let detail = part.take_if("detail", object::text);
    let source = match part.take_if("image_url", object::text) {
        Some(url) => MediaSource::from_url(url),
        None => MediaSource::FileId(part.take_if("file_id", object::text)?),
    };
    Some(Content::Image { source, detail })
}

fn audio<'a>(raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<Content<'a>> {
    let mut audio = Object::lenient(raw)?;
    let data = audio.take_if("data", object::text)?;
    let format = audio.take_if("format", object::text)?;
    let source = MediaSource::Base64 { media_type: format!("audio/{format}").into(), data };
    *rest = audio.unspent(DIALECT, AUDIO);
    Some(Content::Audio { source })
}

fn take_file<'a>(part: &mut Object<'a, '_>) -> Option<Content<'a>> {
    let filename = part.take_if("filename", object::text);
    let source = if let Some(id) = part.take_if("file_id", object::text) {
        MediaSource::FileId(id)
    } else if let Some(url) = part.take_if("file_url", object::text) {
        MediaSource::Url(url)
    } else {
        // What is no `data:` address was not understood: it must not come back as `file_url`.
        let data = part.take_if("file_data", |raw| {
            let source = MediaSource::from_url(object::text(raw)?);
            matches!(source, MediaSource::Base64 { .. }).then_some(source)
        });
        data?
    };
    Some(Content::File { source, filename })
}

/// How to write a text part: under which type, and with all that the published schema requires of a reply.
#[derive(Clone, Copy)]
pub(super) struct Dress<'d> {
    pub(super) text: &'static str,
    pub(super) complete: bool,
    /// The list of the choice's log probabilities, for the part it belongs to.
    pub(super) logprobs: Option<&'d str>,
}

pub(super) fn write(out: &mut Buffer, block: &Block<'_>, dress: Dress<'_>) {
    if let Content::Opaque { raw, .. } = &block.content {
        return output::raw(out, raw.as_str());
    }
    output::object(out, |part| {
        match &block.content {
            Content::Text { text, citations } => write_text(part, block, text, citations, dress),
            Content::Refusal { text, .. } => {
                part.text("type", "refusal");
                part.text("refusal", text);
            }
            Content::Image { source, detail } => {
                part.text("type", "input_image");
                match source {
                    MediaSource::FileId(id) => part.text("file_id", id),
                    _ => part.text_if("image_url", source.to_url().as_deref()),
                }
                // What our own clients leave out stays so; the schema of the others' form requires it.
                let ours = block.extras.marked(DIALECT, PART).is_some();
                part.text_if("detail", detail.as_deref().or((!ours).then_some("auto")));
            }
            Content::Audio { source } => {
                part.text("type", AUDIO);
                part.object(AUDIO, |audio| {
                    write_audio(audio, source);
                    audio.rest_of(AUDIO, DIALECT, &block.extras);
                });
            }
            Content::File { source, filename } => {
                part.text("type", "input_file");
                part.text_if("filename", filename.as_deref());
                match source {
                    MediaSource::FileId(id) => part.text("file_id", id),
                    MediaSource::Url(url) => part.text("file_url", url),
                    MediaSource::Base64 { .. } => part.text_if("file_data", source.to_url().as_deref()),
                }
            }
            Content::Reasoning(_) | Content::ToolCall(_) | Content::ToolResult(_) | Content::Opaque { .. } => {}
        }
        part.json_if(CACHE, cache_mark(block));
        part.withhold("message");
        part.extras(DIALECT, &block.extras);
    });
}

fn write_text(part: &mut Members<'_>, block: &Block<'_>, text: &str, citations: &[Citation<'_>], dress: Dress<'_>) {
    let marked = |name| block.extras.marked(DIALECT, name);
    match marked(KIND) {
        Some(kind) => part.raw("type", kind.as_str()),
        None => part.text("type", dress.text),
    }
    part.text("text", text);
    let odd = block.extras.get(DIALECT, "annotations").is_some();
    let annotations: Vec<_> = citations.iter().filter(|citation| is_annotation(citation)).collect();
    if !annotations.is_empty() || (!odd && (dress.complete || marked("annotations").is_some())) {
        let length = text.chars().count();
        part.list("annotations", annotations, |out, citation| write_citation(out, citation, length));
    }
    if let Some(logprobs) = dress.logprobs {
        part.raw("logprobs", logprobs);
    } else if block.extras.get(DIALECT, "logprobs").is_none() && (dress.complete || marked("logprobs").is_some()) {
        part.raw("logprobs", "[]");
    }
}

fn write_audio(audio: &mut Members<'_>, source: &MediaSource<'_>) {
    if let MediaSource::Base64 { media_type, data } = source {
        audio.text("data", data);
        let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
        audio.text("format", format);
    } else {
        audio.text_if("data", source.to_url().as_deref());
    }
}
