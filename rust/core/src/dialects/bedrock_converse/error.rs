//! Error objects, `{"message":…}`, and the exceptions that end a stream.
//!
//! The surprise: the kind of an error stands in a header (`x-amzn-errortype`), and in the body only where another service
//! than the model's answers, as `__type`. Where the kind is known it is written there, because SDKs look in both places.

use bytes::Bytes;

use super::DIALECT;
use crate::dialects::message::{ErrorReply, Extra, Json, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::openai_error;
use crate::dialects::output::{self, Buffer, Members};

const TYPE: &str = "__type";
const MESSAGE: &str = "message";
/// Some of AWS's services write it so.
const SHOUTED: &str = "Message";
/// SDKs take it for the kind, so only one of AWS's own is written.
const CODE: &str = "code";
const EXCEPTION: &str = "Exception";
/// What a model answered with, behind the service that tells of it.
const ORIGINAL_STATUS: &str = "originalStatusCode";

pub(super) fn parse(body: &[u8]) -> ErrorReply<'_> {
    let document = Object::document(body, Mode::Lenient).ok();
    document.and_then(|document| parse_own(document, "")).unwrap_or_else(|| openai_error::parse_error(DIALECT, body))
}

/// An exception of this name in a stream.
pub(super) fn parse_event<'a>(name: &str, event: Object<'a, '_>) -> ErrorReply<'a> {
    let name = if is_exception(name) { name } else { "" };
    let nothing = || ErrorReply { message: "the upstream broke off without saying why".into(), ..with_kind(name) };
    parse_own(event, name).unwrap_or_else(nothing)
}

pub(super) fn is_exception(name: &str) -> bool {
    name.ends_with(EXCEPTION)
}

/// `None` when it is not of AWS's shape.
fn parse_own<'a>(mut document: Object<'a, '_>, name: &str) -> Option<ErrorReply<'a>> {
    if document.peek("error").is_some() {
        return None;
    }
    let shouted = document.peek(MESSAGE).is_none();
    let message = document.take_if(if shouted { SHOUTED } else { MESSAGE }, openai_error::said)?;
    let mut error = with_kind(name);
    if let Some(raw) = document.peek(TYPE)
        && let Some(told) = object::text(raw)
    {
        document.forget(TYPE);
        // "com.amazon.coral.service#AccessDeniedException:" and what it may lead to.
        let word = told.rsplit('#').next().unwrap_or_default();
        let word = word.split(':').next().unwrap_or_default();
        if word != told {
            error.extras.push(Extra { dialect: DIALECT, name: TYPE.into(), value: Json::from(raw) });
        }
        error.status = status_of(word);
        error.kind = Some(Text::Owned(word.to_owned()));
    }
    error.code = document.take_if(CODE, object::text);
    if error.code.is_some() {
        error.extras.mark(DIALECT, CODE, Json::null());
    }
    let original = document.peek(ORIGINAL_STATUS).and_then(object::whole).and_then(|status| u16::try_from(status).ok());
    error.status = original.filter(|status| (400..600).contains(status)).or(error.status);
    if shouted {
        error.extras.mark(DIALECT, SHOUTED, Json::null());
    }
    document.spill(DIALECT, &mut error.extras);
    Some(ErrorReply { message, ..error })
}

fn with_kind(name: &str) -> ErrorReply<'static> {
    let kind = (!name.is_empty()).then(|| Text::Owned(name.to_owned()));
    ErrorReply { kind, status: status_of(name), ..ErrorReply::default() }
}

/// The HTTP status that comes with a kind of error, whichever way its first letter is written.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind.strip_suffix(EXCEPTION)?.to_ascii_lowercase().as_str() {
        "validation" | "servicequotaexceeded" => 400,
        "unrecognizedclient" | "invalidsignature" | "missingauthenticationtoken" => 401,
        "accessdenied" | "expiredtoken" => 403,
        "resourcenotfound" => 404,
        "modeltimeout" => 408,
        "throttling" | "modelnotready" => 429,
        "internalserver" => 500,
        "modelerror" | "modelstreamerror" => 502,
        "serviceunavailable" => 503,
        _ => return None,
    })
}

/// The kind as an exception is named: the sender's own, or that of the status.
fn kind<'e>(error: &'e ErrorReply<'_>) -> &'e str {
    if let Some(own) = error.kind.as_deref().filter(|kind| is_exception(kind)) {
        return own;
    }
    match error.status {
        Some(401 | 403) => "AccessDeniedException",
        Some(404) => "ResourceNotFoundException",
        Some(408 | 504) => "ModelTimeoutException",
        Some(429) => "ThrottlingException",
        Some(502) => "ModelErrorException",
        Some(503 | 529) => "ServiceUnavailableException",
        Some(400..=499) => "ValidationException",
        _ => "InternalServerException",
    }
}

pub(super) fn render(error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 64);
    output::object(&mut out, |document| {
        let told = error.status.is_some() && error.extras.get(DIALECT, ORIGINAL_STATUS).is_none();
        if (error.kind.is_some() || told) && error.extras.get(DIALECT, TYPE).is_none() {
            document.text(TYPE, &capital(kind(error), true));
        }
        write(document, error);
    });
    out.into()
}

/// Writes the payload of an exception.
pub(super) fn write(document: &mut Members<'_>, error: &ErrorReply<'_>) {
    let shouted = error.extras.marked(DIALECT, SHOUTED).is_some();
    document.text(if shouted { SHOUTED } else { MESSAGE }, &error.message);
    let own_code = error.code.as_deref().filter(|_| error.extras.marked(DIALECT, CODE).is_some());
    document.text_if(CODE, own_code);
    document.extras(DIALECT, &error.extras);
}

/// The name of an error as an event of a stream: of the five that there are, the one that is nearest.
pub(super) fn exception(error: &ErrorReply<'_>) -> String {
    let name = match kind(error) {
        "AccessDeniedException" | "ResourceNotFoundException" => "validationException",
        "ModelTimeoutException" | "ModelErrorException" => "modelStreamErrorException",
        own => own,
    };
    capital(name, false)
}

fn capital(word: &str, large: bool) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| if large { first.to_ascii_uppercase() } else { first.to_ascii_lowercase() });
    first.into_iter().chain(letters).collect()
}
