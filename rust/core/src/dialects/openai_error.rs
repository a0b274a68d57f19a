//! Error objects as OpenAI writes them, and as everybody who speaks its dialects writes them instead.
//!
//! Reading never fails: an upstream that answers with HTML has still said that something is wrong. What is not JSON is
//! not quoted; a page may hold anything.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::message::{ErrorReply, Text};
use super::object::{self, Mode, Object};
use super::output::{self, Buffer, Members};
use super::{Dialect, Place};
use crate::cursor::is_something;

const NOT_JSON: &str = "the upstream answered with an error that is not JSON";
const NO_MESSAGE: &str = "the upstream answered with an error without a message";

pub(super) fn parse_error(dialect: Dialect, body: &[u8]) -> ErrorReply<'_> {
    let Ok(document) = object::document(body) else {
        return plain(NOT_JSON);
    };
    // Vertex wraps its error object in a list of one.
    let document = match object::list(document) {
        Some(items) => items.first().copied().unwrap_or(document),
        None => document,
    };
    match Object::open(document, Place::Document, Mode::Lenient) {
        Ok(object) => parse_document(dialect, object),
        Err(_) if document.get().starts_with('"') => plain(said(document).unwrap_or(NO_MESSAGE.into())),
        Err(_) => plain(NOT_JSON),
    }
}

/// Reads an object that is an error, or holds one under `error` or under a name that others have for it.
pub(super) fn parse_document<'a>(dialect: Dialect, mut document: Object<'a, '_>) -> ErrorReply<'a> {
    let speaks = |raw: &&RawValue| raw.get().starts_with(['{', '[', '"']) && is_something(raw.get().as_bytes());
    let found = |document: &Object<'a, '_>, names: &[&str]| sentence_in(document, names, DEPTH);
    match document.peek("error").filter(speaks) {
        // {"error": {…}}: nearly everybody. A few put the sentence beside it.
        Some(raw) if raw.get().starts_with('{') => {
            let error = Object::lenient(raw).map(|object| parse_object(dialect, within(object)));
            let error = error.unwrap_or_else(|| plain(NO_MESSAGE));
            or_said(error, || found(&document, &MESSAGES).or_else(|| found(&document, &OTHERS)))
        }
        // {"error": ["…"]}: Hugging Face.
        Some(raw) if raw.get().starts_with('[') => parse_list(dialect, raw),
        // {"error": "…", "code": "…"}: xAI, Ollama, Venice. Here `code` is a sentence about the kind of error; with a
        // `message` beside it (Spring), or a description (OAuth), `error` is.
        Some(raw) => {
            let word_of_error = said(raw);
            let message = found(&document, &MESSAGES).or_else(|| found(&document, &["error_description"]));
            let code = document.take_if("code", word);
            let status = status_of(&mut document);
            match message {
                Some(message) => ErrorReply { code: code.or(word_of_error), status, ..plain(message) },
                None => ErrorReply { code, status, ..plain(word_of_error.unwrap_or(NO_MESSAGE.into())) },
            }
        }
        // {"message": …} with or without `object: "error"`: Mistral, Cohere, DashScope, Bedrock.
        None if says(&document, &MESSAGES) => parse_object(dialect, document),
        // {"detail": …}: FastAPI servers, among them Mistral's and vLLM's.
        None if says(&document, &["detail"]) => parse_detail(&mut document),
        None => match (elsewhere(&document), document.peek("errors")) {
            (Some(object), _) => parse_object(dialect, object),
            (None, Some(errors)) if is_something(errors.get().as_bytes()) => parse_list(dialect, errors),
            _ if found(&document, &OTHERS).is_some() => parse_object(dialect, document),
            _ => plain(NO_MESSAGE),
        },
    }
}

/// Several errors: the first, with the sentences of all.
fn parse_list(dialect: Dialect, raw: &RawValue) -> ErrorReply<'_> {
    let first = object::list(raw).and_then(|errors| errors.first().copied()).and_then(Object::lenient);
    let error = first.map_or_else(|| plain(NO_MESSAGE), |first| parse_object(dialect, within(first)));
    ErrorReply { message: sentence(raw, DEPTH).unwrap_or(NO_MESSAGE.into()), ..error }
}

