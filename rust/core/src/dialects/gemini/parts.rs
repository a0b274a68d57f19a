//! A part of a content, both ways. One that is not exactly what the neutral form can hold stays as it is, in its place.
//!
//! The surprise: a signature proves a call or a thought, and those two carry it in the neutral form. Over plain text, where
//! Google only recommends to send it back, it stays a field that no other dialect knows.

use crate::dialects::raw::RawValue;

use super::{DIALECT, ids, names, results};
use crate::dialects::message::{Block, CallKind, Content, Extra, Json, MediaSource, Reasoning, Text, ToolCall};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

/// Reads a part. A call or result without an id gets an empty one, which the whole conversation fills in.
pub(super) fn parse<'a>(raw: &'a RawValue, place: Place<'_>, mode: Mode) -> Result<Block<'a>, DialectError> {
    let opaque = || Block::new(Content::Opaque { dialect: DIALECT, raw: Json::from(raw) });
    let mut part = match Object::open(raw, place, mode) {
        Ok(part) => part,
        Err(_) if mode == Mode::Lenient => return Ok(opaque()),
        Err(error) => return Err(error),
    };
    if mode == Mode::Strict {
        names::spell(&mut part)?;
    }
    let mut rest = None;
    let content = if let Some(text) = part.take_text("text")? {
        Some(take_text(&mut part, text))
    } else if let Some(raw) = part.take_object("functionCall")? {
        Some(take_call(&mut part, raw, place.member("functionCall"), &mut rest)?)
    } else if let Some(raw) = part.take_object("functionResponse")? {
        let result = results::parse(raw, place.member("functionResponse"), mode, &mut rest)?;
        Some(Content::ToolResult(result))
    } else if let Some(raw) = part.take_object("inlineData")? {
        inline(raw, place.member("inlineData"), mode, &mut rest)?
    } else if let Some(raw) = part.take_object("fileData")? {
        file(raw, place.member("fileData"), mode, &mut rest)?
    } else {
        None
    };
    let Some(content) = content else {
        return Ok(opaque());
    };
    let mut block = Block::new(content);
    block.extras = part.into_extras(DIALECT);
    if let Some(rest) = rest {
        block.extras.push(rest);
    }
    Ok(block)
}

fn take_text<'a>(part: &mut Object<'a, '_>, text: Text<'a>) -> Content<'a> {
    let is_thought = part.take_if("thought", |raw| (raw.get() == "true").then_some(()));
    if is_thought.is_none() {
        return Content::Text { text, citations: Vec::new() };
    }
    let signature = part.take_if("thoughtSignature", object::text);
    Content::Reasoning(Reasoning { text, signature, ..Reasoning::default() })
}

fn take_call<'a>(
    part: &mut Object<'a, '_>,
    raw: &'a RawValue,
    place: Place<'_>,
    rest: &mut Option<Extra<'a>>,
) -> Result<Content<'a>, DialectError> {
    let mut inner = Object::open(raw, place, part.mode)?;
    let id = inner.take_if("id", |raw| object::text(raw).filter(|id| !id.is_empty()));
    let name = match part.mode {
        Mode::Strict => inner.require_text("name")?,
        Mode::Lenient => inner.take_text("name")?.unwrap_or_default(),
    };
    let arguments = inner.take_object("args")?.map(|args| unwrapped(args).unwrap_or(Text::Borrowed(args.get())));
    if !inner.is_empty() {
        *rest = Some(inner.into_rest(DIALECT, "functionCall"));
    }
    Ok(Content::ToolCall(ToolCall {
        kind: CallKind::Function,
        id: id.unwrap_or_default(),
        name,
        arguments: arguments.unwrap_or_default(),
        signature: part.take_text("thoughtSignature")?,
    }))
}

fn inline<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    mode: Mode,
    rest: &mut Option<Extra<'a>>,
) -> Result<Option<Content<'a>>, DialectError> {
    let mut inner = Object::open(raw, place, mode)?;
    if mode == Mode::Strict {
        names::spell(&mut inner)?;
    }
    let (Some(media_type), Some(data)) = (inner.take_text("mimeType")?, inner.take_text("data")?) else {
        return Ok(None);
    };
    let kind = media_type.clone();
    Ok(Some(media(&kind, MediaSource::Base64 { media_type, data }, inner, "inlineData", rest)?))
}

fn file<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    mode: Mode,
    rest: &mut Option<Extra<'a>>,
) -> Result<Option<Content<'a>>, DialectError> {
    let mut inner = Object::open(raw, place, mode)?;
    if mode == Mode::Strict {
        names::spell(&mut inner)?;
    }
    let Some(uri) = inner.take_text("fileUri")? else {
        return Ok(None);
    };
    // The neutral address has no type beside it, so the type stays where it is.
    let kind = inner.peek("mimeType").and_then(object::text).unwrap_or_default();
    Ok(Some(media(&kind, MediaSource::Url(uri), inner, "fileData", rest)?))
}

