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
        Err(_) => plain(object::text(document).unwrap_or(NOT_JSON.into())),
    }
}

/// Reads an object that is an error, or holds one under `error` or under a name that others have for it.
pub(super) fn parse_document<'a>(dialect: Dialect, mut document: Object<'a, '_>) -> ErrorReply<'a> {
    let speaks = |raw: &&RawValue| raw.get().starts_with(['{', '[', '"']) && is_something(raw.get().as_bytes());
    match document.peek("error").filter(speaks) {
        // {"error": {…}}: nearly everybody.
        Some(raw) if raw.get().starts_with('{') => match Object::lenient(raw) {
            Some(object) => parse_object(dialect, within(object)),
            None => plain(NO_MESSAGE),
        },
        // {"error": ["…"]}: Hugging Face.
        Some(raw) if raw.get().starts_with('[') => {
            let sentences: Vec<_> =
                object::list(raw).unwrap_or_default().into_iter().filter_map(object::text).collect();
            plain(if sentences.is_empty() { NO_MESSAGE.to_owned() } else { sentences.join("; ") })
        }
        // {"error": "…", "code": "…"}: xAI, Ollama, Venice. Here `code` is a sentence about the kind of error.
        Some(raw) => {
            let mut error = plain(object::text(raw).unwrap_or(NO_MESSAGE.into()));
            error.code = document.take_if("code", word);
            error
        }
        // {"message": …} with or without `object: "error"`: Mistral, Cohere, DashScope, Bedrock.
        None if MESSAGES.iter().any(|name| document.has(name)) => parse_object(dialect, document),
        // {"detail": …}: FastAPI servers, among them Mistral's and vLLM's.
        None if document.has("detail") => parse_detail(&mut document),
        None => match elsewhere(&document) {
            Some(object) => parse_object(dialect, object),
            None => plain(NO_MESSAGE),
        },
    }
}

