//! Cohere's errors: a message, the id of the request, and sometimes the kind of error.
//!
//! What is something else was written by a server in between and is read as everybody's errors are.

use bytes::Bytes;

use super::message::ErrorReply;
use super::object::{self, Mode, Object};
use super::output::{self, Buffer};
use super::{Dialect, openai_error};

pub(super) fn parse(dialect: Dialect, body: &[u8]) -> ErrorReply<'_> {
    if let Ok(mut error) = Object::document(body, Mode::Lenient)
        && let Some(message) = error.take_if("message", openai_error::said)
    {
        return ErrorReply {
            message,
            kind: error.take_if("error_type", object::text),
            extras: error.into_extras(dialect),
            ..ErrorReply::default()
        };
    }
    openai_error::parse_error(dialect, body)
}

pub(super) fn render(dialect: Dialect, error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 64);
    output::object(&mut out, |document| {
        document.text("message", &error.message);
        document.text_if("error_type", error.kind.as_deref());
        document.extras(dialect, &error.extras);
    });
    out.into()
}