/// An error without a sentence of its own takes the one that stands elsewhere.
fn or_said<'a>(error: ErrorReply<'a>, elsewhere: impl FnOnce() -> Option<Text<'a>>) -> ErrorReply<'a> {
    if error.message != NO_MESSAGE {
        return error;
    }
    let message = elsewhere().unwrap_or(NO_MESSAGE.into());
    ErrorReply { message, ..error }
}

/// How deep a sentence may lie.
const DEPTH: u8 = 4;

/// A text that says something to people.
pub(super) fn said(raw: &RawValue) -> Option<Text<'_>> {
    object::text(raw).filter(|text| !text.trim().is_empty())
}

/// What a value says to people: a text, or the texts in it.
fn sentence(raw: &RawValue, depth: u8) -> Option<Text<'_>> {
    if raw.get().starts_with('"') {
        return said(raw);
    }
    let depth = depth.checked_sub(1)?;
    if let Some(items) = object::list(raw) {
        let sentences: Vec<_> = items.into_iter().filter_map(|item| sentence(item, depth)).collect();
        return (!sentences.is_empty()).then(|| sentences.join("; ").into());
    }
    let object = Object::lenient(raw)?;
    sentence_in(&object, &MESSAGES, depth).or_else(|| sentence_in(&object, &OTHERS, depth))
}

fn sentence_in<'a>(object: &Object<'a, '_>, names: &[&str], depth: u8) -> Option<Text<'a>> {
    names.iter().find_map(|name| sentence(object.peek(name)?, depth))
}

/// Whether one of the names holds anything.
fn says(object: &Object<'_, '_>, names: &[&str]) -> bool {
    let is_said = |raw: &RawValue| is_something(raw.get().as_bytes()) && raw.get() != "\"\"";
    names.iter().any(|name| object.peek(name).is_some_and(is_said))
}

/// Some routers wrap the error of whom they asked as it came.
fn within<'a, 'b>(object: Object<'a, 'b>) -> Object<'a, 'b> {
    let said = says(&object, &MESSAGES);
    match object.peek("error").filter(|_| !said).and_then(Object::lenient) {
        Some(inner) => inner,
        None => object,
    }
}

/// `{"errors": [{…}]}`: Cloudflare. `{"base_resp": {…}}`: `MiniMax`, in replies of status 200 too.
fn elsewhere<'a>(document: &Object<'a, '_>) -> Option<Object<'a, 'static>> {
    let first = document.peek("errors").and_then(object::list).and_then(|errors| errors.first().copied());
    Object::lenient(first.or_else(|| document.peek("base_resp"))?)
}

/// Whether `MiniMax` says so.
pub(super) fn went_wrong(document: &Object<'_, '_>) -> bool {
    let outcome = document.peek("base_resp").and_then(Object::lenient);
    outcome.and_then(|mut outcome| outcome.take_if("status_code", object::whole)).is_some_and(|code| code != 0)
}

/// What the sentence for people is called, best first.
const MESSAGES: [&str; 6] = ["message", "msg", "Message", "error_message", "status_msg", "reason"];
/// Where it stands where it has none of those names.
const OTHERS: [&str; 6] = ["detail", "error_description", "description", "title", "error", "errors"];