fn media<'a>(
    kind: &str,
    source: MediaSource<'a>,
    mut inner: Object<'a, '_>,
    name: &'static str,
    rest: &mut Option<Extra<'a>>,
) -> Result<Content<'a>, DialectError> {
    let content = match kind.split('/').next() {
        Some("image") => Content::Image { source, detail: None },
        Some("audio") => Content::Audio { source },
        _ => Content::File { source, filename: inner.take_text("displayName")? },
    };
    if !inner.is_empty() {
        *rest = Some(inner.into_rest(DIALECT, name));
    }
    Ok(content)
}

/// A proof over what is neither a call nor a thought.
const PROOF: &str = "thoughtSignature";

pub(crate) fn is_proof(extra: &Extra<'_>) -> bool {
    extra.dialect == DIALECT && extra.name == PROOF
}

/// Whether a part has a proof that no other dialect has a place for.
pub(crate) fn has_own_proof(block: &Block<'_>) -> bool {
    block.extras.get(DIALECT, PROOF).is_some()
}

/// Whether a picture is a thought on the way to another one.
pub(crate) fn is_draft(block: &Block<'_>) -> bool {
    block.extras.get(DIALECT, "thought").is_some_and(|thought| thought.as_str() == "true")
}

/// Whether bytes are said as Google's SDKs read them: they refuse a whole answer for one that is not.
pub(crate) fn is_base64(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    text.len().is_multiple_of(4) && text.len() - letters.len() < 3 && letters.bytes().all(is_letter)
}

/// A proof that is none of Google's may be anything.
fn proof(signature: Option<&str>) -> Option<&str> {
    signature.filter(|signature| is_base64(signature))
}

/// Whether a block can be said as a part.
pub(super) fn is_part(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Reasoning(reasoning) => reasoning.redacted.is_none(),
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        // An id of somebody else's file is no address of one.
        Content::Image { source, .. } | Content::Audio { source } | Content::File { source, .. } => !source.is_stored(),
        _ => true,
    }
}

/// Writes a part. `call_name` is the name of the call that a result answers.
pub(super) fn write(out: &mut Buffer, block: &Block<'_>, call_name: Option<&str>) {
    if let Content::Opaque { raw, .. } = &block.content {
        return output::raw(out, raw.as_str());
    }
    output::object(out, |part| {
        match &block.content {
            Content::Text { text, .. } | Content::Refusal { text, .. } => part.text("text", text),
            Content::Reasoning(reasoning) => {
                part.text("text", &reasoning.text);
                part.flag("thought", true);
                part.text_if("thoughtSignature", proof(reasoning.signature.as_deref()));
            }
            Content::ToolCall(call) => {
                part.object("functionCall", |inner| {
                    write_call(inner, call);
                    inner.rest_of("functionCall", DIALECT, &block.extras);
                });
                part.text_if("thoughtSignature", proof(call.signature.as_deref()));
            }
            Content::ToolResult(result) => results::write(part, result, call_name, &block.extras),
            Content::Image { source, .. } | Content::Audio { source } => write_media(part, source, None, block),
            Content::File { source, filename } => write_media(part, source, filename.as_deref(), block),
            Content::Opaque { .. } => {}
        }
        part.extras(DIALECT, &block.extras);
    });
}

fn write_call(inner: &mut Members<'_>, call: &ToolCall<'_>) {
    if !call.id.is_empty() && !ids::is_minted(&call.id) {
        inner.text("id", &call.id);
    }
    if !call.name.is_empty() {
        inner.text("name", &call.name);
    }
    if let Some(args) = args_of(&call.arguments) {
        inner.raw("args", &args);
    }
}

/// The one argument of a call whose arguments are no JSON object: free text, or what a model left unfinished. Google's
/// clients refuse anything but an object; under this name we know it again.
const UNPARSED: &str = "__unparsed_arguments";

fn unwrapped(args: &RawValue) -> Option<Text<'_>> {
    let mut args = Object::lenient(args)?;
    let text = args.take_if(UNPARSED, object::text)?;
    (args.is_empty() && !text.trim_ascii().is_empty() && !results::is_object(&text)).then_some(text)
}

/// Arguments as an object; `None` where there are none.
fn args_of(arguments: &str) -> Option<Text<'_>> {
    if matches!(arguments.trim_ascii(), "" | "null") {
        return None;
    }
    if results::is_object(arguments) {
        return Some(Text::Borrowed(arguments.trim_ascii()));
    }
    let mut out = Buffer::new();
    output::object(&mut out, |args| args.text(UNPARSED, arguments));
    Some(String::from_utf8(out).unwrap_or_default().into())
}

fn write_media(part: &mut Members<'_>, source: &MediaSource<'_>, filename: Option<&str>, block: &Block<'_>) {
    match source {
        MediaSource::Base64 { media_type, data } => part.object("inlineData", |inner| {
            inner.text("mimeType", media_type);
            inner.text("data", data);
            inner.text_if("displayName", filename);
            inner.rest_of("inlineData", DIALECT, &block.extras);
        }),
        MediaSource::Url(uri) => part.object("fileData", |inner| {
            inner.text("fileUri", uri);
            inner.text_if("displayName", filename);
            inner.rest_of("fileData", DIALECT, &block.extras);
        }),
        MediaSource::FileId(_) => {}
    }
}