/// Some routers wrap the error of whom they asked as it came.
fn within<'a, 'b>(object: Object<'a, 'b>) -> Object<'a, 'b> {
    let said = MESSAGES.iter().any(|name| object.has(name));
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

fn parse_object<'a>(dialect: Dialect, mut object: Object<'a, '_>) -> ErrorReply<'a> {
    let mut take = |names: &[&'static str], read: fn(&'a RawValue) -> Option<Text<'a>>| {
        names.iter().find_map(|name| object.take_if(name, read))
    };
    // A list of complaints is kept as the JSON text that it is.
    let message = take(&MESSAGES, |raw| Some(object::text(raw).unwrap_or(Text::Borrowed(raw.get()))));
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
    if let Some(sentence) = object::text(detail) {
        // NVIDIA says its status beside it.
        let status = document.take_if("status", object::whole).and_then(|status| u16::try_from(status).ok());
        return ErrorReply { status: status.filter(|status| (400..600).contains(status)), ..plain(sentence) };
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
    ErrorReply {
        message: if complaints.is_empty() { NO_MESSAGE.into() } else { complaints.join("; ").into() },
        param: param.map(Text::Owned),
        ..ErrorReply::default()
    }
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
mod tests {
    use super::*;

    fn parse(body: &str) -> ErrorReply<'_> {
        parse_error(Dialect::OpenAiChat, body.as_bytes())
    }

    /// body, message, kind, code, param, status
    type Shape =
        (&'static str, &'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>, Option<u16>);

    const SHAPES: &[Shape] = &[
        (
            r#"{"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":null}}"#,
            "too hot",
            Some("invalid_request_error"),
            None,
            Some("temperature"),
            None,
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"r"}"#,
            "busy",
            Some("overloaded_error"),
            None,
            None,
            None,
        ),
        (
            r#"[{"error":{"code":404,"message":"no such model","status":"NOT_FOUND","details":[]}}]"#,
            "no such model",
            Some("NOT_FOUND"),
            Some("404"),
            None,
            Some(404),
        ),
        (
            r#"{"object":"error","message":"bad model","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}"#,
            "bad model",
            Some("invalid_model"),
            Some("1500"),
            None,
            Some(400),
        ),
        (r#"{"detail":"Unauthorized"}"#, "Unauthorized", None, None, None, None),
        (
            r#"{"detail":[{"loc":["body","messages",0],"msg":"field required"},{"loc":["body"],"msg":"extra"}]}"#,
            "field required; extra",
            None,
            None,
            Some("messages.0"),
            None,
        ),
        (
            r#"{"code":"InvalidApiKey","message":"no key","request_id":"r"}"#,
            "no key",
            None,
            Some("InvalidApiKey"),
            None,
            None,
        ),
        (
            r#"{"code":"The caller may not","error":"key disabled"}"#,
            "key disabled",
            None,
            Some("The caller may not"),
            None,
            None,
        ),
        (r#"{"id":"1","message":"no such model"}"#, "no such model", None, None, None, None),
        (r#"{"error":"model not loaded"}"#, "model not loaded", None, None, None, None),
        (r#"{"error":{"code":"401","message":"denied"}}"#, "denied", None, Some("401"), None, Some(401)),
        ("<html>sk-secret</html>", NOT_JSON, None, None, None, None),
        ("", NOT_JSON, None, None, None, None),
        ("null", NOT_JSON, None, None, None, None),
        ("{}", NO_MESSAGE, None, None, None, None),
        (r#"{"error":{}}"#, NO_MESSAGE, None, None, None, None),
        (
            r#"{"success":false,"errors":[{"code":7003,"message":"no route"}]}"#,
            "no route",
            None,
            Some("7003"),
            None,
            None,
        ),
        (
            r#"{"choices":null,"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
            "login fail",
            None,
            Some("1004"),
            None,
            None,
        ),
        (r#"{"Message":"slow","__type":"ThrottlingException"}"#, "slow", Some("ThrottlingException"), None, None, None),
        (r#"{"error":true,"message":"x"}"#, "x", None, None, None, None),
        (r#"{"error":"","message":"x"}"#, "x", None, None, None, None),
        (r#"{"code":1001,"msg":"no"}"#, "no", None, Some("1001"), None, None),
        (r#"{"error_code":"BAD","message":"no"}"#, "no", None, Some("BAD"), None, None),
        (r#"{"error":{"error":{"message":"inner","code":"429"}}}"#, "inner", None, Some("429"), None, Some(429)),
        (r#"{"error":["first","second"]}"#, "first; second", None, None, None, None),
        (r#"{"error":{"message":"m","http_status_code":422}}"#, "m", None, None, None, Some(422)),
        (
            r#"{"status":404,"title":"Not Found","detail":"no such function"}"#,
            "no such function",
            None,
            None,
            None,
            Some(404),
        ),
        (r#"{"detail":{"error":{"message":"inner","type":"t"}}}"#, "inner", Some("t"), None, None, None),
    ];

    #[test]
    fn every_shape_of_error_is_understood() {
        for (body, message, kind, code, param, status) in SHAPES {
            let error = parse(body);
            assert_eq!(error.message, *message, "{body}");
            assert_eq!(error.kind.as_deref(), *kind, "{body}");
            assert_eq!(error.code.as_deref(), *code, "{body}");
            assert_eq!(error.param.as_deref(), *param, "{body}");
            assert_eq!(error.status, *status, "{body}");
        }
    }

    #[test]
    fn the_provider_behind_a_router_is_heard() {
        let error = parse(
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":\"inner\"}","provider_name":"P"}},"user_id":"u"}"#,
        );
        assert_eq!(error.detail.as_deref(), Some(r#"{"error":"inner"}"#));
        assert_eq!(error.status, Some(400));
    }

    #[test]
    fn openai_errors_keep_what_they_say_and_always_have_four_members() {
        let body = r#"{"error":{"message":"m","type":"t","param":null,"code":"c","failed_generation":"x"}}"#;
        let rendered = render_error(Dialect::OpenAiChat, &parse(body));
        assert_eq!(rendered, body);
        let rendered = render_error(Dialect::OpenAiChat, &parse("{}"));
        assert_eq!(
            rendered,
            format!(r#"{{"error":{{"message":"{NO_MESSAGE}","type":"api_error","param":null,"code":null}}}}"#)
        );
    }
}