fn parse_object<'a>(dialect: Dialect, mut object: Object<'a, '_>) -> ErrorReply<'a> {
    let mut take = |names: &[&'static str], read: fn(&'a RawValue) -> Option<Text<'a>>| {
        names.iter().find_map(|name| object.take_if(name, read))
    };
    let message = take(&MESSAGES, |raw| sentence(raw, DEPTH));
    // Complaints without a sentence are kept as the JSON text that they are.
    let message = message.or_else(|| {
        take(&MESSAGES, |raw| {
            (raw.get().starts_with(['{', '[']) && is_something(raw.get().as_bytes())).then(|| raw.get().into())
        })
    });
    let kind = take(&["type", "status", "error_type", "__type"], object::text);
    let code = take(&["code", "error_code"], word);
    let numbers = ["raw_status_code", "http_status_code", "status_code", "status"];
    let told = numbers.iter().find_map(|name| object.take_if(name, object::whole));
    let status = told
        .or_else(|| code.as_deref().and_then(|code| code.parse().ok()))
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..600).contains(status));
    // What is no status is the number of an error.
    let code = code.or_else(|| told.filter(|_| status.is_none()).map(|number| Text::Owned(number.to_string())));
    let detail = object
        .peek("metadata")
        .and_then(Object::lenient)
        .and_then(|mut metadata| metadata.take_if("raw", object::text));
    object.forget("object");
    let message = message.or_else(|| sentence_in(&object, &OTHERS, DEPTH));
    ErrorReply {
        message: message.unwrap_or(NO_MESSAGE.into()),
        kind,
        code,
        param: object.take_if("param", word),
        status,
        detail,
        extras: object.into_extras(dialect),
    }
}

/// Validation errors: a sentence, or a list of complaints with the path to each (`loc`).
fn parse_detail<'a>(document: &mut Object<'a, '_>) -> ErrorReply<'a> {
    let Some(detail) = document.peek("detail") else {
        return plain(NO_MESSAGE);
    };
    if let Some(sentence) = said(detail) {
        // NVIDIA says its status beside it.
        return ErrorReply { status: status_of(document), ..plain(sentence) };
    }
    if let Some(inner) = Object::lenient(detail) {
        return parse_object(Dialect::OpenAiChat, within(inner));
    }
    let mut complaints = Vec::new();
    let mut param = None;
    for item in object::list(detail).unwrap_or_default() {
        let Some(mut item) = Object::lenient(item) else {
            continue;
        };
        if let Some(message) = item.take_if("msg", object::text) {
            complaints.push(message.into_owned());
        }
        if param.is_none() {
            param = item.take_if("loc", |raw| {
                let steps: Vec<_> = object::list(raw)?.into_iter().filter_map(word).collect();
                // The first step says only that the fault is in the body.
                let steps = match steps.split_first() {
                    Some((first, rest)) if first == "body" => rest,
                    _ => &steps,
                };
                Some(steps.join("."))
            });
        }
    }
    let complaints = (!complaints.is_empty()).then(|| complaints.join("; ").into());
    ErrorReply {
        message: complaints.or_else(|| sentence(detail, DEPTH)).unwrap_or(NO_MESSAGE.into()),
        param: param.map(Text::Owned),
        ..ErrorReply::default()
    }
}

fn status_of(document: &mut Object<'_, '_>) -> Option<u16> {
    let status = document.take_if("status", object::whole).and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (400..600).contains(status))
}

/// A string, or a number written as one: several servers put the status into `code`.
fn word(raw: &RawValue) -> Option<Text<'_>> {
    object::text(raw).or_else(|| object::number(raw).map(|_| Text::Borrowed(raw.get())))
}

fn plain<'a>(message: impl Into<Text<'a>>) -> ErrorReply<'a> {
    ErrorReply { message: message.into(), ..ErrorReply::default() }
}

pub(super) fn render_error(dialect: Dialect, error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 96);
    write_document(dialect, error, &mut out);
    out.into()
}

/// Writes `{"error":{…}}` with all four members that the published schema requires.
pub(super) fn write_document(dialect: Dialect, error: &ErrorReply<'_>, out: &mut Buffer) {
    output::object(out, |document| {
        document.object("error", |object| {
            object.text("message", &error.message);
            object.text("type", error.kind.as_deref().unwrap_or("api_error"));
            text_or_null(object, "param", error.param.as_deref());
            text_or_null(object, "code", error.code.as_deref());
            object.extras(dialect, &error.extras);
        });
    });
}

fn text_or_null(object: &mut Members<'_>, name: &'static str, value: Option<&str>) {
    match value {
        Some(value) => object.text(name, value),
        None => object.null(name),
    }
}

#[cfg(test)]
mod tests;
