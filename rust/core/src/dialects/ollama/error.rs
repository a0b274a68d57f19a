//! Errors: a sentence under `error`.
//!
//! What is something else was written by a server in between and is read as everybody's errors are.

use bytes::Bytes;

use super::DIALECT;
use crate::dialects::message::ErrorReply;
use crate::dialects::object::{Mode, Object};
use crate::dialects::openai_error;
use crate::dialects::output::{self, Buffer};

pub(super) fn parse(body: &[u8]) -> ErrorReply<'_> {
    if let Ok(mut error) = Object::document(body, Mode::Lenient)
        && let Some(message) = error.take_if("error", openai_error::said)
    {
        return ErrorReply { message, extras: error.into_extras(DIALECT), ..ErrorReply::default() };
    }
    openai_error::parse_error(DIALECT, body)
}

pub(super) fn render(error: &ErrorReply<'_>) -> Bytes {
    let mut out = Buffer::with_capacity(error.message.len() + 32);
    write(error, &mut out);
    out.into()
}

pub(super) fn write(error: &ErrorReply<'_>, out: &mut Buffer) {
    output::object(out, |document| {
        document.text("error", &error.message);
        document.extras(DIALECT, &error.extras);
    });
}
