//! Error objects: `{"type":"error","error":{"type":…,"message":…},"request_id":…}`.
//!
//! Servers behind the same address answer in other shapes, too; those are read as everybody else's are.

use bytes::Bytes;

use super::DIALECT;
use crate::dialects::message::{ErrorReply, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::openai_error;
use crate::dialects::output::{self, Buffer};

/// Clients compact a conversation when they read this, and only then.
const TOO_LONG: &str = "prompt is too long";
/// Codes that the published SDKs look for, to go on without what this server does not keep.
const OF_THREADS: &str = "thread_";

pub(super) fn parse(body: &[u8]) -> ErrorReply<'_> {
    let document = Object::document(body, Mode::Lenient).ok();
    document.and_then(parse_own).unwrap_or_else(|| openai_error::parse_error(DIALECT, body))
}

/// `None` when it is not the published shape.
fn parse_own<'a>(mut document: Object<'a, '_>) -> Option<ErrorReply<'a>> {
    let mut inner = document.peek("error").and_then(Object::lenient)?;
    let message = inner.take_if("message", openai_error::said)?;
    let kind = inner.take_if("type", object::text)?;
    document.take_if("type", |raw| (raw.get() == "\"error\"").then_some(()))?;
    document.forget("error");
    let mut extras = document.into_extras(DIALECT);
    if !inner.is_empty() {
        extras.push(inner.into_rest(DIALECT, "error"));
    }
    Some(ErrorReply { message, kind: Some(kind), extras, ..ErrorReply::default() })
}

pub(super) fn render(error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 96);
    write(error, &mut out);
    out.into()
}

pub(super) fn write(error: &ErrorReply<'_>, out: &mut Buffer) {
    output::object(out, |document| {
        document.text("type", "error");
        document.object("error", |inner| {
            inner.text("type", kind(error));
            inner.text("message", &message(error));
            if let Some(code) = error.code.as_deref().filter(|code| code.starts_with(OF_THREADS)) {
                inner.object("details", |details| details.text("error_code", code));
            }
            inner.rest_of("error", DIALECT, &error.extras);
        });
        document.extras(DIALECT, &error.extras);
    });
}

fn message<'e>(error: &'e ErrorReply<'_>) -> Text<'e> {
    let overflow = error.code.as_deref() == Some("context_length_exceeded");
    if overflow && !error.message.contains(TOO_LONG) {
        return format!("{TOO_LONG}: {}", error.message).into();
    }
    Text::Borrowed(&error.message)
}

/// The kind as this dialect names it: clients know these words, and what everybody writes as `…_error` is one of them.
fn kind<'e>(error: &'e ErrorReply<'_>) -> &'e str {
    let of_status = match error.status {
        Some(401) => "authentication_error",
        Some(402) => "billing_error",
        Some(403) => "permission_error",
        Some(404) => "not_found_error",
        Some(413) => "request_too_large",
        Some(429) => "rate_limit_error",
        Some(408 | 504) => "timeout_error",
        // Whoever reads this word waits and asks again, whatever `x-should-retry` says; not every 503 passes by itself.
        Some(529) => "overloaded_error",
        Some(400..=499) => "invalid_request_error",
        _ => "api_error",
    };
    // A response that failed has a code and nothing else to tell it by.
    let only_code = error.code.as_deref().filter(|_| error.kind.is_none() && error.status.is_none());
    match only_code.or(error.kind.as_deref()).unwrap_or_default() {
        "server_error" | "internal_server_error" | "INTERNAL" | "UNKNOWN" => "api_error",
        "insufficient_quota" => "billing_error",
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "invalid_request" | "invalid_prompt" => {
            "invalid_request_error"
        }
        "UNAUTHENTICATED" => "authentication_error",
        "PERMISSION_DENIED" => "permission_error",
        "NOT_FOUND" => "not_found_error",
        "RESOURCE_EXHAUSTED" | "rate_limit_exceeded" => "rate_limit_error",
        "UNAVAILABLE" | "server_is_overloaded" => "overloaded_error",
        "DEADLINE_EXCEEDED" => "timeout_error",
        kind if kind.ends_with("_error") || kind == "request_too_large" => kind,
        _ => of_status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: &ErrorReply<'_>) -> String {
        String::from_utf8(render(error).to_vec()).unwrap()
    }

    #[test]
    fn errors_of_others_get_a_kind_that_clients_know() {
        for (kind, status, expected) in [
            (Some("NOT_FOUND"), Some(404), "not_found_error"),
            (Some("server_error"), None, "api_error"),
            (Some("invalid_model"), Some(400), "invalid_request_error"),
            (Some("overloaded_error"), None, "overloaded_error"),
            (None, Some(529), "overloaded_error"),
            (None, Some(503), "api_error"),
            (None, None, "api_error"),
        ] {
            let error = ErrorReply { message: "m".into(), kind: kind.map(Into::into), status, ..ErrorReply::default() };
            let document = format!(r#"{{"type":"error","error":{{"type":"{expected}","message":"m"}}}}"#);
            assert_eq!(said(&error), document);
        }
    }

    #[test]
    fn a_code_that_comes_alone_tells_the_kind() {
        for (code, status, kind) in [
            ("rate_limit_exceeded", None, "rate_limit_error"),
            ("server_error", None, "api_error"),
            ("invalid_prompt", None, "invalid_request_error"),
            ("upstream_truncated", None, "api_error"),
            ("insufficient_quota", Some(429), "rate_limit_error"),
        ] {
            let error = ErrorReply { message: "m".into(), code: Some(code.into()), status, ..ErrorReply::default() };
            assert!(said(&error).contains(&format!(r#""type":"{kind}""#)), "{code}: {}", said(&error));
        }
    }

    #[test]
    fn a_context_that_is_full_is_said_in_the_words_that_clients_look_for() {
        let error = ErrorReply {
            message: "maximum context length is 8192".into(),
            code: Some("context_length_exceeded".into()),
            ..ErrorReply::default()
        };
        assert!(said(&error).contains("prompt is too long: maximum context length is 8192"));
    }

    #[test]
    fn a_thread_that_is_not_kept_is_said_where_sdks_look_for_it() {
        let error = ErrorReply {
            message: "m".into(),
            code: Some("thread_unsupported_request".into()),
            status: Some(400),
            ..ErrorReply::default()
        };
        assert!(said(&error).contains(r#""details":{"error_code":"thread_unsupported_request"}"#), "{}", said(&error));
    }

    #[test]
    fn a_page_in_place_of_an_error_is_not_quoted() {
        assert!(!parse(b"<html>sk-secret</html>").message.contains("sk-"));
        assert_eq!(parse(br#"{"error":{"message":"plain"}}"#).message, "plain");
    }
}
