//! Google's error object, `{"error":{code,message,status,details}}`, and what it makes of everybody else's.
//!
//! `code` is the HTTP status and `status` the name of the kind. Vertex wraps the object in a list of one.

use bytes::Bytes;

use super::DIALECT;
use crate::dialects::Dialect;
use crate::dialects::message::ErrorReply;
use crate::dialects::object::Object;
use crate::dialects::openai_error;
use crate::dialects::output::{self, Buffer};

pub(in crate::dialects) fn parse(dialect: Dialect, body: &[u8]) -> ErrorReply<'_> {
    mended(openai_error::parse_error(dialect, body))
}

pub(super) fn parse_chunk<'a>(chunk: Object<'a, '_>) -> ErrorReply<'a> {
    mended(openai_error::parse_document(DIALECT, chunk))
}

/// A code that only repeats the status is none.
fn mended(mut error: ErrorReply<'_>) -> ErrorReply<'_> {
    let repeats = |code: &str| code.parse().ok() == error.status;
    if error.code.as_deref().is_some_and(repeats) {
        error.code = None;
    }
    error
}

pub(in crate::dialects) fn render(dialect: Dialect, error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 96);
    write_as(dialect, error, &mut out);
    out.into()
}

pub(super) fn write_document(error: &ErrorReply<'_>, out: &mut Buffer) {
    write_as(DIALECT, error, out);
}

fn write_as(dialect: Dialect, error: &ErrorReply<'_>, out: &mut Buffer) {
    let named = error.kind.as_deref().unwrap_or_default();
    let is_status = !named.is_empty() && named.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let code = error.status.map(u64::from).or_else(|| error.code.as_deref()?.parse().ok());
    let code = code.unwrap_or_else(|| code_of_kind(named));
    output::object(out, |document| {
        document.object("error", |object| {
            object.whole("code", code);
            object.text("message", &error.message);
            object.text("status", if is_status { named } else { status_of_code(code) });
            object.extras(dialect, &error.extras);
        });
    });
}

/// The HTTP status for a kind of error as other dialects or Google name it.
fn code_of_kind(kind: &str) -> u64 {
    match kind {
        "invalid_request_error" | "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "authentication_error" | "UNAUTHENTICATED" => 401,
        "permission_error" | "PERMISSION_DENIED" => 403,
        "not_found" | "not_found_error" | "NOT_FOUND" => 404,
        "conflict_error" | "ABORTED" => 409,
        "request_too_large" => 413,
        "rate_limit_error" | "RESOURCE_EXHAUSTED" => 429,
        "CANCELLED" => 499,
        "overloaded_error" | "UNAVAILABLE" => 503,
        "timeout_error" | "DEADLINE_EXCEEDED" => 504,
        _ => 500,
    }
}

fn status_of_code(code: u64) -> &'static str {
    match code {
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=498 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
